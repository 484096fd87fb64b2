/* tests/bench/bench_sequence.c
 *
 * Training and scoring the published `inclusive` (GRU 50 over up to 801 particles) and `inclusive-transformer` networks,
 * next to what OpenBLAS's sgemm takes for the products of the GRU or of the attention's weights on one core.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; best of RUNS
 *
 * An item is an event, for sgemm lines a multiply-add.  LIMIT_SHARE: time of the sgemm calls / our time, which includes
 * expanding, sorting and scaling the particles. */
#include "core/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, EVENTS = 256, TRANSFORMER_EVENTS = 64, HEADS = 8, KEY_DIM = 19, ROWS_MEAN = 570, UNITS = 50, WIDTH = 3 * UNITS, STEPS = 8 /* in one input product */,
       BATCH = 128 };

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_sequence: %s\n", e->text);
    exit(1);
}

static void line(const char *name, size_t n, double ns_per_item, double limit_ns_per_item, const char *note)
{
    char share[32] = "-";
    if (limit_ns_per_item > 0)
        snprintf(share, sizeof share, "%.2f", limit_ns_per_item / ns_per_item);
    printf("bench\t%s\t%zu\t%.4g\t%.4g\t%s\t%s\n", name, n, ns_per_item, 1e9 / ns_per_item, share, note);
    fflush(stdout);
}

/* ---- the limit: sgemm ------------------------------------------------------------------------------------------ */

/* ns of one product, and a line for it if it has a name. */
static double product(const char *name, bool trans_a, bool trans_b, size_t m, size_t n, size_t k)
{
    float *a = mem_aligned(m * k * sizeof *a), *b = mem_aligned(k * n * sizeof *b), *c = mem_aligned(m * n * sizeof *c);
    double best = INFINITY;
    check(a && b && c);
    for (size_t i = 0; i < m * k; i++)
        a[i] = 1 / (float)(1 + i % 17);
    for (size_t i = 0; i < k * n; i++)
        b[i] = 1 / (float)(1 + i % 13);
    for (int run = 0; run < 10 * RUNS; run++) {
        int64_t start = time_mono_ns();
        for (int i = 0; i < 20; i++)
            blas_sgemm(trans_a, trans_b, m, n, k, 1, a, trans_a ? m : k, b, trans_b ? k : n, 0, c, n);
        best = fmin(best, (double)(time_mono_ns() - start) / 20);
    }
    mem_free(a);
    mem_free(b);
    mem_free(c);
    double macs = (double)(m * n * k);
    char note[64];
    snprintf(note, sizeof note, "%.1f GFLOP/s", 2 * macs / best);
    if (name)
        line(name, (size_t)macs, best / macs, 0, note);
    return best;
}

struct limit {
    double forward, backward;          /* ns an event and step; of attention at the mean number of steps */
};

static struct limit measure_limit(void)
{
    const size_t rows = BATCH * STEPS;
    double input = product("seq.sgemm.input", false, false, rows, WIDTH, PARTICLE_COLUMNS) / STEPS;
    double step = product("seq.sgemm.step", false, false, BATCH, WIDTH, UNITS);
    double d_input = product(NULL, true, false, PARTICLE_COLUMNS, WIDTH, rows) / STEPS;
    double d_step = product(NULL, true, false, UNITS, WIDTH, rows) / STEPS;
    double d_state = product(NULL, false, true, BATCH, UNITS, WIDTH);
    return (struct limit){(input + step) / BATCH, (d_input + d_step + d_state) / BATCH};
}

/* Scores of all keys for 64 queries, and the mixture of values; backward has twice as many products. */
static struct limit measure_attention_limit(size_t steps, const char *kind)
{
    char name[64];
    snprintf(name, sizeof name, "seq.sgemm.scores.%s", kind);
    double scores = product(name, true, false, steps, 64, KEY_DIM);
    snprintf(name, sizeof name, "seq.sgemm.mixture.%s", kind);
    double mixture = product(name, false, false, KEY_DIM, 64, steps);
    double forward = HEADS * (scores + mixture) / 64;
    return (struct limit){forward, 2 * forward};
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

struct problem {
    struct arena arena;
    struct model_header header;
    struct train_data data;
    struct particle_columns columns;
    double mean_steps;
    const char *estimator;
};

static void problem_init(struct problem *p, const char *estimator, bool dense)
{
    static const char *const classes[] = {"qcd", "tt", "wjets"};
    struct error e;
    struct rng r = rng_stream(3, 0);
    struct hlf_scaler hlf = {{false}, {0}, {0}};
    struct sequence_scaler sequence = {{0}, {0}};
    struct particle_columns *c = &p->columns;
    float **columns[] = {&c->pt, &c->eta, &c->phi, &c->x, &c->y, &c->z, &c->iso_ch, &c->iso_gamma, &c->iso_neu};
    *p = (struct problem){.estimator = estimator};
    arena_init(&p->arena, (size_t)1 << 30);
    float *features = ARENA_NEW(&p->arena, float, EVENTS * HLF_COUNT);
    int32_t *label = ARENA_NEW(&p->arena, int32_t, EVENTS);
    uint32_t *first = ARENA_NEW(&p->arena, uint32_t, EVENTS + 1);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        check(*columns[i] = ARENA_NEW(&p->arena, float, EVENTS * PARTICLE_ROWS_MAX));
    c->kind = ARENA_NEW(&p->arena, int8_t, EVENTS * PARTICLE_ROWS_MAX);
    c->charge = ARENA_NEW(&p->arena, int8_t, EVENTS * PARTICLE_ROWS_MAX);
    check(features && label && first && c->kind && c->charge);
    size_t at = 0;
    for (size_t i = 0; i < EVENTS; i++) {
        size_t n = ROWS_MEAN - 200 + rng_below(&r, 401);
        label[i] = (int32_t)(i % 3);
        first[i] = (uint32_t)at;
        for (size_t j = 0; j < n; j++, at++) {
            for (size_t k = 0; k < ARRAY_LEN(columns); k++)
                (*columns[k])[at] = (float)rng_normal(&r);
            c->pt[at] = 1 + (float)(10 * rng_f64(&r));
            c->kind[at] = (int8_t)(j ? rng_below(&r, 3) : PARTICLE_MUON);
        }
    }
    first[EVENTS] = (uint32_t)at;
    p->mean_steps = dense ? PARTICLE_ROWS_MAX : (double)at / EVENTS;
    for (size_t f = 0; f < HLF_COUNT; f++)
        hlf.factor[f] = 1;
    for (size_t k = 0; k < PARTICLE_COLUMNS; k++)
        sequence.factor[k] = 0.3;
    field_defaults(model_header_fields, &p->header);
    while (strcmp(estimator_names[p->header.params.model], estimator) != 0)
        p->header.params.model++;
    must(scaler_record_make(&p->arena, &hlf, dense ? NULL : &sequence, &p->header.scaler, &e), &e);
    p->header.recipe = dense ? "sparkdltrigger-1" : "topology-1";
    p->header.classes = (struct field_list){(void *)(uintptr_t)classes, 3};
    p->header.params.batch_size = BATCH;
    p->header.params.validation_fraction = 0;
    size_t n_events = strcmp(estimator, "inclusive") == 0 ? EVENTS : TRANSFORMER_EVENTS;
    p->data = (struct train_data){.n = n_events, .hlf = features, .label = label, .rows = c, .row_first = first};
}

static void train_line(struct problem *p, const char *name, const struct limit *limit, struct model **m)
{
    struct error e;
    struct trainer *t;
    struct epoch_report report;
    double best = INFINITY;
    char note[96];
    must(trainer_create(&p->header, &p->data, &t, &e), &e);
    for (int run = 0; run < RUNS; run++) {
        must(trainer_epoch(t, NULL, &report, &e), &e);
        best = fmin(best, report.seconds * 1e9 / (double)p->data.n);
    }
    snprintf(note, sizeof note, "batch %d, %.0f steps an event, Adam", BATCH, p->mean_steps);
    line(name, p->data.n, best, (limit->forward + limit->backward) * p->mean_steps, note);
    must(trainer_model(t, m, &e), &e);
    trainer_destroy(t);
}

static void predict_line(const struct problem *p, const struct model *m, const char *kind, size_t batch,
                         const struct limit *limit)
{
    float *out = mem_alloc(EVENTS * 3 * sizeof *out);
    double best = INFINITY;
    char name[64];
    check(out);
    for (int run = 0; run < RUNS; run++) {
        int64_t start = time_mono_ns();
        for (size_t done = 0; done < p->data.n; done += batch) {
            struct model_rows rows = {p->data.hlf + done * HLF_COUNT, p->data.rows, p->data.row_first + done};
            model_predict(m, &rows, batch, out + done * 3);
        }
        best = fmin(best, (double)(time_mono_ns() - start) / (double)p->data.n);
    }
    snprintf(name, sizeof name, "seq.%s.predict.%s.%zu", p->estimator, kind, batch);
    line(name, batch, best, limit->forward * p->mean_steps,
         p->data.rows->prepared ? "scaled rows in, probabilities out" : "stored particles in, probabilities out");
    mem_free(out);
}

/* 801 scaled rows an event: what the published data holds, and what an ONNX file takes. */
static void prepare_rows(struct problem *p)
{
    struct rng r = rng_stream(4, 0);
    size_t n = p->data.n * PARTICLE_ROWS_MAX;
    uint32_t *first = ARENA_NEW(&p->arena, uint32_t, p->data.n + 1);
    check(first && (p->columns.prepared = ARENA_NEW(&p->arena, float, n * PARTICLE_COLUMNS)));
    for (size_t i = 0; i < n * PARTICLE_COLUMNS; i++)
        p->columns.prepared[i] = (float)rng_normal(&r);
    for (size_t i = 0; i <= p->data.n; i++)
        first[i] = (uint32_t)(i * PARTICLE_ROWS_MAX);
    p->data.row_first = first;
}

static void measure(const char *estimator, bool dense, const struct limit *gru)
{
    static const size_t batches[] = {1, 32, 256};
    const char *kind = dense ? "dense" : "ragged";
    struct problem p;
    struct model *m;
    char name[64];
    problem_init(&p, estimator, dense);
    bool attends = strcmp(estimator, "inclusive") != 0;
    struct limit limit = attends ? measure_attention_limit((size_t)p.mean_steps, kind) : *gru;
    snprintf(name, sizeof name, "seq.%s.train.%s", estimator, kind);
    train_line(&p, name, &limit, &m);
    for (size_t i = 0; i < ARRAY_LEN(batches) && batches[i] <= p.data.n; i++)
        predict_line(&p, m, kind, batches[i], &limit);
    if (dense)
        prepare_rows(&p);
    for (size_t i = 0; dense && i < ARRAY_LEN(batches) && batches[i] <= p.data.n; i++)
        predict_line(&p, m, "prepared", batches[i], &limit);
    model_release(m);
    arena_fini(&p.arena);
}

/* Names of estimators may follow: only those. */
int main(int argc, char **argv)
{
    static const char *const both[] = {"inclusive", "inclusive-transformer"};
    struct limit limit = measure_limit();
    for (size_t i = 0; i < ARRAY_LEN(both); i++)
        for (int dense = 0; dense < 2; dense++)
            if (argc < 2 || strcmp(argv[1], both[i]) == 0)
                measure(both[i], dense, &limit);
    return 0;
}
