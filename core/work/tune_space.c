/* core/work/tune_space.c
 *
 * From a search space to trials: points of a grid, or draws that a seed repeats.  A value is a text that one member of
 * struct train_params understands, so whatever that table has can be searched over, without being named here. */
#include "core/work/tune.h"

#include <math.h>
#include <string.h>

enum { AXIS_VALUES_MAX = 10000, VALUE_TEXT_MAX = 1 << 20, POINTER_MAX = 220 };

/* An axis with all its values, or a range to draw from. */
struct axis {
    const struct field_axis *given;
    struct field leaf;
    struct field_list values;          /* const char *; none: drawn from the range */
};
struct axes {
    struct arena *a;
    const struct tune_spec *spec;
    struct axis items[AXES_MAX];
    size_t n;
};

/* "/space/hidden~10", as JSON pointers are written. */
static const char *pointer_of(const char *path, char out[POINTER_MAX])
{
    size_t n = (size_t)snprintf(out, POINTER_MAX, "/space/");
    for (; *path && n + 3 < POINTER_MAX; path++) {
        if (*path == '/' || *path == '~') {
            out[n++] = '~';
            out[n++] = *path == '/' ? '1' : '0';
        } else {
            out[n++] = *path;
        }
    }
    out[n] = '\0';
    return out;
}

static enum status bad_axis(const struct field_axis *axis, enum status s, struct error *e, const char *what)
{
    char pointer[POINTER_MAX];
    return error_set(e, s, "%s: %s", pointer_of(axis->path, pointer), what);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static enum status number_text(struct axes *x, const struct axis *axis, double value, const char **out, struct error *e)
{
    struct buf text;
    int64_t whole = (int64_t)value;
    buf_init(&text, VALUE_TEXT_MAX);
    const void *at = axis->leaf.kind == FIELD_KIND_I64 ? (const void *)&whole : (const void *)&value;
    enum status s = field_value_write(&axis->leaf, at, &text, e);
    if (s == STATUS_OK && !(*out = arena_strndup(x->a, (const char *)text.data, text.len)))
        s = error_set(e, STATUS_NOMEM, "no memory for the values of %s", axis->given->path);
    buf_fini(&text);
    return s;
}

/* Value i of a range with steps; the last may miss `high` by rounding. */
static double step_value(const struct axis *axis, size_t i)
{
    const struct field_axis *r = axis->given;
    double value = r->log ? r->low * pow(r->step, (double)i) : r->low + (double)i * r->step;
    value = value > r->high ? r->high : value;
    return axis->leaf.kind == FIELD_KIND_I64 ? floor(value + 0.5) : value;
}

static size_t n_steps(const struct field_axis *r)
{
    double n = r->log ? log(r->high / r->low) / log(r->step) : (r->high - r->low) / r->step;
    return n > AXIS_VALUES_MAX ? AXIS_VALUES_MAX + 1 : (size_t)(n + 1e-9) + 1;
}

static enum status expand_range(struct axes *x, struct axis *axis, struct error *e)
{
    size_t n = n_steps(axis->given), kept = 0;
    if (n > AXIS_VALUES_MAX)
        return bad_axis(axis->given, STATUS_RANGE, e, "the range has more than 10000 steps");
    const char **texts = ARENA_NEW(x->a, const char *, n);
    if (!texts)
        return error_set(e, STATUS_NOMEM, "no memory for the values of %s", axis->given->path);
    for (size_t i = 0; i < n; i++) {
        TRY(number_text(x, axis, step_value(axis, i), &texts[kept], e));
        kept += kept == 0 || strcmp(texts[kept], texts[kept - 1]) != 0;      /* whole numbers of a logarithmic range */
    }
    axis->values = (struct field_list){texts, kept};
    return STATUS_OK;
}

static enum status check_range(const struct axis *axis, struct error *e)
{
    const struct field_axis *r = axis->given;
    if (axis->leaf.kind != FIELD_KIND_I64 && axis->leaf.kind != FIELD_KIND_F64)
        return bad_axis(r, STATUS_ARGUMENT, e, "needs values: only a number can have a range");
    bool ok = isfinite(r->low) && isfinite(r->high) && r->low <= r->high && r->step >= 0 && (!r->log || r->low > 0) &&
              (!r->log || r->step == 0 || r->step > 1);
    return ok ? STATUS_OK : bad_axis(r, STATUS_RANGE, e, "the range makes no sense");
}

static enum status read_axes(struct axes *x, bool grid, struct error *e)
{
    const struct field_axis *given = x->spec->space.items;
    x->n = x->spec->space.n_items;
    if (x->n == 0 || x->n > AXES_MAX)
        return error_set(e, STATUS_ARGUMENT, "/space: %zu axes, must be 1 to %d", x->n, AXES_MAX);
    for (size_t i = 0; i < x->n; i++) {
        struct axis *axis = &x->items[i];
        struct error why;
        *axis = (struct axis){.given = &given[i], .values = given[i].values};
        if (field_path_find(train_params_fields, given[i].path, &axis->leaf, &why) != STATUS_OK)
            return bad_axis(&given[i], STATUS_ARGUMENT, e, why.text);
        if (x->spec->search == SEARCH_HALVING && strcmp(given[i].path, "epochs") == 0)
            return bad_axis(&given[i], STATUS_ARGUMENT, e, "halving decides itself how long each trial is trained");
        if (given[i].values.n_items > 0)
            continue;
        TRY(check_range(axis, e));
        if (grid && given[i].step == 0)
            return bad_axis(&given[i], STATUS_ARGUMENT, e, "a grid needs values, or a range with a step");
        if (given[i].step > 0)
            TRY(expand_range(x, axis, e));
    }
    return STATUS_OK;
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

static enum status new_point(struct axes *x, struct trial *t, struct error *e)
{
    struct field_axis *point = ARENA_NEW(x->a, struct field_axis, x->n);
    const char **texts = ARENA_NEW(x->a, const char *, x->n);
    if (!point || !texts)
        return error_set(e, STATUS_NOMEM, "no memory for the trials");
    for (size_t i = 0; i < x->n; i++)
        point[i] = (struct field_axis){.path = x->items[i].given->path, .values = {&texts[i], 1}};
    t->point = (struct field_list){point, x->n};
    return STATUS_OK;
}

static void set_value(const struct trial *t, size_t i_axis, const char *text)
{
    const struct field_axis *point = t->point.items;
    *(const char **)point[i_axis].values.items = text;
}

static enum status grid_points(struct axes *x, struct trials *out, struct error *e)
{
    size_t n = 1;
    for (size_t i = 0; i < x->n; i++) {
        n *= x->items[i].values.n_items;
        if (n > TRIALS_MAX)
            return error_set(e, STATUS_RANGE, "/space: the grid has more than %d points: search \"random\" takes n_trials "
                             "of them", TRIALS_MAX);
    }
    out->items = ARENA_NEW(x->a, struct trial, n);
    if (!out->items)
        return error_set(e, STATUS_NOMEM, "no memory for %zu trials", n);
    for (out->n = 0; out->n < n; out->n++) {
        struct trial *t = &out->items[out->n];
        TRY(new_point(x, t, e));
        size_t rest = out->n;
        for (size_t i = x->n; i-- > 0;) {
            const struct field_list *values = &x->items[i].values;
            set_value(t, i, ((const char *const *)values->items)[rest % values->n_items]);
            rest /= values->n_items;
        }
    }
    return STATUS_OK;
}

static enum status draw(struct axes *x, const struct axis *axis, struct rng *r, const char **out, struct error *e)
{
    const struct field_axis *range = axis->given;
    double u = rng_f64(r);
    size_t n = axis->values.n_items;
    if (n > 0) {
        *out = ((const char *const *)axis->values.items)[(size_t)(u * (double)n)];
        return STATUS_OK;
    }
    bool whole = axis->leaf.kind == FIELD_KIND_I64;
    double low = range->low, high = range->high + (whole ? 1 : 0);
    double value = range->log ? low * pow(high / low, u) : low + u * (high - low);
    value = whole ? floor(value) : value;
    value = value < range->low ? range->low : value > range->high ? range->high : value;
    return number_text(x, axis, value, out, e);
}

static uint64_t point_hash(const struct trial *t)
{
    const struct field_axis *point = t->point.items;
    uint64_t h = 0;
    for (size_t i = 0; i < t->point.n_items; i++) {
        const char *text = *(const char *const *)point[i].values.items;
        h = hash64(text, strlen(text) + 1, h);
    }
    return h;
}

/* Draws until there are enough different ones, or so many were in vain that the space must be nearly exhausted. */
static enum status random_points(struct axes *x, struct trials *out, struct error *e)
{
    size_t n = (size_t)x->spec->n_trials;
    uint64_t *seen = ARENA_NEW(x->a, uint64_t, n);
    out->items = ARENA_NEW(x->a, struct trial, n);
    if (!seen || !out->items)
        return error_set(e, STATUS_NOMEM, "no memory for %zu trials", n);
    for (size_t i = 0; i < n; i++)
        TRY(new_point(x, &out->items[i], e));
    for (uint64_t draws = 0; out->n < n && draws < 10 * n + 1000; draws++) {
        struct trial *t = &out->items[out->n];
        struct rng r = rng_stream((uint64_t)x->spec->seed, draws);
        bool is_new = true;
        for (size_t i = 0; i < x->n; i++) {
            const char *text;
            TRY(draw(x, &x->items[i], &r, &text, e));
            set_value(t, i, text);
        }
        uint64_t h = point_hash(t);
        for (size_t i = 0; i < out->n && is_new; i++)
            is_new = seen[i] != h;
        seen[out->n] = h;
        out->n += is_new;
    }
    return STATUS_OK;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static enum status base_params(const struct tune_spec *spec, struct train_params *out, struct error *e)
{
    *out = spec->params;
    for (int i = 0; spec->model && estimator_names[i]; i++)
        if (strcmp(estimator_names[i], spec->model) == 0) {
            out->model = i;
            return STATUS_OK;
        }
    return spec->model ? error_set(e, STATUS_ARGUMENT, "/model: no estimator %s in this build", spec->model) : STATUS_OK;
}

static enum status set_params(struct axes *x, const struct train_params *base, const struct field_list *list,
                              struct train_params *out, struct error *e)
{
    const struct field_axis *point = list->items;
    TRY(field_copy(x->a, train_params_fields, base, out, e));
    for (size_t i = 0; i < list->n_items; i++) {
        const char *text = *(const char *const *)point[i].values.items;
        struct error why;
        enum status s = field_path_set(x->a, train_params_fields, out, point[i].path, text, &why);
        if (s == STATUS_NOMEM)
            return error_set(e, s, "%s", why.text);
        if (s != STATUS_OK)
            return bad_axis(&point[i], STATUS_ARGUMENT, e, why.text);
    }
    return STATUS_OK;
}

/* Says which value is to blame, when one alone gives the same complaint. */
static enum status blame(struct axes *x, const struct train_params *base, const struct trials *trials, size_t i_trial,
                         const struct error *why, struct error *e)
{
    const struct trial *t = &trials->items[i_trial];
    const struct field_axis *point = t->point.items;
    for (size_t i = 0; i < t->point.n_items; i++) {
        struct field_list one = {(void *)(uintptr_t)&point[i], 1};
        struct train_params alone;
        struct error same = {.text = ""};
        TRY(set_params(x, base, &one, &alone, e));
        if (train_params_check(&alone, "/params", &same) == why->status && strcmp(same.text, why->text) == 0)
            return bad_axis(&point[i], why->status, e, why->text);
    }
    return error_set(e, why->status, "/space: trial %zu: %s", i_trial, why->text);
}

enum status tune_trials(struct arena *a, const struct tune_spec *spec, struct trials *out, struct error *e)
{
    struct axes x = {.a = a, .spec = spec};
    struct train_params base;
    bool grid = spec->search == SEARCH_GRID || (spec->search == SEARCH_HALVING && spec->n_trials == 0);
    *out = (struct trials){NULL, 0};
    TRY(base_params(spec, &base, e));
    TRY(read_axes(&x, grid, e));
    TRY(grid ? grid_points(&x, out, e) : random_points(&x, out, e));
    bool ready[32] = {false};          /* by estimator: whether this build can fit it */
    for (size_t i = 0; i < out->n; i++) {
        struct error why;
        TRY(set_params(&x, &base, &out->items[i].point, &out->items[i].params, e));
        enum status s = train_params_check(&out->items[i].params, "/params", &why);
        if (s != STATUS_OK)
            return blame(&x, &base, out, i, &why, e);
        size_t model = (size_t)out->items[i].params.model;
        if (model >= ARRAY_LEN(ready) || !ready[model])
            TRY(train_params_ready(&out->items[i].params, "/params", e));
        if (model < ARRAY_LEN(ready))
            ready[model] = true;
        TRY(train_params_ready(&out->items[i].params, "/params", e));
        out->items[i].params.epochs = train_params_epochs(&out->items[i].params);
    }
    return STATUS_OK;
}

/* ---- objectives and rungs ---------------------------------------------------------------------------------------- */

const struct study_objective *tune_objective(const struct tune_spec *spec, size_t i)
{
    return i == 0 ? &spec->objective : (const struct study_objective *)spec->report.items + i - 1;
}

int64_t tune_epochs(const struct tune_spec *spec, const struct trials *trials, const struct rungs *rungs, size_t rung,
                    size_t trial)
{
    int64_t all = train_params_epochs(&trials->items[trial].params);
    return spec->search == SEARCH_HALVING && rungs->epochs[rung] < all ? rungs->epochs[rung] : all;
}

void tune_rungs(const struct tune_spec *spec, const struct trials *trials, struct rungs *out)
{
    int64_t epochs = spec->halving.min_epochs, most = 0;
    size_t n = trials->n;
    for (size_t i = 0; i < n; i++) {
        int64_t all = train_params_epochs(&trials->items[i].params);
        most = all > most ? all : most;
    }
    *out = (struct rungs){.n = 1, .epochs = {most}, .trials = {n}};
    if (spec->search != SEARCH_HALVING)
        return;
    for (out->n = 0; epochs < most; out->n++) {
        out->epochs[out->n] = epochs;
        out->trials[out->n] = n;
        n = n / (size_t)spec->halving.factor > 1 ? n / (size_t)spec->halving.factor : 1;
        epochs *= spec->halving.factor;
    }
    out->epochs[out->n] = most;
    out->trials[out->n++] = n;
}
