/* tests/bench/bench_tune.c
 *
 * The published grid search, scaled down: all 81 networks and batch sizes of the 243 points, 68,000 events, fits of two
 * epochs on halves of the rows, as the tune job itself, on one thread and on all cores.  The published search has
 * fits of 50 epochs on four fifths of the rows, five of each network (10 and 30 epochs are parts of them); what that
 * takes is printed as published_minutes.  busy: processor time over wall time x threads; on a machine that others use
 * it is less than the search would reach.  Events are drawn, since what they are does not matter to the speed.
 * `bench_tune full` is the published search itself, 1,215 fits, on all cores. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <string.h>
#include <sys/resource.h>

enum { EVENTS = 68000, NETWORKS = 81 };

struct scale {
    int epochs, folds;
    const char *spec;
};
static const struct scale
    small = {2, 2, "folds = 2\nparams.epochs = 2\n"},
    full = {50, 5, "folds = 5\nspace[4].path = \"epochs\"\nspace[4].values[0] = \"10\"\nspace[4].values[1] = \"30\"\n"
                   "space[4].values[2] = \"50\"\n"};

#define CHECK(s, e) do { if ((s) != STATUS_OK) { fprintf(stderr, "bench_tune: %s\n", (e).text); return false; } } while (0)

static bool write_events(const char *path)
{
    struct feature_rows rows;
    struct features_writer *w;
    struct error e;
    struct rng r = rng_stream(1, 0);
    int64_t n;
    feature_rows_init(&rows);
    CHECK(feature_rows_reserve(&rows, EVENTS, 0, &e), e);
    for (size_t i = 0; i < EVENTS; i++) {
        rows.label[i] = (int32_t)(i % 3);
        rows.weight[i] = 1;
        rows.number[i] = rows.entry[i] = (int64_t)i;
        rows.source[i] = 0;
        rows.row_first[i + 1] = 0;
        for (size_t c = 0; c < HLF_COUNT; c++)
            rows.hlf[i * HLF_COUNT + c] = (float)(rng_normal(&r) + (c % 3 == i % 3 ? 1 : 0));
    }
    rows.n = EVENTS;
    CHECK(features_writer_create(path, false, true, &w, &e), e);
    CHECK(features_write(w, &rows, &e), e);
    CHECK(features_writer_finish(w, &n, &e), e);
    feature_rows_fini(&rows);
    return true;
}

static bool make_dataset(struct test_host *h, struct arena *a)
{
    static const char *const classes[] = {"qcd", "tt", "wjets"};
    struct hlf_scaler scaler = {{false}, {0}, {0}};
    struct dataset_part part;
    struct manifest m;
    struct error e;
    struct test_artifact *t = &h->artifacts[h->n_artifacts++];
    text_copy(t->kind, sizeof t->kind, "dataset");
    text_copy(t->id, sizeof t->id, "ds_bench");
    snprintf(t->folder, sizeof t->folder, "%s/ds_bench", h->folder);
    CHECK(file_make_folder(t->folder, &e), e);
    if (!write_events(path_in(t->folder, "part-00000.parquet")))
        return false;
    field_defaults(manifest_fields, &m);
    CHECK(dataset_part_describe(a, t->folder, "part-00000.parquet", EVENTS, &part, &e), e);
    for (size_t c = 0; c < HLF_COUNT; c++)
        scaler.factor[c] = 1;
    CHECK(scaler_record_make(a, &scaler, NULL, &m.scaler, &e), e);
    m.id = "ds_bench";
    m.kind = DATASET_FEATURES;
    m.recipe = "topology-1";
    m.rows = EVENTS;
    m.classes = (struct field_list){(void *)(uintptr_t)classes, 3};
    m.parts = (struct field_list){&part, 1};
    CHECK(manifest_write(t->folder, &m, &e), e);
    return true;
}

static const char spec[] =
    "dataset = \"ds_bench\"\nparams.validation_fraction = 0\nobjective.metric = accuracy\n"
    "space[0].path = \"batch_size\"\nspace[0].values[0] = \"64\"\nspace[0].values[1] = \"100\"\nspace[0].values[2] = \"200\"\n"
    "space[1].path = \"hidden/0\"\nspace[1].values[0] = \"50\"\nspace[1].values[1] = \"100\"\nspace[1].values[2] = \"150\"\n"
    "space[2].path = \"hidden/1\"\nspace[2].values[0] = \"20\"\nspace[2].values[1] = \"50\"\nspace[2].values[2] = \"100\"\n"
    "space[3].path = \"hidden/2\"\nspace[3].values[0] = \"10\"\nspace[3].values[1] = \"20\"\nspace[3].values[2] = \"50\"\n";

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static bool run(struct test_host *h, struct arena *a, const struct scale *scale, size_t threads)
{
    const char *text = arena_printf(a, "%s%s", spec, scale->spec);
    void *result;
    struct study_record study;
    struct error e;
    test_host_new_job(h);
    h->threads = threads;
    int64_t start = time_mono_ns();
    double cpu = cpu_seconds();
    CHECK(test_host_run(h, a, "tune", text, &result, &e), e);
    double wall = (double)(time_mono_ns() - start) * 1e-9;
    cpu = cpu_seconds() - cpu;
    CHECK(study_read(a, test_host_artifact(h, ((struct tune_result *)result)->study_id), &study, &e), e);
    double events = (double)NETWORKS * scale->epochs * EVENTS * (scale->folds - 1);
    double published = (double)NETWORKS * 50 * EVENTS * (5 - 1);              /* passes of its own fits */
    double by_cpu = cpu / events * published / (double)threads / 60, by_wall = wall / events * published / 60;
    printf("bench\ttune.published_grid\t%.0f\t%.1f\t%.0f\t-\tthreads=%zu busy=%.1f%% fitting=%.1f%% published_minutes=%.1f "
           "by_cpu=%.1f\n", events, wall * 1e9 / events, events / wall, threads, 100 * cpu / (wall * (double)threads),
           100 * study.seconds / (wall * (double)threads), by_wall, by_cpu);
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    bool whole = argc > 1 && strcmp(argv[1], "full") == 0;
    struct test_host *h = mem_calloc(1, sizeof *h);
    struct arena a;
    if (!h)
        return 1;
    arena_init(&a, (size_t)1 << 30);
    test_host_init(h, 1);
    bool ok = make_dataset(h, &a);
    if (!whole)
        ok = ok && run(h, &a, &small, 1);
    if (whole || par_cores() > 1)
        ok = ok && run(h, &a, whole ? &full : &small, par_cores());
    test_host_fini(h);
    arena_fini(&a);
    mem_free(h);
    return !ok;
}
