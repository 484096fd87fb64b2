/* core/dataset/private.h: what the files of this folder share. */
#ifndef DLT_CORE_DATASET_PRIVATE_H
#define DLT_CORE_DATASET_PRIVATE_H

#include "core/dataset.h"
#include "core/parquet/parquet.h"

enum { PATH_BYTES_MAX = 4096 };

struct dataset {
    struct arena arena;
    struct manifest manifest;
    const char *folder;
};

enum status path_join(char out[PATH_BYTES_MAX], const char *folder, const char *file, struct error *e) MUST_USE;
enum status manifest_parse(struct arena *a, struct span text, struct manifest *out, struct error *e) MUST_USE;
enum status manifest_read(struct arena *a, const char *folder, struct manifest *out, struct error *e) MUST_USE;

enum status dataset_part_path(const struct dataset *d, size_t part, char out[PATH_BYTES_MAX], struct error *e) MUST_USE;

/* pq_writer_finish_described in the terms of a dataset. */
enum status part_writer_finish(struct pq_writer *pq, struct part_written *out, struct error *e) MUST_USE;

/* A Parquet file opened for reading together with its source. */
struct part_file {
    struct source *source;
    struct pq_reader *reader;
};
enum status part_file_open(const char *path, struct part_file *out, struct error *e) MUST_USE;
void part_file_close(struct part_file *p);
/* Reads column `name` of a row group and checks that it is what the schema of the part says. */
enum status part_file_column(struct part_file *p, size_t group, const struct pq_column *column, size_t n_rows,
                             struct pq_values *out, struct error *e) MUST_USE;

#endif
