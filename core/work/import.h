/* core/work/import.h
 *
 * Job kind "import" in two files: import.c has the parameters and reads the files, import_dataset.c makes the dataset of
 * what they left. */
#ifndef DLT_CORE_WORK_IMPORT_H
#define DLT_CORE_WORK_IMPORT_H

#include "core/work/private.h"

#define IMPORT_RECIPE "sparkdltrigger-1"

struct import_input {
    const char *path, *label;
};
struct import_columns {
    const char *hlf, *label, *sequence;
};
struct import_spec {
    struct field_list inputs;          /* struct import_input */
    struct field_list classes;         /* const char * */
    struct import_columns columns;
    bool sequences, scaled;
    int split;
    struct field_list feature_min, feature_max;              /* double [14], or none */
};
/* Decided once. */
struct import_file {
    const char *path;
    int64_t label;                     /* -1: the file says */
};
struct import_plan {
    struct field_list files;           /* struct import_file */
    bool sequences;
};
/* What a unit leaves. */
struct import_unit {
    int64_t rows, bytes;
    const char *sha256;
    struct field_list counts;          /* int64_t, by class */
};
extern const struct field import_unit_fields[];
extern const char *const import_split_names[];               /* "train", "test" */

/* In the order of their labels. */
const char *const *import_classes(const struct import_spec *spec, size_t *n);
/* Describes the parts in `folder`: all of the manifest.  Memory from ctx->arena. */
enum status import_describe(struct job_ctx *ctx, const struct import_spec *spec, const struct import_plan *p,
                            const char *folder, struct manifest *m, struct error *e) MUST_USE;

#endif
