/* core/dataset/published.h
 *
 * Files of the published SparkDLTrigger data, as rows of a features dataset.  Parquet or TFRecord, told apart by their
 * first bytes.  What a column may be:
 *   HLF_input       14 numbers: an array, or Spark's vector (a struct of type, size, indices, values; dense or sparse)
 *   encoded_label   one-hot, as HLF_input; or `label`, an integer; or neither, where the caller knows the class
 *   GRU_input       801 x 19 numbers: an array of arrays, or one flat array
 * Numbers are doubles or floats; nothing is accepted that is missing, null, of another width or not finite: messages name
 * file, column, row group and row. */
#ifndef DLT_CORE_DATASET_PUBLISHED_H
#define DLT_CORE_DATASET_PUBLISHED_H

#include "core/dataset.h"

struct published_options {
    const char *hlf, *label, *sequence;              /* names of columns; sequence NULL: not read */
    size_t n_classes;
    int32_t class_of_file;                           /* for files without a column of labels; -1: none */
};
struct published;
/* Fails: NOTFOUND, IO, FORMAT, UNSUPPORTED, ARGUMENT (a column is not there; those that are, are named), NOMEM. */
enum status published_open(const char *path, const struct published_options *o, struct published **out,
                           struct error *e) MUST_USE;
void published_close(struct published *p);           /* NULL allowed */
/* Whether the file has a column of this name, whatever its type; of TFRecord, its first record. */
enum status published_has(const char *path, const char *column, bool *out, struct error *e) MUST_USE;
/* Replaces `out` by the next rows (prepared ones with a sequence); none at the end.  weight is 1, number and entry count
 * the rows of the file, source is 0. */
enum status published_read(struct published *p, struct feature_rows *out, struct error *e) MUST_USE;

#endif
