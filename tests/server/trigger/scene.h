/* tests/server/trigger/scene.h
 *
 * A store in a temporary folder with small trained models and their evaluations, as jobs would have published them, and
 * a trigger on top.  For the tests of server/registry and server/trigger. */
#ifndef DLT_TESTS_SERVER_TRIGGER_SCENE_H
#define DLT_TESTS_SERVER_TRIGGER_SCENE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/work.h"
#include "server/json/events_in.h"
#include "server/store/store_private.h"
#include "server/trigger/trigger.h"
#include "tests/support/support.h"

enum { SCENE_ROWS = 600 };

struct scene {
    char *folder;
    struct store *store;
    struct registry *registry;
    struct trigger *trigger;
    struct arena a;
    struct json_problems problems;
    struct error e;
};

static const char *const scene_classes[] = {"qcd", "tt", "wjets"};

#define MUST(expr, err)                                                                                           \
    do {                                                                                                          \
        if ((expr) != STATUS_OK)                                                                                  \
            fail_msg("%s: %s", #expr, (err)->text);                                                               \
    } while (0)

/* ---- rows to learn from -------------------------------------------------------------------------------- */

struct scene_rows {
    float hlf[SCENE_ROWS][HLF_COUNT];
    int32_t label[SCENE_ROWS];
};

static inline void scene_rows_make(struct scene_rows *rows, uint64_t seed)
{
    struct rng r = rng_stream(seed, 0);
    for (size_t i = 0; i < SCENE_ROWS; i++) {
        rows->label[i] = (int32_t)(i % 3);
        for (size_t k = 0; k < HLF_COUNT; k++)
            rows->hlf[i][k] = (float)(rng_normal(&r) + (k < 3 && k == i % 3 ? 1.5 : 0));
    }
}

static inline struct model_header scene_header(struct scene *s, const char *recipe, int64_t seed)
{
    static int64_t hidden[1] = {6};
    struct hlf_scaler scaler = {{false}, {0}, {0}};
    struct sequence_scaler sequence = {{0}, {0}};
    struct model_header h;
    for (size_t k = 0; k < HLF_COUNT; k++)
        scaler.factor[k] = k == HLF_HT || k == HLF_MET || k == HLF_MT || k == HLF_LEP_PT ? 0.01 : 1;
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        sequence.factor[c] = 1;
    field_defaults(model_header_fields, &h);
    train_params_defaults(&h.params);
    h.params.hidden = (struct field_list){hidden, 1};
    h.params.epochs = 2;
    h.params.seed = seed;
    h.recipe = recipe;
    h.dataset_id = "ds_scene";
    h.classes = (struct field_list){(void *)(uintptr_t)scene_classes, 3};
    h.created_at = "2026-01-01T00:00:00.000000Z";
    h.build_id = "test";
    MUST(scaler_record_make(&s->a, &scaler, recipe_find(recipe)->sequence_dense ? NULL : &sequence, &h.scaler, &s->e),
         &s->e);
    return h;
}

/* A small network; the caller's.  scene_electron_pt: the cut of the events that it learned from. */
static double scene_electron_pt = 23;
static const struct field_list *scene_histograms;              /* of its header; NULL: none */
static inline struct model *scene_train(struct scene *s, const char *recipe, int64_t seed)
{
    struct scene_rows *rows = malloc(sizeof *rows);
    struct model_header h = scene_header(s, recipe, seed);
    h.cuts.electron_pt = scene_electron_pt;
    if (scene_histograms)
        h.histograms = *scene_histograms;
    struct trainer *t;
    struct model *m;
    struct epoch_report report;
    scene_rows_make(rows, 1);
    struct train_data data = {.n = SCENE_ROWS, .hlf = &rows->hlf[0][0], .label = rows->label};
    MUST(trainer_create(&h, &data, &t, &s->e), &s->e);
    for (int i = 0; i < 2; i++)
        MUST(trainer_epoch(t, NULL, &report, &s->e), &s->e);
    MUST(trainer_model(t, &m, &s->e), &s->e);
    trainer_destroy(t);
    free(rows);
    return m;
}

/* ---- what jobs would have published -------------------------------------------------------------------- */

static inline void scene_artifact(struct scene *s, const char *id, const char *kind, const char *name, int64_t version,
                                  const char *sha256)
{
    struct error *e = &s->e;
    pthread_mutex_lock(&s->store->write_lock);
    enum status st = DB_RUN(&s->store->writer, NULL, e,
                            "INSERT INTO artifacts (id, kind, name, version, job_id, sha256, created_us)"
                            " VALUES (?1, ?2, ?3, ?4, 'job_scene', ?5, 1)",
                            db_text(id), db_text(kind), db_text(name), db_i64(version), db_text(sha256));
    pthread_mutex_unlock(&s->store->write_lock);
    MUST(st, e);
}

static inline const char *scene_file(struct scene *s, const char *kind, const char *id, const char *file)
{
    const char *folder = store_artifact_folder(s->store, &s->a, kind, id);
    MUST(file_make_folder(folder, &s->e), &s->e);
    return path_in(folder, file);
}

/* Trains and registers "name@version" with id "mdl_NAME_VERSION"; returns the model, released by the caller. */
static inline struct model *scene_model(struct scene *s, const char *name, int64_t version, const char *recipe,
                                        int64_t seed)
{
    struct model *m = scene_train(s, recipe, seed);
    const char *id = arena_printf(&s->a, "mdl_%s_%lld", name, (long long)version);
    MUST(model_save(m, scene_file(s, "model", id, MODEL_FILE), &s->e), &s->e);
    scene_artifact(s, id, "model", name, version, model_sha256(m));
    return m;
}

/* An inclusive model of random weights as "particles@1"; the caller's. */
static inline struct model *scene_particles_model(struct scene *s)
{
    enum { N = 30 };
    struct model_header h = scene_header(s, "topology-1", 5);
    struct scene_rows *rows = malloc(sizeof *rows);
    float column[N] = {0};
    int8_t kind[N] = {0};
    uint32_t first[N + 1];
    float *const c = column;
    struct particle_columns columns = {c, c, c, c, c, c, c, c, c, kind, kind, NULL};
    struct trainer *t;
    struct model *m;
    for (uint32_t i = 0; i <= N; i++)
        first[i] = i;
    while (strcmp(estimator_names[h.params.model], "inclusive") != 0)
        h.params.model++;
    h.params.units = 8;
    scene_rows_make(rows, 1);
    struct train_data data = {
        .n = N, .hlf = &rows->hlf[0][0], .label = rows->label, .rows = &columns, .row_first = first};
    MUST(trainer_create(&h, &data, &t, &s->e), &s->e);
    MUST(trainer_model(t, &m, &s->e), &s->e);
    trainer_destroy(t);
    free(rows);
    MUST(model_save(m, scene_file(s, "model", "mdl_particles_1", MODEL_FILE), &s->e), &s->e);
    scene_artifact(s, "mdl_particles_1", "model", "particles", 1, model_sha256(m));
    return m;
}

/* Evaluates a model on the rows of `seed` and registers the evaluation. */
static inline struct evaluation_record scene_evaluation(struct scene *s, const char *id, const char *model_version,
                                                        const struct model *m, uint64_t seed)
{
    struct scene_rows *rows = malloc(sizeof *rows);
    float *scores = malloc(SCENE_ROWS * 3 * sizeof *scores);
    struct evaluation_record record = {.id = id, .model_version = model_version, .model_sha256 = model_sha256(m),
                                       .dataset_id = "ds_scene", .recipe = model_recipe(m)->name,
                                       .created_at = "2026-01-01T00:00:00.000000Z"};
    struct buf text;
    scene_rows_make(rows, seed);
    model_predict_hlf(m, &rows->hlf[0][0], SCENE_ROWS, scores);
    MUST(metrics_evaluate(&s->a, scores, rows->label, NULL, SCENE_ROWS, 3, scene_classes, &record.metrics, &s->e),
         &s->e);
    buf_init(&text, 16 << 20);
    MUST(field_write_text(evaluation_record_fields, &record, &text, &s->e), &s->e);
    MUST(file_write_atomic(scene_file(s, "evaluation", id, EVALUATION_FILE), text.data, text.len, &s->e), &s->e);
    scene_artifact(s, id, "evaluation", model_version, 0, NULL);
    buf_fini(&text);
    free(scores);
    free(rows);
    return record;
}

/* ---- the stage ----------------------------------------------------------------------------------------- */

static inline void scene_quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static inline void scene_open(struct scene *s)
{
    MUST(store_open(s->folder, &s->store, &s->e), &s->e);
    MUST(registry_create(s->store, &s->registry, &s->e), &s->e);
    MUST(trigger_create(s->store, s->registry, &s->trigger, &s->e), &s->e);
}

static inline void scene_shut(struct scene *s)
{
    trigger_destroy(s->trigger);
    registry_destroy(s->registry);
    store_close(s->store);
}

static inline int scene_setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    s->folder = temp_folder_create();
    arena_init(&s->a, 64 << 20);
    scene_open(s);
    *state = s;
    return 0;
}

static inline int scene_teardown(void **state)
{
    struct scene *s = *state;
    scene_shut(s);
    arena_fini(&s->a);
    temp_folder_remove(s->folder);
    free(s);
    return 0;
}

static inline struct json *scene_parse(struct scene *s, const char *text)
{
    struct json *v;
    MUST(json_parse(text, strlen(text), &v, &s->e), &s->e);
    return v;
}

static inline enum status scene_create_menu(struct scene *s, const char *text, int64_t *revision)
{
    const char *name;
    struct json *v = scene_parse(s, text);
    enum status st = trigger_menu_create(s->trigger, v, &name, revision, &s->a, &s->problems, &s->e);
    json_free(v);
    return st;
}

/* Creates and activates; returns the revision. */
static inline int64_t scene_run_menu(struct scene *s, const char *name, const char *text)
{
    int64_t revision;
    MUST(scene_create_menu(s, text, &revision), &s->e);
    MUST(trigger_menu_activate(s->trigger, name, revision, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), &s->e);
    return revision;
}

/* The decision of an event as JSON, the caller's; fails the test when there is none. */
static inline struct json *scene_decide(struct scene *s, const char *event, struct decision_brief *brief)
{
    struct buf out;
    struct json *v;
    buf_init(&out, 1 << 20);
    MUST(trigger_decide(s->trigger, &s->a, (const uint8_t *)event, strlen(event), &out, brief, &s->problems, &s->e),
         &s->e);
    MUST(json_parse(out.data, out.len, &v, &s->e), &s->e);
    buf_fini(&out);
    return v;
}

/* The status of an event that is refused; the problem is in s->problems. */
static inline enum status scene_refuse(struct scene *s, const char *event, struct decision_brief *brief)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    enum status st =
        trigger_decide(s->trigger, &s->a, (const uint8_t *)event, strlen(event), &out, brief, &s->problems, &s->e);
    assert_int_not_equal(st, STATUS_OK);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    return st;
}

/* The only problem has this pointer and code. */
#define ASSERT_PROBLEM(s, pointer_, code_)                                                                        \
    do {                                                                                                          \
        if ((s)->problems.n != 1 || strcmp((s)->problems.items[0].pointer, pointer_) != 0 ||                      \
            strcmp((s)->problems.items[0].code, code_) != 0)                                                      \
            fail_msg("%zu problems, first %s %s: %s", (s)->problems.n, (s)->problems.items[0].pointer,            \
                     (s)->problems.items[0].code, (s)->problems.items[0].detail);                                 \
    } while (0)

#define HLF_EVENT                                                                                                      \
    "{\"schema\":\"hlf/"                                                                                               \
    "1\",\"event\":{\"run\":1,\"lumi\":2,\"event\":3},\"hlf\":[0.5,1.5,-0.25,1,0,0,0.5,0,0,0,0,0,1,0]}"

#endif
