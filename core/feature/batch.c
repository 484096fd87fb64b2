/* core/feature/batch.c
 *
 * Features of a batch of events: memory of the columns and of the workspace, and the loop over the events. */
#include "core/feature/internal.h"

void feature_batch_init(struct feature_batch *f)
{
    *f = (struct feature_batch){0};
}

static void scratch_destroy(struct feature_scratch *s)
{
    if (!s)
        return;
    mem_free(s->block);
    mem_free(s);
}

void feature_batch_fini(struct feature_batch *f)
{
    mem_free(f->event_block);
    mem_free(f->row_block);
    scratch_destroy(f->scratch);
    feature_batch_init(f);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

/* Hands out 64-byte aligned pieces of one block; with a NULL base it only counts. */
struct pieces {
    uint8_t *base;
    size_t used;
};

static void *take(struct pieces *p, size_t n, size_t size)
{
    void *piece = p->base ? p->base + p->used : NULL;
    p->used += (n * size + 63) / 64 * 64;
    return piece;
}

static size_t grown(size_t have, size_t want)
{
    return want > have + have / 2 ? want : have + have / 2;
}

static void take_event_columns(struct feature_batch *f, struct pieces *p, size_t n)
{
    f->reject = take(p, n, sizeof *f->reject);
    f->lepton = take(p, n, sizeof *f->lepton);
    f->hlf = take(p, n, HLF_COUNT * sizeof *f->hlf);
    f->row_first = take(p, n + 1, sizeof *f->row_first);
}

static void take_row_columns(struct particle_columns *r, struct pieces *p, size_t n)
{
    float **const columns[] = {&r->pt, &r->eta, &r->phi, &r->x, &r->y, &r->z, &r->iso_ch, &r->iso_gamma, &r->iso_neu};
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        *columns[c] = take(p, n, sizeof(float));
    r->kind = take(p, n, sizeof *r->kind);
    r->charge = take(p, n, sizeof *r->charge);
}

static void take_scratch(struct feature_scratch *s, struct pieces *p, size_t cap)
{
    struct cone_list *const lists[] = {&s->cones.list[CONE_TRACKS], &s->cones.list[CONE_PHOTONS],
                                       &s->cones.list[CONE_NEUTRALS], &s->candidates};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        lists[l]->eta = take(p, cap, sizeof(double));
        lists[l]->phi = take(p, cap, sizeof(double));
        lists[l]->pt = take(p, cap, sizeof(double));
        lists[l]->index = take(p, cap, sizeof(uint32_t));
    }
    s->key = take(p, cap, sizeof *s->key);
    s->order = take(p, cap, sizeof *s->order);
    s->spare = take(p, cap, sizeof *s->spare);
}

static enum status reserve_events(struct feature_batch *f, size_t n, struct error *e)
{
    if (n <= f->cap_events && f->event_block)
        return STATUS_OK;
    size_t cap = grown(f->cap_events, n);
    struct pieces count = {0};
    take_event_columns(f, &count, cap);
    mem_free(f->event_block);
    f->cap_events = 0;
    f->event_block = mem_aligned(count.used);
    struct pieces p = {.base = f->event_block};
    take_event_columns(f, &p, cap);
    if (!f->event_block)
        return error_set(e, STATUS_NOMEM, "features: no memory for %zu events (%zu bytes)", cap, count.used);
    f->cap_events = cap;
    return STATUS_OK;
}

static enum status reserve_rows(struct feature_batch *f, size_t n, struct error *e)
{
    if (n > UINT32_MAX)
        return error_set(e, STATUS_RANGE, "features: %zu particle rows in a batch, at most %u fit: use smaller batches",
                         n, UINT32_MAX);
    if (n <= f->cap_rows)
        return STATUS_OK;
    size_t cap = grown(f->cap_rows, n);
    struct pieces count = {0};
    take_row_columns(&f->rows, &count, cap);
    mem_free(f->row_block);
    f->cap_rows = 0;
    f->row_block = mem_aligned(count.used);
    struct pieces p = {.base = f->row_block};
    take_row_columns(&f->rows, &p, cap);
    if (!f->row_block)
        return error_set(e, STATUS_NOMEM, "features: no memory for %zu particle rows (%zu bytes)", cap, count.used);
    f->cap_rows = cap;
    return STATUS_OK;
}

static enum status reserve_scratch(struct feature_batch *f, size_t n, struct error *e)
{
    if (!f->scratch && !(f->scratch = mem_calloc(1, sizeof *f->scratch)))
        return error_set(e, STATUS_NOMEM, "features: no memory for the workspace");
    struct feature_scratch *s = f->scratch;
    if (n <= s->cap)
        return STATUS_OK;
    size_t cap = grown(s->cap, n);
    struct pieces count = {0};
    take_scratch(s, &count, cap);
    mem_free(s->block);
    s->cap = 0;
    s->block = mem_aligned(count.used);
    struct pieces p = {.base = s->block};
    take_scratch(s, &p, cap);
    if (!s->block)
        return error_set(e, STATUS_NOMEM, "features: no memory for events of %zu objects (%zu bytes)", cap, count.used);
    s->cap = cap;
    return STATUS_OK;
}

/* Room for everything that the batch can need, so that nothing can fail once work has begun. */
static enum status reserve(struct feature_batch *f, const struct event_batch *events, bool want_rows, struct error *e)
{
    static const enum object_kind kinds[] = {OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL};
    size_t longest = PARTICLE_ROWS_MAX, n_rows = 0;
    for (size_t i = 0; i < events->n_events; i++) {
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            const uint32_t *first = events->objects[kinds[k]].first;
            size_t n = first[i + 1] - first[i];
            longest = n > longest ? n : longest;
        }
        n_rows += want_rows ? event_rows_bound(events, i) : 0;
    }
    TRY(reserve_events(f, events->n_events, e));
    TRY(reserve_rows(f, n_rows, e));
    return reserve_scratch(f, longest, e);
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

enum status features_compute(const struct recipe *r, const struct event_batch *events, bool want_rows,
                             struct feature_batch *out, struct error *e)
{
    out->n_events = 0;
    TRY(reserve(out, events, want_rows, e));
    out->scratch->cones.sum = cone_sum_for(cpu_level());
    uint32_t n_rows = 0;
    for (size_t i = 0; i < events->n_events; i++) {
        struct feature_event ev = {.recipe = r, .batch = events, .i = i, .scratch = out->scratch};
        float *hlf = out->hlf + i * HLF_COUNT;
        out->row_first[i] = n_rows;
        out->reject[i] = event_select(&ev, &out->lepton[i]);
        if (out->reject[i] == REJECT_NONE) {
            event_hlf(&ev, &out->lepton[i], hlf);
            n_rows += want_rows ? (uint32_t)event_rows(&ev, &out->lepton[i], &out->rows, n_rows) : 0;
        } else {
            memset(&out->lepton[i], 0, sizeof out->lepton[i]);
            memset(hlf, 0, HLF_COUNT * sizeof *hlf);
        }
    }
    out->n_events = events->n_events;
    out->row_first[out->n_events] = n_rows;
    return STATUS_OK;
}
