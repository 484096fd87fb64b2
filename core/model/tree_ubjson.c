/* core/model/tree_ubjson.c
 *
 * The arrays of one tree out of an XGBoost model in UBJSON (https://ubjson.org, draft 12): objects and lists of tagged
 * values, numbers big-endian.  Only the arrays with known names are kept, all else is walked over. */
#include "core/model/tree_xgboost.h"

#include "core/base/bytes.h"
#include "core/model/tree_forest.h"

#include <math.h>

enum { NESTED_MAX = 16, NODES_MAX = 1 << 24 };

/* An array of one type. */
struct array {
    const uint8_t *p;
    size_t n;
    char type;
};

enum { LEFT, RIGHT, FEATURE, VALUE, N_ARRAYS };
static const char *const array_names[N_ARRAYS] = {"left_children", "right_children", "split_indices",
                                                  "split_conditions"};

struct walk {
    struct cursor c;
    struct array found[N_ARRAYS];
    size_t n_found[N_ARRAYS];
};

/* Bytes of a number of this type; 0: not a number. */
static size_t number_size(char type)
{
    switch (type) {
    case 'i': case 'U': case 'C': return 1;
    case 'I': return 2;
    case 'l': case 'd': return 4;
    case 'L': case 'D': return 8;
    default: return 0;
    }
}

static int64_t integer(const uint8_t *p, char type)
{
    switch (type) {
    case 'i': return (int8_t)*p;
    case 'U': return *p;
    case 'I': return (int16_t)load_be16(p);
    case 'l': return (int32_t)load_be32(p);
    case 'L': return (int64_t)load_be64(p);
    default: return -2;                /* no node and no feature */
    }
}

/* A length: type and number. */
static size_t length(struct walk *w)
{
    char type = (char)cursor_u8(&w->c);
    const uint8_t *p = cursor_take(&w->c, number_size(type));
    int64_t n = p && number_size(type) ? integer(p, type) : -1;
    w->c.bad |= n < 0;
    return n < 0 ? 0 : (size_t)n;
}

static void value(struct walk *w, char type, int nested, struct array *array);

static void list(struct walk *w, int nested, struct array *array)
{
    char type = 0;
    bool counted = false;
    size_t n = 0;
    if (cursor_left(&w->c) > 0 && *w->c.p == '$') {
        cursor_skip(&w->c, 1);
        type = (char)cursor_u8(&w->c);
        w->c.bad |= number_size(type) == 0;
    }
    if (cursor_left(&w->c) > 0 && *w->c.p == '#') {
        cursor_skip(&w->c, 1);
        n = length(w);
        counted = true;
    }
    w->c.bad |= type && !counted;
    if (type && !w->c.bad) {
        w->c.bad |= n > cursor_left(&w->c) / number_size(type);
        *array = (struct array){cursor_take(&w->c, w->c.bad ? 0 : n * number_size(type)), n, type};
        return;
    }
    struct array ignored;
    for (size_t i = 0; !w->c.bad && (!counted || i < n); i++) {
        char next = (char)cursor_u8(&w->c);
        if (!counted && next == ']')
            return;
        value(w, next, nested + 1, &ignored);
    }
}

static void object(struct walk *w, int nested)
{
    while (!w->c.bad) {
        if (cursor_left(&w->c) > 0 && *w->c.p == '}') {
            cursor_skip(&w->c, 1);
            return;
        }
        size_t n = length(w);
        const uint8_t *name = cursor_take(&w->c, n);
        struct array array = {0};
        value(w, (char)cursor_u8(&w->c), nested + 1, &array);
        for (size_t i = 0; !w->c.bad && i < N_ARRAYS; i++)
            if (n == strlen(array_names[i]) && memcmp(name, array_names[i], n) == 0) {
                w->found[i] = array;
                w->n_found[i]++;
            }
    }
}

static void value(struct walk *w, char type, int nested, struct array *array)
{
    *array = (struct array){0};
    if (nested > NESTED_MAX)
        w->c.bad = true;
    else if (type == '{')
        object(w, nested);
    else if (type == '[')
        list(w, nested, array);
    else if (type == 'S' || type == 'H')
        cursor_skip(&w->c, length(w));
    else if (number_size(type))
        cursor_skip(&w->c, number_size(type));
    else if (type != 'Z' && type != 'T' && type != 'F' && type != 'N')
        w->c.bad = true;
}

static int64_t element(const struct array *a, size_t i)
{
    return integer(a->p + i * number_size(a->type), a->type);
}

/* Level by level from the root; `queue` has room for all nodes.  What XGBoost pruned is not reached. */
static enum status order_nodes(const struct array a[N_ARRAYS], uint32_t *queue, struct buf *stored, struct error *e)
{
    size_t n = a[LEFT].n, n_queued = 1;
    queue[0] = 0;
    for (size_t i = 0; i < n_queued; i++) {
        size_t at = queue[i];
        int64_t left = element(&a[LEFT], at), right = element(&a[RIGHT], at), feature = element(&a[FEATURE], at);
        uint32_t bits = load_be32(a[VALUE].p + at * sizeof bits);
        float pair[TREE_NODE_FLOATS] = {-1, 0};
        memcpy(&pair[1], &bits, sizeof bits);
        if (left != -1) {
            if (left < 1 || right < 1 || (size_t)left >= n || (size_t)right >= n || n_queued + 2 > n || feature < 0 ||
                feature >= HLF_COUNT)
                return error_set(e, STATUS_FORMAT, "a tree of XGBoost's: node %zu has children %lld and %lld of %zu", at,
                                 (long long)left, (long long)right, n);
            pair[0] = (float)feature;
            queue[n_queued++] = (uint32_t)left;
            queue[n_queued++] = (uint32_t)right;
        }
        if (!isfinite(pair[1]))
            return error_set(e, STATUS_FORMAT, "a tree of XGBoost's: node %zu holds a number that is not finite", at);
        TRY(buf_append(stored, pair, sizeof pair, e));
    }
    return STATUS_OK;
}

enum status tree_read_ubjson(struct span bytes, struct buf *stored, struct error *e)
{
    struct walk w = {.c = cursor_of(bytes.data, bytes.len)};
    struct array ignored;
    const struct array *a = w.found;
    size_t before = stored->len;
    value(&w, (char)cursor_u8(&w.c), 0, &ignored);
    bool sound = !w.c.bad && a[LEFT].n >= 1 && a[LEFT].n <= NODES_MAX && a[VALUE].type == 'd';
    for (size_t i = 0; i < N_ARRAYS; i++)
        sound = sound && w.n_found[i] == 1 && a[i].n == a[LEFT].n && a[i].type != 0 && a[i].type != 'D';
    if (!sound)
        return error_set(e, STATUS_FORMAT, "what XGBoost wrote is not a model of one tree (byte %zu of %zu)",
                         cursor_offset(&w.c), bytes.len);
    uint32_t *queue = mem_alloc(a[LEFT].n * sizeof *queue);
    if (!queue)
        return error_set(e, STATUS_NOMEM, "no memory for a tree of %zu nodes", a[LEFT].n);
    enum status s = order_nodes(a, queue, stored, e);
    mem_free(queue);
    if (s != STATUS_OK)
        stored->len = before;
    return s;
}
