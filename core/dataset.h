/* core/dataset.h
 *
 * A dataset is a folder: Parquet parts and a manifest (field text, closed by its own SHA-256).  Two kinds:
 *   events    what ingestion keeps: one row an event, list columns per object leaf (core/event.h names them)
 *   features  one row a selected event: 14 HLF columns, ragged particle rows as measured, label, weight, origin
 * A folder without a readable manifest is not a dataset: parts become visible with it, by one rename of the folder. */
#ifndef DLT_CORE_DATASET_H
#define DLT_CORE_DATASET_H

#include "core/feature.h"

enum { MANIFEST_VERSION = 1 };
#define MANIFEST_FILE "manifest"

extern const char *const dataset_kind_names[];               /* "events", "features" */
enum dataset_kind { DATASET_EVENTS, DATASET_FEATURES };

struct dataset_part {
    const char *file;                  /* name inside the folder */
    int64_t rows, bytes;
    int64_t source;                    /* events: index into manifest.sources; features: -1 */
    const char *sha256;
};
struct dataset_source {                /* an input file of ingestion */
    const char *path, *label, *sha256;
    int64_t bytes, entries, kept;
};
struct skipped_file {                  /* an input file that was left out, whole */
    const char *path, *label;
    const char *sha256;                /* NULL unless it was put in quarantine */
    const char *reason;
    int64_t bytes, events_lost;        /* events_lost -1: the file does not tell; bytes 0: it could not be opened */
};
struct cut_row {                       /* closed: the rows of one cut-flow add up to what came in */
    const char *reason;                /* "read", "bad_file", a reject name, "balance", "kept" */
    const char *label;                 /* class, "" for all */
    int64_t events;
    double weight;
};
struct class_count {
    const char *name;
    int64_t events;
    double weight;
};

/* Of the rows as they are stored, each counting once.  A quantile is exact: the number of rank ceil(p n). */
struct feature_quantiles {
    const char *feature;
    double min, p01, p05, p25, p50, p75, p95, p99, max, mean, deviation;
};
struct class_correlations {
    const char *name;                  /* class */
    int64_t events;
    struct field_list matrix;          /* double [HLF_COUNT * HLF_COUNT] */
};

struct manifest {
    int64_t version;
    const char *id, *job_id, *parent_id, *created_at, *build_id;
    int kind;                          /* enum dataset_kind */
    const char *recipe;                /* features */
    const char *split;                 /* features: "train" or "test" */
    const char *sibling_id;            /* features: the other split's dataset */
    int64_t seed, rows, bytes;
    bool has_rows;                     /* features: particle rows are stored */
    struct field_list classes;         /* const char *, index = label */
    struct field_list class_counts;    /* struct class_count */
    struct field_list parts;           /* struct dataset_part */
    struct field_list sources;         /* struct dataset_source */
    struct field_list skipped_files;   /* struct skipped_file */
    struct field_list cut_flow;        /* struct cut_row; weights are the generator's */
    /* Events: what the ingest was told.  Features: the events' weights are the generator's times the factor of their
     * class, factor = fraction * W / W_class with W the sums of the generator's weights in this dataset, so that each
     * class has its fraction of the sum of weights, which stays W.  Both empty: weights are the generator's. */
    struct field_list natural_fractions, weight_factors;     /* struct field_pair, by class */
    struct object_cuts cuts;           /* events: what was applied */
    struct scaler_record scaler;       /* features */
    bool scaled;                       /* features: stored as they were scaled elsewhere, see scaler_record_is_identity */
    struct field_list histograms;      /* struct feature_histogram of the train part */
    struct field_list quantiles;       /* struct feature_quantiles of this part, or none (older datasets) */
    struct field_list correlations;    /* struct class_correlations of this part, or none */
    const char *content_sha256;        /* over the parts' hashes: two datasets with equal rows have it equal */
};
extern const struct field manifest_fields[];
/* Tables of its parts, for results of jobs that repeat them. */
extern const struct field feature_quantiles_fields[], class_correlations_fields[];
extern const struct field dataset_source_fields[], skipped_file_fields[], cut_row_fields[], class_count_fields[];

struct dataset;
/* Opens the folder for reading.  On OK *out is the caller's.  Fails: NOTFOUND, FORMAT, IO, UNSUPPORTED (version). */
enum status dataset_open(const char *folder, struct dataset **out, struct error *e) MUST_USE;
void dataset_close(struct dataset *d);                       /* NULL allowed */
const struct manifest *dataset_manifest(const struct dataset *d);
/* Recomputes the hash of each part. */
enum status dataset_verify(const struct dataset *d, struct error *e) MUST_USE;

/* ---- events ------------------------------------------------------------------------------------------------ */

/* What is known of a part file once it is written. */
struct part_written {
    int64_t rows, bytes;
    char sha256[65];
};

/* Writes events as row groups of one part file. */
struct events_writer;
enum status events_writer_create(const char *path, struct events_writer **out, struct error *e) MUST_USE;
enum status events_write(struct events_writer *w, const struct event_batch *b, struct error *e) MUST_USE;
/* Syncs and closes; the writer is gone afterwards, also on error. */
enum status events_writer_finish(struct events_writer *w, struct part_written *out, struct error *e) MUST_USE;
void events_writer_abort(struct events_writer *w);           /* NULL allowed; unlinks the file */

/* Row groups of one part of an events dataset. */
struct events_reader;
enum status events_reader_open(const struct dataset *d, size_t part, struct events_reader **out, struct error *e) MUST_USE;
void events_reader_close(struct events_reader *r);
size_t events_reader_groups(const struct events_reader *r);
int64_t events_reader_rows(const struct events_reader *r, size_t group);
enum status events_read(struct events_reader *r, size_t group, struct event_batch *out, struct error *e) MUST_USE;
/* From now on the columns that only particle rows need (vertices, kinds and charges of tracks) are not read but zero. */
void events_reader_without_rows(struct events_reader *r);

/* ---- features ------------------------------------------------------------------------------------------------ */

/* Selected events in memory; `rows` empty when particle rows were not asked for or not stored. */
struct feature_rows {
    size_t n, n_rows;
    float *hlf;                        /* [n][HLF_COUNT] raw */
    int32_t *label;
    float *weight;
    int64_t *number, *entry;
    int32_t *source;                   /* index into manifest.sources */
    uint32_t *row_first;               /* [n + 1] */
    struct particle_columns rows;      /* as measured, or only `prepared`, as the first part that was read has them */
    bool prepared;
    size_t cap, cap_rows;
};
void feature_rows_init(struct feature_rows *f);
void feature_rows_fini(struct feature_rows *f);
void feature_rows_clear(struct feature_rows *f);
enum status feature_rows_reserve(struct feature_rows *f, size_t n, size_t n_rows, struct error *e) MUST_USE;
/* Appends row i of `src` (with its particle rows if it has them). */
enum status feature_rows_append(struct feature_rows *f, const struct feature_rows *src, size_t i, struct error *e) MUST_USE;

struct features_writer;
/* `keep` false: a file between two phases of a job, not worth compressing. */
enum status features_writer_create(const char *path, bool has_rows, bool keep, struct features_writer **out,
                                   struct error *e) MUST_USE;
/* The same for rows as a network takes them (particle_columns.prepared), one list of numbers an event. */
enum status features_writer_create_prepared(const char *path, struct features_writer **out, struct error *e) MUST_USE;
enum status features_write(struct features_writer *w, const struct feature_rows *f, struct error *e) MUST_USE;
/* From now on row groups are encoded on up to `threads` threads; the bytes do not depend on it. */
enum status features_writer_threads(struct features_writer *w, size_t threads, struct error *e) MUST_USE;
enum status features_writer_finish(struct features_writer *w, int64_t *rows, struct error *e) MUST_USE;
/* The same, and a description of the file; for a writer with `keep`. */
enum status features_writer_finish_described(struct features_writer *w, struct part_written *out,
                                             struct error *e) MUST_USE;
void features_writer_abort(struct features_writer *w);

/* A features part file by path; groups are appended to `out` as it stands. */
struct features_reader;
enum status features_reader_open(const char *path, struct features_reader **out, struct error *e) MUST_USE;
void features_reader_close(struct features_reader *r);
size_t features_reader_groups(const struct features_reader *r);
int64_t features_reader_rows(const struct features_reader *r, size_t group);
enum status features_read(struct features_reader *r, size_t group, bool want_rows, struct feature_rows *out,
                          struct error *e) MUST_USE;
/* The reader of one part of a features dataset. */
enum status dataset_features_reader(const struct dataset *d, size_t part, struct features_reader **out,
                                    struct error *e) MUST_USE;
/* All parts of a dataset, in order. */
enum status dataset_read_features(const struct dataset *d, bool want_rows, struct feature_rows *out,
                                  struct error *e) MUST_USE;

/* ---- tables and histograms --------------------------------------------------------------------------------------- */

/* A dataset as one row an event and one number a column.  All have label, weight, number, entry, source; features then
 * the 14 high-level features, events the missing ET and the number of objects of each kind. */
enum table_type { TABLE_I32, TABLE_I64, TABLE_F32 };
struct table_column {
    const char *name;
    enum table_type type;
};
size_t table_type_size(enum table_type t);
/* *out lives as long as `a`. */
enum status dataset_table_columns(const struct dataset *d, struct arena *a, const struct table_column **out, size_t *n,
                                  struct error *e) MUST_USE;
/* Appends rows [first, first + n), fewer at the end, to `out`: host byte order, packed, row after row.  Reads only the
 * row groups that hold them. */
enum status dataset_table_read(const struct dataset *d, int64_t first, size_t n, struct buf *out, size_t *n_read,
                               struct error *e) MUST_USE;

/* Rows [first, first + n) of a features dataset, fewer at the end, with their particle rows if it has them; replaces what
 * `out` held.  ARGUMENT: an events dataset. */
enum status dataset_rows_read(const struct dataset *d, int64_t first, size_t n, struct feature_rows *out,
                              struct error *e) MUST_USE;

/* Equal-width bins in [lo, hi], both ends included: the 0.1 to 99.9 % range of the training part, or all values where
 * the manifest has no histograms. */
struct dataset_histogram {
    double lo, hi, underflow, overflow, sum;       /* sum: of weights, with under- and overflow */
    int64_t events;
    struct field_list counts, squares;             /* double: sums of weights and of their squares */
};
/* label -1: all classes.  ARGUMENT: an events dataset. */
enum status dataset_histogram(const struct dataset *d, enum hlf_index feature, int32_t label, bool weighted,
                              size_t n_bins, struct arena *a, struct dataset_histogram *out, struct error *e) MUST_USE;

/* ---- interchange: core/dataset/README.md ---------------------------------------------------------------------------- */

/* A features dataset for other tools.  Layouts:
 *   published  as CERN publishes SparkDLTrigger: HLF_input (the 14 features, scaled by the dataset's scaler), GRU_input
 *              (the network's sequence: an array of arrays of 19), encoded_label (one-hot in the order of the classes)
 *   flat       the same with GRU_input as one array, as the data prepared for the inclusive classifier
 *   features   a column a feature, in its units; label, weight, number, entry, source
 * Formats: parquet (arrays of double; a file a part), tfrecord (tf.train.Example with float lists, always flat; a file a
 * part), npy (float32; a file an array; sequences that are not dense are padded with zeros to 801 rows, their lengths in
 * GRU_length.npy), csv (always features; one file). */
enum export_format { EXPORT_PARQUET, EXPORT_TFRECORD, EXPORT_NPY, EXPORT_CSV };
enum export_layout { EXPORT_PUBLISHED, EXPORT_FLAT, EXPORT_FEATURES };
enum export_what { EXPORT_HLF, EXPORT_SEQUENCE, EXPORT_BOTH };
enum export_compression { EXPORT_SNAPPY, EXPORT_UNCOMPRESSED, EXPORT_GZIP, EXPORT_ZSTD };
extern const char *const export_format_names[], *const export_layout_names[], *const export_what_names[],
    *const export_compression_names[];
struct export_options {
    int format, layout, what;          /* enums of these names */
    int compression;                   /* of Parquet; the other formats are not compressed */
};
/* Combinations that there are not, without looking at data.  ARGUMENT. */
enum status export_options_check(const struct export_options *o, struct error *e) MUST_USE;

/* Called after each batch of rows; an error ends the export. */
struct export_watch {
    enum status (*rows)(void *ctx, int64_t n, struct error *e);        /* may be NULL */
    void *ctx;
};
/* Exports one part of the dataset into `folder`, which exists; done again it writes the same bytes again.  Parts of csv
 * come one behind the other: *end is where the file ends, 0 before the first.
 * Fails: ARGUMENT (an events dataset, no rows, no particle rows where sequences are wanted), FORMAT, NOSPACE, IO, NOMEM. */
enum status export_part(const struct dataset *d, const struct export_options *o, size_t part, const char *folder,
                        const struct export_watch *watch, int64_t *end, struct error *e) MUST_USE;

/* What the folder of an export says of itself, in a file that Spark and pandas pass over. */
#define EXPORT_FILE "_dltrigger_export"
struct export_file {
    const char *file, *sha256;
    int64_t bytes;
};
struct export_record {
    const char *id, *job_id, *dataset_id, *created_at, *build_id, *recipe;
    const char *content_sha256;        /* over the files' hashes */
    int format, layout, what, compression;
    int64_t rows, bytes;
    struct field_list classes;         /* const char * */
    struct scaler_record scaler;       /* that HLF_input was scaled with */
    struct field_list files;           /* struct export_file */
};
extern const struct field export_record_fields[], export_file_fields[];
/* After the last part: hashes the files and writes EXPORT_FILE durably.  Fills *out but for id, job_id and created_at,
 * which the caller has set or left NULL; memory from `a`, and from `d`. */
enum status export_finish(const struct dataset *d, const struct export_options *o, const char *folder, struct arena *a,
                          struct export_record *out, struct error *e) MUST_USE;
enum status export_read(struct arena *a, const char *folder, struct export_record *out, struct error *e) MUST_USE;
/* All of it at once: into `folder`, which must not exist (CONFLICT) and appears when it is complete. */
enum status dataset_export(const struct dataset *d, const struct export_options *o, const char *folder,
                           struct error *e) MUST_USE;

/* ---- reading the published layouts: core/dataset/published.c ---------------------------------------------------------
 *
 * Files of the published SparkDLTrigger data, as rows of a features dataset.  Parquet or TFRecord, told apart by their
 * first bytes.  What a column may be:
 *   HLF_input       14 numbers: an array, or Spark's vector (a struct of type, size, indices, values; dense or sparse)
 *   encoded_label   one-hot, as HLF_input; or `label`, an integer; or neither, where the caller knows the class
 *   GRU_input       801 x 19 numbers: an array of arrays, or one flat array
 * Numbers are doubles or floats; nothing is accepted that is missing, null, of another width or not finite: messages name
 * file, column, row group and row. */

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

/* ---- publication ---------------------------------------------------------------------------------------------- */

/* Describes a finished part file: rows as given, bytes and SHA-256 read back from disk. */
enum status dataset_part_describe(struct arena *a, const char *folder, const char *file, int64_t rows,
                                  struct dataset_part *out, struct error *e) MUST_USE;
/* The same of a part as it was described when it was written. */
enum status dataset_part_written(struct arena *a, const char *file, const struct part_written *written,
                                 struct dataset_part *out, struct error *e) MUST_USE;
/* Quantiles and correlations of the features in the parts that `m` lists (with its classes), read from `folder`; memory
 * from `a`.  Empty lists when there are no rows. */
struct summary_watch {
    enum status (*tick)(void *ctx, struct error *e);         /* after each row group: an error ends it; may be NULL */
    void *ctx;
};
enum status features_summary(const char *folder, const struct manifest *m, const struct summary_watch *watch,
                             struct arena *a, struct field_list *quantiles, struct field_list *correlations,
                             struct error *e) MUST_USE;
/* Sorts nothing, fills rows, bytes and content_sha256 from the parts, writes folder/manifest durably. */
enum status manifest_write(const char *folder, struct manifest *m, struct error *e) MUST_USE;

#endif
