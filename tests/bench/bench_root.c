/* tests/bench/bench_root.c
 *
 * Reading the columns of the pipeline out of a Delphes file (the sample of 500 events, or the argument), one thread,
 * file in the page cache.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; an item is an event
 *
 * Limits: the whole chain from ROOT to Parquet has 1/3,500 s an event on a core (LIMIT_SHARE: what reading takes of
 * it); half of the reading is to be inside the decompressor (LIMIT_SHARE: how much is, of that half). */
#include "core/root.h"

#include <inttypes.h>
#include <stdlib.h>

enum { RUNS = 15, BATCH = 128 };

static const char *path = "tests/fixtures/sample/ttbar.root";
static const double CHAIN_NS = 1e9 / 3500;

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_root: %s\n", e->text);
    exit(1);
}

struct run {
    int64_t ns, open_ns, events;
    struct delphes_stats stats;
};

static struct run read_events(void)
{
    struct error e;
    struct source *src;
    struct delphes *d;
    struct event_batch b;
    struct run r = {0};
    int64_t start = time_mono_ns();
    must(source_open(path, &src, &e), &e);
    must(delphes_open(src, NULL, NULL, &d, &e), &e);
    r.open_ns = time_mono_ns() - start;
    event_batch_init(&b);
    r.events = delphes_entries(d);
    start = time_mono_ns();
    for (int64_t at = 0, end; at < r.events; at = end) {
        end = delphes_batch_end(d, at, BATCH);
        must(delphes_read(d, at, end - at, &b, &e), &e);
    }
    r.ns = time_mono_ns() - start;
    r.stats = delphes_stats(d);
    event_batch_fini(&b);
    delphes_close(d);
    source_close(src);
    return r;
}

static int by_time(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

int main(int argc, char **argv)
{
    struct run runs[RUNS];
    if (argc > 1)
        path = argv[1];
    for (int i = 0; i < RUNS; i++)
        runs[i] = read_events();
    qsort(runs, RUNS, sizeof *runs, by_time);
    const struct run *m = &runs[RUNS / 2]; /* the median */
    double n = (double)m->events, ns = (double)m->ns / n, unpack_ns = (double)m->stats.decompress_ns / n;
    double stored = (double)m->stats.stored_bytes, raw = (double)m->stats.raw_bytes;
    printf("bench\troot_events\t%" PRId64
           "\t%.0f\t%.0f\t%.3f\t%.0f MB/s stored, %.0f MB/s raw, %.1f kB stored an event\n",
           m->events, ns, 1e9 / ns, ns / CHAIN_NS, stored / (double)m->ns * 1e3, raw / (double)m->ns * 1e3,
           stored / n / 1e3);
    printf("bench\troot_decompress\t%" PRId64 "\t%.0f\t%.0f\t%.2f\t%.0f %% of the reading, %.0f MB/s raw\n", m->events,
           unpack_ns, 1e9 / unpack_ns, unpack_ns / ns / 0.5, 100 * unpack_ns / ns,
           raw / (double)m->stats.decompress_ns * 1e3);
    printf("bench\troot_open\t1\t%" PRId64 "\t%.0f\t-\topening the file and its tree\n", m->open_ns,
           1e9 / (double)m->open_ns);
    return 0;
}
