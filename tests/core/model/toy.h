/* tests/core/model/toy.h
 *
 * Small training problems for the tests of core/model. */
#ifndef DLT_TESTS_MODEL_TOY_H
#define DLT_TESTS_MODEL_TOY_H

#include "core/model.h"
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

/* Rows with labels; weights are there but used only when a test sets data.weight. */
struct toy {
    struct arena arena;
    struct model_header header;
    struct train_data data;
    float *hlf, *weight;
    int32_t *label;
};

static inline void toy_classes(struct toy *t, size_t n)
{
    const char **names = ARENA_NEW(&t->arena, const char *, n);
    for (size_t i = 0; i < n; i++)
        names[i] = arena_printf(&t->arena, "class%zu", i);
    t->header.classes = (struct field_list){names, n};
}

static inline void toy_hidden(struct toy *t, size_t n, const int64_t *widths)
{
    int64_t *copy = ARENA_NEW(&t->arena, int64_t, n);
    memcpy(copy, widths, n * sizeof *copy);
    t->header.params.hidden = (struct field_list){copy, n};
}
#define TOY_HIDDEN(t, ...) \
    toy_hidden((t), sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (const int64_t[]){__VA_ARGS__})

/* n rows of noise with n_classes labels: features 1 and 2 carry an exclusive-or when there are two classes; features 0
 * and 1 are places on a grid of classes when there are more.  Scaling is the identity. */
static inline void toy_init(struct toy *t, size_t n, size_t n_classes)
{
    struct error e;
    struct hlf_scaler scaler = {{false}, {0}, {0}};
    struct rng r = rng_stream(17, 0);
    memset(t, 0, sizeof *t);
    arena_init(&t->arena, (size_t)1 << 30);
    field_defaults(model_header_fields, &t->header);
    for (size_t f = 0; f < HLF_COUNT; f++)
        scaler.factor[f] = 1;
    assert_ok(scaler_record_make(&t->arena, &scaler, NULL, &t->header.scaler, &e), &e);
    t->header.recipe = "topology-1";
    t->header.dataset_id = "ds_toy";
    t->header.created_at = "2026-01-01T00:00:00Z";
    t->header.build_id = "test";
    toy_classes(t, n_classes);
    t->hlf = ARENA_NEW(&t->arena, float, n * HLF_COUNT + 1);
    t->label = ARENA_NEW(&t->arena, int32_t, n + 1);
    t->weight = ARENA_NEW(&t->arena, float, n + 1);
    for (size_t i = 0; i < n; i++) {
        float *row = t->hlf + i * HLF_COUNT;
        for (size_t f = 0; f < HLF_COUNT; f++)
            row[f] = (float)rng_normal(&r);
        t->label[i] = (int32_t)(i % n_classes);
        if (n_classes == 2) {
            row[1] = (i & 2 ? 1 : -1) * (1 + 0.2f * row[1]);
            row[2] = (i & 2 ? 1 : -1) * (t->label[i] ? -1 : 1) * (1 + 0.2f * row[2]);
        } else {
            row[0] = (float)(t->label[i] % 8) + 0.15f * row[0];
            row[1] = (float)(t->label[i] / 8) + 0.15f * row[1];
        }
        t->weight[i] = 0.25f + (float)rng_f64(&r);
    }
    t->data = (struct train_data){.n = n, .hlf = t->hlf, .label = t->label};
}

static inline void toy_fini(struct toy *t) { arena_fini(&t->arena); }

static inline struct trainer *toy_trainer(const struct toy *t)
{
    struct error e;
    struct trainer *trainer;
    assert_ok(trainer_create(&t->header, &t->data, &trainer, &e), &e);
    return trainer;
}

static inline struct epoch_report toy_epochs(struct trainer *trainer, size_t n)
{
    struct error e;
    struct epoch_report report = {0};
    for (size_t i = 0; i < n; i++)
        assert_ok(trainer_epoch(trainer, NULL, &report, &e), &e);
    return report;
}

static inline struct model *toy_model(const struct trainer *trainer)
{
    struct error e;
    struct model *m;
    assert_ok(trainer_model(trainer, &m, &e), &e);
    return m;
}

/* Trained for `epochs`. */
static inline struct model *toy_train(const struct toy *t, size_t epochs)
{
    struct trainer *trainer = toy_trainer(t);
    toy_epochs(trainer, epochs);
    struct model *m = toy_model(trainer);
    trainer_destroy(trainer);
    return m;
}

static inline struct buf toy_encode(const struct model *m)
{
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 28);
    assert_ok(model_encode(m, &b, &e), &e);
    return b;
}

/* Makes the trailing checksum right again after a change. */
static inline void toy_seal(uint8_t *bytes, size_t n)
{
    char sum[65];
    sha256_hex(bytes, n - 64, sum);
    memcpy(bytes + n - 64, sum, 64);
}

#endif
