/* core/dataset/manifest.c
 *
 * The manifest: field text, then one line "sha256 HEX" over everything before it, so that a cut or edited manifest is
 * noticed.  It is written last, durably: a folder without a readable manifest is not a dataset. */
#include "core/dataset/private.h"

#include <stdlib.h>
#include <string.h>

enum { MANIFEST_BYTES_MAX = 64 << 20, SHA_LINE = 7 + 64 + 1, CLASSES_MAX = 64 };

/* So that the sums over as many parts as a manifest has room for (a part takes more than 90 bytes) fit 64 bits. */
#define PART_ROWS_MAX 1e12
#define PART_BYTES_MAX 1e13

const char *const dataset_kind_names[] = {"events", "features", NULL};

static const struct field part_fields[] = {
    FIELD_STRING(struct dataset_part, file, .required = true, .doc = "file name inside the folder"),
    FIELD_I64(struct dataset_part, rows, .min = 0, .max = PART_ROWS_MAX),
    FIELD_I64(struct dataset_part, bytes, .min = 0, .max = PART_BYTES_MAX, .unit = "bytes"),
    FIELD_I64(struct dataset_part, source, .min = -1, .max = 1e9, .def = -1, .doc = "events: index of the input file"),
    FIELD_STRING(struct dataset_part, sha256, .required = true, .min = 64, .max = 64),
    FIELD_END,
};
const struct field dataset_source_fields[] = {
    FIELD_STRING(struct dataset_source, path, .doc = "as resolved"),
    FIELD_STRING(struct dataset_source, label, .doc = "class"),
    FIELD_STRING(struct dataset_source, sha256),
    FIELD_I64(struct dataset_source, bytes, .min = 0, .max = 1e15, .unit = "bytes"),
    FIELD_I64(struct dataset_source, entries, .min = 0, .max = 1e15),
    FIELD_I64(struct dataset_source, kept, .min = 0, .max = 1e15),
    FIELD_END,
};
const struct field skipped_file_fields[] = {
    FIELD_STRING(struct skipped_file, path, .doc = "as resolved"),
    FIELD_STRING(struct skipped_file, label, .doc = "class"),
    FIELD_STRING(struct skipped_file, sha256, .doc = "of a file in quarantine"),
    FIELD_STRING(struct skipped_file, reason),
    FIELD_I64(struct skipped_file, bytes, .min = 0, .max = 1e15, .unit = "bytes", .doc = "0: could not be opened"),
    FIELD_I64(struct skipped_file, events_lost, .min = -1, .max = 1e15, .doc = "-1: the file does not tell"),
    FIELD_END,
};
const struct field cut_row_fields[] = {
    FIELD_STRING(struct cut_row, reason, .doc = "read, bad_file, a reject reason, balance, or kept"),
    FIELD_STRING(struct cut_row, label, .def_text = "", .doc = "class"),
    FIELD_I64(struct cut_row, events),
    FIELD_F64(struct cut_row, weight, .doc = "sum of event weights"),
    FIELD_END,
};
const struct field class_count_fields[] = {
    FIELD_STRING(struct class_count, name),
    FIELD_I64(struct class_count, events),
    FIELD_F64(struct class_count, weight, .doc = "sum of event weights"),
    FIELD_END,
};

const struct field manifest_fields[] = {
    FIELD_I64(struct manifest, version, .required = true, .doc = "format version of the manifest"),
    FIELD_STRING(struct manifest, id, .required = true),
    FIELD_STRING(struct manifest, job_id, .doc = "job that made it"),
    FIELD_STRING(struct manifest, parent_id, .doc = "dataset it was made from"),
    FIELD_STRING(struct manifest, created_at),
    FIELD_STRING(struct manifest, build_id),
    FIELD_ENUM(struct manifest, kind, dataset_kind_names),
    FIELD_STRING(struct manifest, recipe),
    FIELD_STRING(struct manifest, split, .doc = "train or test"),
    FIELD_STRING(struct manifest, sibling_id, .doc = "dataset of the other split"),
    FIELD_I64(struct manifest, seed),
    FIELD_I64(struct manifest, rows),
    FIELD_I64(struct manifest, bytes, .unit = "bytes"),
    FIELD_BOOL(struct manifest, has_rows, .doc = "particle rows are stored"),
    FIELD_LIST_STRING(struct manifest, classes, .max = CLASSES_MAX, .doc = "name of each label"),
    FIELD_LIST_OBJECT(struct manifest, class_counts, struct class_count, class_count_fields),
    FIELD_LIST_OBJECT(struct manifest, parts, struct dataset_part, part_fields),
    FIELD_LIST_OBJECT(struct manifest, sources, struct dataset_source, dataset_source_fields),
    FIELD_LIST_OBJECT(struct manifest, skipped_files, struct skipped_file, skipped_file_fields),
    FIELD_LIST_OBJECT(struct manifest, cut_flow, struct cut_row, cut_row_fields),
    FIELD_MAP(struct manifest, natural_fractions, .doc = "class to its fraction in nature"),
    FIELD_MAP(struct manifest, weight_factors,
              .doc = "features: class to the factor by which its events' weights differ from the generator's"),
    FIELD_OBJECT(struct manifest, cuts, object_cuts_fields),
    FIELD_OBJECT(struct manifest, scaler, scaler_record_fields),
    FIELD_BOOL(struct manifest, scaled, .doc = "the features are stored as they were scaled before they came here"),
    FIELD_LIST_OBJECT(struct manifest, quantiles, struct feature_quantiles, feature_quantiles_fields,
                      .doc = "exact, of the rows as stored, each counting once"),
    FIELD_LIST_OBJECT(struct manifest, correlations, struct class_correlations, class_correlations_fields,
                      .doc = "of the features within each class"),
    FIELD_LIST_OBJECT(struct manifest, histograms, struct feature_histogram, feature_histogram_fields),
    FIELD_STRING(struct manifest, content_sha256, .doc = "over the parts: equal rows give equal hashes"),
    FIELD_END,
};

/* rows, bytes and content hash follow from the parts. */
static void manifest_sum(struct manifest *m, char content[65])
{
    const struct dataset_part *parts = m->parts.items;
    struct sha256 h;
    sha256_init(&h);
    m->rows = m->bytes = 0;
    for (size_t i = 0; i < m->parts.n_items; i++) {
        m->rows += parts[i].rows;
        m->bytes += parts[i].bytes;
        sha256_update(&h, parts[i].sha256, strlen(parts[i].sha256));
    }
    sha256_final_hex(&h, content);
    m->content_sha256 = content;
}

enum status manifest_write(const char *folder, struct manifest *m, struct error *e)
{
    char content[65], sha[65], path[PATH_BYTES_MAX];
    struct buf text;
    m->version = MANIFEST_VERSION;
    manifest_sum(m, content);
    TRY(path_join(path, folder, MANIFEST_FILE, e));
    buf_init(&text, MANIFEST_BYTES_MAX);
    enum status s = field_write_text(manifest_fields, m, &text, e);
    if (s == STATUS_OK) {
        sha256_hex(text.data, text.len, sha);
        s = buf_printf(&text, e, "sha256 %s\n", sha);
    }
    if (s == STATUS_OK)
        s = file_write_atomic(path, text.data, text.len, e);
    buf_fini(&text);
    m->content_sha256 = NULL;
    return s == STATUS_OK ? s : error_wrap(e, "manifest");
}

/* What follows from the parts must be what they say: the checksum only proves that nobody edited by accident. */
static enum status check_sums(struct manifest *m, struct error *e)
{
    int64_t rows = m->rows, bytes = m->bytes;
    const char *stated = m->content_sha256;
    char content[65];
    manifest_sum(m, content);
    m->content_sha256 = stated;
    if (m->rows != rows || m->bytes != bytes)
        return error_set(e, STATUS_FORMAT, "%lld rows and %lld bytes stated, the parts add up to %lld and %lld",
                         (long long)rows, (long long)bytes, (long long)m->rows, (long long)m->bytes);
    if (!stated || strcmp(stated, content) != 0)
        return error_set(e, STATUS_FORMAT, "content_sha256 is not that of the parts");
    return STATUS_OK;
}

enum status manifest_parse(struct arena *a, struct span text, struct manifest *out, struct error *e)
{
    char sha[65];
    if (text.len < SHA_LINE || memcmp(text.data + text.len - SHA_LINE, "sha256 ", 7) != 0 ||
        text.data[text.len - 1] != '\n')
        return error_set(e, STATUS_FORMAT, "does not end in its checksum: the file is cut short or not a manifest");
    struct span body = {text.data, text.len - SHA_LINE};
    sha256_hex(body.data, body.len, sha);
    if (memcmp(sha, text.data + body.len + 7, 64) != 0)
        return error_set(e, STATUS_FORMAT, "checksum differs: the file was changed after it was written");
    field_defaults(manifest_fields, out);
    TRY(field_read_text(a, manifest_fields, body, out, e));
    if (out->version != MANIFEST_VERSION)
        return error_set(e, STATUS_UNSUPPORTED, "version %lld, this build reads %d", (long long)out->version,
                         MANIFEST_VERSION);
    TRY(field_validate(manifest_fields, out, "manifest", e));
    return check_sums(out, e);
}

enum status manifest_read(struct arena *a, const char *folder, struct manifest *out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    TRY(path_join(path, folder, MANIFEST_FILE, e));
    buf_init(&text, MANIFEST_BYTES_MAX);
    enum status s = file_read(path, &text, e);
    if (s == STATUS_OK)
        s = manifest_parse(a, (struct span){text.data, text.len}, out, e);
    buf_fini(&text);
    return s == STATUS_OK ? s : error_wrap(e, "manifest");
}

enum status path_join(char out[PATH_BYTES_MAX], const char *folder, const char *file, struct error *e)
{
    int n = snprintf(out, PATH_BYTES_MAX, "%s/%s", folder, file);
    if (n < 0 || n >= PATH_BYTES_MAX)
        return error_set(e, STATUS_RANGE, "path longer than %d bytes", PATH_BYTES_MAX - 1);
    return STATUS_OK;
}
