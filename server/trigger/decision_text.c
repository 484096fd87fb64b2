/* server/trigger/decision_text.c
 *
 * A decision as JSON, written straight into the response's buffer: what does not depend on the event was written out
 * when the menu was built. */
#include "server/trigger/decide.h"

#include <string.h>

enum { FIXED_BYTES = 1024, SCORE_BYTES = 24, PATH_BYTES = 200 };

/* Room was reserved by the caller for everything that is put. */
struct text {
    char *p, *end;
};

static void put(struct text *t, const char *s)
{
    size_t n = strlen(s);
    check(n <= (size_t)(t->end - t->p));
    memcpy(t->p, s, n);
    t->p += n;
}

static void put_i64(struct text *t, int64_t v)
{
    char digits[24], *p = digits + sizeof digits - 1;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    *p = '\0';
    do
        *--p = (char)('0' + u % 10);
    while ((u /= 10) > 0);
    if (v < 0)
        *--p = '-';
    put(t, p);
}

/* Nine digits: exact for a float. */
static void put_f32(struct text *t, float v)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%.9g", (double)v);
    put(t, digits);
}

static void put_bool(struct text *t, bool v)
{
    put(t, v ? "true" : "false");
}

static void put_identity(struct text *t, const struct posted_event *event)
{
    put(t, "\",\"event\":");
    if (!event->has_identity) {
        put(t, "null");
        return;
    }
    put(t, "{\"run\":");
    put_i64(t, event->run);
    put(t, ",\"lumi\":");
    put_i64(t, event->lumi);
    put(t, ",\"event\":");
    put_i64(t, event->event);
    put(t, "}");
}

static void put_accepted(struct text *t, const struct decision *d)
{
    const char *comma = "";
    put(t, ",\"paths_accepted\":[");
    for (size_t i = 0; d->pass && i < d->menu->n_paths; i++)
        if (d->paths[i].accept) {
            put(t, comma);
            put(t, d->menu->paths[i].json_name);
            comma = ",";
        }
    put(t, "]");
}

static void put_lepton(struct text *t, const struct decision *d, const struct lepton *lepton)
{
    put(t, "{\"flavour\":");
    put(t, lepton->kind == PARTICLE_MUON ? "\"muon\"" : "\"electron\"");
    put(t, ",\"index\":");
    put_i64(t, d->lepton_index);
    put(t, ",\"pt\":");
    put_f32(t, lepton->pt);
    put(t, ",\"eta\":");
    put_f32(t, lepton->eta);
    put(t, ",\"phi\":");
    put_f32(t, lepton->phi);
    put(t, ",\"iso\":{\"charged\":");
    put_f32(t, (float)lepton->iso_ch);
    put(t, ",\"photon\":");
    put_f32(t, (float)lepton->iso_gamma);
    put(t, ",\"neutral\":");
    put_f32(t, (float)lepton->iso_neu);
    put(t, "}}");
}

static void put_preselection(struct text *t, const struct decision *d)
{
    size_t i_recipe = d->menu->models[d->i_primary].i_recipe;
    put(t, ",\"preselection\":");
    if (d->event->schema == POSTED_HLF) {
        put(t, "null");
        return;
    }
    put(t, "{\"pass\":");
    put_bool(t, d->pass);
    put(t, ",\"reason\":");
    if (!d->pass) {
        put(t, "\"");
        put(t, reject_name(d->reject[i_recipe]));
        put(t, "\",\"lepton\":null}");
        return;
    }
    put(t, "null,\"lepton\":");
    put_lepton(t, d, &d->lepton);
    put(t, "}");
}

static void put_scores(struct text *t, const struct decision *d)
{
    const struct menu_model *model = &d->menu->models[d->i_primary];
    put(t, ",\"scores\":");
    if (!d->pass) {
        put(t, "null");
        return;
    }
    for (size_t i = 0; i < model->n_classes; i++) {
        put(t, model->score_keys[i]);
        put_f32(t, d->scores[model->first_score + i]);
    }
    put(t, "}");
}

static void put_path(struct text *t, const struct decision *d, size_t i)
{
    const struct menu_path *path = &d->menu->paths[i];
    const struct path_outcome *o = &d->paths[i];
    put(t, path->json_head);
    if (o->has_score)
        put_f32(t, o->score);
    else
        put(t, "null");
    put(t, path->json_threshold);
    put(t, ",\"raw\":");
    put_bool(t, o->raw);
    put(t, ",\"prescale\":");
    put_i64(t, o->has_score ? o->prescale : path->prescale);
    put(t, ",\"prescale_pass\":");
    put(t, !o->raw ? "null" : o->prescale_pass ? "true" : "false");
    put(t, ",\"rate_limited\":");
    put_bool(t, o->rate_limited);
    put(t, ",\"accept\":");
    put_bool(t, o->accept);
    if (!o->has_score) {
        put(t, ",\"preselection\":\"");
        put(t, reject_name(d->reject[d->menu->models[path->i_model].i_recipe]));
        put(t, "\"");
    }
    put(t, path->json_tail);
}

static void put_paths(struct text *t, const struct decision *d)
{
    put(t, ",\"paths\":[");
    for (size_t i = 0; d->pass && i < d->menu->n_paths; i++) {
        if (i > 0)
            put(t, ",");
        put_path(t, d, i);
    }
    put(t, "]");
}

static void put_timing(struct text *t, const struct decision *d)
{
    put(t, ",\"timing\":{\"parse_us\":");
    put_i64(t, d->parse_ns / 1000);
    put(t, ",\"features_us\":");
    put_i64(t, d->features_ns / 1000);
    put(t, ",\"queue_us\":0,\"compute_us\":");              /* scored by the thread that read it */
    put_i64(t, d->compute_ns / 1000);
    put(t, ",\"total_us\":");
    put_i64(t, d->total_ns / 1000);
    put(t, ",\"batch_size\":");
    put_i64(t, (int64_t)d->batch_size);
    put(t, "}");
}

/* An upper bound of the decision's text. */
static size_t text_bound(const struct decision *d)
{
    const struct menu *m = d->menu;
    const struct menu_model *model = &m->models[d->i_primary];
    size_t n = FIXED_BYTES + strlen(m->json) + strlen(model->json);
    for (size_t i = 0; i < model->n_classes; i++)
        n += strlen(model->score_keys[i]) + SCORE_BYTES;
    for (size_t i = 0; i < m->n_paths; i++)
        n += strlen(m->paths[i].json_head) + strlen(m->paths[i].json_threshold) + strlen(m->paths[i].json_tail) +
             strlen(m->paths[i].json_name) + PATH_BYTES;
    return n;
}

enum status decision_write(const struct decision *d, struct buf *out, struct error *e)
{
    size_t bound = text_bound(d);
    TRY(buf_reserve(out, bound, e));
    struct text text = {(char *)out->data + out->len, (char *)out->data + out->len + bound}, *t = &text;
    put(t, "{\"decision_id\":\"");
    put(t, d->id);
    put_identity(t, d->event);
    put(t, ",\"accept\":");
    put_bool(t, d->accept);
    put(t, ",\"reason\":\"");
    put(t, trigger_reason_name(d->reason));
    put(t, "\"");
    put_accepted(t, d);
    put_preselection(t, d);
    if (d->event->parts & POSTED_SCORES)
        put_scores(t, d);
    if (d->event->parts & POSTED_PATHS)
        put_paths(t, d);
    put(t, ",\"menu\":");
    put(t, d->menu->json);
    put(t, ",\"model\":");
    put(t, d->menu->models[d->i_primary].json);
    if (d->event->parts & POSTED_TIMING)
        put_timing(t, d);
    put(t, ",\"warnings\":[");
    if (d->warning) {
        put(t, "\"");
        put(t, d->warning);
        put(t, "\"");
    }
    put(t, "]}");
    out->len = (size_t)(text.p - (char *)out->data);
    return STATUS_OK;
}
