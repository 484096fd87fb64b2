/* tests/server/trigger/test_watch.c
 *
 * What is counted of a running menu: each path by its stages, which paths accept together, rates over a window, and
 * features and scores against those of training. */
#include "server/trigger/trigger_private.h"
#include "server/trigger/watch.h"

#include <pthread.h>

#include "tests/server/trigger/scene.h"

#define PATH(name, class, more) "{\"path\":\"" name "\",\"model\":\"topo@1\",\"discriminant\":\"" class "\"," more "}"
#define AT(threshold) "\"working_point\":{\"target\":{\"threshold\":" #threshold "}}"
#define MENU(paths) "{\"name\":\"run3\",\"columns\":[\"low\"],\"prescale_seed\":7,\"paths\":[" paths "]}"

/* topo@1, whose header has the histograms of the rows that it learned from. */
static int setup(void **state)
{
    scene_setup(state);
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    struct field_list histograms;
    scene_rows_make(rows, 1);
    MUST(feature_histograms_create(&s->a, &rows->hlf[0][0], SCENE_ROWS, &histograms, &s->e), &s->e);
    feature_histograms_add(&histograms, &rows->hlf[0][0], NULL, SCENE_ROWS);
    scene_histograms = &histograms;
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    scene_histograms = NULL;
    free(rows);
    return 0;
}

static void decide_rows(struct scene *s, const struct scene_rows *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[600];
        struct decision_brief brief;
        int len = snprintf(text, sizeof text,
                           "{\"schema\":\"hlf/1\",\"event\":{\"run\":1,\"lumi\":2,\"event\":%zu},\"hlf\":[", i);
        for (size_t k = 0; k < HLF_COUNT; k++)
            len += snprintf(text + len, sizeof text - (size_t)len, "%s%.9g", k ? "," : "", (double)rows->hlf[i][k]);
        snprintf(text + len, sizeof text - (size_t)len, "]}");
        json_free(scene_decide(s, text, &brief));
    }
}

static struct json *rates(struct scene *s, int64_t seconds)
{
    struct json *v;
    MUST(trigger_rates(s->trigger, seconds, &v, &s->e), &s->e);
    return v;
}

static int64_t count_of(const struct json *v, size_t i_path, const char *stage)
{
    return json_int(json_get(json_get(json_at(json_get(v, "paths"), i_path), "counts"), stage), -1);
}

static void test_each_path_counts_its_stages_and_what_it_shares(void **state)
{
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    scene_rows_make(rows, 1);
    scene_run_menu(s, "run3",
                   MENU(PATH("ALL", "tt", AT(0)) "," PATH("NONE", "tt", AT(1)) ","
                        PATH("SOME", "tt", AT(0) ",\"prescales\":{\"low\":4}") ","
                        PATH("SHADOW", "tt", AT(0) ",\"shadow\":true")));
    decide_rows(s, rows, 200);
    struct json *v = rates(s, 60);
    int64_t some = count_of(v, 2, "accepted");
    assert_int_equal(json_int(json_get(v, "events"), -1), 200);
    assert_int_equal(json_int(json_get(v, "accepted"), -1), 200);
    assert_int_equal(json_int(json_get(json_get(v, "reasons"), "path"), -1), 200);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(count_of(v, i, "evaluated"), 200);
    assert_int_equal(count_of(v, 0, "raw"), 200);
    assert_int_equal(count_of(v, 1, "raw"), 0);
    assert_int_equal(count_of(v, 2, "raw"), 200);
    assert_true(some > 25 && some < 80);
    assert_int_equal(count_of(v, 2, "prescaled"), some);
    assert_int_equal(count_of(v, 0, "unique"), 200 - some);
    assert_int_equal(count_of(v, 2, "unique"), 0);
    assert_int_equal(count_of(v, 3, "shadow"), 200);
    assert_int_equal(count_of(v, 3, "accepted"), 0);
    const struct json *both = json_get(json_get(v, "overlap"), "accepted_by_both");
    const int64_t expected[3] = {200, 0, some};
    for (size_t k = 0; k < 3; k++) {
        assert_int_equal(json_int(json_at(json_at(both, 0), k), -1), expected[k]);
        assert_int_equal(json_int(json_at(json_at(both, k), 0), -1), expected[k]);
    }
    json_free(v);
    free(rows);
}

static void test_a_rate_is_what_came_within_its_window(void **state)
{
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    scene_rows_make(rows, 1);
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0))));
    struct watch *w = atomic_load(&s->trigger->menu)->watch;
    int64_t now = time_mono_ns();
    decide_rows(s, rows, 100);
    watch_tick(w, now - 10 * 1000000000LL);                        /* as if these 100 were ten seconds old */
    decide_rows(s, rows, 30);
    struct json *v = rates(s, 5), *whole = rates(s, 3600);
    double seconds = json_num(json_get(v, "window_seconds"), 0);
    assert_true(seconds >= 10);
    assert_float_equal(json_num(json_get(v, "input_hz"), 0) * seconds, 30, 1e-6);
    seconds = json_num(json_get(whole, "window_seconds"), 0);
    assert_float_equal(json_num(json_get(whole, "input_hz"), 0) * seconds, 130, 1e-6);
    assert_int_equal(json_int(json_get(v, "events"), 0), 130);
    json_free(v);
    json_free(whole);
    free(rows);
}

static void test_a_ring_that_is_full_goes_back_as_far_as_it_can(void **state)
{
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    scene_rows_make(rows, 1);
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0))));
    struct watch *w = atomic_load(&s->trigger->menu)->watch;
    int64_t now = time_mono_ns();
    decide_rows(s, rows, 10);
    for (int64_t i = 0; i < WATCH_SECONDS_MAX + 5; i++)
        watch_tick(w, now - (WATCH_SECONDS_MAX + 5 - i) * 1000000LL);          /* a thousand a second */
    decide_rows(s, rows, 7);
    struct json *v = rates(s, 3600);
    double seconds = json_num(json_get(v, "window_seconds"), 0);
    assert_float_equal(json_num(json_get(v, "input_hz"), 0) * seconds, 7, 1e-6);
    json_free(v);
    free(rows);
}

static const struct json *feature_of(const struct json *drift, const char *name)
{
    const struct json *features = json_get(json_at(json_get(drift, "models"), 0), "features");
    for (size_t i = 0; i < json_count(features); i++)
        if (strcmp(json_str(json_get(json_at(features, i), "feature"), ""), name) == 0)
            return json_at(features, i);
    fail_msg("no feature %s", name);
    return NULL;
}

static void test_the_training_events_themselves_do_not_drift_and_a_shifted_feature_comes_first(void **state)
{
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    struct json *v;
    scene_rows_make(rows, 1);
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0))));
    decide_rows(s, rows, SCENE_ROWS);
    MUST(trigger_drift(s->trigger, 3600, &v, &s->e), &s->e);
    assert_int_equal(json_int(json_get(json_at(json_get(v, "models"), 0), "events"), 0), SCENE_ROWS);
    assert_float_equal(json_num(json_get(json_at(json_get(v, "models"), 0), "worst_psi"), -1), 0, 1e-9);
    assert_float_equal(json_num(json_get(feature_of(v, "HT"), "ks"), -1), 0, 1e-9);
    assert_string_equal(json_str(json_get(feature_of(v, "HT"), "status"), ""), "ok");
    json_free(v);
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0))));                 /* counts begin anew */
    for (size_t i = 0; i < SCENE_ROWS; i++)
        rows->hlf[i][HLF_MET] += 2;
    decide_rows(s, rows, SCENE_ROWS);
    MUST(trigger_drift(s->trigger, 3600, &v, &s->e), &s->e);
    const struct json *model = json_at(json_get(v, "models"), 0), *first = json_at(json_get(model, "features"), 0);
    assert_string_equal(json_str(json_get(first, "feature"), ""), "MET");
    assert_string_equal(json_str(json_get(first, "status"), ""), "alert");
    assert_true(json_num(json_get(first, "ks"), 0) > 0.4);
    assert_true(json_int(json_get(first, "above"), 0) > 0);
    int64_t sum = 0;
    for (size_t k = 0; k < WATCH_SCORE_BINS; k++)
        sum += json_int(json_at(json_get(json_get(model, "scores"), "tt"), k), 0);
    assert_int_equal(sum, SCENE_ROWS);
    json_free(v);
    free(rows);
}

static void test_few_events_say_nothing_of_drift(void **state)
{
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    struct json *v;
    scene_rows_make(rows, 1);
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0))));
    decide_rows(s, rows, 3);
    MUST(trigger_drift(s->trigger, 3600, &v, &s->e), &s->e);
    assert_true(json_num(json_get(feature_of(v, "HT"), "psi"), 0) > 0.25);
    assert_string_equal(json_str(json_get(feature_of(v, "HT"), "status"), ""), "too_few");
    json_free(v);
    free(rows);
}

static void test_without_a_menu_there_are_no_rates(void **state)
{
    struct scene *s = *state;
    struct json *v;
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(trigger_rates(s->trigger, 60, &v, &s->e), STATUS_NOTFOUND);
    assert_int_equal(trigger_drift(s->trigger, 60, &v, &s->e), STATUS_NOTFOUND);
    MUST(trigger_metrics(s->trigger, &text, &s->e), &s->e);
    assert_int_equal(text.len, 0);
}

static void test_a_scrape_has_the_counts_of_each_path(void **state)
{
    struct scene *s = *state;
    struct scene_rows *rows = malloc(sizeof *rows);
    struct buf text;
    scene_rows_make(rows, 1);
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0)) "," PATH("NONE", "tt", AT(1))));
    decide_rows(s, rows, 50);
    buf_init(&text, 1 << 20);
    MUST(trigger_metrics(s->trigger, &text, &s->e), &s->e);
    MUST(buf_append(&text, "", 1, &s->e), &s->e);
    const char *t = (const char *)text.data;
    assert_non_null(strstr(t, "dltrigger_trigger_path_events_total{path=\"ALL\",stage=\"accepted\"} 50\n"));
    assert_non_null(strstr(t, "dltrigger_trigger_path_events_total{path=\"NONE\",stage=\"accepted\"} 0\n"));
    assert_non_null(strstr(t, "dltrigger_score_count{model=\"topo\",version=\"1\",class=\"tt\"} 50\n"));
    assert_non_null(strstr(t, "dltrigger_score_bucket{model=\"topo\",version=\"1\",class=\"tt\",le=\"1\"} 50\n"));
    assert_non_null(strstr(t, "dltrigger_drift_psi_ratio{model=\"topo@1\",feature=\"HT\"} "));
    buf_fini(&text);
    free(rows);
}

enum { WRITERS = 4, EACH = 500 };

static void *decide_many(void *ctx)
{
    struct scene *s = ctx;
    struct json_problems *problems = malloc(sizeof *problems);
    struct arena a;
    struct buf out;
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 16);
    for (int i = 0; i < EACH; i++) {
        struct decision_brief brief;
        struct error e;
        out.len = 0;
        arena_reset(&a);
        if (trigger_decide(s->trigger, &a, (const uint8_t *)HLF_EVENT, strlen(HLF_EVENT), &out, &brief, problems, &e) !=
            STATUS_OK)
            break;
    }
    buf_fini(&out);
    arena_fini(&a);
    free(problems);
    return NULL;
}

static void test_threads_that_count_at_once_lose_nothing(void **state)
{
    struct scene *s = *state;
    pthread_t threads[WRITERS];
    scene_run_menu(s, "run3", MENU(PATH("ALL", "tt", AT(0))));
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decide_many, s), 0);
    for (int i = 0; i < 20; i++)
        json_free(rates(s, 60));                                   /* reading beside writing */
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    struct json *v = rates(s, 60);
    assert_int_equal(json_int(json_get(v, "events"), 0), WRITERS * EACH);
    assert_int_equal(count_of(v, 0, "accepted"), WRITERS * EACH);
    json_free(v);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_path_counts_its_stages_and_what_it_shares),
        TEST(test_a_rate_is_what_came_within_its_window),
        TEST(test_a_ring_that_is_full_goes_back_as_far_as_it_can),
        TEST(test_the_training_events_themselves_do_not_drift_and_a_shifted_feature_comes_first),
        TEST(test_few_events_say_nothing_of_drift),
        TEST(test_without_a_menu_there_are_no_rates),
        TEST(test_a_scrape_has_the_counts_of_each_path),
        TEST(test_threads_that_count_at_once_lose_nothing),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
