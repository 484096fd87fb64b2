/* core/model.h
 *
 * Classifiers: an estimator is a named row of a table (core/model/estimator.c), a model is one trained instance with
 * everything that scoring needs: weights, scaler, recipe, class names, histograms of the training features.
 * A model is immutable after training or reading; predict is safe from any thread. */
#ifndef DLT_CORE_MODEL_H
#define DLT_CORE_MODEL_H

#include "core/feature.h"
#include "core/metrics.h"

enum model_input { INPUT_HLF = 1, INPUT_SEQUENCE = 2, INPUT_BOTH = 3 };

/* ---- what to train --------------------------------------------------------------------------------------------- */

extern const char *const estimator_names[];                   /* NULL-terminated: "hlf", ... */
extern const char *const class_weight_names[];                /* "natural", "balanced", "custom" */
extern const char *const optimizer_names[];                   /* "adam", "sgd" */
extern const char *const schedule_names[];                    /* "constant", "step", ... */
extern const char *const monitor_names[];                     /* "val_loss", "val_accuracy", "val_auc" */
enum class_weights { CLASS_WEIGHTS_NATURAL, CLASS_WEIGHTS_BALANCED, CLASS_WEIGHTS_CUSTOM };
enum optimizer { OPTIMIZER_ADAM, OPTIMIZER_SGD };
enum schedule { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_EXPONENTIAL, SCHEDULE_COSINE, SCHEDULE_PLATEAU };
enum monitor { MONITOR_VAL_LOSS, MONITOR_VAL_ACCURACY, MONITOR_VAL_AUC };

enum { HIDDEN_LAYERS_MAX = 8, HIDDEN_WIDTH_MAX = 1024, RECURRENT_WIDTH_MAX = 512, LAYERS_MAX = 48 };

/* A network as a list of layers: what each is called, what it is, and which values it takes.  A value is a layer's
 * name, "hlf" (the 14 scaled features: flat) or "particles" (the scaled particle rows: a sequence).  Layers may stand
 * in any order; one of them, whose value nobody takes, gives the logits, a number a class; the softmax behind it is
 * implied.  core/model/README.md describes the kinds; graph.c checks. */
enum layer_spec_kind {
    LAYER_DENSE, LAYER_GRU, LAYER_LSTM, LAYER_DROPOUT, LAYER_CONCATENATE, LAYER_ADD, LAYER_MEAN_POOL, LAYER_FLATTEN,
    LAYER_ATTENTION, LAYER_NORM, LAYER_RELU
};
extern const char *const layer_kind_names[];                  /* in that order, NULL-terminated */
extern const char *const layer_activation_names[];            /* "linear", "relu" */
enum layer_spec_activation { LAYER_ACTIVATION_LINEAR, LAYER_ACTIVATION_RELU };

/* What a kind does not have stays at its default (zero; reset_after true). */
struct layer_spec {
    const char *name;                  /* NULL: made of kind and place */
    int kind;                          /* enum layer_spec_kind */
    struct field_list inputs;          /* const char *: names of values; empty: the layer before */
    int64_t units;                     /* dense, gru, lstm; of the last dense 0: the number of classes */
    int activation;                    /* dense: enum layer_spec_activation */
    bool reset_after;                  /* gru: as in Keras */
    double rate;                       /* dropout */
    int64_t heads, key_dim;            /* attention */
    double epsilon;                    /* layer_norm; 0: 1e-6 */
};
extern const struct field layer_spec_fields[];

/* Of the estimators that are made of trees.  Zero: the estimator's own, where the field's text says so; a model's header
 * holds what it was. */
struct tree_params {
    int64_t n_trees;                   /* a class */
    int64_t max_depth, max_bin;
    double eta, subsample, colsample_bynode, min_child_weight, lambda, gamma;
};
extern const struct field tree_params_fields[];
enum { TREE_ROUNDS_AN_EPOCH = 10 };    /* trees of each class that one epoch of a fit adds */

/* Parameters of a fit; the field table is the API's "params".  Defaults are those of the papers. */
struct train_params {
    int model;                         /* index into estimator_names */
    struct field_list hidden;          /* int64_t: widths of the dense layers, each 1 to HIDDEN_WIDTH_MAX; empty: the
                                          estimator's own (hlf: 50, 20, 10; sequence: none; inclusive: 25) */
    int64_t units;                     /* of the recurrent layer: 1 to RECURRENT_WIDTH_MAX */
    double dropout;                    /* behind the recurrent layer, and of the features beside it */
    struct field_list layers;          /* struct layer_spec: the network, instead of the estimator's own; hidden, units
                                          and dropout then say nothing.  In a model's header: always those it has */
    struct tree_params trees;          /* random-forest, gradient-boosting: instead of layers and all that says how
                                          networks take their steps */
    int64_t epochs, batch_size, seed;
    int optimizer;                     /* enum optimizer */
    double learning_rate, beta1, beta2, epsilon;       /* Adam: Kingma and Ba, arXiv:1412.6980 */
    double momentum;                   /* of sgd */
    bool nesterov;
    double weight_decay, clip_norm;    /* 0: none.  Decay is apart from the gradient: Loshchilov and Hutter,
                                          arXiv:1711.05101 */
    int schedule;                      /* enum schedule; core/model/README.md has the formulas */
    double schedule_factor, learning_rate_min;
    int64_t schedule_epochs, warmup_steps, warmup_epochs;
    int64_t patience;                  /* epochs without gain after which the fit ends; 0: never */
    double min_delta;                  /* what counts as a gain */
    int monitor;                       /* enum monitor */
    bool keep_best;                    /* the model is that of the best epoch; always with patience */
    double validation_fraction;        /* of the rows, held out by a hash of seed and row number; 0: none */
    int class_weights;                 /* enum class_weights */
    struct field_list class_weight;    /* struct field_pair: class to weight; of a class that is not there 1 */
    int64_t memory_limit_mb, shuffle_rows;
    int64_t threads;                   /* at most so many; the result is the same bits for any number */
};
extern const struct field train_params_fields[];
void train_params_defaults(struct train_params *p);
/* All that can be said against them without data: bounds, widths.  `where` as in field_validate().  RANGE, ARGUMENT. */
enum status train_params_check(const struct train_params *p, const char *where, struct error *e) MUST_USE;
/* Epochs of the whole fit: of trees they follow from n_trees, whatever p->epochs. */
int64_t train_params_epochs(const struct train_params *p);
/* Whether such a fit can be made here: trees are grown by a library that may not be installed.  Models of trees are read
 * and scored without it.  UNSUPPORTED, saying what to install. */
enum status train_params_ready(const struct train_params *p, const char *where, struct error *e) MUST_USE;
/* What the network of these parameters reads; they must have passed the check. */
enum model_input estimator_input(const struct train_params *p);
/* ARGUMENT when something of them watches held-out rows (a plateau, patience, the best epoch) and there are none. */
enum status train_params_check_watch(const struct train_params *p, bool has_held_out, struct error *e) MUST_USE;
/* Hash of all parameters that decide how a fit of given data goes, without those that only say how far (epochs, unless
 * something follows from their number) and how fast: of two fits with the same way, the shorter is the beginning of the
 * longer, bit by bit.  Fails: NOMEM, RANGE. */
enum status train_params_way(const struct train_params *p, char out[17], struct error *e) MUST_USE;

/* ---- training data --------------------------------------------------------------------------------------------- */

/* Rows in memory, borrowed while training.  hlf is raw (unscaled); the model scales with its scaler.  Particle rows are
 * as stored in datasets, row 0 of an event the lepton; they are expanded and scaled a chunk at a time. */
struct train_data {
    size_t n;
    const float *hlf;                  /* [n][HLF_COUNT], finite */
    const int32_t *label;              /* [n] in [0, n_classes) */
    const float *weight;               /* [n] finite, none negative, not all zero; or NULL: 1 */
    const struct particle_columns *rows;                   /* for estimators that read sequences, else ignored */
    const uint32_t *row_first;         /* [n + 1] into rows, each event with 1 to 801 of them; NULL: none */
};

enum { MODEL_FORMAT_VERSION = 1 };

/* Everything a model says of itself; the header of the model file, and the API's answer. */
struct model_header {
    int64_t format_version;
    const char *estimator, *recipe, *dataset_id;
    struct object_cuts cuts;           /* of the events that it learned from: scoring applies the same */
    struct train_params params;
    struct field_list classes;         /* const char * */
    struct scaler_record scaler;
    int64_t n_params, n_train, epochs_done;
    double train_loss, val_loss;       /* of the epoch whose parameters these are; NaN when there was none */
    int64_t best_epoch;                /* that epoch, when the best one was kept; else 0 */
    bool stopped_early;                /* before params.epochs, by params.patience */
    struct field_list histograms;      /* struct feature_histogram, HLF_COUNT of them or none */
    const char *created_at, *build_id; /* may be NULL */
};
extern const struct field model_header_fields[];

/* ---- training -------------------------------------------------------------------------------------------------- */

struct trainer;
struct model;

struct epoch_report {
    int64_t epoch;                     /* 1-based, just finished */
    double loss, accuracy, val_loss, val_accuracy, val_auc;     /* val NaN when there is none; val_auc: mean over the
                                          classes of one against the rest (metrics_auc_bins, core/metrics.h) */
    double seconds, samples_per_second, gradient_norm;  /* the norm is the steps' mean, before clipping */
    double learning_rate;              /* of the last step */
};

/* What a fit asks of its host between minibatches: whether to stop, and how far it is. */
struct train_watch {
    bool (*cancelled)(void *ctx);                                  /* may be NULL */
    void (*progress)(void *ctx, int64_t samples_done, int64_t samples_total);      /* in this epoch; may be NULL */
    void *ctx;
};

/* Events that do not fit into memory: `next` gives them in order, some at a time, each valid until the next call and
 * out->n 0 behind the last.  It is called from one thread at a time, and only while the trainer is created: rows are
 * then read from a packed file of the trainer's own. */
struct train_stream {
    enum status (*next)(void *ctx, struct train_data *out, struct error *e);
    void *ctx;
};

/* What a fit reads: `data` or `stream`.  With a validation set (of the same kind; classes, recipe and scaler are the
 * caller's to compare) no part of the rows is held out. */
struct train_input {
    const struct train_data *data, *validation;
    const struct train_stream *stream, *validation_stream;
    const char *folder;                /* streamed: where the packed file is, and unlinked at once: it goes with the
                                          trainer, however the process ends.  Up to 38 bytes a particle and 72 an event */
    size_t memory_bytes;               /* streamed: of rows in memory, about; at least some megabytes are taken */
};

/* Bytes, fixed when the trainer is created. */
struct train_memory {
    int64_t parameters, optimizer, workspace, rows;           /* optimizer: moments, and the best epoch's parameters */
    int64_t shards;
    int64_t packed, window_rows;       /* streamed: of the file; rows that are shuffled together.  Else 0 */
};

/* `header` gives recipe, cuts, classes, dataset_id, scaler, params, histograms (those of the dataset), created_at and
 * build_id; the rest is filled by training.  Copies what it keeps of it; borrows `data` until trainer_destroy, and
 * keeps the scaled rows besides, 72 bytes each.
 * Fails: ARGUMENT (no events, events of one class only, a number that is not finite), RANGE (parameters), NOMEM,
 * UNSUPPORTED (recipe). */
enum status trainer_create(const struct model_header *header, const struct train_data *data, struct trainer **out,
                           struct error *e) MUST_USE;
/* The same from any input.  Fails besides: what train_stream fails with, NOSPACE, IO. */
enum status trainer_create_from(const struct model_header *header, const struct train_input *input,
                                struct trainer **out, struct error *e) MUST_USE;
void trainer_destroy(struct trainer *t);
struct train_memory trainer_memory(const struct trainer *t);
/* Whether params.patience has run out; the caller then ends the fit.  best_epoch 0: none is kept. */
struct train_outcome {
    bool stopped;
    int64_t best_epoch;
    double best;                       /* of what params.monitor names */
};
struct train_outcome trainer_outcome(const struct trainer *t);
int64_t trainer_epochs_done(const struct trainer *t);
/* One epoch.  CANCELLED and every other error leave the trainer unusable but for destroy and restore.  A loss or
 * gradient that is not finite is RANGE, naming epoch, step and layer. */
enum status trainer_epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out,
                          struct error *e) MUST_USE;
/* Complete state between two epochs (params, moments, step, early stopping; the random numbers of an epoch follow from its number
 * and the seed); restored into a trainer created from the same header and data, training goes on with the same bits as
 * if never interrupted.  Appends to `out`.  Restore fails: FORMAT (checksum, shape), CONFLICT (other data or
 * parameters; only epochs (but with the schedule cosine), threads and memory_limit_mb may differ), and then leaves the trainer as it was. */
enum status trainer_checkpoint(const struct trainer *t, struct buf *out, struct error *e) MUST_USE;
enum status trainer_restore(struct trainer *t, struct span checkpoint, struct error *e) MUST_USE;
/* The model as of now, or of the best epoch where it is kept; the caller's: model_release(). */
enum status trainer_model(const struct trainer *t, struct model **out, struct error *e) MUST_USE;

/* ---- models ---------------------------------------------------------------------------------------------------- */

void model_acquire(struct model *m);                           /* counted, atomic */
void model_release(struct model *m);                           /* NULL allowed */
const struct model_header *model_header(const struct model *m);
size_t model_n_classes(const struct model *m);
const char *model_class(const struct model *m, size_t i);
enum model_input model_input(const struct model *m);
const struct recipe *model_recipe(const struct model *m);
const char *model_sha256(const struct model *m);               /* of the file's bytes; of its would-be bytes before */

/* Probabilities [n][n_classes] of raw HLF rows [n][14].  A row's result is the same bits in any batch, on any
 * thread and with any kernels (core/nn/README.md).  Rows so large that the network overflows give NaN, and so does
 * every row when the model reads sequences.  No allocation. */
void model_predict_hlf(const struct model *m, const float *hlf, size_t n, float *out);

/* The same for any model, from events with what model_input() says: features and particle rows as in train_data.  An
 * event with no rows or more than 801 gives NaN.  Waits when more threads score sequences than the model has working
 * memories (one for each core). */
struct model_rows {
    const float *hlf;                  /* [n][HLF_COUNT] raw; may be NULL for INPUT_SEQUENCE */
    const struct particle_columns *rows;                   /* these two: not read for INPUT_HLF */
    const uint32_t *row_first;
};
void model_predict(const struct model *m, const struct model_rows *rows, size_t n, float *out);

/* File: magic "DLTMODEL", version, header (field text), weights (little-endian float32), SHA-256 of all before it; see
 * core/model/README.md.  model_encode appends.  Decoding takes bytes from anywhere; `name` is for messages.  Fails:
 * FORMAT, UNSUPPORTED (a version, estimator or recipe that this build does not know), NOMEM. */
enum status model_encode(const struct model *m, struct buf *out, struct error *e) MUST_USE;
enum status model_decode(struct span bytes, const char *name, struct model **out, struct error *e) MUST_USE;
enum status model_save(const struct model *m, const char *path, struct error *e) MUST_USE;      /* atomic, synced */
enum status model_load(const char *path, struct model **out, struct error *e) MUST_USE;

#endif
