/* core/work/ingest.c
 *
 * Job kind "ingest": ROOT files in, an events dataset out.  One unit an input file, one part a unit.  Within a file,
 * ranges of whole clusters are read and cut in parallel (each thread has its own reader) and written in order, so the
 * part has the same bytes whatever the number of threads.  Of a bad file nothing is kept: its part is removed again. */
#include "core/work/ingest.h"

#include "core/base/keep.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* About 10 MB of columns a batch at 570 particles an event: one row group. */
enum { BATCH_ENTRIES = 512, HASH_CHUNK = 1 << 20 };

static const struct field result_fields[] = {
    FIELD_STRING(struct ingest_result, dataset_id),
    FIELD_I64(struct ingest_result, events_read, .doc = "events that came in; of skipped files as far as known"),
    FIELD_I64(struct ingest_result, events_kept),
    FIELD_I64(struct ingest_result, events_lost, .doc = "events of skipped files, as far as known"),
    FIELD_I64(struct ingest_result, files_skipped),
    FIELD_I64(struct ingest_result, bytes_read, .unit = "bytes", .doc = "size of the input files"),
    FIELD_LIST_OBJECT(struct ingest_result, cut_flow, struct cut_row, cut_row_fields),
    FIELD_LIST_OBJECT(struct ingest_result, class_counts, struct class_count, class_count_fields),
    FIELD_LIST_OBJECT(struct ingest_result, files, struct dataset_source, dataset_source_fields),
    FIELD_LIST_OBJECT(struct ingest_result, skipped_files, struct skipped_file, skipped_file_fields),
    FIELD_END,
};

struct ingest_unit {
    int64_t entries, bytes, no_lepton, kept;
    double entries_weight, no_lepton_weight, kept_weight;
    const char *sha256;
    const char *part_sha256;           /* of the part that was written, when events were kept */
    int64_t part_bytes;
    const char *reason;                /* left out; the rest but bytes, sha256 and lost is then 0 */
    int64_t lost;                      /* -1: unknown */
    double lost_weight;
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
    FIELD_STRING(struct ingest_unit, part_sha256),
    FIELD_I64(struct ingest_unit, part_bytes),
    FIELD_STRING(struct ingest_unit, reason),
    FIELD_I64(struct ingest_unit, lost),
    FIELD_F64(struct ingest_unit, lost_weight),
    FIELD_END,
};

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    struct ingest_plan p;
    *n_units = -1;
    if (phase > 0)
        return STATUS_OK;
    TRY(ingest_plan_get(ctx, spec, &p, e));
    *n_units = (int64_t)p.files.n_items;
    return STATUS_OK;
}

/* ---- one file --------------------------------------------------------------------------------------------- */

/* SHA-256 of a file, taken while its events are read: the bytes then come from the disk, or over the wire, once. */
struct file_hash {
    struct sha256 state;
    uint64_t done;
    uint8_t *chunk;
};

/* Hashes on up to byte `end`. */
static enum status file_hash_to(struct file_hash *h, struct job_ctx *ctx, struct source *src, uint64_t end,
                                struct error *e)
{
    while (h->done < end) {
        size_t n = end - h->done < HASH_CHUNK ? (size_t)(end - h->done) : HASH_CHUNK;
        TRY(work_check_cancelled(ctx, e));
        TRY(source_read(src, h->done, h->chunk, n, e));
        sha256_update(&h->state, h->chunk, n);
        h->done += n;
    }
    return STATUS_OK;
}

static enum status file_hash_begin(struct file_hash *h, struct error *e)
{
    *h = (struct file_hash){.chunk = mem_alloc(HASH_CHUNK)};
    if (!h->chunk)
        return error_set(e, STATUS_NOMEM, "hash of the input");
    sha256_init(&h->state);
    return STATUS_OK;
}

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
    struct file_hash hash;
    struct part_written part;
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
    double share = (double)stop / (double)r->entries;
    uint64_t hash_end = (uint64_t)(share * (double)source_size(r->source)) / HASH_CHUNK * HASH_CHUNK;
    return file_hash_to(&r->hash, r->ctx, r->source, hash_end, e);
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
    struct file_hash h;
    TRY(file_hash_begin(&h, e));
    enum status s = file_hash_to(&h, ctx, src, source_size(src), e);
    sha256_final_hex(&h.state, out);
    mem_free(h.chunk);
    return s;
}

/* Reads the open file into its part; the part is removed again when no event of the file is kept. */
static enum status file_to_part(struct file_run *r, int64_t unit, struct error *e)
{
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    TRY(work_path(r->ctx, folder, e, "dataset"));
    TRY(file_make_folder(folder, e));
    TRY(work_path(r->ctx, path, e, "dataset/part-%05lld.parquet", (long long)unit));
    TRY(events_writer_create(path, &r->writer, e));
    enum status s = run_pipeline(r, e);
    if (s != STATUS_OK) {
        events_writer_abort(r->writer);
        return s;
    }
    TRY(events_writer_finish(r->writer, &r->part, e));
    check(r->part.rows == r->counts.kept);
    bool complete = r->counts.read == r->entries;
    if ((r->part.rows == 0 || !complete) && unlink(path) != 0)
        return error_errno(e, "part without events");
    return complete ? STATUS_OK
                    : error_set(e, STATUS_FORMAT, "%s: %lld of %lld entries read", source_name(r->source),
                                (long long)r->counts.read, (long long)r->entries);
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
        .part_sha256 = r->part.rows > 0 ? r->part.sha256 : NULL,
        .part_bytes = r->part.rows > 0 ? r->part.bytes : 0,
    };
    return field_write_text(unit_fields, &u, result, e);
}

/* What is told of a file that is left out.  It is opened again, since it may have failed at any point. */
static enum status leave_out(struct job_ctx *ctx, const struct ingest_spec *spec, const char *path, const char *reason,
                             struct buf *result, struct error *e)
{
    struct ingest_unit u = {.reason = reason, .lost = -1};
    struct source *src;
    char sha[65];
    work_log(ctx, LOG_WARN, "left out: %s", reason);
    enum status s = ingest_source_open(ctx, path, &src, e);
    if (s == STATUS_OK) {
        u.bytes = (int64_t)source_size(src);
        s = ingest_count_lost(spec, src, &u.lost, &u.lost_weight, e);
        if (s == STATUS_OK && spec->on_bad_file == BAD_FILE_QUARANTINE) {
            s = source_sha256(ctx, src, sha, e);
            u.sha256 = s == STATUS_OK ? sha : NULL;
        }
        source_close(src);
    }
    if (s != STATUS_OK && !ingest_may_skip(spec, s))
        return s;
    return field_write_text(unit_fields, &u, result, e);
}

static enum status read_file(struct file_run *r, const char *path, int64_t unit, struct buf *result, struct error *e)
{
    char sha[65];
    TRY(ingest_source_open(r->ctx, path, &r->source, e));
    snprintf(r->phase, sizeof r->phase, "reading %.200s", source_name(r->source));
    enum status s = delphes_open(r->source, r->spec->tree, &r->spec->branches, &r->first_reader, e);
    if (s == STATUS_OK)
        s = file_hash_begin(&r->hash, e);
    if (s == STATUS_OK) {
        r->entries = delphes_entries(r->first_reader);
        s = file_to_part(r, unit, e);
    }
    if (s == STATUS_OK)
        s = file_hash_to(&r->hash, r->ctx, r->source, source_size(r->source), e);
    if (s == STATUS_OK)
        s = source_check_unchanged(r->source, e);
    if (s == STATUS_OK) {
        sha256_final_hex(&r->hash.state, sha);
        s = write_unit_result(r, sha, result, e);
    }
    mem_free(r->hash.chunk);
    delphes_close(r->first_reader);
    source_close(r->source);
    return s;
}

static enum status run(struct job_ctx *ctx, const void *spec_, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    (void)phase;
    const struct ingest_spec *spec = spec_;
    struct ingest_plan p;
    mem_keep();
    TRY(ingest_plan_get(ctx, spec, &p, e));
    const struct ingest_file *files = p.files.items;
    if (files[unit].reason)
        return leave_out(ctx, spec, files[unit].path, files[unit].reason, result, e);
    struct file_run r = {.ctx = ctx, .spec = spec, .label = (int32_t)files[unit].label, .total = p.entries};
    for (int64_t i = 0; i < unit; i++)
        r.done_before += files[i].entries;
    enum status s = read_file(&r, files[unit].path, unit, result, e);
    if (s == STATUS_OK || !ingest_may_skip(spec, s))
        return s;
    const char *reason = arena_strdup(ctx->arena, e->text);
    return reason ? leave_out(ctx, spec, files[unit].path, reason, result, e)
                  : error_set(e, STATUS_NOMEM, "reason of a skipped file");
}

/* ---- the dataset ------------------------------------------------------------------------------------------ */

struct gathered {
    struct cut_flow flow;
    struct dataset_part *parts;
    struct dataset_source *sources;
    struct class_count *counts;
    struct skipped_file *skipped;
    size_t n_parts, n_sources, n_skipped;
    int64_t read, kept, lost, bytes;
};

/* The flow stays closed: what is known to be lost came in, and has its own row. */
static enum status gather_skipped(struct job_ctx *ctx, const char *path, const char *label,
                                  const struct ingest_unit *u, struct gathered *g, struct error *e)
{
    g->skipped[g->n_skipped++] = (struct skipped_file){path, label, u->sha256, u->reason, u->bytes, u->lost};
    if (u->lost <= 0)
        return STATUS_OK;
    TRY(cut_flow_add(ctx->arena, &g->flow, "read", label, u->lost, u->lost_weight, e));
    TRY(cut_flow_add(ctx->arena, &g->flow, "bad_file", label, u->lost, u->lost_weight, e));
    g->read += u->lost;
    g->lost += u->lost;
    return STATUS_OK;
}

/* The part as its unit described it, once it is seen to be there. */
static enum status gather_part(struct job_ctx *ctx, size_t i, const struct ingest_unit *u, struct dataset_part *out,
                               struct error *e)
{
    char path[PATH_BYTES_MAX], name[48];
    struct stat st;
    struct part_written written = {.rows = u->kept, .bytes = u->part_bytes};
    snprintf(name, sizeof name, "part-%05zu.parquet", i);
    TRY(work_path(ctx, path, e, "dataset/%s", name));
    if (stat(path, &st) != 0)
        return error_errno(e, "%s", name);
    if (!u->part_sha256 || st.st_size != u->part_bytes)
        return error_set(e, STATUS_FORMAT, "%s holds %lld bytes, %lld were written", name, (long long)st.st_size,
                         (long long)u->part_bytes);
    text_copy(written.sha256, sizeof written.sha256, u->part_sha256);
    return dataset_part_written(ctx->arena, name, &written, out, e);
}

static enum status gather_unit(struct job_ctx *ctx, const struct ingest_plan *p, size_t i, struct gathered *g,
                               struct error *e)
{
    const struct ingest_file *file = &((const struct ingest_file *)p->files.items)[i];
    const char *label = ((const char *const *)p->classes.items)[file->label];
    struct ingest_unit u;
    TRY(work_unit_result(ctx, 0, (int64_t)i, unit_fields, &u, e));
    if (u.reason)
        return gather_skipped(ctx, file->path, label, &u, g, e);
    TRY(cut_flow_add(ctx->arena, &g->flow, "read", label, u.entries, u.entries_weight, e));
    TRY(cut_flow_add(ctx->arena, &g->flow, reject_name(REJECT_NO_LEPTON_ABOVE_PT), label, u.no_lepton,
                     u.no_lepton_weight, e));
    TRY(cut_flow_add(ctx->arena, &g->flow, "kept", label, u.kept, u.kept_weight, e));
    int64_t source = (int64_t)g->n_sources;
    g->sources[g->n_sources++] = (struct dataset_source){file->path, label, u.sha256, u.bytes, u.entries, u.kept};
    g->counts[file->label].events += u.kept;
    g->counts[file->label].weight += u.kept_weight;
    g->read += u.entries;
    g->kept += u.kept;
    g->bytes += u.bytes;
    if (u.kept == 0)
        return STATUS_OK;
    TRY(gather_part(ctx, i, &u, &g->parts[g->n_parts], e));
    g->parts[g->n_parts++].source = source;
    return STATUS_OK;
}

static enum status gather(struct job_ctx *ctx, const struct ingest_plan *p, struct gathered *g, struct error *e)
{
    size_t n = p->files.n_items, n_classes = p->classes.n_items;
    *g = (struct gathered){
        .parts = ARENA_NEW(ctx->arena, struct dataset_part, n),
        .sources = ARENA_NEW(ctx->arena, struct dataset_source, n),
        .counts = ARENA_NEW(ctx->arena, struct class_count, n_classes),
        .skipped = ARENA_NEW(ctx->arena, struct skipped_file, n),
    };
    if (!g->parts || !g->sources || !g->counts || !g->skipped)
        return error_set(e, STATUS_NOMEM, "manifest of %zu files", n);
    for (size_t c = 0; c < n_classes; c++)
        g->counts[c].name = ((const char *const *)p->classes.items)[c];
    for (size_t i = 0; i < n; i++)
        TRY(gather_unit(ctx, p, i, g, e));
    if (n > 0 && g->n_skipped == n)
        return error_set(e, STATUS_FORMAT, "all %zu input files were left out; the first: %s", n, g->skipped[0].reason);
    if (g->kept == 0)
        return error_set(e, STATUS_ARGUMENT,
                         "no event of %lld was kept: none has an electron or muon above the cuts on pT "
                         "(spec member cuts)",
                         (long long)(g->read - g->lost));
    return STATUS_OK;
}

/* A fraction can only be given to a class that has weight. */
static enum status check_fractions(const struct ingest_spec *spec, const struct gathered *g, size_t n_classes,
                                   struct error *e)
{
    const struct field_pair *fractions = spec->natural_fractions.items;
    for (size_t i = 0; i < spec->natural_fractions.n_items; i++)
        for (size_t c = 0; c < n_classes; c++)
            if (strcmp(fractions[i].name, g->counts[c].name) == 0 && !(g->counts[c].weight > 0))
                return error_set(e, STATUS_ARGUMENT,
                                 "natural_fractions: the %lld events kept of class %s have the sum of weights %g, which "
                                 "cannot be scaled to a fraction", (long long)g->counts[c].events, g->counts[c].name,
                                 g->counts[c].weight);
    return STATUS_OK;
}

static enum status finish(struct job_ctx *ctx, const void *spec_, void *result_, struct error *e)
{
    const struct ingest_spec *spec = spec_;
    struct ingest_result *result = result_;
    struct ingest_plan p;
    struct gathered g;
    char folder[PATH_BYTES_MAX];
    mem_give_back();
    TRY(ingest_plan_get(ctx, spec, &p, e));
    TRY(gather(ctx, &p, &g, e));
    TRY(check_fractions(spec, &g, p.classes.n_items, e));

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
    m.sources = (struct field_list){g.sources, g.n_sources};
    m.skipped_files = (struct field_list){g.skipped, g.n_skipped};
    m.natural_fractions = spec->natural_fractions;
    m.cut_flow = cut_flow_list(&g.flow);
    TRY(work_path(ctx, folder, e, "dataset"));
    TRY(manifest_write(folder, &m, e));

    const struct artifact artifact = {.kind = "dataset", .id = m.id, .staged = folder, .name = "events"};
    TRY(ctx->host->publish(ctx->host_ctx, &artifact, e));
    result->dataset_id = m.id;
    result->events_read = g.read;
    result->events_kept = g.kept;
    result->events_lost = g.lost;
    result->files_skipped = (int64_t)g.n_skipped;
    result->bytes_read = g.bytes;
    result->cut_flow = m.cut_flow;
    result->class_counts = m.class_counts;
    result->files = m.sources;
    result->skipped_files = m.skipped_files;
    return STATUS_OK;
}

const struct job_kind ingest_kind = {
    .name = "ingest",
    .doc = "Reads Delphes ROOT files, applies the object cuts and keeps the events as a Parquet dataset.",
    .spec_fields = ingest_spec_fields,
    .spec_size = sizeof(struct ingest_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct ingest_result),
    .max_attempts = 3,
    .validate = ingest_validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
