/* server/trigger/batch.c
 *
 * Many events of one request, as lines or as columns: decided in order, 64 at a time, so that each model scores those
 * with one call.  One menu decides them all.  What is no event gets its problem in its place, and the rest go on. */
#include "server/trigger/batch.h"

#include <string.h>

#define CHUNK_ARENA_MAX ((size_t)32 << 20)
#define RESPONSE_ARENA_MAX ((size_t)8 << 20)
#define REFUSED_BYTES_MAX ((size_t)4 << 20)

/* Features of the chunk's events that one recipe keeps, one behind the other. */
struct gathered {
    size_t n, n_rows, cap_rows;
    float hlf[CHUNK_EVENTS][HLF_COUNT];
    uint32_t row_first[CHUNK_EVENTS + 1];
    struct particle_columns rows;
    void *row_block;
};

struct slot {
    struct posted_event event;
    struct decision d;
    int64_t i_line;                               /* of the body, 1-based; of binary events, the event */
    bool is_text;                                 /* decided or refused already: text[at, at + len) */
    size_t at, len;
    uint8_t place[RECIPES_MAX];                   /* among the gathered of each recipe that keeps it */
};

struct chunk {
    struct arena arena;                           /* names, scores and outcomes of the chunk's events */
    size_t n;
    struct slot slots[CHUNK_EVENTS];
    struct buf text;
    struct gathered of[RECIPES_MAX];
    float scores[CHUNK_EVENTS * METRICS_CLASSES_MAX];
};

struct batch {
    struct work work;
    struct chunk *chunk;
    const struct menu *menu;                      /* the running one; NULL when there is none */
    const struct batch_host *host;
    struct batch_brief *brief;
    struct decision_brief one;
    struct json_problems problems;
    struct buf *out;
    int64_t i_line;                               /* of the body, 1-based; of binary events, the event */
    const struct binary_events *events;           /* these three for binary events, else NULL */
    struct binary_cursor *cursor;
    struct binary_answer *answer;
};

/* ---- workspace ----------------------------------------------------------------------------------------- */

void chunk_destroy(struct chunk *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < RECIPES_MAX; i++)
        mem_free(c->of[i].row_block);
    buf_fini(&c->text);
    arena_fini(&c->arena);
    mem_free(c);
}

static enum status chunk_for(struct scratch *s, struct chunk **out, struct error *e)
{
    if (!s->chunk) {
        s->chunk = mem_calloc(1, sizeof *s->chunk);
        if (!s->chunk)
            return error_set(e, STATUS_NOMEM, "no memory for a batch of events");
        arena_init(&s->chunk->arena, CHUNK_ARENA_MAX);
        buf_init(&s->chunk->text, REFUSED_BYTES_MAX);
    }
    *out = s->chunk;
    return STATUS_OK;
}

static void chunk_clear(struct chunk *c)
{
    arena_reset(&c->arena);
    c->n = c->text.len = 0;
    for (size_t i = 0; i < RECIPES_MAX; i++)
        c->of[i].n = c->of[i].n_rows = 0;
}

/* ---- gathering ------------------------------------------------------------------------------------------ */

enum { FLOAT_COLUMNS = 9, BYTE_COLUMNS = 2 };

static float **float_column(struct particle_columns *c, size_t i)
{
    float **const columns[FLOAT_COLUMNS] = {&c->pt, &c->eta,    &c->phi,       &c->x,      &c->y,
                                            &c->z,  &c->iso_ch, &c->iso_gamma, &c->iso_neu};
    return columns[i];
}

static int8_t **byte_column(struct particle_columns *c, size_t i)
{
    return i == 0 ? &c->kind : &c->charge;
}

/* Room for all rows that a chunk can have, at once: it is asked for only where a model reads particles. */
static enum status rows_room(struct gathered *g, struct error *e)
{
    size_t cap = (size_t)CHUNK_EVENTS * PARTICLE_ROWS_MAX;
    if (g->row_block)
        return STATUS_OK;
    uint8_t *block = g->row_block = mem_alloc(cap * (FLOAT_COLUMNS * sizeof(float) + BYTE_COLUMNS));
    if (!block)
        return error_set(e, STATUS_NOMEM, "no memory for the particles of a batch");
    for (size_t i = 0; i < FLOAT_COLUMNS; i++, block += cap * sizeof(float))
        *float_column(&g->rows, i) = (float *)(void *)block;
    for (size_t i = 0; i < BYTE_COLUMNS; i++, block += cap)
        *byte_column(&g->rows, i) = (int8_t *)block;
    return STATUS_OK;
}

static enum status gather_rows(struct gathered *g, struct feature_batch *f, struct error *e)
{
    size_t n = f->row_first[1];
    TRY(rows_room(g, e));
    check(n <= PARTICLE_ROWS_MAX);
    for (size_t i = 0; i < FLOAT_COLUMNS; i++)
        memcpy(*float_column(&g->rows, i) + g->n_rows, *float_column(&f->rows, i), n * sizeof(float));
    for (size_t i = 0; i < BYTE_COLUMNS; i++)
        memcpy(*byte_column(&g->rows, i) + g->n_rows, *byte_column(&f->rows, i), n);
    g->row_first[g->n] = (uint32_t)g->n_rows;
    g->n_rows += n;
    g->row_first[g->n + 1] = (uint32_t)g->n_rows;
    return STATUS_OK;
}

static enum status gather(struct batch *b, struct slot *slot, struct error *e)
{
    struct scratch *s = b->work.s;
    for (size_t i = 0; i < b->menu->n_recipes; i++) {
        struct gathered *g = &b->chunk->of[i];
        if (slot->d.reject[i] != REJECT_NONE)
            continue;
        bool posted = slot->event.schema == POSTED_HLF;
        memcpy(g->hlf[g->n], posted ? slot->event.hlf : s->features[i].hlf, sizeof g->hlf[0]);
        if (!posted && b->menu->wants_rows[i])
            TRY(gather_rows(g, &s->features[i], e));
        slot->d.hlf[i] = g->hlf[g->n];
        slot->place[i] = (uint8_t)g->n++;
    }
    return STATUS_OK;
}

/* ---- one line ------------------------------------------------------------------------------------------- */

/* What is the service's own trouble ends the batch; everything else is the line's. */
static bool is_ours(enum status s)
{
    return s == STATUS_NOMEM || s == STATUS_IO || s == STATUS_BUG;
}

static enum status refuse(struct batch *b, struct slot *slot, const struct error *why, struct error *e)
{
    slot->is_text = true;
    slot->at = b->chunk->text.len;
    slot->len = 0;
    if (b->answer)
        binary_answer_refuse(b->answer, (size_t)slot->i_line - 1);
    TRY(b->host->refused(b->host->ctx, slot->i_line, &b->one, &b->problems, why, &b->chunk->text, e));
    slot->len = b->chunk->text.len - slot->at;
    b->brief->n_refused++;
    atomic_fetch_add_explicit(&b->work.t->errors, 1, memory_order_relaxed);
    return STATUS_OK;
}

static void decided(struct batch *b)
{
    b->brief->n_accepted += b->one.accept;
    if (b->host->decided)
        b->host->decided(b->host->ctx, &b->one);
}

/* A line that names its model is decided alone. */
static enum status decide_alone(struct batch *b, struct slot *slot, int64_t start_ns, int64_t parsed_ns,
                                struct error *e)
{
    struct work *w = &b->work;
    slot->at = b->chunk->text.len;
    enum status s = work_menu(w, &slot->event, &slot->d.menu, e);
    if (s == STATUS_OK)
        s = work_decide(w, &slot->d, start_ns, parsed_ns, &b->chunk->text, e);
    menu_destroy(w->own);
    w->own = NULL;
    TRY(s);
    slot->is_text = true;
    slot->len = b->chunk->text.len - slot->at;
    decided(b);
    return STATUS_OK;
}

static enum status read_event(struct batch *b, struct slot *slot, struct span line, struct error *e)
{
    struct work *w = &b->work;
    if (b->events)
        return binary_event_load(b->events, b->cursor, &w->s->batch, &slot->event, w->problems, e);
    return events_in_scan(w->a, line.data, line.len, &w->s->batch, &slot->event, w->problems, e);
}

static enum status take_event(struct batch *b, struct slot *slot, struct span line, struct error *e)
{
    struct work *w = &b->work;
    struct decision *d = &slot->d;
    int64_t start_ns = time_mono_ns();
    TRY(read_event(b, slot, line, e));
    int64_t parsed_ns = time_mono_ns();
    if (slot->event.model)
        return decide_alone(b, slot, start_ns, parsed_ns, e);
    TRY(work_menu_option(w, &slot->event, e));
    d->menu = b->menu;
    if (!d->menu)
        return work_no_menu(w, e);
    TRY(decide_features(d, w->s, w->problems, e));
    int64_t featured_ns = time_mono_ns();
    TRY(work_deadline(w, &slot->event, e));
    TRY(decide_room(d, w->a, e));
    TRY(gather(b, slot, e));
    d->parse_ns = parsed_ns - start_ns;
    d->features_ns = featured_ns - parsed_ns;
    return STATUS_OK;
}

static enum status take_line(struct batch *b, struct span line, struct error *e)
{
    struct slot *slot = &b->chunk->slots[b->chunk->n++];
    struct error why;
    slot->is_text = false;
    slot->i_line = b->i_line;
    slot->d = (struct decision){.event = &slot->event};
    b->problems.n = 0;
    b->one = (struct decision_brief){0};
    b->brief->n_events++;
    enum status s = take_event(b, slot, line, &why);
    if (s == STATUS_OK)
        return s;
    if (!is_ours(s))
        return refuse(b, slot, &why, e);
    *e = why;
    return s;
}

/* ---- a chunk -------------------------------------------------------------------------------------------- */

/* Scores of one model for all events that its recipe keeps; an event whose scores are not finite is refused. */
static enum status score_model(struct batch *b, size_t i_model, struct error *e)
{
    const struct menu_model *model = &b->menu->models[i_model];
    struct chunk *c = b->chunk;
    const struct gathered *g = &c->of[model->i_recipe];
    const struct model_rows rows = {&g->hlf[0][0], &g->rows, g->row_first};
    if (g->n > 0)
        model_predict(model->model, &rows, g->n, c->scores);
    for (size_t i = 0; i < c->n; i++) {
        struct slot *slot = &c->slots[i];
        struct error why;
        if (slot->is_text || slot->d.reject[model->i_recipe] != REJECT_NONE)
            continue;
        memcpy(slot->d.scores + model->first_score, c->scores + slot->place[model->i_recipe] * model->n_classes,
               model->n_classes * sizeof *c->scores);
        b->problems.n = 0;
        b->one = (struct decision_brief){0};
        if (decide_check_scores(&slot->d, i_model, &b->problems, &why) != STATUS_OK)
            TRY(refuse(b, slot, &why, e));
    }
    return STATUS_OK;
}

static enum status write_slot(struct batch *b, struct slot *slot, size_t n_scored, int64_t compute_ns, struct error *e)
{
    struct decision *d = &slot->d;
    if (slot->is_text && b->answer)
        return STATUS_OK;
    if (slot->is_text) {
        TRY(buf_append(b->out, b->chunk->text.data + slot->at, slot->len, e));
        return buf_append(b->out, "\n", 1, e);
    }
    decide_verdict(d, time_mono_ns());
    d->batch_size = n_scored;
    d->compute_ns = compute_ns;
    d->total_ns = time_mono_ns() - b->work.arrived_ns;
    if (b->answer) {
        work_count(&b->work, d);
        binary_answer_put(b->answer, (size_t)slot->i_line - 1, d);
    } else {
        TRY(work_finish(&b->work, d, b->out, e));
        TRY(buf_append(b->out, "\n", 1, e));
    }
    decided(b);
    return STATUS_OK;
}

/* Nothing is scored late: what waited for its chunk may have waited too long. */
static enum status check_deadlines(struct batch *b, struct error *e)
{
    for (size_t i = 0; i < b->chunk->n; i++) {
        struct slot *slot = &b->chunk->slots[i];
        struct error why;
        b->problems.n = 0;
        b->one = (struct decision_brief){0};
        if (!slot->is_text && work_deadline(&b->work, &slot->event, &why) != STATUS_OK)
            TRY(refuse(b, slot, &why, e));
    }
    return STATUS_OK;
}

static enum status flush(struct batch *b, struct error *e)
{
    struct chunk *c = b->chunk;
    int64_t start_ns = time_mono_ns();
    TRY(check_deadlines(b, e));
    for (size_t i = 0; b->menu && i < b->menu->n_models; i++)
        TRY(score_model(b, i, e));
    int64_t compute_ns = time_mono_ns() - start_ns;
    size_t n_scored = 0;
    for (size_t i = 0; i < c->n; i++)
        n_scored += !c->slots[i].is_text;
    for (size_t i = 0; i < c->n; i++)
        TRY(write_slot(b, &c->slots[i], n_scored, compute_ns, e));
    chunk_clear(c);
    return STATUS_OK;
}

/* ---- the batch ------------------------------------------------------------------------------------------ */

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

/* The next line without its end; what follows the last newline is a line too. */
static bool next_line(struct span *rest, struct span *line)
{
    if (rest->len == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    line->data = rest->data;
    line->len = end ? (size_t)(end - rest->data) : rest->len;
    size_t used = line->len + (end != NULL);
    rest->data += used;
    rest->len -= used;
    return true;
}

static enum status check_count(struct span body, struct error *e)
{
    struct span line;
    size_t n = 0;
    while (next_line(&body, &line))
        n += !is_blank(line);
    if (n == 0)
        return error_set(e, STATUS_ARGUMENT, "a batch has at least one event, one a line");
    if (n > BATCH_EVENTS_MAX)
        return error_set(e, STATUS_ARGUMENT, "a batch of %zu events, at most %d are taken: send several", n,
                         BATCH_EVENTS_MAX);
    return STATUS_OK;
}

static enum status begin(struct batch *b, struct error *e)
{
    TRY(chunk_for(b->work.s, &b->chunk, e));
    chunk_clear(b->chunk);
    b->work.a = &b->chunk->arena;
    b->menu = menu_read(b->work.t, b->work.s);
    return STATUS_OK;
}

static enum status take(struct batch *b, struct span line, struct error *e)
{
    TRY(take_line(b, line, e));
    return b->chunk->n == CHUNK_EVENTS ? flush(b, e) : STATUS_OK;
}

static enum status decide_lines(struct batch *b, struct span body, struct error *e)
{
    struct span line;
    TRY(begin(b, e));
    while (next_line(&body, &line)) {
        b->i_line++;
        if (!is_blank(line))
            TRY(take(b, line, e));
    }
    return b->chunk->n > 0 ? flush(b, e) : STATUS_OK;
}

/* Without a menu there is nothing that the answer's columns could be of. */
static enum status decide_columns(struct batch *b, struct error *e)
{
    struct binary_cursor cursor = {0};
    struct binary_answer answer;
    struct arena arena;
    TRY(begin(b, e));
    if (!b->menu)
        return work_no_menu(&b->work, e);
    b->cursor = &cursor;
    b->answer = &answer;
    arena_init(&arena, RESPONSE_ARENA_MAX);
    enum status s = binary_answer_init(&answer, &arena, b->menu, b->events->n, e);
    for (size_t i = 0; i < b->events->n && s == STATUS_OK; i++) {
        b->i_line++;
        s = take(b, (struct span){NULL, 0}, e);
    }
    if (s == STATUS_OK && b->chunk->n > 0)
        s = flush(b, e);
    if (s == STATUS_OK)
        s = binary_answer_write(&answer, b->menu, b->out, e);
    arena_fini(&arena);
    return s;
}

/* `events` NULL: the body is lines. */
static enum status run(struct trigger *t, int64_t arrived_ns, struct span body, const struct binary_events *events,
                       const struct batch_host *host, struct buf *out, struct batch_brief *brief, struct error *e)
{
    size_t before = out->len;
    struct batch *b = mem_calloc(1, sizeof *b);
    if (!b)
        return error_set(e, STATUS_NOMEM, "no memory for a batch of events");
    *b = (struct batch){
        .work = {.t = t, .arrived_ns = arrived_ns}, .host = host, .brief = brief, .out = out, .events = events};
    b->work.problems = &b->problems;
    b->work.brief = &b->one;
    enum status s = scratch_acquire(t, &b->work.s, e);
    if (s == STATUS_OK) {
        s = events ? decide_columns(b, e) : decide_lines(b, body, e);
        scratch_release(b->work.s);
    }
    if (s != STATUS_OK)
        out->len = before;
    mem_free(b);
    return s;
}

enum status trigger_decide_lines(struct trigger *t, int64_t arrived_ns, const uint8_t *body, size_t len,
                                 const struct batch_host *host, struct buf *out, struct batch_brief *brief,
                                 struct error *e)
{
    const struct span lines = {body, len};
    *brief = (struct batch_brief){0};
    TRY(check_count(lines, e));
    return run(t, arrived_ns, lines, NULL, host, out, brief, e);
}

enum status trigger_decide_columns(struct trigger *t, int64_t arrived_ns, const uint8_t *body, size_t len,
                                   const struct batch_host *host, struct buf *out, struct batch_brief *brief,
                                   struct error *e)
{
    struct binary_events events;
    *brief = (struct batch_brief){0};
    TRY(binary_events_parse(body, len, &events, e));
    return run(t, arrived_ns, (struct span){body, len}, &events, host, out, brief, e);
}
