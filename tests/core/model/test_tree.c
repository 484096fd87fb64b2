/* tests/core/model/test_tree.c
 *
 * Trees: growing them through XGBoost, storing, scoring.  Where XGBoost's library is not installed, what grows trees is
 * skipped. */
#include "core/model/tree_forest.h"
#include "core/model/tree_xgboost.h"
#include "tests/core/model/toy.h"
#include "tests/support/support.h"

#include <dlfcn.h>

enum { ROWS = 700 };
#define SKIP_WITHOUT_XGBOOST()                                                                  \
    do {                                                                                        \
        struct error skip_;                                                                     \
        if (tree_library_check(&skip_) != STATUS_OK) {                                          \
            print_message("skipped: %s\n", skip_.text);                                         \
            skip();                                                                             \
        }                                                                                       \
    } while (0)

static void toy_trees(struct toy *t, size_t n, size_t n_classes, const char *estimator)
{
    toy_init(t, n, n_classes);
    while (strcmp(estimator_names[t->header.params.model], estimator) != 0)
        t->header.params.model++;
    t->header.params.trees.n_trees = 25;
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static double hit_rate(const struct model *m, const struct toy *t)
{
    size_t k = model_n_classes(m), hits = 0;
    float *out = mem_alloc(t->data.n * k * sizeof *out);
    assert_non_null(out);
    model_predict_hlf(m, t->hlf, t->data.n, out);
    for (size_t i = 0; i < t->data.n; i++) {
        size_t best = 0;
        for (size_t c = 1; c < k; c++)
            best = out[i * k + c] > out[i * k + best] ? c : best;
        hits += best == (size_t)t->label[i];
    }
    mem_free(out);
    return (double)hits / (double)t->data.n;
}

static const char *const both[] = {"random-forest", "gradient-boosting"};

/* ---- learning -------------------------------------------------------------------------------------------------- */

static void test_both_kinds_learn_what_no_single_split_can_tell(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct toy t;
        toy_trees(&t, ROWS, 2, both[i]);
        struct model *m = toy_train(&t, 3);
        assert_true(hit_rate(m, &t) > (i == 0 ? 0.95 : 0.99));
        assert_int_equal(model_header(m)->params.trees.max_depth, i == 0 ? 10 : 6);
        assert_string_equal(model_header(m)->estimator, both[i]);
        model_release(m);
        toy_fini(&t);
    }
}

static void test_many_classes_and_weights_and_the_same_bytes_with_any_number_of_threads(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct buf first = {0};
        for (int64_t threads = 1; threads <= 3; threads++) {
            struct toy t;
            toy_trees(&t, ROWS, 9, both[i]);
            t.data.weight = t.weight;
            t.header.params.threads = threads;
            t.header.params.trees.n_trees = 4;
            t.header.params.trees.subsample = 0.7;
            t.header.params.trees.colsample_bynode = 0.5;
            struct model *m = toy_train(&t, 1);
            assert_true(hit_rate(m, &t) > 0.97);
            struct model *as_one;
            struct error e;
            struct model_header h = *model_header(m);         /* which tells the number of threads */
            struct buf bytes = toy_encode(m);
            assert_ok(model_decode((struct span){bytes.data, bytes.len}, "m", &as_one, &e), &e);
            assert_int_equal(h.params.threads, threads);
            /* All behind the header, without the checksum. */
            size_t n = (size_t)h.n_params * sizeof(float), at = bytes.len - 64 - n;
            if (threads == 1) {
                buf_init(&first, 1 << 28);
                assert_ok(buf_append(&first, bytes.data + at, n, &e), &e);
            }
            assert_int_equal(first.len, n);
            assert_memory_equal(first.data, bytes.data + at, n);
            buf_fini(&bytes);
            model_release(as_one);
            model_release(m);
            toy_fini(&t);
        }
        buf_fini(&first);
    }
}

static void test_two_fits_give_the_same_file_and_another_seed_another(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    struct buf file[3];
    for (int i = 0; i < 3; i++) {
        struct toy t;
        toy_trees(&t, ROWS, 3, "random-forest");
        t.header.params.seed = i < 2 ? 1 : 2;
        struct model *m = toy_train(&t, 1);
        file[i] = toy_encode(m);
        model_release(m);
        toy_fini(&t);
    }
    assert_true(same_bytes(&file[0], &file[1]));
    assert_false(same_bytes(&file[0], &file[2]));
    for (int i = 0; i < 3; i++)
        buf_fini(&file[i]);
}

static void test_a_resumed_fit_ends_with_the_same_bytes(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct toy t;
        struct error e;
        struct buf checkpoint;
        toy_trees(&t, ROWS, 3, both[i]);
        t.header.params.keep_best = true;
        t.header.params.trees.subsample = 0.8;
        struct trainer *whole = toy_trainer(&t), *half = toy_trainer(&t), *rest = toy_trainer(&t);
        toy_epochs(whole, 3);
        toy_epochs(half, 1);
        toy_epochs(rest, 2);                                  /* what a restore must forget */
        buf_init(&checkpoint, 1 << 28);
        assert_ok(trainer_checkpoint(half, &checkpoint, &e), &e);
        assert_ok(trainer_restore(rest, (struct span){checkpoint.data, checkpoint.len}, &e), &e);
        assert_int_equal(trainer_epochs_done(rest), 1);
        toy_epochs(rest, 2);
        struct model *a = toy_model(whole), *b = toy_model(rest);
        struct buf one = toy_encode(a), two = toy_encode(b);
        assert_true(same_bytes(&one, &two));
        assert_int_equal(model_header(a)->epochs_done, 3);
        buf_fini(&one);
        buf_fini(&two);
        buf_fini(&checkpoint);
        model_release(a);
        model_release(b);
        trainer_destroy(whole);
        trainer_destroy(half);
        trainer_destroy(rest);
        toy_fini(&t);
    }
}

static void test_a_checkpoint_with_trees_too_few_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    struct toy t;
    struct error e;
    struct buf good, bad, again;
    toy_trees(&t, ROWS, 2, "gradient-boosting");
    struct trainer *trainer = toy_trainer(&t);
    toy_epochs(trainer, 2);
    buf_init(&good, 1 << 28);
    buf_init(&bad, 1 << 28);
    buf_init(&again, 1 << 28);
    assert_ok(trainer_checkpoint(trainer, &good, &e), &e);
    assert_ok(buf_append(&bad, good.data, good.len, &e), &e);
    uint64_t n_floats;
    memcpy(&n_floats, bad.data + 16, sizeof n_floats);
    n_floats -= 2;                                            /* without the last leaf */
    memcpy(bad.data + 16, &n_floats, sizeof n_floats);
    bad.len -= 8;
    toy_seal(bad.data, bad.len);
    assert_int_equal(trainer_restore(trainer, (struct span){bad.data, bad.len}, &e), STATUS_FORMAT);
    assert_ok(trainer_checkpoint(trainer, &again, &e), &e);
    assert_true(same_bytes(&good, &again));
    buf_fini(&good);
    buf_fini(&bad);
    buf_fini(&again);
    trainer_destroy(trainer);
    toy_fini(&t);
}

struct stopper {
    int left;
};

static bool stop(void *ctx) { return ((struct stopper *)ctx)->left-- == 0; }

static void test_cancelling_ends_before_the_next_tree(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    struct toy t;
    struct error e;
    struct epoch_report report;
    struct stopper stopper = {4};
    const struct train_watch watch = {stop, NULL, &stopper};
    toy_trees(&t, ROWS, 3, "gradient-boosting");
    struct trainer *trainer = toy_trainer(&t);
    assert_int_equal(trainer_epoch(trainer, &watch, &report, &e), STATUS_CANCELLED);
    assert_int_equal(stopper.left, -1);                       /* it was not asked again */
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void test_patience_ends_boosting_and_keeps_the_trees_of_the_best_epoch(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    struct toy t;
    toy_trees(&t, 300, 2, "gradient-boosting");
    for (size_t i = 0; i < t.data.n; i += 4)                  /* a quarter of the labels say nothing */
        t.label[i] ^= (int32_t)(i / 4 & 1);
    t.header.params.trees.n_trees = 400;
    t.header.params.validation_fraction = 0.3;
    t.header.params.patience = 2;
    struct trainer *trainer = toy_trainer(&t);
    while (!trainer_outcome(trainer).stopped && trainer_epochs_done(trainer) < 40)
        toy_epochs(trainer, 1);
    assert_true(trainer_outcome(trainer).stopped);
    struct model *m = toy_model(trainer);
    const struct model_header *h = model_header(m);
    assert_true(h->stopped_early && h->best_epoch == h->epochs_done - 2);
    struct toy same = t;
    same.header.params.patience = 0;
    same.header.params.keep_best = false;
    struct model *until_best = toy_train(&same, (size_t)h->best_epoch);
    assert_int_equal(model_header(until_best)->n_params, h->n_params);
    float a[2 * ROWS], b[2 * ROWS];
    model_predict_hlf(m, t.hlf, t.data.n, a);
    model_predict_hlf(until_best, t.hlf, t.data.n, b);
    assert_memory_equal(a, b, 2 * t.data.n * sizeof *a);
    model_release(m);
    model_release(until_best);
    trainer_destroy(trainer);
    toy_fini(&t);
}

struct feed_rows {
    const struct toy *t;
    size_t at;
};

static enum status next_rows(void *ctx, struct train_data *out, struct error *e)
{
    (void)e;
    struct feed_rows *f = ctx;
    size_t left = f->t->data.n - f->at, n = left < 400 ? left : 400;
    *out = (struct train_data){.n = n,
                               .hlf = f->t->hlf + f->at * HLF_COUNT,
                               .label = f->t->label + f->at,
                               .weight = f->t->weight + f->at};
    f->at += n;
    return STATUS_OK;
}

static void test_a_stream_gives_the_same_trees_or_says_how_much_memory_it_takes(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    struct toy t;
    struct error e;
    struct trainer *trainer;
    toy_trees(&t, ROWS, 3, "gradient-boosting");
    t.data.weight = t.weight;
    struct model *m = toy_train(&t, 1);
    struct feed_rows feed = {&t, 0};
    const struct train_stream stream = {next_rows, &feed};
    struct train_input input = {.stream = &stream, .folder = ".", .memory_bytes = 1 << 20};
    assert_ok(trainer_create_from(&t.header, &input, &trainer, &e), &e);
    toy_epochs(trainer, 1);
    struct model *streamed = toy_model(trainer);
    assert_string_equal(model_sha256(m), model_sha256(streamed));
    trainer_destroy(trainer);
    feed.at = 0;
    input.memory_bytes = 1 << 14;
    assert_int_equal(trainer_create_from(&t.header, &input, &trainer, &e), STATUS_NOMEM);
    assert_non_null(strstr(e.text, "memory_limit_mb"));
    model_release(m);
    model_release(streamed);
    toy_fini(&t);
}

/* From rows to a model and through a checkpoint. */
static enum status whole_fit(const struct toy *t, struct error *e)
{
    struct trainer *trainer;
    struct epoch_report report;
    struct model *m = NULL;
    struct buf checkpoint;
    TRY(trainer_create(&t->header, &t->data, &trainer, e));
    buf_init(&checkpoint, 1 << 24);
    enum status s = trainer_epoch(trainer, NULL, &report, e);
    if (s == STATUS_OK)
        s = trainer_checkpoint(trainer, &checkpoint, e);
    if (s == STATUS_OK)
        s = trainer_restore(trainer, (struct span){checkpoint.data, checkpoint.len}, e);
    if (s == STATUS_OK)
        s = trainer_model(trainer, &m, e);
    model_release(m);
    buf_fini(&checkpoint);
    trainer_destroy(trainer);
    return s;
}

static void test_a_fit_that_runs_out_of_memory_anywhere_says_so(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct toy t;
        struct error e;
        toy_trees(&t, 50, 2, both[i]);
        t.header.params.trees.n_trees = 1;
        assert_ok(whole_fit(&t, &e), &e);
        for (size_t n = 1; alloc_fail_begin(n); n++) {
            enum status s = whole_fit(&t, &e);
            assert_int_equal(s, alloc_fail_end() ? STATUS_NOMEM : STATUS_OK);
        }
        toy_fini(&t);
    }
}

/* ---- next to XGBoost's own answers -------------------------------------------------------------------------------- */

struct peer {
    int (*load)(void *booster, const void *bytes, uint64_t n);
    int (*create)(void *const *matrices, uint64_t n, void **out);
    int (*destroy)(void *booster);
    int (*set)(void *booster, const char *name, const char *value);
    int (*update)(void *booster, int round, void *matrix);
    int (*predict)(void *booster, void *matrix, int mask, unsigned limit, int training, uint64_t *n, const float **out);
    int (*slice)(void *booster, int begin, int end, int step, void **out);
    int (*save)(void *booster, const char *config, uint64_t *n, const char **bytes);
    int (*matrix)(const float *rows, uint64_t n, uint64_t columns, float missing, void **out);
    int (*labels)(void *matrix, const char *field, const float *v, uint64_t n);
    int (*matrix_free)(void *matrix);
};

static void peer_load(struct peer *p)
{
    const struct {
        const char *name;
        void *to;
    } all[] = {{"XGBoosterCreate", &p->create}, {"XGBoosterFree", &p->destroy}, {"XGBoosterSetParam", &p->set},
               {"XGBoosterUpdateOneIter", &p->update}, {"XGBoosterPredict", &p->predict}, {"XGBoosterSlice", &p->slice},
               {"XGBoosterSaveModelToBuffer", &p->save}, {"XGDMatrixCreateFromMat", &p->matrix},
               {"XGDMatrixSetFloatInfo", &p->labels}, {"XGDMatrixFree", &p->matrix_free},
               {"XGBoosterLoadModelFromBuffer", &p->load}};
    void *handle = dlopen("libxgboost.so.0", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        void *found = dlsym(handle, all[i].name);
        assert_non_null(found);
        memcpy(all[i].to, &found, sizeof found);
    }
}

/* XGBoost's own training, binary: its trees, one by one, through our reader give its own margins. */
static void test_scores_are_those_of_xgboost(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    enum { ROUNDS = 30 };
    static const char *const settings[][2] = {{"verbosity", "0"}, {"nthread", "1"}, {"objective", "binary:logistic"},
                                              {"tree_method", "hist"}, {"base_score", "0.5"}, {"max_depth", "7"}};
    struct toy t;
    struct error e;
    struct peer p;
    struct buf stored;
    void *matrix, *booster;
    toy_init(&t, ROWS, 2);
    peer_load(&p);
    float label[ROWS], sum[ROWS] = {0};
    uint32_t index[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        label[i] = (float)(t.label[i] ^ (i % 11 == 0));
        index[i] = i;
    }
    assert_int_equal(p.matrix(t.hlf, ROWS, HLF_COUNT, NAN, &matrix), 0);
    assert_int_equal(p.labels(matrix, "label", label, ROWS), 0);
    assert_int_equal(p.create(&matrix, 1, &booster), 0);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        assert_int_equal(p.set(booster, settings[i][0], settings[i][1]), 0);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(p.update(booster, i, matrix), 0);
    buf_init(&stored, 1 << 24);
    for (int i = 0; i < ROUNDS; i++) {
        void *one;
        uint64_t n;
        const char *bytes;
        assert_int_equal(p.slice(booster, i, i + 1, 1, &one), 0);
        assert_int_equal(p.save(one, "{\"format\": \"ubj\"}", &n, &bytes), 0);
        assert_ok(tree_read_ubjson((struct span){(const uint8_t *)bytes, n}, &stored, &e), &e);
        assert_int_equal(p.destroy(one), 0);
    }
    struct forest *f;
    assert_ok(forest_create((const float *)(void *)stored.data, stored.len / 4, 1, false, &f, &e), &e);
    assert_int_equal(forest_n_trees(f), ROUNDS);
    forest_add(f, t.hlf, HLF_COUNT, index, ROWS, sum);
    uint64_t n;
    const float *margin;
    assert_int_equal(p.predict(booster, matrix, 1, 0, 0, &n, &margin), 0);
    assert_int_equal(n, ROWS);
    for (size_t i = 0; i < ROWS; i++)
        assert_float_equal(sum[i], margin[i], 1e-6);
    forest_destroy(f);
    buf_fini(&stored);
    p.destroy(booster);
    p.matrix_free(matrix);
    toy_fini(&t);
}

/* ---- scoring ------------------------------------------------------------------------------------------------------ */

/* Two trees of two classes over feature 3: below 0.5 and not; below 0.25, or from 0.75 on. */
static const float two_trees[] = {3, 0.5f, -1, -1, -1, 1, 3, 0.5f, 3, 0.25f, 3, 0.75f, -1, 0.5f, -1, -0.5f, -1, -0.5f, -1, 0.5f};

static void test_a_row_goes_left_where_it_is_below_the_threshold(void **state)
{
    (void)state;
    struct forest *f;
    struct error e;
    static const float at[] = {0.1f, 0.25f, 0.4f, 0.5f, 0.7f, 0.75f, 9};
    static const float first[] = {-1, -1, -1, 1, 1, 1, 1}, second[] = {0.5f, -0.5f, -0.5f, -0.5f, -0.5f, 0.5f, 0.5f};
    assert_ok(forest_create(two_trees, ARRAY_LEN(two_trees), 2, false, &f, &e), &e);
    assert_int_equal(forest_n_floats(f, 1), 6);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        float row[HLF_COUNT] = {[3] = at[i]}, sum[2] = {0, 0};
        uint32_t index = 0;
        forest_add(f, row, HLF_COUNT, &index, 1, sum);
        assert_float_equal(sum[0], first[i], 0);
        assert_float_equal(sum[1], second[i], 0);
    }
    forest_destroy(f);
}

static void test_a_rows_scores_are_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct toy t;
        toy_trees(&t, ROWS, 3, both[i]);
        struct model *m = toy_train(&t, 3);
        static float all[ROWS * 3], part[ROWS * 3];
        model_predict_hlf(m, t.hlf, ROWS, all);
        static const size_t batches[] = {1, 7, 8, 9, 33, 256, 257};
        for (size_t b = 0; b < ARRAY_LEN(batches); b++) {
            for (size_t done = 0; done < ROWS; done += batches[b]) {
                size_t n = ROWS - done < batches[b] ? ROWS - done : batches[b];
                model_predict_hlf(m, t.hlf + done * HLF_COUNT, n, part + done * 3);
            }
            assert_memory_equal(all, part, sizeof all);
        }
        for (size_t r = 0; r < ROWS; r++)
            assert_float_equal(all[r * 3] + all[r * 3 + 1] + all[r * 3 + 2], 1, 1e-5);
        model_release(m);
        toy_fini(&t);
    }
}

static void test_a_row_that_is_not_finite_gives_nan_and_leaves_its_neighbours_alone(void **state)
{
    (void)state;
    struct forest *f;
    struct error e;
    float rows[20][HLF_COUNT] = {{0}}, out[40], alone[2];
    rows[4][3] = INFINITY;
    rows[9][0] = NAN;
    rows[19][3] = -INFINITY;
    rows[7][3] = 0.6f;
    assert_ok(forest_create(two_trees, ARRAY_LEN(two_trees), 2, false, &f, &e), &e);
    forest_predict(f, rows[0], 20, out);
    for (size_t i = 0; i < 20; i++) {
        forest_predict(f, rows[i], 1, alone);
        assert_memory_equal(alone, out + 2 * i, sizeof alone);
        assert_int_equal(isnan(out[2 * i]) != 0, i == 4 || i == 9 || i == 19);
    }
    forest_destroy(f);
}

static void test_without_trees_all_classes_are_equal(void **state)
{
    (void)state;
    SKIP_WITHOUT_XGBOOST();
    struct toy t;
    float out[4];
    toy_trees(&t, 40, 4, "random-forest");
    struct trainer *trainer = toy_trainer(&t);
    struct model *m = toy_model(trainer);
    model_predict_hlf(m, t.hlf, 1, out);
    for (size_t i = 0; i < 4; i++)
        assert_float_equal(out[i], 0.25, 0);
    struct buf bytes = toy_encode(m);
    struct model *back;
    struct error e;
    assert_ok(model_decode((struct span){bytes.data, bytes.len}, "empty", &back, &e), &e);
    buf_fini(&bytes);
    model_release(back);
    model_release(m);
    trainer_destroy(trainer);
    toy_fini(&t);
}

/* ---- what is refused ------------------------------------------------------------------------------------------------ */

static void test_damaged_trees_are_refused(void **state)
{
    (void)state;
    struct {
        size_t at;
        float value;
    } damage[] = {{0, 14}, {0, -2}, {0, 0.5f}, {0, NAN}, {1, NAN}, {1, INFINITY}, {3, -INFINITY}, {2, 5}, {4, 5}};
    struct forest *f;
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        float stored[ARRAY_LEN(two_trees)];
        memcpy(stored, two_trees, sizeof stored);
        stored[damage[i].at] = damage[i].value;
        assert_int_equal(forest_create(stored, ARRAY_LEN(stored), 2, false, &f, &e), STATUS_FORMAT);
        assert_null(f);
    }
    for (size_t n = 1; n < ARRAY_LEN(two_trees); n++)         /* one tree is not one for each class either */
        assert_int_equal(forest_create(two_trees, n, 2, false, &f, &e), STATUS_FORMAT);
    float chain[4 * (TREE_DEPTH_MAX + 1) + 2];                /* each inner node: a leaf, and the next */
    for (size_t i = 0; i < ARRAY_LEN(chain) / 2; i++) {
        chain[2 * i] = i % 2 || i + 1 == ARRAY_LEN(chain) / 2 ? -1 : 0;
        chain[2 * i + 1] = 1;
    }
    assert_int_equal(forest_create(chain, ARRAY_LEN(chain), 1, false, &f, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "deeper"));
}

static void test_layers_and_numbers_out_of_bounds_are_refused_with_their_path(void **state)
{
    (void)state;
    struct train_params p;
    struct error e;
    int64_t hidden = 5;
    train_params_defaults(&p);
    while (strcmp(estimator_names[p.model], "random-forest") != 0)
        p.model++;
    assert_ok(train_params_check(&p, "/params", &e), &e);
    p.hidden = (struct field_list){&hidden, 1};
    assert_int_equal(train_params_check(&p, "/params", &e), STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "/params/hidden"));
    p.hidden.n_items = 0;
    p.trees.max_depth = TREE_DEPTH_MAX + 1;
    assert_int_equal(train_params_check(&p, "/params", &e), STATUS_RANGE);
    assert_non_null(strstr(e.text, "/params/trees/max_depth"));
    p.trees.max_depth = 0;
    p.trees.n_trees = 95;
    assert_int_equal(train_params_epochs(&p), 10);
}

static void test_what_is_no_model_of_one_tree_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "{}", "[", "[$", "[$d#", "[$d#L", "{i\1a[[[[[[[[[[[[[[[[[[[[", "{i\xff", "X"};
    struct buf out;
    struct error e;
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(tree_read_ubjson((struct span){(const uint8_t *)bad[i], strlen(bad[i])}, &out, &e), STATUS_FORMAT);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_kinds_learn_what_no_single_split_can_tell),
        cmocka_unit_test(test_many_classes_and_weights_and_the_same_bytes_with_any_number_of_threads),
        cmocka_unit_test(test_two_fits_give_the_same_file_and_another_seed_another),
        cmocka_unit_test(test_a_resumed_fit_ends_with_the_same_bytes),
        cmocka_unit_test(test_a_checkpoint_with_trees_too_few_is_refused_and_changes_nothing),
        cmocka_unit_test(test_cancelling_ends_before_the_next_tree),
        cmocka_unit_test(test_patience_ends_boosting_and_keeps_the_trees_of_the_best_epoch),
        cmocka_unit_test(test_a_stream_gives_the_same_trees_or_says_how_much_memory_it_takes),
        cmocka_unit_test(test_a_fit_that_runs_out_of_memory_anywhere_says_so),
        cmocka_unit_test(test_scores_are_those_of_xgboost),
        cmocka_unit_test(test_a_row_goes_left_where_it_is_below_the_threshold),
        cmocka_unit_test(test_a_rows_scores_are_the_same_bits_in_any_batch),
        cmocka_unit_test(test_a_row_that_is_not_finite_gives_nan_and_leaves_its_neighbours_alone),
        cmocka_unit_test(test_without_trees_all_classes_are_equal),
        cmocka_unit_test(test_damaged_trees_are_refused),
        cmocka_unit_test(test_layers_and_numbers_out_of_bounds_are_refused_with_their_path),
        cmocka_unit_test(test_what_is_no_model_of_one_tree_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
