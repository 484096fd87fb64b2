/* core/work/ingest_plan.c
 *
 * What an ingest job reads: parameters and their checks, the order of the classes, the list of files with their
 * entries, and which files are left out because they are bad. */
#include "core/work/ingest.h"

#include <math.h>
#include <string.h>

enum { CLASSES_MAX = METRICS_CLASSES_MAX, WEIGHTS_CHUNK = 1 << 16 };
static const int64_t LOST_MAX = 1000000000000000;            /* a larger number in a bad file is not believed */
static const double FRACTIONS_TOLERANCE = 1e-6;

/* The papers' classes, in the order of their labels (physics.md: 0 QCD, 1 ttbar, 2 W + jets). */
static const char *const standard_classes[] = {"qcd", "tt", "wjets"};

static const struct field input_fields[] = {
    FIELD_STRING(struct ingest_input, path, .required = true, .min = 1, .max = 4096,
                 .doc = "ROOT file, folder or glob, below a data root"),
    FIELD_STRING(struct ingest_input, label, .required = true, .min = 1, .max = 64, .doc = "class of its events"),
    FIELD_END,
};
static const char *const bad_file_names[] = {"fail", "skip", "quarantine", NULL};

const struct field ingest_spec_fields[] = {
    FIELD_LIST_OBJECT(struct ingest_spec, inputs, struct ingest_input, input_fields, .required = true, .min = 1,
                      .max = 100000, .doc = "input files with their class"),
    FIELD_LIST_STRING(struct ingest_spec, classes, .max = CLASSES_MAX,
                      .doc = "order of the classes; default: qcd, tt, wjets as far as they occur, then by appearance"),
    FIELD_STRING(struct ingest_spec, tree, .def_text = "Delphes", .min = 1, .max = 256, .doc = "path of the tree"),
    FIELD_ENUM(struct ingest_spec, on_bad_file, bad_file_names,
               .doc = "a file that is damaged, not of this format or without the tree or its branches: fail the job; "
                      "skip leaves the whole file out and lists it with the reason and the events lost; quarantine "
                      "also records the size and SHA-256 of its bytes"),
    FIELD_MAP(struct ingest_spec, natural_fractions, .max = CLASSES_MAX,
              .doc = "class to its fraction in nature, adding up to 1: features made of the dataset weight the events "
                     "of each class so that its sum of weights is this fraction of the total"),
    FIELD_OBJECT(struct ingest_spec, cuts, object_cuts_fields, .doc = "object cuts"),
    FIELD_OBJECT(struct ingest_spec, branches, delphes_branches_fields, .doc = "branch that serves each object"),
    FIELD_END,
};
static const struct field file_fields[] = {
    FIELD_STRING(struct ingest_file, path),
    FIELD_I64(struct ingest_file, label),
    FIELD_I64(struct ingest_file, entries),
    FIELD_STRING(struct ingest_file, reason),
    FIELD_END,
};
static const struct field plan_fields[] = {
    FIELD_LIST_OBJECT(struct ingest_plan, files, struct ingest_file, file_fields),
    FIELD_LIST_STRING(struct ingest_plan, classes),
    FIELD_I64(struct ingest_plan, entries),
    FIELD_END,
};
static const char plan_name[] = "ingest-plan";

static int64_t class_index(const struct field_list *classes, const char *name)
{
    const char *const *names = classes->items;
    for (size_t i = 0; i < classes->n_items; i++)
        if (strcmp(names[i], name) == 0)
            return (int64_t)i;
    return -1;
}

static bool has_label(const struct ingest_spec *spec, const char *label)
{
    const struct ingest_input *inputs = spec->inputs.items;
    for (size_t i = 0; i < spec->inputs.n_items; i++)
        if (strcmp(inputs[i].label, label) == 0)
            return true;
    return false;
}

/* Every class of the inputs has a fraction, no other has, and they add up to 1. */
static enum status validate_fractions(const struct ingest_spec *spec, struct error *e)
{
    const struct field_pair *fractions = spec->natural_fractions.items;
    size_t n = spec->natural_fractions.n_items;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!has_label(spec, fractions[i].name))
            return error_set(e, STATUS_ARGUMENT, "/natural_fractions/%s: no input has this label", fractions[i].name);
        if (!(fractions[i].value > 0 && fractions[i].value <= 1))
            return error_set(e, STATUS_ARGUMENT, "/natural_fractions/%s: %g, must be above 0 and at most 1 (leave the "
                             "inputs of a class out that is not to count)", fractions[i].name, fractions[i].value);
        sum += fractions[i].value;
    }
    const struct ingest_input *inputs = spec->inputs.items;
    for (size_t i = 0; n > 0 && i < spec->inputs.n_items; i++) {
        size_t k = 0;
        while (k < n && strcmp(fractions[k].name, inputs[i].label) != 0)
            k++;
        if (k == n)
            return error_set(e, STATUS_ARGUMENT, "/natural_fractions: no fraction of class %s", inputs[i].label);
    }
    if (n > 0 && !(fabs(sum - 1) <= FRACTIONS_TOLERANCE))
        return error_set(e, STATUS_ARGUMENT, "/natural_fractions: they add up to %.9g, must be 1 within %g", sum,
                         FRACTIONS_TOLERANCE);
    return STATUS_OK;
}

enum status ingest_validate(const void *spec_, struct error *e)
{
    const struct ingest_spec *spec = spec_;
    const struct ingest_input *inputs = spec->inputs.items;
    const char *const *classes = spec->classes.items;
    for (size_t i = 0; i < spec->classes.n_items; i++)
        if (class_index(&spec->classes, classes[i]) != (int64_t)i)
            return error_set(e, STATUS_ARGUMENT, "/classes/%zu: %s is named twice", i, classes[i]);
    for (size_t i = 0; i < spec->inputs.n_items; i++)
        if (spec->classes.n_items > 0 && class_index(&spec->classes, inputs[i].label) < 0)
            return error_set(e, STATUS_ARGUMENT, "/inputs/%zu/label: %s is not among the classes", i, inputs[i].label);
    return validate_fractions(spec, e);
}

static enum status choose_classes(struct arena *a, const struct ingest_spec *spec, struct field_list *out,
                                  struct error *e)
{
    if (spec->classes.n_items > 0) {
        *out = spec->classes;
        return STATUS_OK;
    }
    const char **names = ARENA_NEW(a, const char *, CLASSES_MAX);
    if (!names)
        return error_set(e, STATUS_NOMEM, "classes");
    *out = (struct field_list){names, 0};
    for (size_t i = 0; i < ARRAY_LEN(standard_classes); i++)
        if (has_label(spec, standard_classes[i]))
            names[out->n_items++] = standard_classes[i];
    const struct ingest_input *inputs = spec->inputs.items;
    for (size_t i = 0; i < spec->inputs.n_items; i++) {
        if (class_index(out, inputs[i].label) >= 0)
            continue;
        if (out->n_items == CLASSES_MAX)
            return error_set(e, STATUS_RANGE, "more than %d classes", CLASSES_MAX);
        names[out->n_items++] = inputs[i].label;
    }
    return STATUS_OK;
}

bool ingest_may_skip(const struct ingest_spec *spec, enum status s)
{
    return spec->on_bad_file != BAD_FILE_FAIL &&
           (s == STATUS_FORMAT || s == STATUS_UNSUPPORTED || s == STATUS_RANGE || s == STATUS_NOTFOUND);
}

/* Sum of the event weights of a tree; an absent branch means 1 each, as in core/root/delphes.c. */
static enum status sum_weights(const struct ingest_spec *spec, struct root_tree *t, double *sum, struct error *e)
{
    char name[256];
    int64_t n = root_tree_entries(t);
    const char *event = spec->branches.event && *spec->branches.event ? spec->branches.event : "Event";
    snprintf(name, sizeof name, "%.200s.Weight", event);
    const struct root_branch *b = root_branch_find(t, name);
    *sum = (double)n;
    if (!b)
        return STATUS_OK;
    struct root_column column = {0};
    enum status s = STATUS_OK;
    *sum = 0;
    for (int64_t at = 0; s == STATUS_OK && at < n; at += WEIGHTS_CHUNK) {
        int64_t want = n - at < WEIGHTS_CHUNK ? n - at : WEIGHTS_CHUNK;
        s = root_read(t, b, at, want, &column, e);
        if (s == STATUS_OK && (column.type != ROOT_F32 || column.offsets[want] - column.offsets[0] != (uint64_t)want))
            s = error_set(e, STATUS_FORMAT, "branch %s: not one number an event", name);
        for (int64_t i = 0; s == STATUS_OK && i < want; i++)
            *sum += (double)((const float *)column.values)[column.offsets[0] + (uint64_t)i];
    }
    root_column_fini(&column);
    if (s == STATUS_OK && !isfinite(*sum))
        s = error_set(e, STATUS_FORMAT, "branch %s: not finite", name);
    return s;
}

enum status ingest_count_lost(const struct ingest_spec *spec, struct source *src, int64_t *events, double *weight,
                              struct error *e)
{
    struct root_file *f;
    struct root_tree *t;
    *events = -1;
    *weight = 0;
    enum status s = root_open(src, &f, e);
    if (s == STATUS_OK) {
        s = root_tree_get(f, spec->tree, &t, e);
        if (s == STATUS_OK && root_tree_entries(t) <= LOST_MAX) {
            *events = root_tree_entries(t);
            s = sum_weights(spec, t, weight, e);
        }
        root_close(f);
    }
    if (s != STATUS_OK)
        *weight = 0;
    return s == STATUS_OK || ingest_may_skip(spec, s) ? STATUS_OK : s;
}

static bool is_cancelled(void *ctx)
{
    const struct job_ctx *job = ctx;
    return job->host->cancelled(job->host_ctx);
}

enum status ingest_source_open(struct job_ctx *ctx, const char *path, struct source **out, struct error *e)
{
    return source_open_cancellable(path, is_cancelled, ctx, out, e);
}

/* Opens the file once before any work, so that a missing tree or branch is told at once. */
static enum status count_entries(struct job_ctx *ctx, const struct ingest_spec *spec, const char *path,
                                 int64_t *entries, struct error *e)
{
    struct source *src;
    struct delphes *d;
    TRY(ingest_source_open(ctx, path, &src, e));
    enum status s = delphes_open(src, spec->tree, &spec->branches, &d, e);
    if (s == STATUS_OK) {
        *entries = delphes_entries(d);
        delphes_close(d);
    }
    source_close(src);
    return s;
}

static enum status plan_add_input(struct job_ctx *ctx, const struct ingest_spec *spec, const struct ingest_input *input,
                                  struct ingest_plan *plan, struct error *e)
{
    struct field_list paths;
    TRY(ctx->host->resolve_input(ctx->host_ctx, ctx->arena, input->path, &paths, e));
    struct ingest_file *files = ARENA_NEW(ctx->arena, struct ingest_file, plan->files.n_items + paths.n_items);
    if (!files)
        return error_set(e, STATUS_NOMEM, "list of input files");
    if (plan->files.n_items)
        memcpy(files, plan->files.items, plan->files.n_items * sizeof *files);
    for (size_t i = 0; i < paths.n_items; i++) {
        struct ingest_file *f = &files[plan->files.n_items + i];
        f->path = ((const char *const *)paths.items)[i];
        f->label = class_index(&plan->classes, input->label);
        TRY(work_check_cancelled(ctx, e));
        enum status s = count_entries(ctx, spec, f->path, &f->entries, e);
        if (s != STATUS_OK && !ingest_may_skip(spec, s))
            return s;
        f->reason = s == STATUS_OK ? NULL : arena_strdup(ctx->arena, e->text);
        if (s != STATUS_OK && !f->reason)
            return error_set(e, STATUS_NOMEM, "list of input files");
        plan->entries += f->entries;
    }
    plan->files = (struct field_list){files, plan->files.n_items + paths.n_items};
    return STATUS_OK;
}

enum status ingest_plan_get(struct job_ctx *ctx, const struct ingest_spec *spec, struct ingest_plan *plan,
                            struct error *e)
{
    bool found;
    TRY(work_record_load(ctx, plan_name, plan_fields, plan, &found, e));
    if (found)
        return STATUS_OK;
    TRY(choose_classes(ctx->arena, spec, &plan->classes, e));
    const struct ingest_input *inputs = spec->inputs.items;
    for (size_t i = 0; i < spec->inputs.n_items; i++)
        TRY(plan_add_input(ctx, spec, &inputs[i], plan, e));
    return work_record_save(ctx, plan_name, plan_fields, plan, e);
}
