/* server/trigger/binary.c
 *
 * Events and decisions as columns of bytes, for clients that have them so already: api/binary.md is the contract.
 * Nothing is parsed but lengths; an event's columns are copied to where the scanner of JSON would have put them. */
#include "server/trigger/batch.h"

#include <math.h>
#include <string.h>

static const char events_magic[8] = "DLTEVENT", answer_magic[8] = "DLTDECIS";
enum { HEADER_BYTES = 24, NO_DEADLINE = -1 };

static uint32_t u32_at(const uint8_t *p, size_t i)
{
    uint32_t v;
    memcpy(&v, p + 4 * i, sizeof v);
    return v;
}

static int64_t i64_at(const uint8_t *p, size_t i)
{
    int64_t v;
    memcpy(&v, p + 8 * i, sizeof v);
    return v;
}

/* ---- events ---------------------------------------------------------------------------------------------- */

struct body {
    const uint8_t *start;
    size_t at, len;
};

static enum status take(struct body *b, size_t n, size_t size, const char *what, const uint8_t **out, struct error *e)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > b->len - b->at)
        return error_set(e, STATUS_FORMAT, "binary events: %s needs %zu x %zu bytes at byte %zu, %zu remain", what, n,
                         size, b->at, b->len - b->at);
    *out = b->start + b->at;
    b->at += bytes;
    return STATUS_OK;
}

static enum status header(struct body *b, struct binary_events *out, struct error *e)
{
    const uint8_t *p = NULL;
    TRY(take(b, 1, HEADER_BYTES, "the header", &p, e));
    uint32_t version = u32_at(p + 8, 0), schema = u32_at(p + 8, 1), n = u32_at(p + 8, 2);
    int32_t deadline_ms = (int32_t)u32_at(p + 8, 3);
    if (memcmp(p, events_magic, sizeof events_magic) != 0)
        return error_set(e, STATUS_FORMAT, "binary events: the body does not begin with DLTEVENT");
    if (version != BINARY_VERSION)
        return error_set(e, STATUS_FORMAT, "binary events: version %u, this build reads %d", version, BINARY_VERSION);
    if (schema > POSTED_HLF)
        return error_set(e, STATUS_FORMAT, "binary events: schema %u; 0 is delphes-event/1, 1 is hlf/1", schema);
    if (n == 0 || n > BATCH_EVENTS_MAX)
        return error_set(e, STATUS_FORMAT, "binary events: %u events, must be 1 to %d", n, BATCH_EVENTS_MAX);
    if (deadline_ms < NO_DEADLINE || deadline_ms > EVENTS_IN_DEADLINE_MS_MAX)
        return error_set(e, STATUS_FORMAT, "binary events: deadline %d ms; -1 is none, at most %d", deadline_ms,
                         EVENTS_IN_DEADLINE_MS_MAX);
    *out = (struct binary_events){.schema = schema ? POSTED_HLF : POSTED_DELPHES, .n = n, .deadline_ms = deadline_ms};
    return STATUS_OK;
}

static enum status object_kind(struct body *b, enum object_kind kind, struct binary_events *out, struct error *e)
{
    const char *branch = event_objects()[kind].branch;
    size_t n_columns, total = 0;
    const struct event_column *columns = event_columns(&n_columns);
    TRY(take(b, out->n, sizeof(uint32_t), branch, &out->count[kind], e));
    for (size_t i = 0; i < out->n; i++)
        total += u32_at(out->count[kind], i);                      /* at most 10,000 x 2^32: no overflow */
    for (size_t i = 0; i < n_columns; i++)
        if (columns[i].kind == kind)
            TRY(take(b, total, sizeof(uint32_t), branch, &out->column[i], e));
    return STATUS_OK;
}

enum status binary_events_parse(const uint8_t *body, size_t len, struct binary_events *out, struct error *e)
{
    struct body b = {body, 0, len};
    size_t n_columns;
    (void)event_columns(&n_columns);
    check(n_columns <= BINARY_COLUMNS_MAX);
    TRY(header(&b, out, e));
    TRY(take(&b, out->n, sizeof(int64_t), "run", &out->run, e));
    TRY(take(&b, out->n, sizeof(int64_t), "lumi", &out->lumi, e));
    TRY(take(&b, out->n, sizeof(int64_t), "event", &out->event, e));
    if (out->schema == POSTED_HLF)
        TRY(take(&b, out->n * HLF_COUNT, sizeof(float), "hlf", &out->hlf, e));
    for (unsigned kind = 0; kind < OBJECT_KINDS && out->schema == POSTED_DELPHES; kind++)
        TRY(object_kind(&b, (enum object_kind)kind, out, e));
    if (b.at != len)
        return error_set(e, STATUS_FORMAT, "binary events: %zu bytes behind the last column (byte %zu)", len - b.at,
                         b.at);
    return STATUS_OK;
}

/* ---- one event ------------------------------------------------------------------------------------------- */

static enum status wrong(struct json_problems *problems, const char *pointer, const char *code, const char *detail,
                         struct error *e)
{
    json_problem_add(problems, pointer, code, "%s", detail);
    return error_set(e, STATUS_ARGUMENT, "event: %s: %s", pointer, detail);
}

static bool all_finite(const void *values, size_t n)
{
    const float *v = values;
    float sum = 0;                                                 /* NaN as soon as one of them is not finite */
    for (size_t i = 0; i < n; i++)
        sum += v[i] * 0;
    return sum == 0;
}

static enum status load_objects(const struct binary_events *b, struct binary_cursor *at, size_t i_event,
                                enum object_kind kind, struct event_batch *batch, struct json_problems *problems,
                                struct error *e)
{
    struct object_columns *o = &batch->objects[kind];
    size_t n = u32_at(b->count[kind], i_event), first = at->object[kind], n_columns;
    const struct event_column *columns = event_columns(&n_columns);
    const char *branch = event_objects()[kind].branch;
    char pointer[96];
    at->object[kind] += n;
    snprintf(pointer, sizeof pointer, "/collections/%s", branch);
    if (n > EVENTS_IN_OBJECTS_MAX)
        return wrong(problems, pointer, "too_many", "more than 5000 objects", e);
    TRY(event_batch_reserve_objects(batch, kind, n, e));
    for (size_t i = 0; i < n_columns; i++) {
        if (columns[i].kind != kind || n == 0)
            continue;
        void *to = *event_column_data(o, &columns[i]);
        memcpy(to, b->column[i] + 4 * first, 4 * n);
        snprintf(pointer, sizeof pointer, "/collections/%s/%s", branch, columns[i].leaf);
        if (columns[i].type == EVENT_F32 && !all_finite(to, n))
            return wrong(problems, pointer, "not_finite", "null, NaN and infinities are not allowed", e);
    }
    o->first[0] = 0;
    o->first[1] = (uint32_t)n;
    return STATUS_OK;
}

static enum status load_collections(const struct binary_events *b, struct binary_cursor *at, size_t i_event,
                                    struct event_batch *batch, const struct posted_event *event,
                                    struct json_problems *problems, struct error *e)
{
    enum status s = event_batch_reserve_events(batch, 1, e);
    /* Also behind a fault the cursor passes all of the event's objects. */
    for (unsigned kind = 0; kind < OBJECT_KINDS; kind++) {
        if (s == STATUS_OK)
            s = load_objects(b, at, i_event, (enum object_kind)kind, batch, problems, e);
        else
            at->object[kind] += u32_at(b->count[kind], i_event);
    }
    TRY(s);
    batch->n_events = 1;
    batch->number[0] = event->event;
    batch->weight[0] = 1;
    batch->label[0] = -1;
    batch->entry[0] = 0;
    return STATUS_OK;
}

enum status binary_event_load(const struct binary_events *b, struct binary_cursor *at, struct event_batch *batch,
                              struct posted_event *out, struct json_problems *problems, struct error *e)
{
    size_t i = at->i_event++;
    *out = (struct posted_event){.schema = b->schema, .has_identity = true, .deadline_ms = b->deadline_ms,
                                 .run = i64_at(b->run, i), .lumi = i64_at(b->lumi, i), .event = i64_at(b->event, i)};
    event_batch_clear(batch);
    if (b->schema == POSTED_DELPHES)
        TRY(load_collections(b, at, i, batch, out, problems, e));
    for (size_t k = 0; k < HLF_COUNT && b->schema == POSTED_HLF; k++)
        memcpy(&out->hlf[k], b->hlf + 4 * (k * b->n + i), sizeof(float));
    if (b->schema == POSTED_HLF && !all_finite(out->hlf, HLF_COUNT))
        return wrong(problems, "/hlf", "not_finite", "null, NaN and infinities are not allowed", e);
    if (out->run < 0 || out->lumi < 0)
        return wrong(problems, "/event", "out_of_range", "run and lumi are not negative", e);
    return STATUS_OK;
}

/* ---- the answer ------------------------------------------------------------------------------------------ */

enum status binary_answer_init(struct binary_answer *a, struct arena *arena, const struct menu *menu, size_t n,
                               struct error *e)
{
    *a = (struct binary_answer){.n = n,
                                .accept = ARENA_NEW(arena, uint8_t, n),
                                .reason = ARENA_NEW(arena, uint8_t, n),
                                .accepted = ARENA_NEW(arena, uint64_t, n),
                                .raw = ARENA_NEW(arena, uint64_t, n),
                                .score = ARENA_NEW(arena, float, n * menu->n_paths)};
    if (!a->accept || !a->reason || !a->accepted || !a->raw || !a->score)
        return error_set(e, STATUS_NOMEM, "no memory for %zu decisions", n);
    for (size_t i = 0; i < n * menu->n_paths; i++)
        a->score[i] = NAN;
    return STATUS_OK;
}

_Static_assert(MENU_PATHS_MAX <= 64, "a bit for each path");

void binary_answer_put(struct binary_answer *a, size_t i, const struct decision *d)
{
    uint64_t accepted = 0, raw = 0;
    for (size_t k = 0; d->pass && k < d->menu->n_paths; k++) {
        const struct path_outcome *o = &d->paths[k];
        accepted |= (uint64_t)o->accept << k;
        raw |= (uint64_t)o->raw << k;
        if (o->has_score)
            a->score[k * a->n + i] = o->score;
    }
    a->accept[i] = d->accept;
    a->reason[i] = (uint8_t)d->reason;
    a->accepted[i] = accepted;
    a->raw[i] = raw;
}

void binary_answer_refuse(struct binary_answer *a, size_t i)
{
    a->reason[i] = BINARY_REFUSED;
}

/* Names of what the numbers mean, so that nobody has to guess. */
static struct json *legend(const struct menu *menu)
{
    struct json *v = json_new_object(), *paths = json_new_array(), *reasons = json_new_array();
    for (size_t i = 0; i < menu->n_paths; i++)
        (void)json_push(paths, json_new_string(menu->paths[i].name));
    for (unsigned i = 0; i < TRIGGER_REASONS; i++)
        (void)json_push(reasons, json_new_string(trigger_reason_name((enum trigger_reason)i)));
    (void)json_set(v, "menu", json_new_string(menu->name));
    (void)json_set(v, "revision", json_new_i64(menu->revision));
    (void)json_set(v, "prescale_column", json_new_string(menu->column));
    (void)json_set(v, "paths", paths);
    (void)json_set(v, "reasons", reasons);
    return v;
}

static enum status write_legend(const struct menu *menu, struct buf *out, struct error *e)
{
    struct json *v = legend(menu);
    size_t length_at = out->len;
    enum status s = buf_append(out, "\0\0\0\0", 4, e);
    if (s == STATUS_OK)
        s = json_write(v, out, e);
    json_free(v);
    TRY(s);
    while ((out->len - length_at - 4) % 8 != 0)                    /* so the columns behind it are aligned */
        TRY(buf_append(out, " ", 1, e));
    uint32_t length = (uint32_t)(out->len - length_at - 4);
    memcpy(out->data + length_at, &length, sizeof length);
    return STATUS_OK;
}

enum status binary_answer_write(const struct binary_answer *a, const struct menu *menu, struct buf *out,
                                struct error *e)
{
    const uint32_t numbers[] = {BINARY_VERSION, (uint32_t)a->n, (uint32_t)menu->n_paths};
    TRY(buf_append(out, answer_magic, sizeof answer_magic, e));
    TRY(buf_append(out, numbers, sizeof numbers, e));
    TRY(write_legend(menu, out, e));
    TRY(buf_append(out, a->accepted, a->n * sizeof *a->accepted, e));
    TRY(buf_append(out, a->raw, a->n * sizeof *a->raw, e));
    TRY(buf_append(out, a->score, a->n * menu->n_paths * sizeof *a->score, e));
    TRY(buf_append(out, a->accept, a->n, e));
    return buf_append(out, a->reason, a->n, e);
}
