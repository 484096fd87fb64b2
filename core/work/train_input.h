/* core/work/train_input.h
 *
 * What a train job reads: features datasets, in memory where they fit, else as streams. */
#ifndef DLT_CORE_WORK_TRAIN_INPUT_H
#define DLT_CORE_WORK_TRAIN_INPUT_H

#include "core/work/private.h"

struct training_set {
    struct dataset *dataset;           /* NULL: not opened */
    struct feature_rows rows;          /* all, or of the present row group */
    bool want_rows, weighted;
    struct features_reader *reader;    /* streamed: of the present part */
    size_t part, group;
    struct job_ctx *ctx;               /* streamed: asked whether to stop */
    int64_t n_read;
};

/* A zeroed set may be closed. */
enum status training_set_open(struct job_ctx *ctx, const char *id, const struct train_params *p, bool weighted,
                              struct training_set *out, struct error *e) MUST_USE;
void training_set_close(struct training_set *s);
/* Reads all rows while those of the fit stay below `most` bytes, of which *used are taken; else *fits is false and
 * nothing is held. */
enum status training_set_read(struct training_set *s, int64_t most, int64_t *used, bool *fits,
                              struct error *e) MUST_USE;
struct train_data training_set_data(const struct training_set *s);
/* struct train_stream's next; `set` is a training_set that was not read. */
enum status training_set_next(void *set, struct train_data *out, struct error *e) MUST_USE;
/* ARGUMENT unless the second set's recipe, cuts, classes and scaler are the first one's. */
enum status training_set_match(struct job_ctx *ctx, const struct training_set *a, const struct training_set *b,
                               struct error *e) MUST_USE;

/* Bytes that the machine, or the container, can still give. */
int64_t memory_available(void);

#endif
