/* tests/server/registry/test_registry.c
 *
 * Models by reference: found by every kind of name, loaded once, refused when the file is not the one that was
 * registered, given away under a reader without harm. */
#include "server/registry/registry.h"

#include <pthread.h>

#include "tests/server/trigger/scene.h"

static void test_a_model_is_found_by_version_alias_name_and_id_and_loaded_once(void **state)
{
    struct scene *s = *state;
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    model_release(scene_model(s, "topo", 2, "topology-1", 2));
    MUST(store_model_alias_set(s->store, "topo", "champion", 1, NULL, -1, &s->e), &s->e);
    static const struct { const char *ref, *canonical;
    } cases[] = {{"topo", "topo@2"},
                 {"topo@1", "topo@1"},
                 {"topo@2", "topo@2"},
                 {"topo@champion", "topo@1"},
                 {"mdl_topo_1", "topo@1"}};
    struct model *models[ARRAY_LEN(cases)];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *canonical;
        MUST(registry_get(s->registry, &s->a, cases[i].ref, &models[i], &canonical, &s->e), &s->e);
        assert_string_equal(canonical, cases[i].canonical);
    }
    assert_ptr_equal(models[0], models[2]);
    assert_ptr_equal(models[1], models[3]);
    assert_ptr_equal(models[1], models[4]);
    assert_int_equal(registry_loaded(s->registry), 2);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        model_release(models[i]);
}

static void test_a_model_that_does_not_exist_is_not_found(void **state)
{
    struct scene *s = *state;
    struct model *m;
    const char *canonical;
    assert_int_equal(registry_get(s->registry, &s->a, "nothing@1", &m, &canonical, &s->e), STATUS_NOTFOUND);
    assert_null(m);
    assert_non_null(strstr(s->e.text, "nothing"));
}

static void test_a_changed_file_is_refused_and_loaded_when_it_is_back(void **state)
{
    struct scene *s = *state;
    struct model *m;
    const char *canonical;
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    const char *path = arena_strdup(&s->a, scene_file(s, "model", "mdl_topo_1", MODEL_FILE));
    struct buf good;
    buf_init(&good, 1 << 20);
    MUST(file_read(path, &good, &s->e), &s->e);
    struct model *other = scene_train(s, "topology-1", 9);
    MUST(model_save(other, path, &s->e), &s->e);
    model_release(other);
    assert_int_equal(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), STATUS_FORMAT);
    assert_non_null(strstr(s->e.text, "SHA-256"));
    good.data[good.len / 2] ^= 1;
    MUST(file_write_atomic(path, good.data, good.len, &s->e), &s->e);
    assert_int_equal(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), STATUS_FORMAT);
    assert_int_equal(registry_loaded(s->registry), 0);
    good.data[good.len / 2] ^= 1;
    MUST(file_write_atomic(path, good.data, good.len, &s->e), &s->e);
    MUST(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), &s->e);
    model_release(m);
    buf_fini(&good);
}

static void test_the_longest_unused_model_makes_room_and_who_holds_it_keeps_it(void **state)
{
    struct scene *s = *state;
    struct model *first, *m;
    const char *canonical;
    struct model *trained = scene_model(s, "topo", 1, "topology-1", 1);
    /* Many ids of one and the same file. */
    struct buf file;
    buf_init(&file, 1 << 20);
    MUST(file_read(scene_file(s, "model", "mdl_topo_1", MODEL_FILE), &file, &s->e), &s->e);
    for (int v = 2; v <= REGISTRY_MODELS_MAX + 1; v++) {
        const char *id = arena_printf(&s->a, "mdl_topo_%d", v);
        MUST(file_write_atomic(scene_file(s, "model", id, MODEL_FILE), file.data, file.len, &s->e), &s->e);
        scene_artifact(s, id, "model", "topo", v, model_sha256(trained));
    }
    MUST(registry_get(s->registry, &s->a, "topo@1", &first, &canonical, &s->e), &s->e);
    for (int v = 2; v <= REGISTRY_MODELS_MAX + 1; v++) {
        MUST(registry_get(s->registry, &s->a, arena_printf(&s->a, "topo@%d", v), &m, &canonical, &s->e), &s->e);
        model_release(m);
    }
    assert_int_equal(registry_loaded(s->registry), REGISTRY_MODELS_MAX);
    assert_string_equal(model_sha256(first), model_sha256(trained));         /* still alive */
    MUST(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), &s->e);
    assert_ptr_not_equal(m, first);                                          /* read again */
    model_release(m);
    model_release(first);
    model_release(trained);
    buf_fini(&file);
}

static void *get_often(void *ctx)
{
    struct scene *s = ctx;
    struct arena a;
    struct error e;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 200; i++) {
        struct model *m;
        const char *canonical;
        if (registry_get(s->registry, &a, i % 2 ? "topo@1" : "topo", &m, &canonical, &e) != STATUS_OK)
            return ctx;
        model_release(m);
        arena_reset(&a);
    }
    arena_fini(&a);
    return NULL;
}

static void test_threads_may_get_models_at_once(void **state)
{
    struct scene *s = *state;
    pthread_t threads[4];
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    model_release(scene_model(s, "topo", 2, "topology-1", 2));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_often, s), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    assert_int_equal(registry_loaded(s->registry), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_model_is_found_by_version_alias_name_and_id_and_loaded_once, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_model_that_does_not_exist_is_not_found, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_changed_file_is_refused_and_loaded_when_it_is_back, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_unused_model_makes_room_and_who_holds_it_keeps_it, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_threads_may_get_models_at_once, scene_setup, scene_teardown),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
