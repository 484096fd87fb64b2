/* tests/bench/bench_nn.c
 *
 * Training and scoring the published `hlf` network (14 -> 50 -> 20 -> 10 -> 3), next to what OpenBLAS's sgemm takes for
 * the same products on one core.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; best of RUNS
 *
 * An item is an event, for sgemm lines a multiply-add.  LIMIT_SHARE: time of the sgemm calls / our time. */
#include "core/model.h"
#include "core/nn/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 15, EVENTS = 1 << 17, LAYERS = 4,
       WINDOW = 8192 /* events scored in turn: as after parsing, in the caches */ };
static const size_t widths[LAYERS + 1] = {14, 50, 20, 10, 3};

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_nn: %s\n", e->text);
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

/* ns of one call: best of RUNS blocks of about a millisecond. */
static double best_ns(void (*call)(void *), void *ctx)
{
    double best = INFINITY;
    size_t n = 1;
    for (int run = 0; run < RUNS;) {
        int64_t start = time_mono_ns();
        for (size_t i = 0; i < n; i++)
            call(ctx);
        double ns = (double)(time_mono_ns() - start);
        if (ns < 1e6 && n < 1u << 24) {
            n *= 2;
            continue;
        }
        best = fmin(best, ns / (double)n);
        run++;
    }
    return best;
}

/* ---- the limit: sgemm ------------------------------------------------------------------------------------------ */

struct product {
    bool trans_a, trans_b;
    size_t m, n, k;
    const float *a, *b;
    float *c;
};

static void multiply(void *ctx)
{
    const struct product *p = ctx;
    blas_sgemm(p->trans_a, p->trans_b, p->m, p->n, p->k, 1, p->a, p->trans_a ? p->m : p->k, p->b,
               p->trans_b ? p->k : p->n, 0, p->c, p->n);
}

static double product_ns(float *scratch, bool trans_a, bool trans_b, size_t m, size_t n, size_t k)
{
    struct product p = {trans_a, trans_b, m, n, k, scratch, scratch + 65536, scratch + 2 * 65536};
    return best_ns(multiply, &p);
}

/* ns a row of the products of the whole network; backward: also those of both gradients. */
static double network_limit(float *scratch, size_t rows, bool backward)
{
    double ns = 0;
    for (size_t i = 0; i < LAYERS; i++) {
        size_t n_in = widths[i], n_out = widths[i + 1];
        ns += product_ns(scratch, false, false, rows, n_out, n_in);
        if (backward)
            ns += product_ns(scratch, true, false, n_in, n_out, rows);
        if (backward && i > 0)
            ns += product_ns(scratch, false, true, rows, n_in, n_out);
    }
    return ns / (double)rows;
}

static void sgemm_lines(float *scratch)
{
    for (size_t i = 0; i < 2; i++) {
        char name[64], note[64];
        double macs = 128.0 * (double)widths[i] * (double)widths[i + 1];
        double ns = product_ns(scratch, false, false, 128, widths[i + 1], widths[i]);
        snprintf(name, sizeof name, "nn.sgemm.128x%zux%zu", widths[i], widths[i + 1]);
        snprintf(note, sizeof note, "%.1f GFLOP/s", 2 * macs / ns);
        line(name, (size_t)macs, ns / macs, 0, note);
    }
}

/* ---- training and scoring -------------------------------------------------------------------------------------- */

struct problem {
    struct arena arena;
    struct model_header header;
    struct train_data data;
    float *hlf;
};

/* Three overlapping clouds in the ranges of the features. */
static void problem_init(struct problem *p, bool logs)
{
    struct error e;
    struct rng r = rng_stream(3, 0);
    static const char *const classes[] = {"qcd", "tt", "wjets"};
    struct scaler_fit fit = {0};
    const struct recipe *recipe = recipe_find(logs ? "topology-1" : "sparkdltrigger-1");
    arena_init(&p->arena, (size_t)1 << 30);
    field_defaults(model_header_fields, &p->header);
    p->header.recipe = recipe->name;
    p->header.classes = (struct field_list){(void *)(uintptr_t)classes, 3};
    p->hlf = ARENA_NEW(&p->arena, float, EVENTS * HLF_COUNT);
    int32_t *label = ARENA_NEW(&p->arena, int32_t, EVENTS);
    check(p->hlf && label);
    for (size_t i = 0; i < EVENTS; i++) {
        label[i] = (int32_t)(i % 3);
        for (size_t f = 0; f < HLF_COUNT; f++)
            p->hlf[i * HLF_COUNT + f] = fabsf((float)(50 + 20 * rng_normal(&r) + 10 * (double)((i + f) % 3)));
    }
    scaler_fit_hlf(&fit, recipe, p->hlf, EVENTS);
    struct hlf_scaler scaler = scaler_hlf(&fit, recipe);
    must(scaler_record_make(&p->arena, &scaler, NULL, &p->header.scaler, &e), &e);
    p->data = (struct train_data){.n = EVENTS, .hlf = p->hlf, .label = label};
    p->header.params.validation_fraction = 0;
}

static void train_line(struct problem *p, size_t batch, float *scratch)
{
    struct error e;
    struct trainer *t;
    struct epoch_report report;
    double best = INFINITY, loss = 0;
    char name[64], note[96];
    p->header.params.batch_size = (int64_t)batch;
    must(trainer_create(&p->header, &p->data, &t, &e), &e);
    for (int run = 0; run < RUNS; run++) {
        must(trainer_epoch(t, NULL, &report, &e), &e);
        best = fmin(best, report.seconds * 1e9 / EVENTS);
        loss = report.loss;
    }
    trainer_destroy(t);
    snprintf(name, sizeof name, "nn.hlf.train.%zu", batch);
    snprintf(note, sizeof note, "epoch with shuffle, Adam; loss %.4f", loss);
    line(name, EVENTS, best, network_limit(scratch, batch, true), note);
}

struct scoring {
    const struct model *model;
    struct pass pass;
    const float *params, *rows;
    float *out;
    size_t n, at;
};

static void score_raw(void *ctx)
{
    struct scoring *s = ctx;
    model_predict_hlf(s->model, s->rows + s->at * HLF_COUNT, s->n, s->out);
    s->at = s->at + 2 * s->n <= WINDOW ? s->at + s->n : 0;
}

/* The network alone, on rows that are scaled already: what an ONNX file holds. */
static void score_scaled(void *ctx)
{
    struct scoring *s = ctx;
    for (size_t done = 0; done < s->n; done += 64) {
        size_t n = s->n - done < 64 ? s->n - done : 64;
        const float *rows = s->rows + (s->at + done) * HLF_COUNT;
        if (s->pass.ld == 1)
            memcpy(pass_input(&s->pass, 0), rows, HLF_COUNT * sizeof *rows);
        else
            s->pass.k->rows_to_lanes(rows, HLF_COUNT, NULL, n, HLF_COUNT, s->pass.ld, pass_input(&s->pass, 0));
        pass_forward(&s->pass, s->params, n, NULL);
        pass_softmax(&s->pass, n);
        const float *scores = pass_output(&s->pass);
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < widths[LAYERS]; c++)
                s->out[(done + i) * widths[LAYERS] + c] = scores[c * s->pass.ld + i];
    }
    s->at = s->at + 2 * s->n <= WINDOW ? s->at + s->n : 0;
}

static struct net *network(void)
{
    struct error e;
    struct net *net;
    size_t value;
    must(net_create(&net, &e), &e);
    must(net_input(net, (struct shape){widths[0], 0}, &value, &e), &e);
    for (size_t i = 1; i <= LAYERS; i++) {
        struct dense_config dense = {(int64_t)widths[i], i < LAYERS ? ACTIVATION_RELU : ACTIVATION_LINEAR};
        must(net_add(net, "dense", &dense, &value, 1, &value, &e), &e);
    }
    must(net_finish(net, &e), &e);
    return net;
}

static void predict_lines(const struct problem *p, const struct model *m, const char *scaling, bool network_too,
                          float *scratch)
{
    static const size_t batches[] = {1, 32, 1024};
    struct net *net = network();
    float *params = mem_aligned(net_n_params(net) * sizeof *params), *out = mem_aligned(1024 * 3 * sizeof *out);
    float *work = mem_aligned(pass_work_size(net, 64, false) * sizeof *work);
    check(params && out && work);
    net_init(net, 1, params);
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        size_t n = batches[i];
        char name[64];
        double limit = network_limit(scratch, n, false);
        struct scoring s = {.model = m, .params = params, .rows = p->hlf, .out = out, .n = n};
        pass_init(&s.pass, net, n < 64 ? n : 64, false, work);
        snprintf(name, sizeof name, "nn.hlf.predict.%zu", n);
        if (network_too)
            line(name, n, best_ns(score_scaled, &s) / (double)n, limit, "scaled rows in, probabilities out");
        snprintf(name, sizeof name, "model.hlf.predict.%s.%zu", scaling, n);
        line(name, n, best_ns(score_raw, &s) / (double)n, limit, "raw features in: scaling in float64 included");
    }
    mem_free(params);
    mem_free(out);
    mem_free(work);
    net_destroy(net);
}

int main(void)
{
    struct error e;
    float *scratch = mem_aligned(3 * 65536 * sizeof *scratch);
    check(scratch);
    for (size_t i = 0; i < 3 * 65536; i++)
        scratch[i] = 1 / (float)(1 + i % 17);
    sgemm_lines(scratch);
    for (int logs = 0; logs < 2; logs++) {
        struct problem p;
        struct trainer *t;
        struct model *m;
        problem_init(&p, logs);
        if (!logs) {
            train_line(&p, 128, scratch);
            train_line(&p, 1024, scratch);
        }
        must(trainer_create(&p.header, &p.data, &t, &e), &e);
        must(trainer_model(t, &m, &e), &e);
        predict_lines(&p, m, logs ? "log" : "minmax", !logs, scratch);
        model_release(m);
        trainer_destroy(t);
        arena_fini(&p.arena);
    }
    mem_free(scratch);
    return 0;
}
