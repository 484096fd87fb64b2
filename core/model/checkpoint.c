/* core/model/checkpoint.c
 *
 * A trainer's state as bytes, in the form of model files: header, then params, moments and,
 * where it is kept, the best epoch's params. */
#include "core/model/trainer.h"

#include "core/model/tree_fit.h"

#include <math.h>
#include <string.h>

static const char magic[8] = {'D', 'L', 'T', 'C', 'H', 'E', 'C', 'K'};
enum { CHECKPOINT_VERSION = 2 };

struct checkpoint {
    struct fit_state state;
    const char *fit;                   /* hash of what is trained on what */
};

static const struct field checkpoint_fields[] = {
    FIELD_OBJECT(struct checkpoint, state, fit_state_fields),
    FIELD_STRING(struct checkpoint, fit, .required = true, .min = 16, .max = 16),
    FIELD_END};

/* What does not change the way that a fit takes, only how far it goes and how fast.  A cosine ends where the epochs
 * do. */
static void forget_length(struct train_params *p)
{
    p->epochs = p->schedule == SCHEDULE_COSINE ? p->epochs : 0;
    p->threads = p->memory_limit_mb = 0;
}

enum status train_params_way(const struct train_params *params, char out[17], struct error *e)
{
    struct train_params p = *params;
    struct buf text;
    forget_length(&p);
    buf_init(&text, CONTAINER_TEXT_MAX);
    enum status s = field_write_text(train_params_fields, &p, &text, e);
    if (s == STATUS_OK)
        snprintf(out, 17, "%016llx", (unsigned long long)hash64(text.data, text.len, 0));
    buf_fini(&text);
    return s;
}

/* Parameters (but for the length), scaler, classes and data. */
static enum status fit_hash(const struct trainer *t, char out[17], struct error *e)
{
    struct model_header h = t->header;
    struct buf text;
    forget_length(&h.params);
    h.epochs_done = 0;
    h.train_loss = h.val_loss = 0;
    h.best_epoch = 0;
    h.stopped_early = false;
    h.histograms = (struct field_list){NULL, 0};
    h.dataset_id = h.created_at = h.build_id = NULL;
    buf_init(&text, CONTAINER_TEXT_MAX);
    enum status s = field_write_text(model_header_fields, &h, &text, e);
    if (s == STATUS_OK)
        snprintf(out, 17, "%016llx", (unsigned long long)hash64(text.data, text.len, t->fingerprint));
    buf_fini(&text);
    return s;
}

enum status trainer_checkpoint(const struct trainer *t, struct buf *out, struct error *e)
{
    check(!t->broken);
    char fit[17];
    TRY(fit_hash(t, fit, e));
    struct checkpoint c = {t->fit, fit};
    struct float_part state = t->trees ? tree_fit_stored(t, false) : (struct float_part){t->state, t->n_state};
    return container_encode(magic, CHECKPOINT_VERSION, checkpoint_fields, &c, &state, 1, out, e);
}

static enum status restore_trees(struct trainer *t, const struct container *c, const struct fit_state *found,
                                 struct error *e)
{
    float *stored = mem_alloc(c->n_floats * sizeof *stored + 1);
    if (!stored)
        return error_set(e, STATUS_NOMEM, "no memory for %zu numbers", c->n_floats);
    enum status s = container_floats(c, 0, c->n_floats, stored, e);
    if (s == STATUS_OK)
        s = tree_fit_restore(t, stored, c->n_floats, found, e);
    mem_free(stored);
    return s;
}

static enum status restore(struct trainer *t, struct arena *a, struct span bytes, struct error *e)
{
    struct container c;
    struct checkpoint found;
    char fit[17];
    TRY(fit_hash(t, fit, e));
    TRY(container_decode(bytes, magic, CHECKPOINT_VERSION, &c, e));
    TRY(field_read_text(a, checkpoint_fields, c.text, &found, e));
    TRY(field_validate(checkpoint_fields, &found, "", e));
    if (strcmp(found.fit, fit) != 0)
        return error_set(e, STATUS_CONFLICT, "it belongs to other data or parameters");
    if (found.state.best_epoch > found.state.epochs_done || (found.state.best_epoch > 0 && !t->trees && !t->best))
        return error_set(e, STATUS_FORMAT, "epoch %lld is the best of %lld", (long long)found.state.best_epoch,
                         (long long)found.state.epochs_done);
    if (t->trees)
        return restore_trees(t, &c, &found.state, e);
    if (c.n_floats != t->n_state)
        return error_set(e, STATUS_FORMAT, "%zu numbers, must be %zu", c.n_floats, t->n_state);
    float *state = mem_aligned(c.n_floats * sizeof *state);
    if (!state)
        return error_set(e, STATUS_NOMEM, "no memory for %zu parameters", t->n_params);
    enum status s = container_floats(&c, 0, c.n_floats, state, e);
    size_t v_first = t->v ? (size_t)(t->v - t->state) : 0, v_last = t->v ? v_first + t->n_params : 0;
    for (size_t i = v_first; s == STATUS_OK && i < v_last; i++)
        if (state[i] < 0)
            s = error_set(e, STATUS_FORMAT, "number %zu is a mean of squares and below 0", i);
    if (s == STATUS_OK) {
        memcpy(t->state, state, c.n_floats * sizeof *state);
        t->fit = found.state;
        t->broken = false;
    }
    mem_free(state);
    return s;
}

enum status trainer_restore(struct trainer *t, struct span checkpoint, struct error *e)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    enum status s = restore(t, &a, checkpoint, e);
    arena_fini(&a);
    if (s == STATUS_OK)
        return s;
    if (s == STATUS_RANGE || s == STATUS_ARGUMENT)
        e->status = STATUS_FORMAT;
    return error_wrap(e, "checkpoint");
}
