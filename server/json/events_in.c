/* server/json/events_in.c
 *
 * The members of a posted event.  event_columns() names the leaves, so that a column exists once in the project;
 * members may come in any order, so what depends on several of them is checked at the end. */
#include "server/json/events_in.h"

#include <string.h>
#include <strings.h>

#include "server/json/events_in_scan.h"

const char *const posted_schema_names[] = {"delphes-event/1", "hlf/1", NULL};

enum member { MEMBER_SCHEMA, MEMBER_EVENT, MEMBER_TIME, MEMBER_RECIPE, MEMBER_COLLECTIONS, MEMBER_HLF, MEMBER_OPTIONS,
              MEMBERS };
static const char *const member_names[] = {"schema", "event", "time", "recipe", "collections", "hlf", "options", NULL};
static const char *const identity_names[] = {"run", "lumi", "event", NULL};
static const char *const option_names[] = {"menu", "model", "deadline_ms", "return", "log", NULL};
static const char *const part_names[] = {"scores", "paths", "timing", NULL};
/* Cards write muons under one of these; the first is the default branch of event_objects(). */
static const char *const muon_names[] = {"MuonTight", "Muon", "MuonLoose", NULL};

enum { COLUMNS_MAX = 64 };
_Static_assert(COLUMNS_MAX <= 64, "columns are a bit set");

struct intake {
    struct event_batch *batch;
    struct posted_event *out;
    bool schema_known;
    unsigned members, identity, options, hlf;          /* bit sets of what came */
    unsigned kinds;
    const char *kind_names[OBJECT_KINDS];              /* the name that a collection came under */
    enum object_kind kind;                             /* of the collection being scanned */
    uint64_t columns;                                  /* that are arrays */
    uint64_t columns_seen;
    size_t lengths[COLUMNS_MAX];
};

static bool text_is(struct scan_text t, const char *name)
{
    return t.len == strlen(name) && memcmp(t.s, name, t.len) == 0;
}

/* Index into a NULL-terminated list, -1 when absent. */
static int index_of(const char *const *names, struct scan_text t)
{
    for (int i = 0; names[i]; i++)
        if (text_is(t, names[i]))
            return i;
    return -1;
}

/* Marks bit i; a second time is a problem, and the first value stays. */
static bool first_time(struct scan *s, unsigned *set, unsigned i)
{
    bool first = !(*set >> i & 1);
    *set |= 1u << i;
    if (!first)
        scan_problem(s, "duplicate_member", "a member may come once only");
    return first;
}

/* ---- collections --------------------------------------------------------------------------------------- */

static enum status known_leaves(struct scan *s, enum object_kind kind)
{
    char names[128] = "";
    size_t n, len = 0;
    const struct event_column *columns = event_columns(&n);
    for (size_t i = 0; i < n; i++)
        if (columns[i].kind == kind && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "", columns[i].leaf);
    return scan_unknown(s, names);
}

static enum status leaf_values(struct scan *s, struct intake *in, const struct event_column *column, size_t index)
{
    bool is_array;
    size_t n;
    void *data = *event_column_data(&in->batch->objects[in->kind], column);
    switch (column->type) {
    case EVENT_F32:
        TRY(scan_f32_array(s, data, EVENTS_IN_OBJECTS_MAX, &n, &is_array));
        break;
    case EVENT_I32:
        TRY(scan_i32_array(s, data, EVENTS_IN_OBJECTS_MAX, &n, &is_array));
        break;
    case EVENT_U32:
    default:
        TRY(scan_u32_array(s, data, EVENTS_IN_OBJECTS_MAX, &n, &is_array));
    }
    in->lengths[index] = n;
    in->columns |= (uint64_t)is_array << index;
    if (n > EVENTS_IN_OBJECTS_MAX)
        scan_problem(s, "too_many", "%zu objects, at most %d are taken", n, EVENTS_IN_OBJECTS_MAX);
    return STATUS_OK;
}

static enum status leaf_member(struct scan *s, void *ctx, struct scan_text key)
{
    struct intake *in = ctx;
    size_t n;
    const struct event_column *columns = event_columns(&n);
    for (size_t i = 0; i < n; i++) {
        if (columns[i].kind != in->kind || !text_is(key, columns[i].leaf))
            continue;
        if (in->columns_seen >> i & 1) {
            scan_problem(s, "duplicate_member", "a member may come once only");
            return scan_skip(s);
        }
        in->columns_seen |= UINT64_C(1) << i;
        return leaf_values(s, in, &columns[i], i);
    }
    return known_leaves(s, in->kind);
}

/* Kind of a collection's name, or OBJECT_KINDS. */
static enum object_kind kind_of(struct scan_text key, const char **name)
{
    int muon = index_of(muon_names, key);
    if (muon >= 0) {
        *name = muon_names[muon];
        return OBJECT_MUON;
    }
    const struct event_object *objects = event_objects();
    for (unsigned k = 0; k < OBJECT_KINDS; k++)
        if (text_is(key, objects[k].branch)) {
            *name = objects[k].branch;
            return (enum object_kind)k;
        }
    return OBJECT_KINDS;
}

static void fill_defaults(struct object_columns *o, enum object_kind kind, const struct event_column *column, size_t n)
{
    uint32_t *data = *event_column_data(o, column);
    memset(data, 0, n * sizeof *data);
    if (kind == OBJECT_TRACK && (void *)data == (void *)o->charge)
        for (size_t i = 0; i < n; i++)
            o->charge[i] = (o->pid[i] > 0) - (o->pid[i] < 0);          /* as the recipes define a track's charge */
}

/* Missing leaves, lengths that disagree, default values; sets the event's range of objects. */
static void collection_finish(struct scan *s, struct intake *in, const char *name)
{
    size_t n, length = 0;
    const struct event_column *columns = event_columns(&n), *reference = NULL;
    for (size_t i = 0; i < n; i++) {
        if (columns[i].kind != in->kind)
            continue;
        size_t mark = scan_enter(s, columns[i].leaf, strlen(columns[i].leaf));
        bool is_array = in->columns >> i & 1;
        if (!(in->columns_seen >> i & 1) && !columns[i].optional)
            scan_problem(s, "required", "missing: a collection without objects has empty arrays");
        if (is_array && !reference) {
            reference = &columns[i];
            length = in->lengths[i];
        } else if (is_array && in->lengths[i] != length) {
            scan_problem(s, "length_mismatch", "expected %zu, as %s.%s has; found %zu", length, name, reference->leaf,
                         in->lengths[i]);
        }
        scan_leave(s, mark);
    }
    if (length > EVENTS_IN_OBJECTS_MAX)
        length = 0;                                   /* a problem by now */
    struct object_columns *o = &in->batch->objects[in->kind];
    for (size_t i = 0; i < n; i++)
        if (columns[i].kind == in->kind && columns[i].optional && !(in->columns_seen >> i & 1) &&
            s->problems->n == 0)
            fill_defaults(o, in->kind, &columns[i], length);
    o->first[0] = 0;
    o->first[1] = (uint32_t)length;
}

static enum status collection_member(struct scan *s, void *ctx, struct scan_text key)
{
    struct intake *in = ctx;
    const char *name;
    bool is_object;
    enum object_kind kind = kind_of(key, &name);
    if (kind == OBJECT_KINDS)
        return scan_unknown(s, "EFlowTrack, EFlowPhoton, EFlowNeutralHadron, Electron, MuonTight (or Muon, MuonLoose), "
                               "Jet, MissingET");
    if (in->kinds >> kind & 1) {
        if (strcmp(in->kind_names[kind], name) == 0)
            scan_problem(s, "duplicate_member", "a member may come once only");
        else
            scan_problem(s, "conflict", "muons came as %s already", in->kind_names[kind]);
        return scan_skip(s);
    }
    in->kinds |= 1u << kind;
    in->kind_names[kind] = name;
    in->kind = kind;
    in->columns = in->columns_seen = 0;
    TRY(event_batch_reserve_objects(in->batch, kind, EVENTS_IN_OBJECTS_MAX, s->e));
    TRY(scan_object(s, leaf_member, in, &is_object));
    if (is_object)
        collection_finish(s, in, name);
    return STATUS_OK;
}

static void collections_finish(struct scan *s, struct intake *in)
{
    const struct event_object *objects = event_objects();
    for (unsigned k = 0; k < OBJECT_KINDS; k++) {
        if (in->kinds >> k & 1)
            continue;
        size_t mark = scan_enter(s, objects[k].branch, strlen(objects[k].branch));
        if (k == OBJECT_MUON)
            scan_problem(s, "required",
                         "missing: one of MuonTight, Muon, MuonLoose, with empty arrays when there is none");
        else
            scan_problem(s, "required", "missing: a collection without objects has empty arrays");
        scan_leave(s, mark);
    }
}

/* ---- high-level features ------------------------------------------------------------------------------- */

/* The names of hlf_info, whatever their case, and the published notebooks' name of MET_phi: their HLF lists are
 * HT, MET, phiMET, MT, nJets, nBjets, LepPt, ... */
static bool is_feature(struct scan_text key, unsigned i)
{
    const char *name = hlf_info[i].name;
    return (key.len == strlen(name) && strncasecmp(key.s, name, key.len) == 0) ||
           (i == HLF_MET_PHI && text_is(key, "phiMET"));
}

static enum status feature_member(struct scan *s, void *ctx, struct scan_text key)
{
    struct intake *in = ctx;
    bool ok;
    for (unsigned i = 0; i < HLF_COUNT; i++)
        if (is_feature(key, i))
            return first_time(s, &in->hlf, i) ? scan_f32(s, &in->out->hlf[i], &ok) : scan_skip(s);
    char names[192] = "";
    for (size_t i = 0, len = 0; i < HLF_COUNT && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", hlf_info[i].name);
    return scan_unknown(s, names);
}

static enum status features_member(struct scan *s, struct intake *in)
{
    bool is_known;
    size_t n;
    if (scan_peek(s) == '[') {
        TRY(scan_f32_array(s, in->out->hlf, HLF_COUNT, &n, &is_known));
        if (n != HLF_COUNT)
            scan_problem(s, "length_mismatch", "expected %d numbers in recipe order, found %zu", HLF_COUNT, n);
        return STATUS_OK;
    }
    if (scan_peek(s) != '{')
        return scan_wrong_type(s, "an object of 14 names or an array of 14 numbers");
    TRY(scan_object(s, feature_member, in, &is_known));
    for (unsigned i = 0; i < HLF_COUNT; i++)
        if (!(in->hlf >> i & 1)) {
            size_t mark = scan_enter(s, hlf_info[i].name, strlen(hlf_info[i].name));
            scan_problem(s, "required", "missing");
            scan_leave(s, mark);
        }
    return STATUS_OK;
}

/* ---- identity, time, options --------------------------------------------------------------------------- */

static enum status identity_member(struct scan *s, void *ctx, struct scan_text key)
{
    struct intake *in = ctx;
    int i = index_of(identity_names, key);
    bool ok;
    if (i < 0)
        return scan_unknown(s, "run, lumi, event");
    if (!first_time(s, &in->identity, (unsigned)i))
        return scan_skip(s);
    int64_t *const targets[] = {&in->out->run, &in->out->lumi, &in->out->event};
    return scan_integer(s, i == 2 ? -INT64_MAX : 0, INT64_MAX, targets[i], &ok);
}

static enum status identity_value(struct scan *s, struct intake *in)
{
    bool is_object;
    TRY(scan_object(s, identity_member, in, &is_object));
    for (unsigned i = 0; is_object && i < 3; i++)
        if (!(in->identity >> i & 1)) {
            size_t mark = scan_enter(s, identity_names[i], strlen(identity_names[i]));
            scan_problem(s, "required", "missing");
            scan_leave(s, mark);
        }
    in->out->has_identity = true;
    return STATUS_OK;
}

/* The shape of RFC 3339 ("2026-11-23T10:05:33.120000Z"): the time itself decides nothing. */
static bool is_time(const char *t)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; i < sizeof shape - 1; i++, t++)
        if (shape[i] == 'd' ? *t < '0' || *t > '9' : (*t & ~(shape[i] == 'T' ? 0x20 : 0)) != shape[i])
            return false;
    if (*t == '.' && t[1] >= '0' && t[1] <= '9')
        for (t++; *t >= '0' && *t <= '9';)
            t++;
    if (*t == 'Z' || *t == 'z')
        return t[1] == '\0';
    int hours, minutes, used = 0;
    return (*t == '+' || *t == '-') && sscanf(t + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 && used == 5 &&
           t[6] == '\0';
}

static enum status time_value(struct scan *s)
{
    const char *text;
    TRY(scan_name(s, &text));
    if (text && !is_time(text))
        scan_problem(s, "invalid_time", "expected RFC 3339, such as 2026-11-23T10:05:33.120000Z");
    return STATUS_OK;
}

/* options.return: which parts of the decision are wanted. */
static enum status parts_value(struct scan *s, struct intake *in)
{
    if (scan_peek(s) != '[')
        return scan_wrong_type(s, "an array of strings");
    s->p++;
    in->out->parts = 0;
    if (scan_take(s, ']'))
        return STATUS_OK;
    size_t i = 0;
    do {
        size_t mark = scan_enter_index(s, i++);
        const char *name;
        TRY(scan_name(s, &name));
        int part = name ? index_of(part_names, (struct scan_text){name, strlen(name)}) : -1;
        if (part >= 0)
            in->out->parts |= 1u << part;
        else if (name)
            scan_problem(s, "choice", "expected scores, paths or timing");
        scan_leave(s, mark);
    } while (scan_take(s, ','));
    return scan_take(s, ']') ? STATUS_OK : scan_fail(s, "',' or ']'");
}

static enum status log_value(struct scan *s)
{
    const char *name;
    TRY(scan_name(s, &name));
    if (name && strcmp(name, "auto") != 0 && strcmp(name, "never") != 0)
        scan_problem(s, strcmp(name, "always") == 0 ? "not_supported" : "choice",
                     "expected \"auto\" or \"never\": this version keeps no decision log");
    return STATUS_OK;
}

static enum status option_member(struct scan *s, void *ctx, struct scan_text key)
{
    struct intake *in = ctx;
    int i = index_of(option_names, key);
    bool ok;
    if (i < 0)
        return scan_unknown(s, "menu, model, deadline_ms, return, log");
    if (!first_time(s, &in->options, (unsigned)i))
        return scan_skip(s);
    switch (i) {
    case 0: return scan_name(s, &in->out->menu);
    case 1: return scan_name(s, &in->out->model);
    case 2: return scan_integer(s, 0, EVENTS_IN_DEADLINE_MS_MAX, &in->out->deadline_ms, &ok);
    case 3: return parts_value(s, in);
    default: return log_value(s);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static enum status schema_value(struct scan *s, struct intake *in)
{
    const char *name;
    TRY(scan_name(s, &name));
    int i = name ? index_of(posted_schema_names, (struct scan_text){name, strlen(name)}) : -1;
    in->schema_known = i >= 0;
    if (i >= 0) {
        in->out->schema = (enum posted_schema)i;
    } else if (name) {
        char shown[41];
        text_copy(shown, sizeof shown, name);         /* never half a character */
        scan_problem(s, "choice", "\"%s\" is not known; known are delphes-event/1 and hlf/1", shown);
    }
    return STATUS_OK;
}

static enum status top_member(struct scan *s, void *ctx, struct scan_text key)
{
    struct intake *in = ctx;
    int i = index_of(member_names, key);
    bool is_object;
    if (i < 0)
        return scan_unknown(s, "schema, event, time, recipe, collections, hlf, options");
    if (!first_time(s, &in->members, (unsigned)i))
        return scan_skip(s);
    switch ((enum member)i) {
    case MEMBER_SCHEMA: return schema_value(s, in);
    case MEMBER_EVENT: return identity_value(s, in);
    case MEMBER_TIME: return time_value(s);
    case MEMBER_RECIPE: return scan_name(s, &in->out->recipe);
    case MEMBER_HLF: return features_member(s, in);
    case MEMBER_OPTIONS: return scan_object(s, option_member, in, &is_object);
    case MEMBER_COLLECTIONS:
    case MEMBERS:
    default:
        TRY(scan_object(s, collection_member, in, &is_object));
        if (is_object)
            collections_finish(s, in);
        return STATUS_OK;
    }
}

static void require_member(struct scan *s, const char *name, const char *why)
{
    size_t mark = scan_enter(s, name, strlen(name));
    scan_problem(s, "required", "%s", why);
    scan_leave(s, mark);
}

static void check_whole(struct scan *s, const struct intake *in)
{
    bool collections = in->members >> MEMBER_COLLECTIONS & 1, hlf = in->members >> MEMBER_HLF & 1;
    if (!(in->members >> MEMBER_SCHEMA & 1))
        require_member(s, "schema", "missing: \"delphes-event/1\" or \"hlf/1\"");
    if (collections && hlf)
        scan_problem(s, "conflict", "an event has either collections or hlf");
    else if (in->schema_known && in->out->schema == POSTED_DELPHES && !collections)
        require_member(s, "collections", "missing: delphes-event/1 needs it");
    else if (in->schema_known && in->out->schema == POSTED_HLF && !hlf)
        require_member(s, "hlf", "missing: hlf/1 needs it");
    if (in->out->menu && in->out->model)
        json_problem_add(s->problems, "/options", "conflict", "a menu or a model, not both");
}

static enum status begin_batch(struct event_batch *batch, struct error *e)
{
    event_batch_clear(batch);
    TRY(event_batch_reserve_events(batch, 1, e));
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        batch->objects[k].first[0] = batch->objects[k].first[1] = 0;
    return STATUS_OK;
}

enum status events_in_scan(struct arena *a, const uint8_t *text, size_t len, struct event_batch *batch,
                           struct posted_event *out, struct json_problems *problems, struct error *e)
{
    struct scan s;
    struct intake in = {.batch = batch, .out = out};
    bool is_object;
    size_t n_columns;
    (void)event_columns(&n_columns);
    check(n_columns <= COLUMNS_MAX);
    *out = (struct posted_event){.deadline_ms = -1, .parts = POSTED_ALL};
    problems->n = 0;
    if (len > EVENTS_IN_BYTES_MAX) {
        json_problem_add(problems, "", "too_large", "%zu bytes, at most %d are taken", len, EVENTS_IN_BYTES_MAX);
        return error_set(e, STATUS_ARGUMENT, "an event of %zu bytes, at most %d are taken", len, EVENTS_IN_BYTES_MAX);
    }
    TRY(begin_batch(batch, e));
    scan_init(&s, text, len, EVENTS_IN_DEPTH_MAX, a, problems, e);
    TRY(scan_object(&s, top_member, &in, &is_object));
    TRY(scan_end(&s));
    if (is_object)
        check_whole(&s, &in);
    if (problems->n > 0)
        return error_set(e, STATUS_ARGUMENT, "event: %s: %s", problems->items[0].pointer, problems->items[0].detail);
    if (out->schema == POSTED_DELPHES) {
        batch->n_events = 1;
        batch->number[0] = out->event;
        batch->weight[0] = 1;
        batch->label[0] = -1;
        batch->entry[0] = 0;
    }
    return STATUS_OK;
}
