/* tests/bench/bench_feature.c
 *
 * Cost of selection, isolation, particle rows, features and sequences, on the events of
 * tests/fixtures/sample/ttbar.root after the object cuts (on generated events of the same size where it is missing).
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; an item is an event, best of 9 runs
 */
#include "core/feature.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/feature/internal.h"
#include "core/root.h"

#define SAMPLE "tests/fixtures/sample/ttbar.root"
enum { RUNS = 9, GENERATED_EVENTS = 400 };

struct bench {
    const struct recipe *recipe;
    struct event_batch events;
    struct event_batch single;         /* one event at a time */
    struct feature_batch features, one;
    struct sequence_scaler scaler;
    float *rows19, *sequence;
    size_t n_kept, n_rows;
};

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_feature: %s\n", e->text);
    exit(1);
}

/* ---- events --------------------------------------------------------------------------------------------- */

static void generate_list(struct event_batch *b, enum object_kind kind, struct rng *r, size_t n, double pt_min)
{
    struct error e;
    struct object_columns *o = &b->objects[kind];
    uint32_t at = o->first[b->n_events - 1];
    must(event_batch_reserve_objects(b, kind, at + n, &e), &e);
    for (size_t j = 0; j < n; j++, at++) {
        o->pt[at] = (float)(pt_min - 2 * log(1 - rng_f64(r)));
        o->phi[at] = (float)((2 * rng_f64(r) - 1) * PI);
        if (kind != OBJECT_MET)
            o->eta[at] = (float)((2 * rng_f64(r) - 1) * (kind == OBJECT_TRACK ? 4 : pt_min > 20 ? 2.5 : 5));
        if (kind == OBJECT_TRACK)
            o->x[at] = o->y[at] = o->z[at] = 0;
        if (kind == OBJECT_TRACK)
            o->pid[at] = 211;
        if (kind == OBJECT_TRACK || kind == OBJECT_ELECTRON || kind == OBJECT_MUON)
            o->charge[at] = 1;
        if (kind == OBJECT_JET) {
            o->btag[at] = (uint32_t)rng_below(r, 2);
            o->mass[at] = 0;
        }
    }
    o->first[b->n_events] = at;
}

/* As many objects as a ttbar event of the sample has on average. */
static void generate_events(struct event_batch *b)
{
    struct error e;
    struct rng r = rng_stream(1, 0);
    for (size_t i = 0; i < GENERATED_EVENTS; i++) {
        must(event_batch_reserve_events(b, i + 1, &e), &e);
        b->n_events = i + 1;
        generate_list(b, OBJECT_TRACK, &r, 368, 0.5);
        generate_list(b, OBJECT_PHOTON, &r, 100, 1);
        generate_list(b, OBJECT_NEUTRAL, &r, 164, 1);
        generate_list(b, OBJECT_ELECTRON, &r, i % 2, 30);
        generate_list(b, OBJECT_MUON, &r, 1, 100);
        generate_list(b, OBJECT_JET, &r, 5, 30);
        generate_list(b, OBJECT_MET, &r, 1, 20);
        b->weight[i] = 1;
        b->entry[i] = b->number[i] = (int64_t)i;
        b->label[i] = -1;
    }
}

static void load_events(struct event_batch *b)
{
    struct error e;
    struct source *src;
    struct delphes *d;
    struct object_cuts cuts;
    struct cut_counts counts = {0};
    event_batch_init(b);
    if (access(SAMPLE, R_OK) != 0) {
        fprintf(stderr, "bench_feature: no %s, events are generated\n", SAMPLE);
        generate_events(b);
        return;
    }
    must(source_open(SAMPLE, &src, &e), &e);
    must(delphes_open(src, "Delphes", &(struct delphes_branches){0}, &d, &e), &e);
    must(delphes_read(d, 0, delphes_entries(d), b, &e), &e);
    delphes_close(d);
    source_close(src);
    field_defaults(object_cuts_fields, &cuts);
    event_batch_cut(b, &cuts, &counts);
}

/* ---- cases ------------------------------------------------------------------------------------------------ */

/* Event i alone, without copying its objects: first[] is moved to it. */
static void narrow(struct bench *b, size_t i)
{
    b->single.n_events = 1;
    for (size_t k = 0; k < OBJECT_KINDS; k++) {
        const struct object_columns *o = &b->events.objects[k];
        uint32_t *first = b->single.objects[k].first;
        b->single.objects[k] = *o;
        b->single.objects[k].first = first;
        first[0] = o->first[i];
        first[1] = o->first[i + 1];
    }
}

static size_t run_rows(struct bench *b)
{
    struct error e;
    must(features_compute(b->recipe, &b->events, true, &b->features, &e), &e);
    return b->events.n_events;
}

static size_t run_hlf(struct bench *b)
{
    struct error e;
    must(features_compute(b->recipe, &b->events, false, &b->one, &e), &e);
    return b->events.n_events;
}

static size_t run_batch_1(struct bench *b)
{
    struct error e;
    for (size_t i = 0; i < b->events.n_events; i++) {
        narrow(b, i);
        must(features_compute(b->recipe, &b->single, true, &b->one, &e), &e);
    }
    return b->events.n_events;
}

/* The cone sums of all rows of the kept events, lists binned anew for each. */
static size_t run_isolation(struct bench *b)
{
    struct feature_batch *f = &b->features;
    f->scratch->cones.sum = cone_sum_for(cpu_level());
    for (size_t i = 0; i < f->n_events; i++) {
        struct feature_event ev = {.recipe = b->recipe, .batch = &b->events, .i = i, .scratch = f->scratch};
        size_t first = f->row_first[i], n = f->row_first[i + 1] - first;
        struct lepton lep;
        if (n == 0 || event_select(&ev, &lep) != REJECT_NONE)
            continue;
        struct cone_list *c = &f->scratch->candidates;
        cone_list_fill(c, f->rows.pt + first, f->rows.eta + first, f->rows.phi + first, n);
        isolation_of_all(&f->scratch->cones, c, n, f->rows.iso_ch + first, f->rows.iso_gamma + first,
                         f->rows.iso_neu + first);
    }
    return b->n_kept;
}

static size_t run_expand(struct bench *b)
{
    const struct feature_batch *f = &b->features;
    for (size_t i = 0; i < f->n_events; i++)
        particle_expand(&f->rows, f->row_first[i], f->row_first[i + 1] - f->row_first[i],
                        b->rows19 + (size_t)f->row_first[i] * PARTICLE_COLUMNS);
    return b->n_kept;
}

static size_t run_sequence(struct bench *b)
{
    const struct feature_batch *f = &b->features;
    for (size_t i = 0; i < f->n_events; i++) {
        size_t n = f->row_first[i + 1] - f->row_first[i];
        if (n > 0)
            sequence_prepare(b->recipe, &b->scaler, b->rows19 + (size_t)f->row_first[i] * PARTICLE_COLUMNS, n,
                             b->sequence);
    }
    return b->n_kept;
}

static size_t run_fit(struct bench *b)
{
    struct scaler_fit fit = {0};
    scaler_fit_rows(&fit, b->rows19, b->n_rows);
    b->scaler = scaler_sequence(&fit);
    return b->n_kept;
}

static void measure(const char *name, struct bench *b, size_t (*run)(struct bench *), const char *note)
{
    int64_t best = INT64_MAX;
    size_t n = 0;
    for (size_t i = 0; i < RUNS; i++) {
        int64_t start = time_mono_ns();
        n = run(b);
        int64_t took = time_mono_ns() - start;
        best = took < best ? took : best;
    }
    double ns = (double)best / (double)n;
    printf("bench\t%s\t%zu\t%.0f\t%.0f\t-\t%s\n", name, n, ns, 1e9 / ns, note);
}

static void measure_recipe(struct bench *b, const char *recipe)
{
    static const char *const level_names[] = {"portable", "avx2", "avx512"};
    char name[64], note[128];
    enum cpu_level most = cpu_level();
    b->recipe = recipe_find(recipe);
    run_rows(b);
    b->n_kept = 0;
    for (size_t i = 0; i < b->features.n_events; i++)
        b->n_kept += b->features.reject[i] == REJECT_NONE;
    b->n_rows = b->features.row_first[b->features.n_events];
    mem_free(b->rows19);
    b->rows19 = mem_aligned(b->n_rows * PARTICLE_COLUMNS * sizeof(float));
    check(b->rows19);
    for (int level = 0; level <= (int)most; level++) {
        cpu_level_set((enum cpu_level)level);
        snprintf(note, sizeof note, "%s, %s, %zu rows a kept event", recipe, level_names[level], b->n_rows / b->n_kept);
        snprintf(name, sizeof name, "feature.isolation.%s", level_names[level]);
        measure(name, b, run_isolation, note);
    }
    snprintf(note, sizeof note, "%s, %.0f %% kept", recipe, 100.0 * (double)b->n_kept / (double)b->events.n_events);
    measure("feature.rows", b, run_rows, note);
    measure("feature.hlf_only", b, run_hlf, note);
    measure("feature.batch_1", b, run_batch_1, note);
    measure("feature.expand", b, run_expand, note);
    measure("feature.fit_rows", b, run_fit, note);
    measure("feature.sequence", b, run_sequence, note);
}

int main(void)
{
    struct error e;
    struct bench b = {0};
    load_events(&b.events);
    event_batch_init(&b.single);
    must(event_batch_reserve_events(&b.single, 1, &e), &e);
    feature_batch_init(&b.features);
    feature_batch_init(&b.one);
    b.sequence = mem_aligned(sizeof(float) * PARTICLE_ROWS_MAX * PARTICLE_COLUMNS);
    check(b.sequence);
    size_t n;
    const struct recipe *all = recipe_all(&n);
    for (size_t i = 0; i < n; i++)
        measure_recipe(&b, all[i].name);
    uint32_t *first[OBJECT_KINDS];
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        first[k] = b.single.objects[k].first;
    for (size_t k = 0; k < OBJECT_KINDS; k++) {
        b.single.objects[k] = (struct object_columns){.first = first[k]};      /* the columns belong to b.events */
    }
    event_batch_fini(&b.single);
    event_batch_fini(&b.events);
    feature_batch_fini(&b.features);
    feature_batch_fini(&b.one);
    mem_free(b.rows19);
    mem_free(b.sequence);
    return 0;
}
