/* core/parquet/column.c
 *
 * From levels to rows.  A list's values lie without gaps whatever its levels, so only the row starts are searched for;
 * the values of a flat column with nulls are moved apart afterwards. */
#include "core/parquet/column.h"

size_t pq_type_size(enum pq_type t)
{
    static const size_t sizes[] = {
        [PQ_BOOL] = 1, [PQ_I32] = 4, [PQ_I64] = 8, [PQ_F32] = 4, [PQ_F64] = 8, [PQ_STRING] = 8};
    check((unsigned)t < ARRAY_LEN(sizes));
    return sizes[t];
}

void column_init(struct column_values *c, enum pq_type type, size_t max_bytes)
{
    *c = (struct column_values){.type = type};
    buf_init(&c->data, 0);
    buf_init(&c->ends, 0);
    buf_init(&c->starts, 0);
    buf_init(&c->lists, 0);
    buf_init(&c->inner, 0);
    buf_init(&c->null, 0);
    buf_init(&c->value_null, 0);
    column_limit(c, max_bytes);
}

void column_limit(struct column_values *c, size_t max_bytes)
{
    size_t max = max_bytes + sizeof(uint64_t); /* offsets are one more than their rows or values */
    c->data.max = c->ends.max = c->starts.max = c->lists.max = c->inner.max = c->null.max = c->value_null.max = max;
}

void column_fini(struct column_values *c)
{
    buf_fini(&c->data);
    buf_fini(&c->ends);
    buf_fini(&c->starts);
    buf_fini(&c->lists);
    buf_fini(&c->inner);
    buf_fini(&c->null);
    buf_fini(&c->value_null);
}

enum status column_begin(struct column_values *c, struct error *e)
{
    c->data.len = c->ends.len = c->starts.len = c->lists.len = c->inner.len = c->null.len = c->value_null.len = 0;
    c->n_values = c->n_rows = 0;
    c->any_null = c->any_value_null = c->row_open = c->list_open = false;
    return c->type == PQ_STRING ? buf_append(&c->ends, &(uint64_t){0}, sizeof(uint64_t), e) : STATUS_OK;
}

enum status column_slot_reserve(struct column_values *c, size_t n, struct error *e)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, pq_type_size(c->type), &bytes))
        return error_set(e, STATUS_NOMEM, "%zu values are more than memory holds", n);
    return buf_reserve(c->type == PQ_STRING ? &c->ends : &c->data, bytes, e);
}

/* Zeroed null flags for all rows so far and n more. */
static enum status add_null_flags(struct column_values *c, size_t n, struct error *e)
{
    size_t more = c->n_rows + n - c->null.len;
    TRY(buf_reserve(&c->null, more, e));
    memset(c->null.data + c->null.len, 0, more);
    c->null.len += more;
    return STATUS_OK;
}

/* ---- flat columns ---------------------------------------------------------------------------------------- */

/* Moves n_full items of v apart so that they stand where def == max; entries with less than `least` have no place at
 * all, the other n_null are gaps.  From the back, as source and destination overlap: v[from - 1] is then still in its old
 * place, and for offsets always exists. */
struct spread {
    const uint8_t *def;
    unsigned max, least;
    size_t n, n_full, n_null;
};
#define DEFINE_SPREAD(name, type, gap)                                                                                 \
    static void name(type *v, const struct spread *s)                                                                  \
    {                                                                                                                  \
        size_t from = s->n_full, to = s->n_full + s->n_null;                                                           \
        for (size_t i = s->n; from < to && i-- > 0;)                                                                   \
            if (s->def[i] >= s->least)                                                                                 \
                v[--to] = s->def[i] == s->max ? v[--from] : (gap);                                                     \
    }
DEFINE_SPREAD(spread_u8, uint8_t, 0)
DEFINE_SPREAD(spread_u32, uint32_t, 0)
DEFINE_SPREAD(spread_u64, uint64_t, 0)
DEFINE_SPREAD(spread_ends, uint64_t, v[(ptrdiff_t)from - 1])

/* The last n_full values of the column. */
static enum status spread_values(struct column_values *c, const struct spread *s, struct error *e)
{
    size_t size = pq_type_size(c->type), first = c->n_values - s->n_full;
    TRY(column_slot_reserve(c, s->n_null, e));
    if (c->type == PQ_STRING)
        spread_ends((uint64_t *)c->ends.data + 1 + first, s);
    else if (size == 1)
        spread_u8(c->data.data + first, s);
    else if (size == 4)
        spread_u32((uint32_t *)c->data.data + first, s);
    else
        spread_u64((uint64_t *)c->data.data + first, s);
    *(c->type == PQ_STRING ? &c->ends.len : &c->data.len) += s->n_null * size;
    c->n_values += s->n_null;
    return STATUS_OK;
}

static enum status add_flat_rows(struct column_values *c, unsigned max_def, const struct page_levels *levels,
                                 struct error *e)
{
    size_t n = levels->n, n_full = levels->n_full;
    if (n_full < n || c->any_null) {
        TRY(add_null_flags(c, n, e));
        c->any_null = true;
        uint8_t *null = c->null.data + c->n_rows;
        for (size_t i = 0; i < n && levels->def; i++)
            null[i] = levels->def[i] != max_def;
    }
    if (n_full < n)
        TRY(spread_values(c, &(struct spread){levels->def, max_def, 0, n, n_full, n - n_full}, e));
    c->n_rows += n;
    return STATUS_OK;
}

/* ---- lists ----------------------------------------------------------------------------------------------- */

static size_t next_start(const uint8_t *rep, size_t from, size_t n)
{
    const uint8_t *p = from < n ? memchr(rep + from, 0, n - from) : NULL;
    return p ? (size_t)(p - rep) : n;
}

static enum status null_element(const struct schema_levels *shape, struct error *e)
{
    if (shape->null_list >= 0)
        return error_set(e, STATUS_UNSUPPORTED, "a list with a null list in it");
    return error_set(e, STATUS_FORMAT, "a definition level that fits no list");
}

/* Gives null elements their places, flags them, and makes values of their entries.  A null element's definition is one
 * below a value's. */
static enum status place_null_elements(struct column_values *c, const struct schema_levels *shape,
                                       struct page_levels *levels, struct error *e)
{
    size_t n_null = 0, first = c->n_values - levels->n_full;
    for (size_t i = 0; i < levels->n; i++)
        n_null += levels->def[i] == shape->null_value;
    if (n_null > 0) {
        unsigned least = (unsigned)shape->null_value;
        TRY(spread_values(
            c, &(struct spread){levels->def, shape->max_def, least, levels->n, levels->n_full, n_null}, e));
        c->any_value_null = true;
    }
    if (!c->any_value_null)
        return STATUS_OK;
    size_t more = c->n_values - c->value_null.len;
    TRY(buf_reserve(&c->value_null, more, e));
    memset(c->value_null.data + c->value_null.len, 0, more);
    c->value_null.len += more;
    for (size_t i = 0, at = first; i < levels->n; i++) {
        bool null = levels->def[i] == shape->null_value;
        if (null)
            levels->def[i] = (uint8_t)shape->max_def;
        if (levels->def[i] == shape->max_def)
            c->value_null.data[at++] = null;
    }
    levels->n_full += n_null;
    return STATUS_OK;
}

/* A row without values, `def` says of which kind. */
static enum status add_empty_row(struct column_values *c, const struct schema_levels *shape, int def, struct error *e)
{
    if (def == shape->empty_row)
        return STATUS_OK;
    if (def > shape->null_row)
        return null_element(shape, e);
    c->null.data[c->n_rows] = 1;
    c->any_null = true;
    return STATUS_OK;
}

/* Rows of a page in which some entries carry no value: each must be the only one of its row. */
static enum status add_gappy_rows(struct column_values *c, const struct schema_levels *shape,
                                  const struct page_levels *levels, size_t i, struct error *e)
{
    uint64_t first = c->n_values - levels->n_full, *starts = (uint64_t *)c->starts.data;
    size_t gaps = 0;
    for (size_t next; i < levels->n; i = next) {
        next = next_start(levels->rep, i + 1, levels->n);
        starts[c->n_rows] = first + i - gaps;
        c->row_open = levels->def[i] == shape->max_def;
        if (!c->row_open) {
            if (next != i + 1)
                return null_element(shape, e);
            TRY(add_empty_row(c, shape, levels->def[i], e));
            gaps++;
        }
        c->n_rows++;
    }
    return gaps == levels->n - levels->n_full ? STATUS_OK : null_element(shape, e);
}

static enum status add_list_rows(struct column_values *c, const struct schema_levels *shape,
                                 const struct page_levels *levels, struct error *e)
{
    size_t i = next_start(levels->rep, 0, levels->n);
    if (i > 0 && !c->row_open)
        return error_set(e, STATUS_FORMAT, "a page goes on with a list that was not begun");
    TRY(buf_reserve(&c->starts, levels->n_starts * sizeof(uint64_t), e));
    if (shape->null_row >= 0 && (c->any_null || levels->n_full < levels->n))
        TRY(add_null_flags(c, levels->n_starts, e));
    if (levels->n_full < levels->n) {
        TRY(add_gappy_rows(c, shape, levels, i, e));
    } else {
        uint64_t first = c->n_values - levels->n_full, *starts = (uint64_t *)c->starts.data;
        for (; i < levels->n; i = next_start(levels->rep, i + 1, levels->n))
            starts[c->n_rows++] = first + i;
        c->row_open = c->row_open || levels->n_starts > 0;
    }
    c->starts.len = c->n_rows * sizeof(uint64_t);
    return STATUS_OK;
}

/* ---- lists of lists -------------------------------------------------------------------------------------- */

/* Room for the rows and inner lists that the page's entries may begin. */
static enum status reserve_nested(struct column_values *c, const struct schema_levels *shape,
                                  const struct page_levels *levels, struct error *e)
{
    size_t n_lists = 0;
    for (size_t i = 0; i < levels->n; i++)
        n_lists += levels->rep[i] < 2;
    TRY(buf_reserve(&c->starts, levels->n_starts * sizeof(uint64_t), e));
    TRY(buf_reserve(&c->lists, levels->n_starts * sizeof(uint64_t), e));
    TRY(buf_reserve(&c->inner, n_lists * sizeof(uint64_t), e));
    return shape->null_row >= 0 ? add_null_flags(c, levels->n_starts, e) : STATUS_OK;
}

/* Begins a row at value `at`; *empty says that no inner list begins with it. */
static void begin_nested_row(struct column_values *c, const struct schema_levels *shape, int def, uint64_t at,
                             bool *empty)
{
    ((uint64_t *)c->starts.data)[c->n_rows] = at;
    ((uint64_t *)c->lists.data)[c->n_rows] = c->inner.len / sizeof(uint64_t);
    if (def <= shape->null_row) {
        c->null.data[c->n_rows] = 1;
        c->any_null = true;
    }
    *empty = def <= shape->empty_row;
    c->n_rows++;
}

static enum status add_nested_rows(struct column_values *c, const struct schema_levels *shape,
                                   const struct page_levels *levels, struct error *e)
{
    uint64_t at = c->n_values - levels->n_full;
    TRY(reserve_nested(c, shape, levels, e));
    for (size_t i = 0; i < levels->n; i++) {
        unsigned rep = levels->rep[i], def = levels->def[i];
        bool full = def == shape->max_def, empty = false;
        if (rep == 0)
            begin_nested_row(c, shape, (int)def, at, &empty);
        else if (!(rep == 1 ? c->row_open : c->list_open))
            return error_set(e, STATUS_FORMAT, "an entry goes on with a list that was not begun");
        c->row_open = !empty;
        c->list_open = full;
        if (rep < 2 && !empty) {
            ((uint64_t *)c->inner.data)[c->inner.len / sizeof(uint64_t)] = at;
            c->inner.len += sizeof(uint64_t);
        }
        if (!full && !empty && (rep == 2 || (int)def != shape->empty_list))
            return null_element(shape, e);
        at += full;
    }
    c->starts.len = c->lists.len = c->n_rows * sizeof(uint64_t);
    return STATUS_OK;
}

enum status column_add_rows(struct column_values *c, const struct schema_levels *shape,
                            struct page_levels *levels, struct error *e)
{
    if (levels->n == 0)
        return STATUS_OK;
    if (shape->null_value >= 0 && (c->any_value_null || levels->n_full < levels->n))
        TRY(place_null_elements(c, shape, levels, e));
    if (shape->max_rep > 1)
        return add_nested_rows(c, shape, levels, e);
    return shape->max_rep > 0 ? add_list_rows(c, shape, levels, e) : add_flat_rows(c, shape->max_def, levels, e);
}

enum status column_finish(struct column_values *c, int depth, struct pq_values *out, struct error *e)
{
    size_t n_lists = c->inner.len / sizeof(uint64_t);
    if (depth > 0)
        TRY(buf_append(&c->starts, &(uint64_t){c->n_values}, sizeof(uint64_t), e));
    if (depth > 1) {
        TRY(buf_append(&c->lists, &(uint64_t){n_lists}, sizeof(uint64_t), e));
        TRY(buf_append(&c->inner, &(uint64_t){c->n_values}, sizeof(uint64_t), e));
    }
    TRY(buf_reserve(&c->data, 1, e)); /* never NULL, even of no values */
    *out = (struct pq_values){.n_rows = c->n_rows,
                              .n_values = c->n_values,
                              .data = c->data.data,
                              .offsets = depth > 0 ? (uint64_t *)c->starts.data : NULL,
                              .n_lists = n_lists,
                              .list_offsets = depth > 1 ? (uint64_t *)c->lists.data : NULL,
                              .inner_offsets = depth > 1 ? (uint64_t *)c->inner.data : NULL,
                              .string_offsets = c->type == PQ_STRING ? (uint64_t *)c->ends.data : NULL,
                              .null = c->any_null ? c->null.data : NULL,
                              .value_null = c->any_value_null ? c->value_null.data : NULL};
    return STATUS_OK;
}
