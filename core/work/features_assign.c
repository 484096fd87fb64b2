/* core/work/features_assign.c
 *
 * Balance, split and shuffle, decided once from the seed for all selected events: an array that says where each goes.
 *   balance   per class, a random subset of the size of the smallest class (physics.md, step 8)
 *   split     stratified: the first `test` share of each class's random order; event_hash: by a hash of the event's
 *             identity, so an event keeps its side when others come or go
 *   order     the train part shuffled, the test part in the order of the input */
#include "core/work/features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* About 50 MB of particle rows (570 an event, 43 bytes a row), or of HLF alone. */
enum { BUCKET_EVENTS_ROWS = 2000, BUCKET_EVENTS_HLF = 400000 };
enum { STREAM_CLASS = 1, STREAM_TRAIN = 1000 };      /* of rng_stream(seed, stream) */

static const char record_name[] = "assignment", positions_name[] = "positions";
static const struct field assignment_fields[] = {
    FIELD_I64(struct assignment, n_selected),
    FIELD_I64(struct assignment, n_train),
    FIELD_I64(struct assignment, n_test),
    FIELD_I64(struct assignment, bucket_events),
    FIELD_LIST_I64(struct assignment, part_first),
    FIELD_LIST_OBJECT(struct assignment, balanced_away, struct cut_row, cut_row_fields),
    FIELD_LIST_OBJECT(struct assignment, class_counts, struct class_count, class_count_fields),
    FIELD_END,
};

/* What is needed of every selected event. */
struct selected {
    struct feature_rows rows;          /* HLF columns are cleared between files; identity is kept below */
    int32_t *label;
    float *weight;
    uint64_t *identity;                /* hash of (source, entry, number) */
    size_t n;
};

static void selected_fini(struct selected *s)
{
    feature_rows_fini(&s->rows);
    mem_free(s->label);
    mem_free(s->weight);
    mem_free(s->identity);
}

static enum status selected_alloc(struct selected *s, size_t n, struct error *e)
{
    *s = (struct selected){0};
    feature_rows_init(&s->rows);
    s->label = mem_alloc((n + 1) * sizeof *s->label);
    s->weight = mem_alloc((n + 1) * sizeof *s->weight);
    s->identity = mem_alloc((n + 1) * sizeof *s->identity);
    return s->label && s->weight && s->identity ? STATUS_OK
                                                : error_set(e, STATUS_NOMEM, "identity of %zu selected events", n);
}

static void selected_take(struct selected *s, uint64_t seed)
{
    for (size_t i = 0; i < s->rows.n; i++, s->n++) {
        const int64_t key[3] = {s->rows.source[i], s->rows.entry[i], s->rows.number[i]};
        s->label[s->n] = s->rows.label[i];
        s->weight[s->n] = s->rows.weight[i];
        s->identity[s->n] = hash64(key, sizeof key, seed);
    }
}

static enum status read_selected(struct job_ctx *ctx, const struct features_spec *spec, const int64_t *part_first,
                                 size_t n_parts, struct selected *s, struct error *e)
{
    for (size_t p = 0; p < n_parts; p++) {
        char path[PATH_BYTES_MAX];
        struct features_reader *r;
        TRY(work_path(ctx, path, e, "select-%05zu.parquet", p));
        TRY(features_reader_open(path, &r, e));
        enum status status = STATUS_OK;
        for (size_t g = 0; status == STATUS_OK && g < features_reader_groups(r); g++) {
            feature_rows_clear(&s->rows);
            status = features_read(r, g, false, &s->rows, e);
            if (status == STATUS_OK && s->n + s->rows.n > (size_t)part_first[p + 1])
                status = error_set(e, STATUS_BUG, "part %zu: more selected events than its unit counted", p);
            if (status == STATUS_OK)
                selected_take(s, (uint64_t)spec->split.seed);
        }
        features_reader_close(r);
        TRY(status);
        TRY(work_check_cancelled(ctx, e));
    }
    return STATUS_OK;
}

/* ---- the decision ----------------------------------------------------------------------------------------------- */

struct classes {
    const char *const *names;
    size_t n;
    int64_t count[METRICS_CLASSES_MAX];
};

static enum status count_classes(const struct manifest *m, const struct selected *s, struct classes *c, struct error *e)
{
    *c = (struct classes){.names = m->classes.items, .n = m->classes.n_items};
    for (size_t i = 0; i < s->n; i++)
        c->count[s->label[i]]++;
    for (size_t k = 0; k < c->n; k++)
        if (c->count[k] == 0)
            return error_set(e, STATUS_ARGUMENT,
                             "no event of class %s was selected: the dataset's cut-flow says why; a class without "
                             "events can be left out of the ingest",
                             c->names[k]);
    return STATUS_OK;
}

static bool hash_says_test(uint64_t identity, double test)
{
    return (double)(identity >> 11) * 0x1p-53 < test;
}

/* Events of class k in a random order; the first `keep` stay. */
static enum status assign_class(const struct features_spec *spec, struct selected *s, size_t k, int64_t keep,
                                uint32_t *positions, struct error *e)
{
    uint32_t *order = mem_alloc((s->n + 1) * sizeof *order);
    if (!order)
        return error_set(e, STATUS_NOMEM, "order of %zu events", s->n);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->label[i] == (int32_t)k)
            order[n++] = (uint32_t)i;
    struct rng rng = rng_stream((uint64_t)spec->split.seed, STREAM_CLASS + k);
    rng_shuffle_u32(&rng, order, n);
    int64_t n_test = llround(spec->split.test * (double)keep);
    for (size_t i = 0; i < (size_t)keep; i++) {
        bool test = spec->split.method == SPLIT_STRATIFIED ? (int64_t)i < n_test
                                                           : hash_says_test(s->identity[order[i]], spec->split.test);
        positions[order[i]] = test ? POSITION_TEST : 0;
    }
    mem_free(order);
    return STATUS_OK;
}

/* Numbers the events of each side: the train part in a random order, the test part as they come. */
static enum status number_positions(const struct features_spec *spec, struct assignment *a, struct error *e)
{
    uint32_t *train = mem_alloc(((size_t)a->n_selected + 1) * sizeof *train);
    if (!train)
        return error_set(e, STATUS_NOMEM, "order of the train part");
    size_t n = 0;
    for (int64_t i = 0; i < a->n_selected; i++) {
        if (a->positions[i] == POSITION_TEST)
            a->positions[i] |= (uint32_t)a->n_test++;
        else if (a->positions[i] == 0)
            train[n++] = (uint32_t)i;
    }
    struct rng rng = rng_stream((uint64_t)spec->split.seed, STREAM_TRAIN);
    rng_shuffle_u32(&rng, train, n);
    for (size_t i = 0; i < n; i++)
        a->positions[train[i]] = (uint32_t)i;
    a->n_train = (int64_t)n;
    mem_free(train);
    if (a->n_train == 0 || (a->n_test == 0 && spec->split.test > 0))
        return error_set(e, STATUS_ARGUMENT,
                         "%lld selected events: too few for a train and a test part with split.test %g",
                         (long long)a->n_selected, spec->split.test);
    return STATUS_OK;
}

static enum status count_sides(struct job_ctx *ctx, struct assignment *a, const struct selected *s,
                               const struct classes *c, struct error *e)
{
    struct cut_row *away = ARENA_NEW(ctx->arena, struct cut_row, c->n);
    struct class_count *counts = ARENA_NEW(ctx->arena, struct class_count, 2 * c->n);
    if (!away || !counts)
        return error_set(e, STATUS_NOMEM, "class counts");
    for (size_t k = 0; k < c->n; k++) {
        away[k] = (struct cut_row){"balance", c->names[k], 0, 0};
        counts[k].name = counts[c->n + k].name = c->names[k];
    }
    for (size_t i = 0; i < s->n; i++) {
        size_t k = (size_t)s->label[i];
        if (a->positions[i] == POSITION_DROPPED) {
            away[k].events++;
            away[k].weight += s->weight[i];
        } else {
            struct class_count *side = &counts[k + (a->positions[i] & POSITION_TEST ? c->n : 0)];
            side->events++;
            side->weight += s->weight[i];
        }
    }
    a->balanced_away = (struct field_list){away, c->n};
    a->class_counts = (struct field_list){counts, 2 * c->n};
    return STATUS_OK;
}

static enum status decide(struct job_ctx *ctx, const struct features_spec *spec, const struct manifest *m,
                          struct selected *s, struct assignment *a, struct error *e)
{
    struct classes c;
    TRY(count_classes(m, s, &c, e));
    int64_t smallest = c.count[0];
    for (size_t k = 1; k < c.n; k++)
        smallest = c.count[k] < smallest ? c.count[k] : smallest;
    for (size_t i = 0; i < s->n; i++)
        a->positions[i] = POSITION_DROPPED;
    for (size_t k = 0; k < c.n; k++)
        TRY(assign_class(spec, s, k, spec->balance ? smallest : c.count[k], a->positions, e));
    TRY(number_positions(spec, a, e));
    return count_sides(ctx, a, s, &c, e);
}

/* ---- natural fractions -------------------------------------------------------------------------------------------- */

static double fraction_of(const struct field_list *fractions, const char *name)
{
    const struct field_pair *pairs = fractions->items;
    for (size_t i = 0; i < fractions->n_items; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return pairs[i].value;
    return 0;
}

enum status weight_factors(const struct manifest *events, const struct assignment *a, bool test,
                           double factors[METRICS_CLASSES_MAX], struct error *e)
{
    size_t n = events->classes.n_items;
    const struct class_count *side = (const struct class_count *)a->class_counts.items + (test ? n : 0);
    double all = 0;
    if (n > METRICS_CLASSES_MAX || a->class_counts.n_items != 2 * n)
        return error_set(e, STATUS_FORMAT, "%zu classes, counts of %zu", n, a->class_counts.n_items);
    for (size_t k = 0; k < n; k++) {
        factors[k] = 1;
        all += side[k].weight;
    }
    if (events->natural_fractions.n_items == 0 || (test ? a->n_test : a->n_train) == 0)
        return STATUS_OK;
    for (size_t k = 0; k < n; k++) {
        if (!(side[k].weight > 0))
            return error_set(e, STATUS_ARGUMENT,
                             "natural fractions: the %lld events of class %s in the %s part have the sum of weights %g, "
                             "which cannot be scaled to a fraction", (long long)side[k].events, side[k].name,
                             test ? "test" : "train", side[k].weight);
        factors[k] = fraction_of(&events->natural_fractions, side[k].name) * all / side[k].weight;
    }
    return STATUS_OK;
}

/* ---- computing, storing, loading ---------------------------------------------------------------------------------- */

static enum status number_parts(struct job_ctx *ctx, size_t n_parts, struct assignment *a, struct error *e)
{
    int64_t *first = ARENA_NEW(ctx->arena, int64_t, n_parts + 1);
    if (!first)
        return error_set(e, STATUS_NOMEM, "list of parts");
    for (size_t p = 0; p < n_parts; p++) {
        struct select_unit unit;
        TRY(work_unit_result(ctx, PHASE_SELECT, (int64_t)p, select_unit_fields, &unit, e));
        first[p + 1] = first[p] + unit.selected;
    }
    a->part_first = (struct field_list){first, n_parts + 1};
    a->n_selected = first[n_parts];
    if (a->n_selected == 0)
        return error_set(e, STATUS_ARGUMENT, "no event passed the selection");
    if (a->n_selected >= POSITION_MASK)
        return error_set(e, STATUS_RANGE, "%lld selected events, at most %u fit one dataset", (long long)a->n_selected,
                         POSITION_MASK - 1);
    return STATUS_OK;
}

static enum status assignment_make(struct job_ctx *ctx, const struct features_spec *spec, const struct manifest *m,
                                   struct assignment *a, struct error *e)
{
    struct selected s;
    char path[PATH_BYTES_MAX];
    a->bucket_events = spec->sequences ? BUCKET_EVENTS_ROWS : BUCKET_EVENTS_HLF;
    TRY(number_parts(ctx, m->parts.n_items, a, e));
    size_t n = (size_t)a->n_selected;
    a->positions = mem_alloc(n * sizeof *a->positions);
    enum status status = a->positions ? STATUS_OK : error_set(e, STATUS_NOMEM, "positions of %zu events", n);
    if (status == STATUS_OK)
        status = selected_alloc(&s, n, e);
    else
        s = (struct selected){0};
    if (status == STATUS_OK)
        status = read_selected(ctx, spec, a->part_first.items, m->parts.n_items, &s, e);
    if (status == STATUS_OK)
        status = decide(ctx, spec, m, &s, a, e);
    if (status == STATUS_OK)
        status = work_path(ctx, path, e, "%s", positions_name);
    if (status == STATUS_OK)
        status = file_write_atomic(path, a->positions, n * sizeof *a->positions, e);
    if (status == STATUS_OK)
        status = work_record_save(ctx, record_name, assignment_fields, a, e);
    selected_fini(&s);
    mem_free(a->positions);
    a->positions = NULL;
    return status;
}

enum status assignment_get(struct job_ctx *ctx, const struct features_spec *spec, const struct manifest *m,
                           struct assignment *out, struct error *e)
{
    bool found;
    *out = (struct assignment){0};
    TRY(work_record_load(ctx, record_name, assignment_fields, out, &found, e));
    return found ? STATUS_OK : assignment_make(ctx, spec, m, out, e);
}

enum status assignment_positions(struct job_ctx *ctx, struct assignment *a, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf bytes;
    size_t n = (size_t)a->n_selected * sizeof *a->positions;
    TRY(work_path(ctx, path, e, "%s", positions_name));
    buf_init(&bytes, n);
    enum status s = file_read(path, &bytes, e);
    if (s == STATUS_OK && bytes.len != n)
        s = error_set(e, STATUS_FORMAT, "positions: %zu bytes, %zu expected", bytes.len, n);
    if (s != STATUS_OK) {
        buf_fini(&bytes);
        return s;
    }
    a->positions = (uint32_t *)(void *)bytes.data;
    return STATUS_OK;
}
