/* tests/peers/ours.c
 *
 * Our side of comparisons whose other side is a Python program: it starts this one, and for each line SECONDS on standard
 * input the work runs for about so long through the functions that the product uses; the answer is
 * ITEMS WALL_SECONDS CPU_SECONDS.
 *
 *   ours train FOLDER ESTIMATOR BATCH      epochs of rows; an item is an event in an epoch
 *   ours fit FOLDER ESTIMATOR              whole fits of trees, from rows to model; an item is an event in a fit
 *   ours score FOLDER ESTIMATOR BATCH      raw features to probabilities, a model that was fitted before
 *
 * FOLDER holds hlf.npy [n][14] (float32), y.npy [n] (int64) and, for networks over particles, rows.npy [..][19] (float32,
 * prepared) and length.npy [n] (int64); for `score` besides at.npy, the rows to score. */
#include "tests/peers/peers.h"

struct work {
    struct arena arena;
    struct model_header header;
    struct train_data data;
    struct particle_columns columns;
    struct trainer *trainer;
    struct model *model;
    struct npy at;
    float *out;
    size_t batch, next;
};

static struct npy load(const char *folder, const char *name)
{
    struct npy a;
    struct error e;
    must(npy_load(path_in(folder, name), &a, &e), &e);
    return a;
}

static void load_particles(struct work *w, const char *folder, bool *dense)
{
    struct npy rows = load(folder, "rows.npy"), length = load(folder, "length.npy");
    uint32_t *first = ARENA_NEW(&w->arena, uint32_t, length.n + 1);
    check(first && rows.f4 && length.i8);
    *dense = true;
    for (size_t i = 0; i < length.n; i++) {
        first[i + 1] = first[i] + (uint32_t)length.i8[i];
        *dense &= length.i8[i] == PARTICLE_ROWS_MAX;
    }
    check(rows.n == (size_t)first[length.n] * PARTICLE_COLUMNS);
    w->columns.prepared = rows.f4;
    w->data.rows = &w->columns;
    w->data.row_first = first;
    npy_free(&length);
}

static void work_init(struct work *w, const char *folder, const char *estimator)
{
    struct npy hlf = load(folder, "hlf.npy"), y = load(folder, "y.npy");
    bool dense = true;
    *w = (struct work){.batch = 1};
    arena_init(&w->arena, (size_t)1 << 30);
    int32_t *label = ARENA_NEW(&w->arena, int32_t, y.n);
    check(label && hlf.f4 && y.i8 && hlf.n == y.n * HLF_COUNT);
    for (size_t i = 0; i < y.n; i++)
        label[i] = (int32_t)y.i8[i];
    w->data = (struct train_data){.n = y.n, .hlf = hlf.f4, .label = label};
    if (strncmp(estimator, "inclusive", 9) == 0 || strcmp(estimator, "sequence") == 0)
        load_particles(w, folder, &dense);
    header_init(&w->arena, &w->header, estimator, dense);
    npy_free(&y);
}

static size_t train(struct work *w)
{
    struct epoch_report report;
    struct error e;
    if (!w->trainer) {
        w->header.params.batch_size = (int64_t)w->batch;
        must(trainer_create(&w->header, &w->data, &w->trainer, &e), &e);
    }
    must(trainer_epoch(w->trainer, NULL, &report, &e), &e);
    return w->data.n;
}

static size_t fit(struct work *w)
{
    struct epoch_report report;
    struct error e;
    struct trainer *t;
    must(trainer_create(&w->header, &w->data, &t, &e), &e);
    for (int64_t i = 0; i < train_params_epochs(&w->header.params); i++)
        must(trainer_epoch(t, NULL, &report, &e), &e);
    model_release(w->model);
    must(trainer_model(t, &w->model, &e), &e);
    trainer_destroy(t);
    return w->data.n;
}

/* About 64 kB of features, batch by batch. */
static size_t score(struct work *w)
{
    size_t n = w->at.n / HLF_COUNT, done = 0;
    for (; done < 1024 || done < w->batch; done += w->batch) {
        if (w->next + w->batch > n)
            w->next = 0;
        model_predict_hlf(w->model, w->at.f4 + w->next * HLF_COUNT, w->batch, w->out);
        w->next += w->batch;
    }
    return done;
}

int main(int argc, char **argv)
{
    struct work w;
    double seconds;
    size_t (*run)(struct work *) = argc < 4 ? NULL : strcmp(argv[1], "train") == 0 ? train
                                   : strcmp(argv[1], "fit") == 0 ? fit : strcmp(argv[1], "score") == 0 ? score : NULL;
    if (!run) {
        fprintf(stderr, "usage: ours train|fit|score FOLDER ESTIMATOR [BATCH]\n");
        return 2;
    }
    work_init(&w, argv[2], argv[3]);
    w.batch = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 1;
    if (run == score) {
        w.at = load(argv[2], "at.npy");
        w.out = mem_alloc(w.batch * 3 * sizeof *w.out);
        check(w.out && w.at.f4 && w.at.n >= w.batch * HLF_COUNT);
        fit(&w);
    }
    while (scanf("%lf", &seconds) == 1) {
        size_t items = 0;
        double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), now = wall;
        for (; items == 0 || now - wall < seconds; now = seconds_of(CLOCK_MONOTONIC))
            items += run(&w);
        printf("%zu %.9f %.9f\n", items, now - wall, seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        fflush(stdout);
    }
    return 0;
}
