/* tests/server/trigger/test_budget.c
 *
 * Rate budgets: how many events a second may pass, and that what passes stays a matter of the event where it can. */
#include "server/trigger/trigger_private.h"
#include "server/trigger/watch.h"

#include "tests/server/trigger/scene.h"

#define PATH(name, more)                                                                                               \
    "{\"path\":\"" name "\",\"model\":\"topo@1\",\"discriminant\":\"tt\",\"working_point\":{\"target\":{\"threshold\":0}}" more "}"
#define MENU(more, paths) "{\"name\":\"run3\"," more "\"paths\":[" paths "]}"

static int setup(void **state)
{
    scene_setup(state);
    model_release(scene_model(*state, "topo", 1, "topology-1", 1));
    return 0;
}

static void test_a_limit_lets_a_second_s_worth_through_at_once_and_then_its_rate(void **state)
{
    struct budget b;
    const int64_t second = 1000000000;
    (void)state;
    budget_init(&b, 50, BUDGET_LIMIT);
    int n = 0;
    for (int i = 0; i < 1000; i++)
        n += budget_take(&b, 7 * second);
    assert_int_equal(n, 50);
    for (int i = 1; i <= 10 * 1000; i++)                           /* ten seconds, a thousand events each */
        n += budget_take(&b, 7 * second + i * second / 1000);
    assert_int_equal(n, 50 + 10 * 50);
    assert_true(budget_take(&b, 100 * second));
    budget_init(&b, 0.5, BUDGET_LIMIT);                            /* one in two seconds */
    assert_true(budget_take(&b, 0));
    assert_false(budget_take(&b, second));
    assert_true(budget_take(&b, 2 * second));
    budget_init(&b, 0, BUDGET_LIMIT);
    assert_false(budget_take(&b, 0));
    budget_init(&b, NAN, BUDGET_LIMIT);
    assert_true(budget_take(&b, 0));
}

static void test_a_prescale_becomes_a_multiple_that_fits_the_budget_and_comes_back(void **state)
{
    struct budget b;
    (void)state;
    budget_init(&b, 100, BUDGET_PRESCALE);
    assert_int_equal(budget_prescale(&b, 3), 3);
    budget_adapt(&b, 100);
    assert_int_equal(budget_prescale(&b, 3), 3);
    budget_adapt(&b, 101);
    assert_int_equal(budget_prescale(&b, 3), 6);
    budget_adapt(&b, 950);
    assert_int_equal(budget_prescale(&b, 3), 30);
    assert_int_equal(budget_prescale(&b, 0), 0);
    budget_adapt(&b, 10);
    assert_int_equal(budget_prescale(&b, 3), 3);
    budget_init(&b, 100, BUDGET_REPORT);
    budget_adapt(&b, 950);
    assert_int_equal(budget_prescale(&b, 3), 3);
}

static struct json *decide_event(struct scene *s, int64_t event)
{
    char text[300];
    struct decision_brief brief;
    snprintf(text, sizeof text,
             "{\"schema\":\"hlf/1\",\"event\":{\"run\":1,\"lumi\":2,\"event\":%lld},"
             "\"hlf\":[0.5,1.5,-0.25,1,0,0,0.5,0,0,0,0,0,1,0]}", (long long)event);
    return scene_decide(s, text, &brief);
}

static const struct json *path_of(const struct json *d, size_t i)
{
    return json_at(json_get(d, "paths"), i);
}

static void test_a_path_above_its_budget_prescales_more_by_the_same_hash(void **state)
{
    struct scene *s = *state;
    scene_run_menu(s, "run3", MENU("\"prescale_seed\":7,", PATH("A", ",\"rate_budget_hz\":100") "," PATH("B", "")));
    struct menu *m = atomic_load(&s->trigger->menu);
    for (int i = 0; i < 200; i++)
        json_free(decide_event(s, i));
    watch_tick(m->watch, time_mono_ns() + 1);                      /* 200 in far less than a second: far above 100 Hz */
    int64_t factor = budget_prescale(m->paths[0].budget, 1);
    assert_true(factor > 2);
    int n_limited = 0;
    for (int i = 0; i < 200; i++) {
        struct json *d = decide_event(s, i);
        const struct json *a = path_of(d, 0);
        int64_t prescale = json_int(json_get(a, "prescale"), 0);
        bool keeps = trigger_prescale_keeps(7, "A", 1, 2, i, prescale);
        assert_true(prescale >= 1);
        assert_true(json_bool(json_get(a, "prescale_pass"), false));
        assert_int_equal(json_bool(json_get(a, "accept"), false), keeps);
        assert_int_equal(json_bool(json_get(a, "rate_limited"), true), !keeps);
        assert_true(json_bool(json_get(path_of(d, 1), "accept"), false));      /* its neighbour goes on */
        assert_string_equal(json_str(json_get(d, "reason"), ""), "path");
        n_limited += !keeps;
        json_free(d);
    }
    assert_true(n_limited > 0);
    struct json *v;
    MUST(trigger_rates(s->trigger, 60, &v, &s->e), &s->e);
    const struct json *path = json_at(json_get(v, "paths"), 0);
    assert_int_equal(json_int(json_get(json_get(path, "counts"), "limited"), -1), n_limited);
    assert_float_equal(json_num(json_get(path, "rate_budget_hz"), 0), 100, 0);
    assert_string_equal(json_str(json_get(path, "on_budget"), ""), "prescale");
    json_free(v);
}

static void test_all_paths_together_keep_the_menu_s_budget(void **state)
{
    struct scene *s = *state;
    int n_accepted = 0, n_limited = 0;
    scene_run_menu(s, "run3",
                   MENU("\"total_rate_budget_hz\":5,", PATH("A", "") "," PATH("S", ",\"shadow\":true")));
    int64_t start = time_mono_ns();
    for (int i = 0; i < 100; i++) {
        struct json *d = decide_event(s, i);
        bool accept = json_bool(json_get(d, "accept"), false);
        assert_int_equal(json_bool(json_get(path_of(d, 0), "rate_limited"), accept), !accept);
        assert_false(json_bool(json_get(path_of(d, 1), "rate_limited"), true));
        assert_string_equal(json_str(json_get(d, "reason"), ""), accept ? "path" : "rate_limited");
        assert_int_equal(json_count(json_get(d, "paths_accepted")), accept);
        n_accepted += accept;
        n_limited += !accept;
        json_free(d);
    }
    double seconds = (double)(time_mono_ns() - start) * 1e-9;
    assert_true(n_accepted >= 5 && n_accepted <= 6 + 5 * seconds);
    assert_int_equal(trigger_counters(s->trigger).by_reason[TRIGGER_RATE_LIMITED], n_limited);
}

static void test_a_path_with_a_limit_accepts_while_there_is_room(void **state)
{
    struct scene *s = *state;
    int n = 0;
    scene_run_menu(s, "run3", MENU("", PATH("A", ",\"rate_budget_hz\":10,\"on_budget\":\"limit\"")));
    int64_t start = time_mono_ns();
    for (int i = 0; i < 100; i++) {
        struct json *d = decide_event(s, i);
        n += json_bool(json_get(d, "accept"), false);
        assert_int_equal(json_int(json_get(path_of(d, 0), "prescale"), 0), 1);
        json_free(d);
    }
    double seconds = (double)(time_mono_ns() - start) * 1e-9;
    assert_true(n >= 10 && n <= 11 + 10 * seconds);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_limit_lets_a_second_s_worth_through_at_once_and_then_its_rate),
        cmocka_unit_test(test_a_prescale_becomes_a_multiple_that_fits_the_budget_and_comes_back),
        TEST(test_a_path_above_its_budget_prescales_more_by_the_same_hash),
        TEST(test_all_paths_together_keep_the_menu_s_budget),
        TEST(test_a_path_with_a_limit_accepts_while_there_is_room),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
