/* core/dataset/export_private.h: between the loop over a dataset's rows (export.c) and the formats (export_formats.c). */
#ifndef DLT_CORE_DATASET_EXPORT_PRIVATE_H
#define DLT_CORE_DATASET_EXPORT_PRIVATE_H

#include "core/dataset/private.h"

enum { EXPORT_FILES = 4 };

/* A file that is written from a given place on, through a buffer. */
struct export_output {
    int fd;                            /* -1: none */
    int64_t at, first;                 /* where the buffer goes; where this part begins */
    struct buf pending;
};

struct exporter {
    const struct dataset *d;
    const struct manifest *m;
    const struct export_options *o;
    const char *folder;
    size_t part, n_classes;
    int64_t first_row;                 /* of the part, in the dataset */
    bool hlf, sequence, published;     /* what is written; not published: a column a feature */
    struct hlf_scaler scaler;
    struct sequence_scaler rows_scaler;
    const struct recipe *recipe;
    struct feature_rows rows;          /* the present row group */
    float *expanded;                   /* [801][19] */
    /* The present batch: rows [first, first + n) of the group. */
    size_t first, n;
    float *scaled;                     /* [n][14] */
    float *one_hot;                    /* [n][n_classes] */
    float *steps;                      /* [sum of lengths][19] */
    uint64_t *step_first;              /* [n + 1] */
    double *wide;                      /* of Parquet: one column after the other */
    uint64_t *offsets, *inner;         /* of Parquet: those of HLF_input, encoded_label, GRU_input; and of its rows */
    size_t cap_scaled, cap_one_hot, cap_first, cap_steps, cap_wide, cap_inner, cap_offsets;
    struct pq_writer *pq;
    struct export_output files[EXPORT_FILES];
};

struct export_format_fns {
    enum status (*begin)(struct exporter *x, int64_t at, struct error *e);         /* a part */
    enum status (*add)(struct exporter *x, struct error *e);                       /* the present batch */
    enum status (*end)(struct exporter *x, struct error *e);                       /* of a part */
};
extern const struct export_format_fns export_formats[];
/* Names of the files of `part`; part numbers of formats without a file a part are looked at only for 0. */
size_t export_file_names(const struct exporter *x, size_t part, char names[EXPORT_FILES][48]);

enum status export_grow(void *array, size_t *cap, size_t n, size_t size, struct error *e) MUST_USE;
/* Opens x->files[i] to be written from `at` on.  Parts of one file share it; what is behind `at` is overwritten. */
enum status export_open(struct exporter *x, size_t i, const char *name, int64_t at, struct error *e) MUST_USE;
enum status export_put(struct exporter *x, size_t i, const void *p, size_t n, struct error *e) MUST_USE;
/* Cuts each file behind what was written if `cut`, and syncs; all are closed, also on error. */
enum status export_close(struct exporter *x, bool cut, struct error *e) MUST_USE;

#endif
