/* core/root/delphes.c
 *
 * From a Delphes tree to event batches: the only place that knows branch names.  What is missing or of the wrong kind
 * is found when the tree is opened and reported at once; what is wrong in the values, when they are read. */
#include "core/root/tree.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { COLUMNS_MAX = 40 };

#define BRANCH(member_, what) FIELD_STRING(struct delphes_branches, member_, .max = 200, .doc = what)

const struct field delphes_branches_fields[] = {
    BRANCH(track, "branch of the tracks; default EFlowTrack"),
    BRANCH(photon, "branch of the photons; default EFlowPhoton"),
    BRANCH(neutral, "branch of the neutral hadrons; default EFlowNeutralHadron"),
    BRANCH(electron, "branch of the electrons; default Electron"),
    BRANCH(muon, "branch of the muons; default the first that exists of MuonTight, Muon, MuonLoose"),
    BRANCH(jet, "branch of the jets; default Jet"),
    BRANCH(met, "branch of the missing transverse energy; default MissingET"),
    BRANCH(event, "branch of the event's number and weight, both optional; default Event"),
    FIELD_END,
};

struct delphes {
    struct root_file *file;
    struct root_tree *tree;
    const char *collection[OBJECT_KINDS];
    const struct root_branch *branch[COLUMNS_MAX]; /* by row of event_columns(); NULL: absent and optional */
    const struct root_branch *number, *weight;
    const struct root_branch *all[COLUMNS_MAX]; /* of the above, those that exist */
    size_t n_all;
    struct root_column columns[COLUMNS_MAX]; /* of branches that are read together */
    struct root_column *column;              /* the one that is looked at */
    struct arena arena;
};

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* What is wrong with a tree, gathered so that one message says it all. */
struct complaints {
    char missing[400], unfit[300];
};

static void complain(char *list, size_t cap, const char *a, const char *between, const char *b)
{
    size_t n = strlen(list);
    if (n + 3 < cap && n > 0)
        n += (size_t)snprintf(list + n, cap - n, ", ");
    if (n < cap)
        (void)snprintf(list + n, cap - n, "%s%s%s", a, between, b);
}

static bool has_collection(const struct root_tree *t, const char *name)
{
    size_t n = strlen(name);
    if (root_branch_find(t, name))
        return true;
    for (size_t i = 0; i < t->n_branches; i++)
        if (strncmp(t->branches[i]->name, name, n) == 0 && t->branches[i]->name[n] == '.')
            return true;
    return false;
}

static const struct root_branch *find_leaf(struct delphes *d, const char *collection, const char *leaf)
{
    char name[512];
    int n = snprintf(name, sizeof name, "%s.%s", collection, leaf);
    return n > 0 && (size_t)n < sizeof name ? root_branch_find(d->tree, name) : NULL;
}

/* Whether a branch gives one number an object. */
static bool is_fit(const struct root_branch *b)
{
    return b->target && b->target->type != ROOT_STRING && b->n_fixed == 1;
}

static void find_columns(struct delphes *d, struct complaints *c)
{
    size_t n;
    const struct event_column *cols = event_columns(&n);
    bool absent[OBJECT_KINDS] = {0};
    check(n <= COLUMNS_MAX - 2);
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        if (!has_collection(d->tree, d->collection[k])) {
            absent[k] = true;
            complain(c->missing, sizeof c->missing, d->collection[k], "", "");
        }
    for (size_t i = 0; i < n; i++) {
        const char *collection = d->collection[cols[i].kind];
        const struct root_branch *b = absent[cols[i].kind] ? NULL : find_leaf(d, collection, cols[i].leaf);
        if (b && !is_fit(b))
            complain(c->unfit, sizeof c->unfit, b->name, ": ", b->why_not ? b->why_not : "not one number an object");
        else if (!b && !cols[i].optional && !absent[cols[i].kind])
            complain(c->missing, sizeof c->missing, collection, ".", cols[i].leaf);
        d->branch[i] = b;
        if (b)
            d->all[d->n_all++] = b;
    }
}

static void find_identity(struct delphes *d, const char *event, struct complaints *c)
{
    d->number = find_leaf(d, event, "Number");
    d->weight = find_leaf(d, event, "Weight");
    const struct root_branch *both[] = {d->number, d->weight};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (!both[i])
            continue;
        if (!is_fit(both[i]))
            complain(c->unfit, sizeof c->unfit, both[i]->name, ": ",
                     both[i]->why_not ? both[i]->why_not : "not one number an event");
        d->all[d->n_all++] = both[i];
    }
}

/* Names that the tree does have: its collections, without their "_size". */
static void list_collections(const struct root_tree *t, char *list, size_t cap)
{
    list[0] = 0;
    for (size_t i = 0; i < t->n_branches; i++) {
        const struct root_branch *b = t->branches[i];
        size_t n = strlen(b->name);
        if (b->depth == 0 && !(n > 5 && strcmp(b->name + n - 5, "_size") == 0))
            complain(list, cap, b->name, "", "");
    }
}

static enum status judge(const struct delphes *d, const struct complaints *c, struct error *e)
{
    char has[320];
    if (*c->missing) {
        list_collections(d->tree, has, sizeof has);
        return error_set(e, STATUS_NOTFOUND, "tree %s has no branch %s%s%s; it has: %s", d->tree->name, c->missing,
                         *c->unfit ? "; unfit: " : "", c->unfit, has);
    }
    if (*c->unfit)
        return error_set(e, STATUS_UNSUPPORTED, "tree %s: unfit: %s", d->tree->name, c->unfit);
    for (size_t i = 0; i < d->n_all; i++)
        if (d->all[i]->owner->entries != d->tree->entries)
            return error_set(e, STATUS_FORMAT, "tree %s: branch %s has %" PRId64 " entries, the tree %" PRId64,
                             d->tree->name, d->all[i]->name, d->all[i]->owner->entries, d->tree->entries);
    return STATUS_OK;
}

static const char *or_default(const char *name, const char *fallback)
{
    return name && *name ? name : fallback;
}

static enum status name_collections(struct delphes *d, const struct delphes_branches *b, struct error *e)
{
    static const char *const muons[] = {"MuonTight", "Muon", "MuonLoose"};
    const char *const given[OBJECT_KINDS] = {
        [OBJECT_TRACK] = b->track,       [OBJECT_PHOTON] = b->photon, [OBJECT_NEUTRAL] = b->neutral,
        [OBJECT_ELECTRON] = b->electron, [OBJECT_MUON] = b->muon,     [OBJECT_JET] = b->jet,
        [OBJECT_MET] = b->met,
    };
    for (size_t k = 0; k < OBJECT_KINDS; k++) {
        const char *fallback = event_objects()[k].branch;
        for (size_t i = 0; k == OBJECT_MUON && i < ARRAY_LEN(muons); i++)
            if (has_collection(d->tree, muons[i])) {
                fallback = muons[i];
                break;
            }
        d->collection[k] = arena_strdup(&d->arena, or_default(given[k], fallback));
        if (!d->collection[k])
            return root_no_memory(e);
    }
    return STATUS_OK;
}

static enum status open_tree(struct delphes *d, struct source *src, const char *tree,
                             const struct delphes_branches *branches, struct error *e)
{
    struct complaints c = {"", ""};
    static const struct delphes_branches defaults;
    if (!branches)
        branches = &defaults;
    TRY(root_open(src, &d->file, e));
    TRY(root_tree_get(d->file, or_default(tree, "Delphes"), &d->tree, e));
    enum status s = name_collections(d, branches, e);
    if (s == STATUS_OK) {
        find_columns(d, &c);
        find_identity(d, or_default(branches->event, "Event"), &c);
        s = judge(d, &c, e);
    }
    return s == STATUS_OK ? s : root_wrap(d->file, e);
}

enum status delphes_open(struct source *src, const char *tree, const struct delphes_branches *branches,
                         struct delphes **out, struct error *e)
{
    *out = NULL;
    struct delphes *d = mem_calloc(1, sizeof *d);
    if (!d)
        return root_no_memory(e);
    arena_init(&d->arena, 1 << 20);
    if (open_tree(d, src, tree, branches, e) != STATUS_OK) {
        delphes_close(d);
        return e->status;
    }
    *out = d;
    return STATUS_OK;
}

void delphes_close(struct delphes *d)
{
    if (!d)
        return;
    root_close(d->file);
    for (size_t i = 0; i < COLUMNS_MAX; i++)
        root_column_fini(&d->columns[i]);
    arena_fini(&d->arena);
    mem_free(d);
}

int64_t delphes_entries(const struct delphes *d)
{
    return d->tree->entries;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

/* Entry of value i of the column that was read last. */
static int64_t entry_of(const struct delphes *d, int64_t first, size_t i)
{
    size_t ev = 0;
    while (ev + 1 < d->column->n_entries && d->column->offsets[ev + 1] <= i)
        ev++;
    return first + (int64_t)ev;
}

static enum status bad_value(const struct delphes *d, int64_t first, size_t i, double v, const char *what,
                             struct error *e)
{
    return error_set(e, STATUS_FORMAT, "entry %" PRId64 ": value %zu is %g: %s", entry_of(d, first, i),
                     i - (size_t)d->column->offsets[entry_of(d, first, i) - first], v, what);
}

static double value_at(const struct root_column *c, size_t i)
{
    switch (c->type) {
    case ROOT_BOOL:
    case ROOT_U8:
        return ((const uint8_t *)c->values)[i];
    case ROOT_I8:
        return ((const int8_t *)c->values)[i];
    case ROOT_I16:
        return ((const int16_t *)c->values)[i];
    case ROOT_U16:
        return ((const uint16_t *)c->values)[i];
    case ROOT_I32:
        return ((const int32_t *)c->values)[i];
    case ROOT_U32:
        return ((const uint32_t *)c->values)[i];
    case ROOT_I64:
        return (double)((const int64_t *)c->values)[i];
    case ROOT_U64:
        return (double)((const uint64_t *)c->values)[i];
    case ROOT_F32:
        return (double)((const float *)c->values)[i];
    case ROOT_F64:
        return ((const double *)c->values)[i];
    default:
        return (double)NAN;
    }
}

/* Copies floats; whether one of them is not finite.  Eight at a time, so that the compiler makes vectors of them. */
static bool copy_f32(float *out, const float *in, size_t n)
{
    uint32_t odd[8] = {0}, any = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) {
            uint32_t bits;
            memcpy(&bits, &in[i + k], sizeof bits);
            memcpy(&out[i + k], &bits, sizeof bits);
            odd[k] |= (bits & 0x7fffffff) >= 0x7f800000;
        }
    for (; i < n; i++) {
        out[i] = in[i];
        any |= !isfinite(in[i]);
    }
    for (size_t k = 0; k < 8; k++)
        any |= odd[k];
    return any != 0;
}

static enum status to_f32(const struct delphes *d, int64_t first, size_t n, float *out, struct error *e)
{
    const struct root_column *c = d->column;
    bool odd = false;
    if (c->type == ROOT_F32) {
        odd = n > 0 && copy_f32(out, c->values, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            out[i] = (float)value_at(c, i);
            odd |= !isfinite(out[i]);
        }
    }
    for (size_t i = 0; odd && i < n; i++)
        if (!isfinite(out[i]))
            return bad_value(d, first, i, value_at(c, i), "not a finite number", e);
    return STATUS_OK;
}

static enum status to_i32(const struct delphes *d, int64_t first, size_t n, double least, double most, int32_t *out,
                          struct error *e)
{
    const struct root_column *c = d->column;
    bool same = c->type == (least < 0 ? ROOT_I32 : ROOT_U32);
    if (same && n > 0)
        memcpy(out, c->values, n * sizeof *out);
    for (size_t i = 0; !same && i < n; i++) {
        double v = value_at(c, i);
        if (!(v >= least && v <= most) || v != trunc(v))
            return bad_value(d, first, i, v, "not an integer of 32 bits", e);
        out[i] = least < 0 ? (int32_t)v : (int32_t)(uint32_t)v;
    }
    return STATUS_OK;
}

/* The first column of a kind sets where each event's objects begin; the others must agree. */
static enum status set_counts(struct delphes *d, struct event_batch *out, enum object_kind kind, bool is_first,
                              int64_t first, struct error *e)
{
    const struct root_column *c = d->column;
    uint32_t *begin = out->objects[kind].first;
    uint64_t total = c->offsets[c->n_entries];
    if (total > UINT32_MAX)
        return error_set(e, STATUS_RANGE, "%" PRIu64 " objects in one batch", total);
    if (is_first) {
        for (size_t i = 0; i <= c->n_entries; i++)
            begin[i] = (uint32_t)c->offsets[i];
        return event_batch_reserve_objects(out, kind, (size_t)total, e);
    }
    for (size_t i = 1; i <= c->n_entries; i++)
        if (begin[i] != c->offsets[i])
            return error_set(e, STATUS_FORMAT, "entry %" PRId64 ": %" PRIu64 " values, other branches have %" PRIu32,
                             first + (int64_t)i - 1, c->offsets[i] - c->offsets[i - 1], begin[i] - begin[i - 1]);
    return STATUS_OK;
}

static enum status convert(struct delphes *d, const struct event_column *col, int64_t first, struct event_batch *out,
                           struct error *e)
{
    void *to = *event_column_data(&out->objects[col->kind], col);
    size_t n = (size_t)d->column->offsets[d->column->n_entries];
    switch (col->type) {
    case EVENT_F32:
        return to_f32(d, first, n, to, e);
    case EVENT_I32:
        return to_i32(d, first, n, INT32_MIN, INT32_MAX, to, e);
    case EVENT_U32:
        return to_i32(d, first, n, 0, UINT32_MAX, to, e);
    }
    check(false);
}

/* Optional columns that the tree does not have: a track's charge is the sign of its PID, others are 0. */
static void fill_absent(const struct event_column *col, struct event_batch *out)
{
    struct object_columns *o = &out->objects[col->kind];
    int32_t *to = *event_column_data(o, col);
    size_t n = o->first[out->n_events];
    bool charge = col->offset == offsetof(struct object_columns, charge) && o->pid;
    for (size_t i = 0; i < n; i++)
        to[i] = charge ? (o->pid[i] > 0) - (o->pid[i] < 0) : 0;
}

/* Whether column i is read together with those of the group: parts of one stored branch are, others come alone, so that
 * one buffer serves them all. */
static bool belongs(const struct delphes *d, const struct root_branch *const *group, size_t n_group, size_t i)
{
    const struct root_branch *b = d->branch[i];
    return !b || n_group == 0 || (b->owner == group[0]->owner && b->owner != b);
}

static enum status read_columns(struct delphes *d, int64_t first, int64_t n, struct event_batch *out, struct error *e)
{
    size_t n_cols;
    const struct event_column *cols = event_columns(&n_cols);
    bool seen[OBJECT_KINDS] = {0};
    for (size_t i = 0, end; i < n_cols; i = end) {
        const struct root_branch *group[COLUMNS_MAX];
        size_t n_group = 0, k = 0;
        for (end = i; end < n_cols && belongs(d, group, n_group, end); end++)
            if (d->branch[end])
                group[n_group++] = d->branch[end];
        TRY(root_read_together(d->tree, group, n_group, first, n, d->columns, e));
        for (size_t c = i; c < end; c++) {
            if (!d->branch[c])
                continue;
            d->column = &d->columns[k++];
            if (set_counts(d, out, cols[c].kind, !seen[cols[c].kind], first, e) != STATUS_OK ||
                convert(d, &cols[c], first, out, e) != STATUS_OK)
                return error_wrap(e, "tree %s: branch %s", d->tree->name, d->branch[c]->name);
            seen[cols[c].kind] = true;
        }
    }
    for (size_t i = 0; i < n_cols; i++)
        if (!d->branch[i])
            fill_absent(&cols[i], out);
    return STATUS_OK;
}

/* One number an event, into d->column. */
static enum status read_one_each(struct delphes *d, const struct root_branch *b, int64_t first, int64_t n,
                                 struct error *e)
{
    d->column = &d->columns[0];
    TRY(root_read(d->tree, b, first, n, d->column, e));
    for (size_t i = 0; i < (size_t)n; i++)
        if (d->column->offsets[i + 1] != i + 1)
            return error_set(e, STATUS_FORMAT, "tree %s: branch %s: entry %" PRId64 ": %" PRIu64 " values, 1 is due",
                             d->tree->name, b->name, first + (int64_t)i,
                             d->column->offsets[i + 1] - d->column->offsets[i]);
    return STATUS_OK;
}

static enum status read_identity(struct delphes *d, int64_t first, int64_t n, struct event_batch *out, struct error *e)
{
    for (size_t i = 0; i < (size_t)n; i++) {
        out->entry[i] = out->number[i] = first + (int64_t)i;
        out->weight[i] = 1;
        out->label[i] = -1;
    }
    if (d->number) {
        TRY(read_one_each(d, d->number, first, n, e));
        bool wide = d->column->type == ROOT_I64 || d->column->type == ROOT_U64;
        for (size_t i = 0; i < (size_t)n; i++)
            out->number[i] = wide ? ((const int64_t *)d->column->values)[i] : (int64_t)value_at(d->column, i);
    }
    if (d->weight) {
        TRY(read_one_each(d, d->weight, first, n, e));
        if (to_f32(d, first, (size_t)n, out->weight, e) != STATUS_OK)
            return error_wrap(e, "tree %s: branch %s", d->tree->name, d->weight->name);
    }
    return STATUS_OK;
}

static enum status read_batch(struct delphes *d, int64_t first, int64_t n, struct event_batch *out, struct error *e)
{
    if (first < 0 || n < 0 || first > d->tree->entries || n > d->tree->entries - first)
        return error_set(e, STATUS_RANGE, "tree %s: entries %" PRId64 " to %" PRId64 " of %" PRId64, d->tree->name,
                         first, first + (n > 0 ? n : 0), d->tree->entries);
    TRY(event_batch_reserve_events(out, (size_t)n, e));
    TRY(root_prefetch(d->tree, d->all, d->n_all, first, n, e));
    out->n_events = (size_t)n;
    TRY(read_columns(d, first, n, out, e));
    return read_identity(d, first, n, out, e);
}

enum status delphes_read(struct delphes *d, int64_t first, int64_t n, struct event_batch *out, struct error *e)
{
    event_batch_clear(out);
    if (read_batch(d, first, n, out, e) == STATUS_OK)
        return STATUS_OK;
    event_batch_clear(out);
    return root_wrap(d->file, e);
}

int64_t delphes_batch_end(const struct delphes *d, int64_t first, int64_t want)
{
    int64_t entries = d->tree->entries;
    want = want > 0 ? want : 1;
    if (entries - first <= want)
        return entries;
    int64_t end = root_tree_cluster_end(d->tree, first);
    if (end - first > 4 * want) /* no borders to keep to: baskets in use are kept anyway */
        return first + want;
    for (int64_t next = end; next < entries && next - first <= want; next = root_tree_cluster_end(d->tree, next))
        end = next;
    return end;
}

struct delphes_stats delphes_stats(const struct delphes *d)
{
    return (struct delphes_stats){d->tree->stored_bytes, d->tree->raw_bytes, d->tree->decompress_ns};
}
