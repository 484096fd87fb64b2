/* tests/server/trigger/test_swap.c
 *
 * Menus that are swapped while others decide: each answer is of one menu from beginning to end, and no menu is freed
 * under a reader (what the sanitizers see). */
#include "server/trigger/trigger.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/server/trigger/scene.h"

enum { SWAPS = 100, THREADS = 4 };

struct storm {
    struct scene *scene;
    float score[2];                    /* of HLF_EVENT's tt by topo@1, topo@2 */
    int64_t revision[2];
    atomic_bool stop;
    atomic_int n_decided, n_of[2], n_wrong;
};

/* Revision 1 has path A of topo@1 with threshold 0; revision 2 has B and C of topo@2 with threshold 1. */
static bool is_consistent(const struct storm *storm, const struct json *d)
{
    int64_t revision = json_int(json_get(json_get(d, "menu"), "revision"), -1);
    size_t which = revision == storm->revision[1];
    const struct json *paths = json_get(d, "paths"), *first = json_at(paths, 0);
    const char *name = json_str(json_get(first, "path"), ""), *model = json_str(json_get(first, "model"), "");
    bool accept = json_bool(json_get(d, "accept"), false);
    return revision == storm->revision[which] && json_count(paths) == which + 1 &&
           strcmp(name, which ? "B" : "A") == 0 && strcmp(model, which ? "topo@2" : "topo@1") == 0 &&
           json_int(json_get(json_get(d, "model"), "version"), 0) == (int64_t)which + 1 &&
           (float)json_num(json_get(first, "score"), -1) == storm->score[which] &&
           (float)json_num(json_get(json_get(d, "scores"), "tt"), -1) == storm->score[which] && accept == (which == 0);
}

static void *decide_often(void *ctx)
{
    struct storm *storm = ctx;
    struct json_problems *problems = malloc(sizeof *problems);
    struct arena a;
    struct buf out;
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 16);
    while (!atomic_load(&storm->stop)) {
        struct decision_brief brief;
        struct error e;
        struct json *d = NULL;
        out.len = 0;
        arena_reset(&a);
        enum status s = trigger_decide(storm->scene->trigger, &a, (const uint8_t *)HLF_EVENT, strlen(HLF_EVENT), &out,
                                       &brief, problems, &e);
        if (s != STATUS_OK || json_parse(out.data, out.len, &d, &e) != STATUS_OK || !is_consistent(storm, d))
            atomic_fetch_add(&storm->n_wrong, 1);
        atomic_fetch_add(&storm->n_of[json_int(json_get(json_get(d, "menu"), "revision"), 0) == storm->revision[1]], 1);
        atomic_fetch_add(&storm->n_decided, 1);
        json_free(d);
    }
    buf_fini(&out);
    arena_fini(&a);
    free(problems);
    return NULL;
}

static void test_answers_are_of_one_menu_while_it_is_swapped_100_times(void **state)
{
    struct scene *s = *state;
    struct storm storm = {.scene = s};
    const float hlf[HLF_COUNT] = {0.5f, 1.5f, -0.25f, 1, 0, 0, 0.5f, 0, 0, 0, 0, 0, 1, 0};
    pthread_t threads[THREADS];
    for (int v = 1; v <= 2; v++) {
        struct model *m = scene_model(s, "topo", v, "topology-1", v);
        float scores[3];
        model_predict_hlf(m, hlf, 1, scores);
        storm.score[v - 1] = scores[1];
        model_release(m);
    }
    assert_true(storm.score[0] != storm.score[1]);
#define AT(t) "\"discriminant\":\"tt\",\"working_point\":{\"target\":{\"threshold\":" #t "}}}"
    storm.revision[0] =
        scene_run_menu(s, "m", "{\"name\":\"m\",\"paths\":[{\"path\":\"A\",\"model\":\"topo@1\"," AT(0) "]}");
    storm.revision[1] = scene_run_menu(s, "m", "{\"name\":\"m\",\"paths\":[{\"path\":\"B\",\"model\":\"topo@2\"," AT(1)
                                               ",{\"path\":\"C\",\"model\":\"topo@2\"," AT(1) "]}");
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decide_often, &storm), 0);
    for (int i = 0; i < SWAPS; i++) {
        int before = atomic_load(&storm.n_decided);
        MUST(trigger_menu_activate(s->trigger, "m", storm.revision[i % 2], &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), &s->e);
        while (atomic_load(&storm.n_decided) < before + THREADS)              /* every menu is decided by */
            sched_yield();
    }
    atomic_store(&storm.stop, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&storm.n_wrong), 0);
    assert_true(atomic_load(&storm.n_of[0]) > 0 && atomic_load(&storm.n_of[1]) > 0);
    struct trigger_counters c = trigger_counters(s->trigger);
    assert_int_equal(c.accepted + c.rejected, atomic_load(&storm.n_decided));
    assert_int_equal(c.errors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_are_of_one_menu_while_it_is_swapped_100_times, scene_setup,
                                        scene_teardown),
    };
    return cmocka_run_group_tests_name("swap", tests, NULL, NULL);
}
