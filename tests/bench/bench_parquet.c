/* tests/bench/bench_parquet.c
 *
 * Writing and reading ragged rows of about 4,700 floats (an event's particle rows), row groups of about 16 MB, one
 * thread, and short lists for contrast.  The file is in the page cache when it is read; syncing it is stated apart.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; an item is a row, best of 3 runs */
#include "tests/support/support.h"

#include "core/parquet/parquet.h"

#include <stdlib.h>

enum { RUNS = 3, ROW_GROUPS = 6, ROW_GROUP_VALUES = 4 << 20 };

struct workload {
    const char *name;
    size_t list_least, list_most;
    size_t n_rows; /* of a row group */
    float *data;
    uint64_t *offsets;
};

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_parquet: %s\n", e->text);
    exit(1);
}

/* Momenta: normally distributed, so that the mantissas do not compress. */
static void generate(struct workload *w)
{
    struct rng r = rng_stream(11, 0);
    size_t n = 0, rows_most = ROW_GROUP_VALUES / (w->list_least + 1) + 1;
    w->data = malloc((ROW_GROUP_VALUES + w->list_most) * sizeof *w->data);
    w->offsets = malloc((rows_most + 1) * sizeof *w->offsets);
    check(w->data && w->offsets);
    w->offsets[0] = 0;
    for (; n < ROW_GROUP_VALUES; w->n_rows++) {
        check(w->n_rows < rows_most);
        size_t len = w->list_least + (size_t)rng_below(&r, w->list_most - w->list_least + 1);
        len += len == 0;
        for (size_t end = n + len; n < end; n++)
            w->data[n] = (float)(20 * rng_normal(&r));
        w->offsets[w->n_rows + 1] = n;
    }
}

static struct pq_values values_of(const struct workload *w)
{
    return (struct pq_values){
        .n_rows = w->n_rows, .n_values = (size_t)w->offsets[w->n_rows], .data = w->data, .offsets = w->offsets};
}

static void write_file(const struct workload *w, const char *path, enum codec_id codec, int64_t *write_ns,
                       int64_t *sync_ns)
{
    struct error e;
    struct pq_writer *writer;
    struct pq_values v = values_of(w);
    const struct pq_column column = {.name = "particles", .type = PQ_F32, .list = true};
    const struct pq_write_options options = {.codec = codec};
    int64_t start = time_mono_ns();
    must(pq_writer_create(path, &column, 1, &options, &writer, &e), &e);
    for (int i = 0; i < ROW_GROUPS; i++)
        must(pq_write_row_group(writer, &v, &e), &e);
    int64_t written = time_mono_ns();
    must(pq_writer_finish(writer, &e), &e);
    *write_ns = written - start;
    *sync_ns = time_mono_ns() - written;
}

static int64_t read_file(const struct workload *w, const char *path)
{
    struct error e;
    struct source *source;
    struct pq_reader *r;
    int64_t start = time_mono_ns();
    must(source_open(path, &source, &e), &e);
    must(pq_open(source, &r, &e), &e);
    for (size_t g = 0; g < pq_n_row_groups(r); g++) {
        struct pq_values v;
        must(pq_read(r, g, 0, &v, &e), &e);
        check(v.n_rows == w->n_rows && v.n_values == w->offsets[w->n_rows]);
    }
    int64_t ns = time_mono_ns() - start;
    pq_close(r);
    source_close(source);
    return ns;
}

static void report(const struct workload *w, const char *what, const char *codec, int64_t ns, int64_t sync_ns)
{
    double rows = (double)w->n_rows * ROW_GROUPS, bytes = (double)w->offsets[w->n_rows] * 4 * ROW_GROUPS;
    char note[64] = "";
    if (sync_ns >= 0)
        snprintf(note, sizeof note, ", footer and sync %.0f ms", (double)sync_ns * 1e-6);
    printf("bench\tparquet_%s_%s_%s\t%.0f\t%.1f\t%.0f\t-\t%.0f MB/s of values%s\n", what, w->name, codec, rows,
           (double)ns / rows, rows * 1e9 / (double)ns, bytes * 1e3 / (double)ns, note);
}

int main(void)
{
    struct workload workloads[] = {{.name = "rows_4700", .list_least = 4400, .list_most = 5000},
                                   {.name = "rows_8", .list_least = 0, .list_most = 16}};
    const struct {
        enum codec_id id;
        const char *name;
    } codecs[] = {{CODEC_NONE, "none"}, {CODEC_SNAPPY, "snappy"}, {CODEC_ZSTD, "zstd"}};
    char *folder = temp_folder_create();
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        struct workload *w = &workloads[i];
        generate(w);
        for (size_t k = 0; k < ARRAY_LEN(codecs); k++) {
            int64_t write_best = INT64_MAX, sync_best = INT64_MAX, read_best = INT64_MAX;
            for (int run = 0; run < RUNS; run++) {
                int64_t write_ns, sync_ns, read_ns;
                write_file(w, path_in(folder, "bench.parquet"), codecs[k].id, &write_ns, &sync_ns);
                read_ns = read_file(w, path_in(folder, "bench.parquet"));
                write_best = write_ns < write_best ? write_ns : write_best;
                sync_best = sync_ns < sync_best ? sync_ns : sync_best;
                read_best = read_ns < read_best ? read_ns : read_best;
            }
            report(w, "write", codecs[k].name, write_best, sync_best);
            report(w, "read", codecs[k].name, read_best, -1);
        }
        free(w->data);
        free(w->offsets);
    }
    temp_folder_remove(folder);
    return 0;
}
