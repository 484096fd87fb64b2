/* core/work/ingest.c
 *
 * Job kind "ingest": ROOT files in, an events dataset out.  One unit an input file, one part a unit.  Within a file,
 * ranges of whole clusters are read and cut in parallel (each thread has its own reader) and written in order, so the
 * part has the same bytes whatever the number of threads. */
#include "core/work/private.h"

#include <string.h>
#include <unistd.h>

/* About 10 MB of columns a batch at 570 particles an event: one row group. */
enum { BATCH_ENTRIES = 512, HASH_CHUNK = 1 << 20, CLASSES_MAX = METRICS_CLASSES_MAX };

/* The papers' classes, in the order of their labels (physics.md: 0 QCD, 1 ttbar, 2 W + jets). */
static const char *const standard_classes[] = {"qcd", "tt", "wjets"};

struct ingest_input {
    const char *path, *label;
};
struct ingest_spec {
    struct field_list inputs;          /* struct ingest_input */
    struct field_list classes;         /* const char * */
    const char *tree;
    struct object_cuts cuts;
    struct delphes_branches branches;
};

static const struct field input_fields[] = {
    FIELD_STRING(struct ingest_input, path, .required = true, .min = 1, .max = 4096,
                 .doc = "ROOT file, folder or glob, below a data root"),
    FIELD_STRING(struct ingest_input, label, .required = true, .min = 1, .max = 64, .doc = "class of its events"),
    FIELD_END,
};
static const struct field spec_fields[] = {
    FIELD_LIST_OBJECT(struct ingest_spec, inputs, struct ingest_input, input_fields, .required = true, .min = 1,
                      .max = 100000, .doc = "input files with their class"),
    FIELD_LIST_STRING(struct ingest_spec, classes, .max = CLASSES_MAX,
                      .doc = "order of the classes; default: qcd, tt, wjets as far as they occur, then by appearance"),
    FIELD_STRING(struct ingest_spec, tree, .def_text = "Delphes", .min = 1, .max = 256, .doc = "path of the tree"),
    FIELD_OBJECT(struct ingest_spec, cuts, object_cuts_fields, .doc = "object cuts"),
    FIELD_OBJECT(struct ingest_spec, branches, delphes_branches_fields, .doc = "branch that serves each object"),
    FIELD_END,
};
static const struct field result_fields[] = {
    FIELD_STRING(struct ingest_result, dataset_id),
    FIELD_I64(struct ingest_result, events_read),
    FIELD_I64(struct ingest_result, events_kept),
    FIELD_I64(struct ingest_result, bytes_read, .unit = "bytes", .doc = "size of the input files"),
    FIELD_LIST_OBJECT(struct ingest_result, cut_flow, struct cut_row, cut_row_fields),
    FIELD_LIST_OBJECT(struct ingest_result, class_counts, struct class_count, class_count_fields),
    FIELD_LIST_OBJECT(struct ingest_result, files, struct dataset_source, dataset_source_fields),
    FIELD_END,
};

/* Decided once, kept in the work folder: the same in every attempt even when a glob would match more by then. */
struct ingest_file {
    const char *path;
    int64_t label, entries;
};
struct ingest_plan {
    struct field_list files;           /* struct ingest_file */
    struct field_list classes;         /* const char * */
    int64_t entries;
};
static const struct field file_fields[] = {
    FIELD_STRING(struct ingest_file, path),
    FIELD_I64(struct ingest_file, label),
    FIELD_I64(struct ingest_file, entries),
    FIELD_END,
};
static const struct field plan_fields[] = {
    FIELD_LIST_OBJECT(struct ingest_plan, files, struct ingest_file, file_fields),
    FIELD_LIST_STRING(struct ingest_plan, classes),
    FIELD_I64(struct ingest_plan, entries),
    FIELD_END,
};
static const char plan_name[] = "ingest-plan";

struct ingest_unit {
    int64_t entries, bytes, no_lepton, kept;
    double entries_weight, no_lepton_weight, kept_weight;
    const char *sha256;
};
static const struct field unit_fields[] = {
    FIELD_I64(struct ingest_unit, entries),
    FIELD_I64(struct ingest_unit, bytes),
    FIELD_I64(struct ingest_unit, no_lepton),
    FIELD_I64(struct ingest_unit, kept),
    FIELD_F64(struct ingest_unit, entries_weight),
    FIELD_F64(struct ingest_unit, no_lepton_weight),
    FIELD_F64(struct ingest_unit, kept_weight),
    FIELD_STRING(struct ingest_unit, sha256),
    FIELD_END,
};

/* ---- planning -------------------------------------------------------------------------------------------- */

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

static enum status validate(const void *spec_, struct error *e)
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
    return STATUS_OK;
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

/* Opens the file once before any work, so that a missing tree or branch is told at once. */
static enum status count_entries(const struct ingest_spec *spec, const char *path, int64_t *entries, struct error *e)
{
    struct source *src;
    struct delphes *d;
    TRY(source_open(path, &src, e));
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
        TRY(count_entries(spec, f->path, &f->entries, e));
        plan->entries += f->entries;
    }
    plan->files = (struct field_list){files, plan->files.n_items + paths.n_items};
    return STATUS_OK;
}

static enum status get_plan(struct job_ctx *ctx, const struct ingest_spec *spec, struct ingest_plan *plan,
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

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    struct ingest_plan p;
    *n_units = -1;
    if (phase > 0)
        return STATUS_OK;
    TRY(get_plan(ctx, spec, &p, e));
    *n_units = (int64_t)p.files.n_items;
    return STATUS_OK;
}

/* ---- one file --------------------------------------------------------------------------------------------- */

struct slot {
    struct event_batch batch;
    struct cut_counts counts;
    int64_t first, n;
};
struct file_run {
    struct job_ctx *ctx;
    const struct ingest_spec *spec;
    struct source *source;
    struct delphes **readers;          /* [threads], opened by the thread that needs one */
    struct delphes *first_reader;      /* answers for cluster borders */
    struct slot *slots;
    struct events_writer *writer;
    int64_t next, entries, done_before, total;
    int32_t label;
    struct cut_counts counts;
    char phase[300];
};

static enum status read_range(void *ctx, size_t slot, bool *end, struct error *e)
{
    struct file_run *r = ctx;
    TRY(work_check_cancelled(r->ctx, e));
    *end = r->next >= r->entries;
    if (*end)
        return STATUS_OK;
    int64_t stop = delphes_batch_end(r->first_reader, r->next, BATCH_ENTRIES);
    r->slots[slot].first = r->next;
    r->slots[slot].n = stop - r->next;
    r->next = stop;
    return STATUS_OK;
}

static enum status read_and_cut(void *ctx, size_t slot, size_t thread, struct error *e)
{
    struct file_run *r = ctx;
    struct slot *s = &r->slots[slot];
    if (!r->readers[thread])
        TRY(delphes_open(r->source, r->spec->tree, &r->spec->branches, &r->readers[thread], e));
    TRY(delphes_read(r->readers[thread], s->first, s->n, &s->batch, e));
    for (size_t i = 0; i < s->batch.n_events; i++)
        s->batch.label[i] = r->label;
    s->counts = (struct cut_counts){0};
    event_batch_cut(&s->batch, &r->spec->cuts, &s->counts);
    return STATUS_OK;
}

static void add_counts(struct cut_counts *sum, const struct cut_counts *c)
{
    sum->read += c->read;
    sum->no_lepton_above_pt += c->no_lepton_above_pt;
    sum->kept += c->kept;
    sum->read_weight += c->read_weight;
    sum->no_lepton_above_pt_weight += c->no_lepton_above_pt_weight;
    sum->kept_weight += c->kept_weight;
}

static enum status write_batch(void *ctx, size_t slot, struct error *e)
{
    struct file_run *r = ctx;
    struct slot *s = &r->slots[slot];
    TRY(events_write(r->writer, &s->batch, e));
    add_counts(&r->counts, &s->counts);
    work_progress(r->ctx, r->phase, "events", r->done_before + r->counts.read, r->total, NULL);
    return STATUS_OK;
}

static enum status run_pipeline(struct file_run *r, struct error *e)
{
    static const struct par_stage_fns stages = {read_range, read_and_cut, write_batch};
    size_t threads = r->ctx->threads ? r->ctx->threads : 1, n_slots = threads + 1;
    r->readers = ARENA_NEW(r->ctx->arena, struct delphes *, threads);
    r->slots = ARENA_NEW(r->ctx->arena, struct slot, n_slots);
    if (!r->readers || !r->slots)
        return error_set(e, STATUS_NOMEM, "ingest");
    for (size_t i = 0; i < n_slots; i++)
        event_batch_init(&r->slots[i].batch);
    enum status s = par_pipeline(threads, n_slots, &stages, r, e);
    for (size_t i = 0; i < n_slots; i++)
        event_batch_fini(&r->slots[i].batch);
    for (size_t i = 0; i < threads; i++)
        delphes_close(r->readers[i]);
    return s;
}

static enum status source_sha256(struct job_ctx *ctx, struct source *src, char out[65], struct error *e)
{
    uint8_t *chunk = mem_alloc(HASH_CHUNK);
    if (!chunk)
        return error_set(e, STATUS_NOMEM, "hash of the input");
    struct sha256 h;
    sha256_init(&h);
    enum status s = STATUS_OK;
    for (uint64_t at = 0; s == STATUS_OK && at < source_size(src); at += HASH_CHUNK) {
        size_t n = source_size(src) - at < HASH_CHUNK ? (size_t)(source_size(src) - at) : HASH_CHUNK;
        s = work_check_cancelled(ctx, e);
        if (s == STATUS_OK)
            s = source_read(src, at, chunk, n, e);
        if (s == STATUS_OK)
            sha256_update(&h, chunk, n);
    }
    sha256_final_hex(&h, out);
    mem_free(chunk);
    return s;
}

/* Reads the open file into its part; the part is removed again when no event of the file is kept. */
static enum status file_to_part(struct file_run *r, int64_t unit, struct error *e)
{
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    int64_t rows;
    TRY(work_path(r->ctx, folder, e, "dataset"));
    TRY(file_make_folder(folder, e));
    TRY(work_path(r->ctx, path, e, "dataset/part-%05lld.parquet", (long long)unit));
    TRY(events_writer_create(path, &r->writer, e));
    enum status s = run_pipeline(r, e);
    if (s != STATUS_OK) {
        events_writer_abort(r->writer);
        return s;
    }
    TRY(events_writer_finish(r->writer, &rows, e));
    check(rows == r->counts.kept);
    if (r->counts.read != r->entries)
        return error_set(e, STATUS_FORMAT, "%s: %lld of %lld entries read", source_name(r->source),
                         (long long)r->counts.read, (long long)r->entries);
    if (rows == 0 && unlink(path) != 0)
        return error_errno(e, "part without events");
    return STATUS_OK;
}

static enum status write_unit_result(const struct file_run *r, const char *sha, struct buf *result, struct error *e)
{
    const struct ingest_unit u = {
        .entries = r->counts.read,
        .bytes = (int64_t)source_size(r->source),
        .no_lepton = r->counts.no_lepton_above_pt,
        .kept = r->counts.kept,
        .entries_weight = r->counts.read_weight,
        .no_lepton_weight = r->counts.no_lepton_above_pt_weight,
        .kept_weight = r->counts.kept_weight,
        .sha256 = sha,
    };
    return field_write_text(unit_fields, &u, result, e);
}

static enum status run(struct job_ctx *ctx, const void *spec_, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    (void)phase;
    const struct ingest_spec *spec = spec_;
    struct ingest_plan p;
    char sha[65];
    TRY(get_plan(ctx, spec, &p, e));
    const struct ingest_file *files = p.files.items;
    struct file_run r = {.ctx = ctx, .spec = spec, .label = (int32_t)files[unit].label, .total = p.entries};
    for (int64_t i = 0; i < unit; i++)
        r.done_before += files[i].entries;
    TRY(source_open(files[unit].path, &r.source, e));
    snprintf(r.phase, sizeof r.phase, "reading %.200s", source_name(r.source));
    enum status s = delphes_open(r.source, spec->tree, &spec->branches, &r.first_reader, e);
    if (s == STATUS_OK) {
        r.entries = delphes_entries(r.first_reader);
        s = file_to_part(&r, unit, e);
    }
    if (s == STATUS_OK)
        s = source_sha256(ctx, r.source, sha, e);
    if (s == STATUS_OK)
        s = write_unit_result(&r, sha, result, e);
    delphes_close(r.first_reader);
    source_close(r.source);
    return s;
}

/* ---- the dataset ------------------------------------------------------------------------------------------ */

struct gathered {
    struct cut_flow flow;
    struct dataset_part *parts;
    struct dataset_source *sources;
    struct class_count *counts;
    size_t n_parts;
    int64_t read, kept, bytes;
};

static enum status gather_unit(struct job_ctx *ctx, const struct ingest_plan *p, size_t i, struct gathered *g,
                               struct error *e)
{
    const struct ingest_file *file = &((const struct ingest_file *)p->files.items)[i];
    const char *label = ((const char *const *)p->classes.items)[file->label];
    struct ingest_unit u;
    TRY(work_unit_result(ctx, 0, (int64_t)i, unit_fields, &u, e));
    TRY(cut_flow_add(ctx->arena, &g->flow, "read", label, u.entries, u.entries_weight, e));
    TRY(cut_flow_add(ctx->arena, &g->flow, reject_name(REJECT_NO_LEPTON_ABOVE_PT), label, u.no_lepton,
                     u.no_lepton_weight, e));
    TRY(cut_flow_add(ctx->arena, &g->flow, "kept", label, u.kept, u.kept_weight, e));
    g->sources[i] = (struct dataset_source){file->path, label, u.sha256, u.bytes, u.entries, u.kept};
    g->counts[file->label].events += u.kept;
    g->counts[file->label].weight += u.kept_weight;
    g->read += u.entries;
    g->kept += u.kept;
    g->bytes += u.bytes;
    if (u.kept == 0)
        return STATUS_OK;
    char folder[PATH_BYTES_MAX], name[48];
    TRY(work_path(ctx, folder, e, "dataset"));
    snprintf(name, sizeof name, "part-%05zu.parquet", i);
    TRY(dataset_part_describe(ctx->arena, folder, name, u.kept, &g->parts[g->n_parts], e));
    g->parts[g->n_parts++].source = (int64_t)i;
    return STATUS_OK;
}

static enum status gather(struct job_ctx *ctx, const struct ingest_plan *p, struct gathered *g, struct error *e)
{
    size_t n = p->files.n_items, n_classes = p->classes.n_items;
    *g = (struct gathered){
        .parts = ARENA_NEW(ctx->arena, struct dataset_part, n),
        .sources = ARENA_NEW(ctx->arena, struct dataset_source, n),
        .counts = ARENA_NEW(ctx->arena, struct class_count, n_classes),
    };
    if (!g->parts || !g->sources || !g->counts)
        return error_set(e, STATUS_NOMEM, "manifest of %zu files", n);
    for (size_t c = 0; c < n_classes; c++)
        g->counts[c].name = ((const char *const *)p->classes.items)[c];
    for (size_t i = 0; i < n; i++)
        TRY(gather_unit(ctx, p, i, g, e));
    if (g->kept == 0)
        return error_set(e, STATUS_ARGUMENT,
                         "no event of %lld was kept: none has an electron or muon above the cuts on pT "
                         "(spec member cuts)",
                         (long long)g->read);
    return STATUS_OK;
}

static enum status finish(struct job_ctx *ctx, const void *spec_, void *result_, struct error *e)
{
    const struct ingest_spec *spec = spec_;
    struct ingest_result *result = result_;
    struct ingest_plan p;
    struct gathered g;
    char folder[PATH_BYTES_MAX];
    TRY(get_plan(ctx, spec, &p, e));
    TRY(gather(ctx, &p, &g, e));

    struct manifest m;
    field_defaults(manifest_fields, &m);
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ds", 0, &m.id, e));
    m.kind = DATASET_EVENTS;
    m.job_id = ctx->job_id;
    m.created_at = ctx->created_at;
    m.build_id = DLT_BUILD_ID;
    m.classes = p.classes;
    m.cuts = spec->cuts;
    m.class_counts = (struct field_list){g.counts, p.classes.n_items};
    m.parts = (struct field_list){g.parts, g.n_parts};
    m.sources = (struct field_list){g.sources, p.files.n_items};
    m.cut_flow = cut_flow_list(&g.flow);
    TRY(work_path(ctx, folder, e, "dataset"));
    TRY(manifest_write(folder, &m, e));

    const struct artifact artifact = {.kind = "dataset", .id = m.id, .staged = folder, .name = "events"};
    TRY(ctx->host->publish(ctx->host_ctx, &artifact, e));
    result->dataset_id = m.id;
    result->events_read = g.read;
    result->events_kept = g.kept;
    result->bytes_read = g.bytes;
    result->cut_flow = m.cut_flow;
    result->class_counts = m.class_counts;
    result->files = m.sources;
    return STATUS_OK;
}

const struct job_kind ingest_kind = {
    .name = "ingest",
    .doc = "Reads Delphes ROOT files, applies the object cuts and keeps the events as a Parquet dataset.",
    .spec_fields = spec_fields,
    .spec_size = sizeof(struct ingest_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct ingest_result),
    .max_attempts = 3,
    .validate = validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
