/* server/cli/features.c
 *
 * `dltrigger features`: what a physicist holds against a notebook.  One line an event: entry, why it was dropped, the
 * 14 features; with --rows the particle rows, with --sequence the network's input.  The same functions as ingestion and
 * the trigger, in batches, so that a file of any size takes little memory. */
#include "server/cli/cli.h"
#include "server/cli/input.h"
#include "core/feature.h"
#include "core/model.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_ENTRIES = 200 };
#define TEXT_MAX ((size_t)256 << 20)

struct features_job {
    const char *url, *recipe_name, *entries, *tree, *model_path;
    bool rows, sequence, json;
    const struct recipe *recipe;
    struct sequence_scaler scaler;
    struct object_cuts cuts;
    struct input in;
    struct feature_batch features;
    bool *had_lepton;                             /* [BATCH_ENTRIES] before the cuts */
    size_t cap_entries;
    float *rows19, *network;                      /* [PARTICLE_ROWS_MAX][19] */
    struct buf out;
};

/* ---- one event ----------------------------------------------------------------------------------------- */

static enum status put_numbers(struct features_job *j, const float *v, size_t n, struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        TRY(buf_append(&j->out, ",", i > 0, e));
        TRY(cli_put_f32(&j->out, v[i], e));
    }
    return STATUS_OK;
}

static enum status put_matrix_json(struct features_job *j, const char *name, const float *v, size_t n, struct error *e)
{
    TRY(buf_printf(&j->out, e, ",\"%s\":[", name));
    for (size_t i = 0; i < n; i++) {
        TRY(buf_printf(&j->out, e, i ? ",[" : "["));
        TRY(put_numbers(j, v + i * PARTICLE_COLUMNS, PARTICLE_COLUMNS, e));
        TRY(buf_append(&j->out, "]", 1, e));
    }
    return buf_append(&j->out, "]", 1, e);
}

static enum status put_matrix_text(struct features_job *j, const char *name, const float *v, size_t n, struct error *e)
{
    TRY(buf_printf(&j->out, e, "  %s (%zu x %d):", name, n, PARTICLE_COLUMNS));
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        TRY(buf_printf(&j->out, e, " %s", particle_column_names[c]));
    TRY(buf_append(&j->out, "\n", 1, e));
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
            TRY(buf_printf(&j->out, e, " %10.5g", (double)v[i * PARTICLE_COLUMNS + c]));
        TRY(buf_append(&j->out, "\n", 1, e));
    }
    return STATUS_OK;
}

/* Particle rows and network input of event i of the batch, NULL when the event was dropped. */
static enum status put_matrices(struct features_job *j, size_t i, struct error *e)
{
    enum status (*put)(struct features_job *, const char *, const float *, size_t, struct error *) =
        j->json ? put_matrix_json : put_matrix_text;
    size_t first = j->features.row_first[i], n = j->features.row_first[i + 1] - first;
    particle_expand(&j->features.rows, first, n, j->rows19);
    if (j->rows)
        TRY(put(j, "rows", j->rows19, n, e));
    if (!j->sequence)
        return STATUS_OK;
    size_t n_network = sequence_prepare(j->recipe, &j->scaler, j->rows19, n, j->network);
    return put(j, "sequence", j->network, n_network, e);
}

static enum status put_event_json(struct features_job *j, int64_t entry, const char *reason, size_t i, struct error *e)
{
    TRY(buf_printf(&j->out, e, "{\"entry\":%lld,\"reason\":", (long long)entry));
    if (reason) {
        TRY(buf_printf(&j->out, e, "\"%s\",\"hlf\":null", reason));
        TRY(buf_printf(&j->out, e, "%s%s}\n", j->rows ? ",\"rows\":null" : "",
                       j->sequence ? ",\"sequence\":null" : ""));
        return STATUS_OK;
    }
    TRY(buf_printf(&j->out, e, "null,\"hlf\":["));
    TRY(put_numbers(j, j->features.hlf + i * HLF_COUNT, HLF_COUNT, e));
    TRY(buf_append(&j->out, "]", 1, e));
    if (j->rows || j->sequence)
        TRY(put_matrices(j, i, e));
    return buf_append(&j->out, "}\n", 2, e);
}

static enum status put_event_text(struct features_job *j, int64_t entry, const char *reason, size_t i, struct error *e)
{
    TRY(buf_printf(&j->out, e, "%8lld", (long long)entry));
    if (reason)
        return buf_printf(&j->out, e, "  %s\n", reason);
    for (size_t k = 0; k < HLF_COUNT; k++)
        TRY(buf_printf(&j->out, e, " %11.6g", (double)j->features.hlf[i * HLF_COUNT + k]));
    TRY(buf_append(&j->out, "\n", 1, e));
    return j->rows || j->sequence ? put_matrices(j, i, e) : STATUS_OK;
}

/* ---- batches ------------------------------------------------------------------------------------------- */

static enum status note_leptons(struct features_job *j, struct error *e)
{
    const struct object_columns *o = j->in.batch.objects;
    size_t n = j->in.batch.n_events;
    if (n > j->cap_entries) {
        bool *bigger = mem_realloc(j->had_lepton, n * sizeof *bigger);
        if (!bigger)
            return error_set(e, STATUS_NOMEM, "no memory for %zu events", n);
        j->had_lepton = bigger;
        j->cap_entries = n;
    }
    for (size_t i = 0; i < n; i++)
        j->had_lepton[i] = o[OBJECT_ELECTRON].first[i] < o[OBJECT_ELECTRON].first[i + 1] ||
                           o[OBJECT_MUON].first[i] < o[OBJECT_MUON].first[i + 1];
    return STATUS_OK;
}

/* Entries [first, first + n): those that the cuts dropped are the ones missing from batch.entry. */
static enum status put_batch(struct features_job *j, int64_t first, size_t n, struct error *e)
{
    enum status (*put)(struct features_job *, int64_t, const char *, size_t, struct error *) =
        j->json ? put_event_json : put_event_text;
    struct cut_counts counts = {0};
    TRY(note_leptons(j, e));
    event_batch_cut(&j->in.batch, &j->cuts, &counts);
    TRY(features_compute(j->recipe, &j->in.batch, j->rows || j->sequence, &j->features, e));
    size_t i = 0;
    for (size_t k = 0; k < n; k++) {
        int64_t entry = first + (int64_t)k;
        bool kept = i < j->in.batch.n_events && j->in.batch.entry[i] == entry;
        enum reject why = j->had_lepton[k] ? REJECT_NO_LEPTON_ABOVE_PT : REJECT_NO_LEPTON;
        if (kept)
            why = j->features.reject[i];
        TRY(put(j, entry, why == REJECT_NONE ? NULL : reject_name(why), i, e));
        i += kept;
    }
    return cli_put(&j->out, e);
}

static enum status print_header(struct features_job *j, struct error *e)
{
    if (j->json)
        return STATUS_OK;
    TRY(buf_printf(&j->out, e, "%8s", "entry"));
    for (size_t k = 0; k < HLF_COUNT; k++)
        TRY(buf_printf(&j->out, e, " %11s", hlf_info[k].name));
    TRY(buf_append(&j->out, "\n", 1, e));
    return cli_put(&j->out, e);
}

static enum status print_all(struct features_job *j, int64_t first, int64_t end, struct error *e)
{
    TRY(input_open(&j->in, j->url, j->tree, e));
    TRY(input_range(&j->in, first, &end, e));
    TRY(print_header(j, e));
    while (first < end) {
        int64_t next = delphes_batch_end(j->in.delphes, first, BATCH_ENTRIES);
        next = next > end ? end : next;
        TRY(delphes_read(j->in.delphes, first, next - first, &j->in.batch, e));
        TRY(put_batch(j, first, (size_t)(next - first), e));
        first = next;
    }
    return STATUS_OK;
}

/* ---- preparation --------------------------------------------------------------------------------------- */

/* The network's input of a ragged recipe is standardised by what a training fitted; without a model it is
 * as measured. */
static enum status load_scaler(struct features_job *j, struct error *e)
{
    struct hlf_scaler hlf;
    struct model *m;
    bool has_sequence;
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        j->scaler.factor[c] = 1;
    if (!j->sequence || j->recipe->sequence_dense)
        return STATUS_OK;
    if (!j->model_path) {
        fputs("dltrigger features: the sequence is sorted but not standardised: --model FILE.dltm gives the scaler\n",
              stderr);
        return STATUS_OK;
    }
    TRY(model_load(j->model_path, &m, e));
    enum status s = scaler_record_read(&model_header(m)->scaler, &hlf, &j->scaler, &has_sequence, e);
    if (s == STATUS_OK && (model_recipe(m) != j->recipe || !has_sequence))
        s = error_set(e, STATUS_ARGUMENT, "%s has no scaler of sequences of recipe %s", j->model_path, j->recipe->name);
    model_release(m);
    return s;
}

static enum status run(struct features_job *j, int64_t first, int64_t end, struct error *e)
{
    j->rows19 = mem_calloc(PARTICLE_ROWS_MAX * PARTICLE_COLUMNS, sizeof(float));
    j->network = mem_calloc(PARTICLE_ROWS_MAX * PARTICLE_COLUMNS, sizeof(float));
    if (!j->rows19 || !j->network)
        return error_set(e, STATUS_NOMEM, "no memory for the particle rows");
    TRY(load_scaler(j, e));
    return print_all(j, first, end, e);
}

static int unknown_recipe(const struct cli_usage *usage, const char *name)
{
    char problem[200] = "";
    size_t n, len;
    const struct recipe *all = recipe_all(&n);
    len = (size_t)snprintf(problem, sizeof problem, "there is no recipe %.40s; there are", name);
    for (size_t i = 0; i < n && len < sizeof problem; i++)
        len += (size_t)snprintf(problem + len, sizeof problem - len, " %s", all[i].name);
    return cli_misused(usage, problem);
}

int cli_features(int argc, char **argv)
{
    struct features_job j = {.tree = "Delphes"};
    int64_t first, end;
    struct error e;
    const struct cli_option options[] = {
        {"--recipe", "NAME", "topology-1 or sparkdltrigger-1", &j.recipe_name, NULL},
        {"--entries", "A:B", "entries A up to, not including, B (default all)", &j.entries, NULL},
        {"--rows", NULL, "the particle rows too: lepton first, 19 columns", NULL, &j.rows},
        {"--sequence", NULL, "the network's input too: sorted and standardised rows", NULL, &j.sequence},
        {"--model", "FILE.dltm", "whose scaler standardises the sequence (recipes with ragged rows)", &j.model_path,
         NULL},
        {"--tree", "NAME", "the Delphes tree (default Delphes)", &j.tree, NULL},
        {"--json", NULL, "one JSON object an event, floats with nine digits", NULL, &j.json},
    };
    const struct cli_usage usage = {
        "features", "FILE_OR_URL --recipe NAME [options]",
        "Selection and features of each event of a Delphes file, with the default object cuts: the\n"
        "entry, why it was dropped, or the 14 features.",
        options, ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &j.url, 1);
    if (code != CLI_GO_ON)
        return code;
    if (!j.recipe_name)
        return cli_misused(&usage, "--recipe is needed");
    j.recipe = recipe_find(j.recipe_name);
    if (!j.recipe)
        return unknown_recipe(&usage, j.recipe_name);
    if (!input_entries(j.entries, &first, &end))
        return cli_misused(&usage, "--entries is A:B with A <= B");
    field_defaults(object_cuts_fields, &j.cuts);
    feature_batch_init(&j.features);
    event_batch_init(&j.in.batch);
    buf_init(&j.out, TEXT_MAX);
    enum status s = run(&j, first, end, &e);
    input_close(&j.in);
    feature_batch_fini(&j.features);
    buf_fini(&j.out);
    mem_free(j.had_lepton);
    mem_free(j.rows19);
    mem_free(j.network);
    return s == STATUS_OK ? CLI_DONE : cli_failed("features", &e);
}
