/* tests/bench/bench_chain.c
 *
 * ROOT file to selected events with all features, written as Parquet: the jobs themselves, on one thread and on all
 * cores; then where the time of one thread goes (chain.share.*, LIMIT_SHARE: of the chain's).  An event is one entry of
 * the input files.  Files: ../shared/data/large/ttbar_*.root where it is there (700
 * entries each and more), else the sample that ships with the project. */
#include "core/root.h"
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <string.h>
#include <sys/resource.h>

static const char *input_spec(struct arena *a)
{
    if (!have_shared_data())
        return "inputs[0].path = \"tests/fixtures/sample/ttbar.root\"\ninputs[0].label = \"tt\"\n"
               "inputs[1].path = \"tests/fixtures/sample/wlnu.root\"\ninputs[1].label = \"wjets\"\n";
    return arena_printf(a,
                        "inputs[0].path = \"%s\"\ninputs[0].label = \"tt\"\n"
                        "inputs[1].path = \"%s\"\ninputs[1].label = \"wjets\"\n",
                        shared_path("large/ttbar_2.root"), shared_path("large/wlnu_2.root"));
}

struct cost {
    double wall, cpu;                  /* ns; wall -1: it failed */
};

static double cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static struct cost timed(struct test_host *h, struct arena *a, const char *kind, const char *spec, void **result)
{
    struct error e = {0};
    double cpu = cpu_ns();
    int64_t start = time_mono_ns();
    if (test_host_run(h, a, kind, spec, result, &e) != STATUS_OK) {
        fprintf(stderr, "bench_chain: %s: %s\n", kind, e.text);
        return (struct cost){-1, 0};
    }
    return (struct cost){(double)(time_mono_ns() - start), cpu_ns() - cpu};
}

static void line(const char *name, size_t threads, int64_t events, struct cost c)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("bench\t%s\t%lld\t%.0f\t%.0f\t-\tthreads=%zu cpu=%.0fns max_rss=%ldMB\n", name, (long long)events,
           c.wall / (double)events, (double)events * 1e9 / c.wall, threads, c.cpu / (double)events, usage.ru_maxrss / 1024);
    fflush(stdout);
}

/* ---- where the time goes ---------------------------------------------------------------------------------------- */

struct shares {
    int64_t unpack, read_root, write_part, read_part, select, rows;        /* ns */
};

static enum status share_of_root(const char *path, struct shares *sum, struct error *e)
{
    struct source *src;
    struct delphes *d;
    struct event_batch batch;
    TRY(source_open(path, &src, e));
    enum status s = delphes_open(src, NULL, NULL, &d, e);
    if (s != STATUS_OK) {
        source_close(src);
        return s;
    }
    event_batch_init(&batch);
    int64_t start = time_mono_ns();
    for (int64_t at = 0, end; s == STATUS_OK && at < delphes_entries(d); at = end) {
        end = delphes_batch_end(d, at, 512);
        s = delphes_read(d, at, end - at, &batch, e);
    }
    sum->read_root += time_mono_ns() - start;
    sum->unpack += delphes_stats(d).decompress_ns;
    event_batch_fini(&batch);
    delphes_close(d);
    source_close(src);
    return s;
}

/* One row group: read, its features twice (with and without rows), written again. */
static enum status share_of_group(struct events_reader *r, size_t group, struct events_writer *w,
                                  struct event_batch *events, struct feature_batch *features, struct shares *sum,
                                  struct error *e)
{
    const struct recipe *recipe = recipe_find("topology-1");
    int64_t t[5] = {time_mono_ns()};
    TRY(events_read(r, group, events, e));
    t[1] = time_mono_ns();
    TRY(features_compute(recipe, events, false, features, e));
    t[2] = time_mono_ns();
    TRY(features_compute(recipe, events, true, features, e));
    t[3] = time_mono_ns();
    TRY(events_write(w, events, e));
    t[4] = time_mono_ns();
    sum->read_part += t[1] - t[0];
    sum->select += t[2] - t[1];
    sum->rows += (t[3] - t[2]) - (t[2] - t[1]);
    sum->write_part += t[4] - t[3];
    return STATUS_OK;
}

static enum status share_of_parts(const char *folder, const char *spare, struct shares *sum, struct error *e)
{
    struct dataset *d;
    struct events_writer *w;
    struct event_batch events;
    struct feature_batch features;
    TRY(dataset_open(folder, &d, e));
    event_batch_init(&events);
    feature_batch_init(&features);
    enum status s = events_writer_create(spare, &w, e);
    for (size_t p = 0; s == STATUS_OK && p < dataset_manifest(d)->parts.n_items; p++) {
        struct events_reader *r;
        s = events_reader_open(d, p, &r, e);
        for (size_t g = 0; s == STATUS_OK && g < events_reader_groups(r); g++)
            s = share_of_group(r, g, w, &events, &features, sum, e);
        if (s == STATUS_OK)
            events_reader_close(r);
    }
    events_writer_abort(w);
    event_batch_fini(&events);
    feature_batch_fini(&features);
    dataset_close(d);
    return s;
}

static void share_line(const char *name, int64_t events, int64_t ns, double chain_ns, const char *note)
{
    double each = (double)ns / (double)events;
    printf("bench\tchain.share.%s\t%lld\t%.0f\t%.0f\t%.3f\t%s\n", name, (long long)events, each, 1e9 / each,
           (double)ns / chain_ns, note);
}

static void print_shares(struct test_host *h, const struct ingest_result *in, double chain_ns)
{
    struct shares sum = {0};
    struct error e;
    char spare[600];
    const struct dataset_source *files = in->files.items;
    snprintf(spare, sizeof spare, "%s/spare.parquet", h->folder);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < in->files.n_items; i++)
        s = share_of_root(files[i].path, &sum, &e);
    if (s == STATUS_OK)
        s = share_of_parts(test_host_artifact(h, in->dataset_id), spare, &sum, &e);
    if (s != STATUS_OK) {
        fprintf(stderr, "bench_chain: shares: %s\n", e.text);
        return;
    }
    int64_t n = in->events_read;
    share_line("read_root", n, sum.read_root, chain_ns, "branches to columns, decompression included");
    share_line("decompress", n, sum.unpack, chain_ns, "inside the decompressor");
    share_line("isolation", n, sum.rows, chain_ns, "particle rows with their isolation");
    share_line("features", n, sum.select, chain_ns, "selection and high-level features, made twice");
    share_line("write_parquet", n, sum.write_part, chain_ns, "the events part; the features part costs as much again");
    share_line("read_parquet", n, sum.read_part, chain_ns, "the events part, all columns");
}

/* ---- the jobs --------------------------------------------------------------------------------------------------- */

static bool run_chain(size_t threads)
{
    struct test_host h;
    struct arena a;
    void *result;
    arena_init(&a, (size_t)1 << 30);
    test_host_init(&h, threads);
    struct cost ingest = timed(&h, &a, "ingest", input_spec(&a), &result), features = {-1, 0};
    if (ingest.wall > 0) {
        const struct ingest_result *in = result;
        int64_t events = in->events_read;
        const char *spec = arena_printf(&a, "dataset = \"%s\"\n", in->dataset_id);
        test_host_new_job(&h);
        features = timed(&h, &a, "features", spec, &result);
        line("chain.ingest", threads, events, ingest);
        line("chain.features", threads, events, features);
        line("chain.ingest+features", threads, events,
             (struct cost){ingest.wall + features.wall, ingest.cpu + features.cpu});
        if (threads == 1 && features.wall > 0)
            print_shares(&h, in, ingest.wall + features.wall);
    }
    test_host_fini(&h);
    arena_fini(&a);
    return features.wall > 0;
}

int main(void)
{
    bool ok = run_chain(1);
    if (ok && par_cores() > 1)
        ok = run_chain(par_cores());
    return ok ? 0 : 1;
}
