/* core/work/ingest.h
 *
 * Job kind "ingest" in two files: ingest_plan.c decides what is read (parameters, classes, the list of files, which of
 * them are bad), ingest.c reads it and writes the dataset. */
#ifndef DLT_CORE_WORK_INGEST_H
#define DLT_CORE_WORK_INGEST_H

#include "core/work/private.h"

/* What becomes of a job when a file cannot be read as it should. */
enum bad_file { BAD_FILE_FAIL, BAD_FILE_SKIP, BAD_FILE_QUARANTINE };

struct ingest_input {
    const char *path, *label;
};
struct ingest_spec {
    struct field_list inputs;          /* struct ingest_input */
    struct field_list classes;         /* const char * */
    const char *tree;
    int on_bad_file;                   /* enum bad_file */
    struct field_list natural_fractions;                     /* struct field_pair: class to fraction, or empty */
    struct object_cuts cuts;
    struct delphes_branches branches;
};

extern const struct field ingest_spec_fields[];

/* Decided once, kept in the work folder: the same in every attempt even when a glob would match more by then. */
struct ingest_file {
    const char *path;
    int64_t label, entries;
    const char *reason;                /* why it is left out; NULL: it is read */
};
struct ingest_plan {
    struct field_list files;           /* struct ingest_file */
    struct field_list classes;         /* const char * */
    int64_t entries;
};

enum status ingest_validate(const void *spec, struct error *e) MUST_USE;
/* Made in the first call of a job, loaded from the work folder in all others. */
enum status ingest_plan_get(struct job_ctx *ctx, const struct ingest_spec *spec, struct ingest_plan *out,
                            struct error *e) MUST_USE;
/* Opens an input so that a cancelled job gives up also while a server stalls. */
enum status ingest_source_open(struct job_ctx *ctx, const char *path, struct source **out, struct error *e) MUST_USE;
/* Whether a status is about the file itself, and the job is to go on without it.  Storage, network and memory that fail
 * (IO, REMOTE, NOMEM, NOSPACE) say nothing of the file: such a job fails and is tried again. */
bool ingest_may_skip(const struct ingest_spec *spec, enum status s);
/* Events of a file that is left out, and the sum of their weights, as far as the file still tells: *events is -1 where
 * it does not, *weight 0.  Fails only for what is not about the file. */
enum status ingest_count_lost(const struct ingest_spec *spec, struct source *src, int64_t *events, double *weight,
                              struct error *e) MUST_USE;

#endif
