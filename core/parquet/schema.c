/* core/parquet/schema.c
 *
 * Which columns a file has.  Lists come in several historical shapes (LogicalTypes.md, "Backward-compatibility rules"):
 *     repeated T x                                      a bare repeated field
 *     group x (LIST) { repeated T array }               two levels
 *     group x (LIST) { repeated group * { T * } }       three levels; list.element, bag.array_element, ...
 * all of which are one level of repetition over their element, so the same levels read them all.  The element is a
 * primitive, or once more a list of primitives.  Structs outside of lists only add definition levels. */
#include "core/parquet/schema.h"

/* ---- reading --------------------------------------------------------------------------------------------- */

struct walk {
    const struct schema_element *elements;
    size_t n, at; /* next element */
    size_t n_leaves;
};

static bool is_list(const struct schema_element *s)
{
    return s->logical == PARQUET_LOGICAL_LIST || (!s->logical && s->converted == PARQUET_LIST);
}

static bool is_map(const struct schema_element *s)
{
    return s->logical == PARQUET_LOGICAL_MAP || s->converted == PARQUET_MAP || s->converted == PARQUET_MAP_KEY_VALUE;
}

/* Steps over the element at `at` and all below it.  No recursion: a stack of open groups, bounded. */
static enum status step_over(struct walk *w, struct error *e)
{
    int32_t open[PARQUET_SCHEMA_DEPTH_MAX];
    size_t depth = 0;
    do {
        if (w->at == w->n)
            return error_set(e, STATUS_FORMAT, "schema: groups claim more children than its %zu elements hold", w->n);
        const struct schema_element *s = &w->elements[w->at++];
        if (depth > 0)
            open[depth - 1]--;
        if (s->type >= 0) {
            w->n_leaves++;
        } else if (s->n_children > 0) {
            if ((size_t)s->n_children > w->n - w->at)
                return error_set(e, STATUS_FORMAT, "schema: group %s claims %d children, %zu elements remain", s->name,
                                 (int)s->n_children, w->n - w->at);
            if (depth == PARQUET_SCHEMA_DEPTH_MAX)
                return error_set(e, STATUS_FORMAT, "schema: groups nest deeper than %d", PARQUET_SCHEMA_DEPTH_MAX);
            open[depth++] = s->n_children;
        }
        while (depth > 0 && open[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    return STATUS_OK;
}

/* What of an integer annotation is not the plain physical type. */
static void set_integer(struct pq_column *c, const struct schema_element *s)
{
    int bits = 0;
    bool is_signed = true;
    if (s->logical == PARQUET_LOGICAL_INTEGER) {
        bits = s->int_bits;
        is_signed = s->int_signed;
    } else if (s->converted >= PARQUET_UINT_8 && s->converted <= PARQUET_INT_64) {
        bits = 8 << ((s->converted - PARQUET_UINT_8) % 4);
        is_signed = s->converted >= PARQUET_INT_8;
    }
    c->bits = c->type == PQ_I32 && (bits == 8 || bits == 16) ? bits : 0;
    c->unsigned_ = !is_signed;
}

/* The primitive type of a leaf; names what cannot be read. */
static const char *set_type(struct schema_column *c, const struct schema_element *s)
{
    static const char *const unreadable[PARQUET_TYPE_COUNT] = {
        [PARQUET_INT96] = "INT96 values",
        [PARQUET_FIXED_LEN_BYTE_ARRAY] = "FIXED_LEN_BYTE_ARRAY values",
    };
    static const enum pq_type types[PARQUET_TYPE_COUNT] = {
        [PARQUET_BOOLEAN] = PQ_BOOL, [PARQUET_INT32] = PQ_I32,  [PARQUET_INT64] = PQ_I64,
        [PARQUET_FLOAT] = PQ_F32,    [PARQUET_DOUBLE] = PQ_F64, [PARQUET_BYTE_ARRAY] = PQ_STRING,
    };
    if (s->type >= PARQUET_TYPE_COUNT)
        return "a physical type unknown to this version";
    if (unreadable[s->type])
        return unreadable[s->type];
    if (s->converted == PARQUET_DECIMAL || s->logical == PARQUET_LOGICAL_DECIMAL)
        return "DECIMAL values";
    c->type = (enum parquet_type)s->type;
    c->column.type = types[s->type];
    if (c->column.type == PQ_I32 || c->column.type == PQ_I64)
        set_integer(&c->column, s);
    return NULL;
}

/* What repeats in a LIST group, or what stands in the way. */
static const char *list_element(const struct schema_element *s, const struct schema_element **element)
{
    if (s->n_children != 1 || s[1].repetition != PARQUET_REPEATED)
        return "a LIST group of an unknown shape";
    *element = &s[1];
    if (s[1].type >= 0 || (is_list(&s[1]) && s[1].n_children == 1 && s[2].repetition == PARQUET_REPEATED))
        return NULL;
    if (is_map(&s[1]))
        return "lists of maps";
    size_t name_len = strlen(s->name);
    bool tuple = strncmp(s[1].name, s->name, name_len) == 0 && strcmp(s[1].name + name_len, "_tuple") == 0;
    if (s[1].n_children != 1 || strcmp(s[1].name, "array") == 0 || tuple) /* it is itself the element */
        return "lists of structs";
    *element = &s[2];
    return s[2].repetition == PARQUET_REPEATED ? "lists of structs" : NULL;
}

static bool is_optional(const struct schema_element *s)
{
    return s->repetition == PARQUET_OPTIONAL;
}

/* The subtree at s as lists of primitives or of lists of them, or what stands in the way. */
static const char *set_list(struct schema_column *c, const struct schema_element *s, int outer)
{
    const struct schema_element *element = NULL;
    int list = outer + is_optional(s);
    struct schema_levels *l = &c->levels;
    c->column.list = true;
    c->column.depth = 1;
    c->column.optional = list > 0;
    *l = (struct schema_levels){
        .max_rep = 1, .null_row = list - 1, .empty_row = list, .null_list = -1, .empty_list = -1, .null_value = -1};
    const char *why = list_element(s, &element);
    int max_def = list + 1;
    if (!why && is_list(element)) {
        bool optional = is_optional(element);
        c->column.depth = 2;
        l->max_rep = 2;
        l->null_list = optional ? max_def : -1;
        l->empty_list = max_def + optional;
        max_def = l->empty_list + 1;
        why = list_element(element, &element);
    }
    if (why)
        return why;
    if (element->type < 0)
        return is_list(element) ? "lists nested deeper than two" : is_map(element) ? "lists of maps" : "lists of structs";
    if (is_optional(element))
        l->null_value = max_def++;
    l->max_def = (unsigned)max_def;
    return set_type(c, element);
}

static const char *set_flat(struct schema_column *c, const struct schema_element *s, int outer)
{
    bool repeated = s->repetition == PARQUET_REPEATED;
    int above = outer + is_optional(s);
    c->column.list = repeated;
    c->column.depth = repeated;
    c->column.optional = above > 0;
    c->levels = (struct schema_levels){.max_rep = repeated,
                                       .max_def = (unsigned)above + repeated,
                                       .null_row = above - 1,
                                       .empty_row = repeated ? above : -1,
                                       .null_value = -1,
                                       .null_list = -1,
                                       .empty_list = -1};
    return set_type(c, s);
}

static const char *set_column(struct schema_column *c, const struct schema_element *s, int outer)
{
    if (s->type >= 0)
        return set_flat(c, s, outer);
    if (is_list(s) && s->repetition != PARQUET_REPEATED)
        return set_list(c, s, outer);
    return is_map(s) ? "maps" : s->repetition == PARQUET_REPEATED ? "lists of structs" : "structs";
}

/* A struct is walked into: its members are columns of their own. */
static bool is_struct(const struct schema_element *s)
{
    return s->type < 0 && s->n_children > 0 && s->repetition != PARQUET_REPEATED && !is_list(s) && !is_map(s);
}

/* The structs around the present element, the root first. */
struct structs {
    struct {
        const char *name;
        int32_t n_left; /* members not yet walked */
        int optional;   /* how many of the structs down to this one may be null */
    } open[PARQUET_SCHEMA_DEPTH_MAX];
    size_t depth;
};

/* "outer.inner.leaf": names of the structs within the root, then the column's own. */
static const char *dotted_name(struct arena *a, const struct structs *s, const char *leaf)
{
    size_t n = strlen(leaf) + 1, at = 0;
    for (size_t i = 1; i < s->depth; i++)
        n += strlen(s->open[i].name) + 1;
    char *out = s->depth > 1 ? arena_alloc(a, n, 1) : NULL;
    if (!out)
        return s->depth > 1 ? NULL : leaf;
    for (size_t i = 1; i < s->depth; i++) {
        size_t len = strlen(s->open[i].name);
        memcpy(out + at, s->open[i].name, len);
        out[at + len] = '.';
        at += len + 1;
    }
    memcpy(out + at, leaf, n - at);
    return out;
}

static enum status open_struct(struct structs *structs, struct walk *w, struct error *e)
{
    const struct schema_element *s = &w->elements[w->at++];
    bool root = structs->depth == 0;
    if ((size_t)s->n_children > w->n - w->at)
        return error_set(e, STATUS_FORMAT, "schema: %s%s claims %d children, %zu elements remain",
                         root ? "the root" : "group ", root ? "" : s->name, (int)s->n_children, w->n - w->at);
    if (structs->depth == PARQUET_SCHEMA_DEPTH_MAX)
        return error_set(e, STATUS_FORMAT, "schema: groups nest deeper than %d", PARQUET_SCHEMA_DEPTH_MAX);
    structs->open[structs->depth].name = s->name;
    structs->open[structs->depth].n_left = s->n_children;
    structs->open[structs->depth].optional = root ? 0 : structs->open[structs->depth - 1].optional + is_optional(s);
    structs->depth++;
    return STATUS_OK;
}

/* The column that begins at the present element. */
static enum status add_column(struct arena *a, const struct structs *structs, struct walk *w, struct schema_column *out,
                              struct error *e)
{
    const struct schema_element *first = &w->elements[w->at];
    out->first_leaf = w->n_leaves;
    TRY(step_over(w, e));
    out->n_leaves = w->n_leaves - out->first_leaf;
    out->column.name = dotted_name(a, structs, first->name);
    if (!out->column.name)
        return error_set(e, STATUS_NOMEM, "schema: names of columns in structs");
    out->column.unsupported = set_column(out, first, structs->open[structs->depth - 1].optional);
    return STATUS_OK;
}

enum status schema_columns(struct arena *a, const struct schema_element *elements, size_t n_elements,
                           struct schema_column **columns, size_t *n_columns, size_t *n_leaves, struct error *e)
{
    if (n_elements == 0 || elements[0].type >= 0 || elements[0].n_children < 0)
        return error_set(e, STATUS_FORMAT, "schema: no root group");
    struct walk w = {elements, n_elements, 0, 0};
    struct structs structs;
    structs.depth = 0;
    TRY(open_struct(&structs, &w, e));
    struct schema_column *out = ARENA_NEW(a, struct schema_column, n_elements);
    if (!out)
        return error_set(e, STATUS_NOMEM, "schema of %zu elements", n_elements);
    size_t n = 0;
    while (structs.depth > 0) {
        if (structs.open[structs.depth - 1].n_left-- == 0)
            structs.depth--;
        else if (w.at < w.n && is_struct(&elements[w.at]))
            TRY(open_struct(&structs, &w, e));
        else
            TRY(add_column(a, &structs, &w, &out[n++], e));
    }
    if (w.at != n_elements)
        return error_set(e, STATUS_FORMAT, "schema: %zu elements lie outside the tree", n_elements - w.at);
    *columns = out;
    *n_columns = n;
    *n_leaves = w.n_leaves;
    return STATUS_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

enum parquet_type schema_type_of(enum pq_type t)
{
    static const enum parquet_type types[] = {
        [PQ_BOOL] = PARQUET_BOOLEAN, [PQ_I32] = PARQUET_INT32,  [PQ_I64] = PARQUET_INT64,
        [PQ_F32] = PARQUET_FLOAT,    [PQ_F64] = PARQUET_DOUBLE, [PQ_STRING] = PARQUET_BYTE_ARRAY};
    return types[t];
}

int schema_depth_of(const struct pq_column *c)
{
    return c->depth > 1 ? c->depth : c->list;
}

static enum status check_column(const struct pq_column *c, struct error *e)
{
    if (!c->name || !c->name[0] || !text_is_clean(c->name, strlen(c->name)))
        return error_set(e, STATUS_ARGUMENT, "a column's name must be clean text of at least one character");
    if ((unsigned)c->type > PQ_STRING)
        return error_set(e, STATUS_ARGUMENT, "column %s: type %d does not exist", c->name, (int)c->type);
    if (c->depth < 0 || c->depth > 2 || (c->depth > 0 && !c->list))
        return error_set(e, STATUS_ARGUMENT, "column %s: %s of depth %d; lists are written to a depth of 2", c->name,
                         c->list ? "lists" : "no lists, yet", c->depth);
    bool integer = c->type == PQ_I32 || c->type == PQ_I64, narrow = c->bits == 8 || c->bits == 16;
    if ((c->bits != 0 && !(narrow && c->type == PQ_I32)) || (c->unsigned_ && !integer))
        return error_set(e, STATUS_ARGUMENT, "column %s: %s integers of %d bits cannot be announced for its type",
                         c->name, c->unsigned_ ? "unsigned" : "signed", c->bits);
    if (c->optional)
        return error_set(e, STATUS_UNSUPPORTED, "column %s: columns with nulls are read, not written", c->name);
    return STATUS_OK;
}

enum status schema_check(const struct pq_column *columns, size_t n, struct error *e)
{
    if (n == 0)
        return error_set(e, STATUS_ARGUMENT, "a file needs at least one column");
    for (size_t i = 0; i < n; i++) {
        TRY(check_column(&columns[i], e));
        for (size_t k = 0; k < i; k++)
            if (strcmp(columns[i].name, columns[k].name) == 0)
                return error_set(e, STATUS_ARGUMENT, "two columns are called %s", columns[i].name);
    }
    return STATUS_OK;
}

/* converted_type and logicalType of a leaf: both, as older readers know only the former. */
static void put_annotation(struct thrift_writer *w, const struct pq_column *c)
{
    if (c->type == PQ_STRING) {
        thrift_put_i32(w, 6, PARQUET_UTF8);
        thrift_put_struct(w, 10);
        thrift_put_struct(w, PARQUET_LOGICAL_STRING);
        thrift_put_end(w);
        thrift_put_end(w);
    } else if (c->bits || c->unsigned_) {
        int bits = c->bits ? c->bits : c->type == PQ_I32 ? 32 : 64;
        int first = c->unsigned_ ? PARQUET_UINT_8 : PARQUET_INT_8;
        thrift_put_i32(w, 6, first + (bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3));
        thrift_put_struct(w, 10);
        thrift_put_struct(w, PARQUET_LOGICAL_INTEGER);
        thrift_put_byte(w, 1, (int8_t)bits);
        thrift_put_bool(w, 2, !c->unsigned_);
        thrift_put_end(w);
        thrift_put_end(w);
    }
}

static void put_leaf(struct thrift_writer *w, const struct pq_column *c, const char *name)
{
    thrift_put_begin(w);
    thrift_put_i32(w, 1, (int32_t)schema_type_of(c->type));
    thrift_put_i32(w, 3, PARQUET_REQUIRED);
    thrift_put_string(w, 4, name);
    put_annotation(w, c);
    thrift_put_end(w);
}

/* One level of LIST: the group and what repeats in it; the element follows. */
static void put_list(struct thrift_writer *w, const char *name)
{
    thrift_put_begin(w);
    thrift_put_i32(w, 3, PARQUET_REQUIRED);
    thrift_put_string(w, 4, name);
    thrift_put_i32(w, 5, 1);
    thrift_put_i32(w, 6, PARQUET_LIST);
    thrift_put_struct(w, 10);
    thrift_put_struct(w, PARQUET_LOGICAL_LIST);
    thrift_put_end(w);
    thrift_put_end(w);
    thrift_put_end(w);
    thrift_put_begin(w);
    thrift_put_i32(w, 3, PARQUET_REPEATED);
    thrift_put_string(w, 4, "list");
    thrift_put_i32(w, 5, 1);
    thrift_put_end(w);
}

void schema_put(struct thrift_writer *w, int id, const struct pq_column *columns, size_t n)
{
    size_t n_elements = 1;
    for (size_t i = 0; i < n; i++)
        n_elements += 1 + 2 * (size_t)schema_depth_of(&columns[i]);
    thrift_put_list(w, id, THRIFT_STRUCT, n_elements);
    thrift_put_begin(w);
    thrift_put_string(w, 4, "schema");
    thrift_put_i32(w, 5, (int32_t)n);
    thrift_put_end(w);
    for (size_t i = 0; i < n; i++) {
        const char *name = columns[i].name;
        for (int depth = schema_depth_of(&columns[i]); depth > 0; depth--) {
            put_list(w, name);
            name = "element";
        }
        put_leaf(w, &columns[i], name);
    }
}

void schema_put_path(struct thrift_writer *w, int id, const struct pq_column *c)
{
    int depth = schema_depth_of(c);
    thrift_put_list(w, id, THRIFT_BINARY, 1 + 2 * (size_t)depth);
    thrift_put_item_string(w, c->name);
    for (; depth > 0; depth--) {
        thrift_put_item_string(w, "list");
        thrift_put_item_string(w, "element");
    }
}
