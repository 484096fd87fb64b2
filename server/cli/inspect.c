/* server/cli/inspect.c
 *
 * `dltrigger inspect`: what is in a file.  A folder is a dataset; a file says by its first bytes whether it is a model;
 * everything else is taken for ROOT. */
#include "server/cli/cli.h"
#include "server/cli/input.h"
#include "core/dataset.h"
#include "core/interchange.h"
#include "server/json/json.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX ((size_t)512 << 20)

/* Takes v. */
static enum status put_json(struct buf *out, struct json *v, struct error *e)
{
    enum status s = json_write(v, out, e);
    json_free(v);
    return s == STATUS_OK ? buf_append(out, "\n", 1, e) : s;
}

/* ---- datasets ------------------------------------------------------------------------------------------ */

static enum status dataset_text(const struct manifest *m, struct buf *out, struct error *e)
{
    const struct class_count *counts = m->class_counts.items;
    const struct cut_row *cuts = m->cut_flow.items;
    const struct dataset_source *sources = m->sources.items;
    TRY(buf_printf(out, e, "dataset    %s\nkind       %s\n", m->id, dataset_kind_names[m->kind]));
    if (m->recipe)
        TRY(buf_printf(out, e, "recipe     %s\n", m->recipe));
    if (m->split)
        TRY(buf_printf(out, e, "split      %s, the other is %s\n", m->split, m->sibling_id ? m->sibling_id : "-"));
    TRY(buf_printf(out, e, "rows       %lld in %zu parts, %lld bytes\n", (long long)m->rows, m->parts.n_items,
                   (long long)m->bytes));
    TRY(buf_printf(out, e, "created    %s by %s\ncontent    %s\nclasses\n", m->created_at ? m->created_at : "-",
                   m->job_id ? m->job_id : "-", m->content_sha256 ? m->content_sha256 : "-"));
    for (size_t i = 0; i < m->class_counts.n_items; i++)
        TRY(buf_printf(out, e, "  %-22s %10lld  weight %.6g\n", counts[i].name, (long long)counts[i].events,
                       counts[i].weight));
    TRY(buf_printf(out, e, "cut-flow\n"));
    for (size_t i = 0; i < m->cut_flow.n_items; i++)
        TRY(buf_printf(out, e, "  %-22s %10lld  %s\n", cuts[i].reason, (long long)cuts[i].events, cuts[i].label));
    for (size_t i = 0; i < m->sources.n_items; i++)
        TRY(buf_printf(out, e, "source     %s (%s): %lld entries, %lld kept\n", sources[i].path, sources[i].label,
                       (long long)sources[i].entries, (long long)sources[i].kept));
    return STATUS_OK;
}

static enum status inspect_dataset(const char *path, bool json, struct buf *out, struct error *e)
{
    struct dataset *d;
    TRY(dataset_open(path, &d, e));
    const struct manifest *m = dataset_manifest(d);
    enum status s = json ? put_json(out, json_encode_fields(manifest_fields, m), e) : dataset_text(m, out, e);
    dataset_close(d);
    return s;
}

/* ---- models -------------------------------------------------------------------------------------------- */

static enum status model_text(const struct model *m, struct buf *out, struct error *e)
{
    const struct model_header *h = model_header(m);
    TRY(buf_printf(out, e, "model      %s\nrecipe     %s\nsha256     %s\nclasses    ", h->estimator, h->recipe,
                   model_sha256(m)));
    for (size_t i = 0; i < model_n_classes(m); i++)
        TRY(buf_printf(out, e, "%s%s", i ? ", " : "", model_class(m, i)));
    TRY(buf_printf(out, e, "\nparameters %lld\ntrained    ", (long long)h->n_params));
    if (h->epochs_done == 0) {
        TRY(buf_printf(out, e, "elsewhere\n"));
    } else {
        TRY(buf_printf(out, e, "%lld events of %s, %lld epochs, loss %.6g", (long long)h->n_train,
                       h->dataset_id ? h->dataset_id : "-", (long long)h->epochs_done, h->train_loss));
        TRY(isfinite(h->val_loss) ? buf_printf(out, e, ", validation loss %.6g\n", h->val_loss)
                                  : buf_printf(out, e, ", no validation\n"));
    }
    return buf_printf(out, e, "created    %s, build %s\n", h->created_at ? h->created_at : "-",
                      h->build_id ? h->build_id : "-");
}

static enum status layers_text(const struct model_header *h, struct buf *out, struct error *e)
{
    const struct layer_spec *layer = h->params.layers.items;
    for (size_t i = 0; i < h->params.layers.n_items; i++) {
        const char *const *input = layer[i].inputs.items;
        TRY(buf_printf(out, e, "%s  %-22s %-12s", i ? "" : "layers\n", layer[i].name, layer_kind_names[layer[i].kind]));
        if (layer[i].units > 0)
            TRY(buf_printf(out, e, " %lld", (long long)layer[i].units));
        for (size_t j = 0; j < layer[i].inputs.n_items; j++)
            TRY(buf_printf(out, e, "%s%s", j ? ", " : "  of ", input[j]));
        TRY(buf_printf(out, e, "\n"));
    }
    return STATUS_OK;
}

/* Other people's files are parsed in a child.  A Keras file names neither recipe nor classes: defaults are shown. */
static enum status load_any(const char *path, enum model_format *format, struct model **out, struct error *e)
{
    struct buf bytes;
    buf_init(&bytes, (size_t)1 << 30);
    enum status s = cli_read(path, &bytes, e);
    struct span file = {bytes.data, bytes.len};
    const char *slash = strrchr(path, '/');
    if (s == STATUS_OK) {
        *format = model_format_of(file);
        s = model_import(&(struct model_import){.unnamed = true}, file, slash ? slash + 1 : path, out, e);
    }
    buf_fini(&bytes);
    return s;
}

static enum status inspect_model(const char *path, bool json, struct buf *out, struct error *e)
{
    enum model_format format = MODEL_FORMAT_UNKNOWN;
    struct model *m;
    TRY(load_any(path, &format, &m, e));
    struct json *v = json ? json_encode_fields(model_header_fields, model_header(m)) : NULL;
    if (v) {
        (void)json_set(v, "sha256", json_new_string(model_sha256(m)));
        (void)json_set(v, "format", json_new_string(model_format_names[format]));
    }
    enum status s = json ? put_json(out, v, e) : buf_printf(out, e, "format     %s\n", model_format_names[format]);
    if (s == STATUS_OK && !json)
        s = model_text(m, out, e);
    if (s == STATUS_OK && !json)
        s = layers_text(model_header(m), out, e);
    model_release(m);
    return s;
}

/* ---- ROOT and the choice ------------------------------------------------------------------------------- */

/* The first tree that cannot be read: the listing shows it among the others, the exit status must tell too. */
static void find_unreadable(struct root_file *f, struct error *unreadable)
{
    size_t n;
    const struct root_key *keys = root_keys(f, &n);
    for (size_t i = 0; i < n && unreadable->status == STATUS_OK; i++) {
        char name[600];
        struct root_tree *tree;
        bool is_tree = strcmp(keys[i].class_name, "TTree") == 0 || strncmp(keys[i].class_name, "TNtuple", 7) == 0;
        if (is_tree && snprintf(name, sizeof name, "%s;%d", keys[i].path, keys[i].cycle) < (int)sizeof name &&
            root_tree_get(f, name, &tree, unreadable) == STATUS_OK)
            unreadable->status = STATUS_OK;
    }
}

static enum status inspect_root(struct source *source, bool json, struct buf *out, struct error *unreadable,
                                struct error *e)
{
    struct root_file *f;
    TRY(root_open(source, &f, e));
    enum status s = root_describe(f, json, out, e);
    if (s == STATUS_OK)
        find_unreadable(f, unreadable);
    root_close(f);
    return s;
}

static enum status inspect_file(const char *url, bool json, struct buf *out, struct error *unreadable, struct error *e)
{
    struct source *source;
    uint8_t first[8];
    TRY(input_source(url, &source, e));
    enum status s = STATUS_OK;
    bool is_model = false;
    if (source_size(source) >= sizeof first) {
        s = source_read(source, 0, first, sizeof first, e);
        is_model = s == STATUS_OK && model_format_of((struct span){first, sizeof first}) != MODEL_FORMAT_UNKNOWN;
    }
    if (s == STATUS_OK)
        s = is_model ? inspect_model(url, json, out, e) : inspect_root(source, json, out, unreadable, e);
    source_close(source);
    return s;
}

int cli_inspect(int argc, char **argv)
{
    const char *url;
    bool json = false;
    struct stat st;
    struct buf out;
    struct error e, unreadable = {.status = STATUS_OK};
    const struct cli_option options[] = {{"--json", NULL, "as JSON", NULL, &json}};
    const struct cli_usage usage = {
        "inspect", "FILE_OR_URL [--json]",
        "ROOT files: keys, trees, branches, types, entries, bytes, codecs.  Folders of datasets: rows,\n"
        "classes, cut-flow, sources.  Model files (ours, .h5, .keras, .onnx): network, recipe, classes, training.",
        options, ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &url, 1);
    if (code != CLI_GO_ON)
        return code;
    buf_init(&out, TEXT_MAX);
    bool is_folder = stat(url, &st) == 0 && S_ISDIR(st.st_mode);
    enum status s = is_folder ? inspect_dataset(url, json, &out, &e) : inspect_file(url, json, &out, &unreadable, &e);
    if (s == STATUS_OK)
        s = cli_put(&out, &e);
    buf_fini(&out);
    if (s == STATUS_OK && unreadable.status != STATUS_OK)
        return cli_failed("inspect", &unreadable);
    return s == STATUS_OK ? CLI_DONE : cli_failed("inspect", &e);
}
