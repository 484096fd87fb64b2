/* tests/server/trigger/test_menu.c
 *
 * Menus: what is refused when they are posted, what activation freezes, thresholds from evaluations, and that a restart
 * runs what ran before. */
#include "server/trigger/menu.h"

#include "tests/server/trigger/scene.h"

#define PATH(name, model, more) "{\"path\":\"" name "\",\"model\":\"" model "\",\"discriminant\":\"tt\"," more "}"
#define AT_THRESHOLD "\"working_point\":{\"target\":{\"threshold\":0.25}}"
#define AT_EFFICIENCY "\"working_point\":{\"target\":{\"signal_efficiency\":0.99}}"
#define MENU(paths)                                                                                                    \
    "{\"name\":\"run3\",\"comment\":\"c\",\"columns\":[\"low\",\"high\"],\"prescale_seed\":7,\"paths\":[" paths "]}"

static int setup(void **state)
{
    scene_setup(state);
    struct scene *s = *state;
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    model_release(scene_model(s, "topo", 2, "topology-1", 2));
    return 0;
}

static void refuse(struct scene *s, const char *menu, const char *pointer, const char *code)
{
    int64_t revision;
    assert_int_equal(scene_create_menu(s, menu, &revision), STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, pointer, code);
}

static void test_a_menu_gets_revisions_and_is_not_active_before_it_is_activated(void **state)
{
    struct scene *s = *state;
    const char *name;
    int64_t revision;
    for (int64_t i = 1; i <= 3; i++) {
        MUST(scene_create_menu(s, MENU(PATH("A", "topo@1", AT_THRESHOLD)), &revision), &s->e);
        assert_int_equal(revision, i);
    }
    assert_false(trigger_ready(s->trigger, &name, &revision));
    assert_null(name);
    MUST(trigger_menu_activate(s->trigger, "run3", 2, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), &s->e);
    assert_true(trigger_ready(s->trigger, &name, &revision));
    assert_string_equal(name, "run3");
    assert_int_equal(revision, 2);
    assert_int_equal(trigger_menu_activate(s->trigger, "run3", 9, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), STATUS_NOTFOUND);
    assert_int_equal(trigger_menu_activate(s->trigger, "other", 1, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), STATUS_NOTFOUND);
    assert_true(trigger_ready(s->trigger, &name, &revision));
    assert_int_equal(revision, 2);
}

static void test_what_is_wrong_with_a_menu_is_pointed_at(void **state)
{
    struct scene *s = *state;
    refuse(s, "{\"name\":\"a b\",\"paths\":[" PATH("A", "topo", AT_THRESHOLD) "]}", "/name", "text");
    refuse(s, "{\"name\":\"m\",\"paths\":[]}", "/paths", "length");
    refuse(s, "{\"name\":\"m\"}", "/paths", "required");
    refuse(s, MENU(PATH("A/B", "topo", AT_THRESHOLD)), "/paths/0/path", "text");
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD) "," PATH("A", "topo", AT_THRESHOLD)), "/paths/1/path", "duplicate");
    refuse(s, MENU(PATH("A", "topo", "\"shadow\":false")), "/paths/0/working_point", "required");
    refuse(s, MENU(PATH("A", "topo", "\"working_point\":{}")), "/paths/0/working_point/target", "required");
    refuse(s, MENU(PATH("A", "topo", "\"working_point\":{\"target\":{}}")), "/paths/0/working_point/target",
           "conflict");
    refuse(s, MENU(PATH("A", "topo", "\"working_point\":{\"target\":{\"threshold\":0.1,\"signal_efficiency\":0.9}}")),
           "/paths/0/working_point/target", "conflict");
    refuse(s, MENU(PATH("A", "topo", "\"working_point\":{\"target\":{\"threshold\":1.5}}")),
           "/paths/0/working_point/target/threshold", "out_of_range");
    refuse(s, MENU(PATH("A", "topo", "\"working_point\":{\"target\":{\"signal_efficiency\":0}}")),
           "/paths/0/working_point/target/signal_efficiency", "out_of_range");
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD ",\"prescales\":{\"medium\":2}")), "/paths/0/prescales",
           "unknown_column");
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD ",\"prescales\":{\"low\":2.5}")), "/paths/0/prescales/low",
           "out_of_range");
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD ",\"prescales\":{\"low\":-1}")), "/paths/0/prescales/low",
           "out_of_range");
    refuse(s, MENU(PATH("A", "topo@7", AT_THRESHOLD)), "/paths/0/model", "unknown_model");
    refuse(s, MENU(PATH("A", "topo@champion", AT_THRESHOLD)), "/paths/0/model", "unknown_model");
    refuse(s, MENU("{\"path\":\"A\",\"model\":\"topo\",\"discriminant\":\"higgs\"," AT_THRESHOLD "}"),
           "/paths/0/discriminant", "unknown_class");
    assert_non_null(strstr(s->problems.items[0].detail, "wjets"));
    refuse(
        s,
        MENU(PATH("A", "topo", "\"working_point\":{\"target\":{\"signal_efficiency\":0.9},\"evaluation\":\"ev_no\"}")),
        "/paths/0/working_point/evaluation", "unknown_evaluation");
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD ",\"thresold\":1")), "/paths/0/thresold", "unknown_member");
}

static void test_budgets_are_checked_and_overload_policies_refused_with_an_explanation(void **state)
{
    struct scene *s = *state;
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD ",\"rate_budget_hz\":-1")), "/paths/0/rate_budget_hz", "out_of_range");
    refuse(s, MENU(PATH("A", "topo", AT_THRESHOLD ",\"on_budget\":\"drop\"")), "/paths/0/on_budget", "choice");
    refuse(s, "{\"name\":\"m\",\"on_overload\":{\"policy\":\"reject\"},\"paths\":[" PATH("A", "topo", AT_THRESHOLD) "]}",
           "/on_overload", "unknown_member");
    assert_non_null(strstr(s->problems.items[0].detail, "no overload policies"));
}

static const struct json *frozen_path_of(struct json *frozen, size_t i)
{
    return json_at(json_get(frozen, "paths"), i);
}

static struct json *frozen_of_active(struct scene *s)
{
    struct menu_row row;
    MUST(store_menu_active(s->store, &s->a, &row, &s->e), &s->e);
    return scene_parse(s, row.resolved);
}

static void test_activation_freezes_aliases_to_versions_and_targets_to_thresholds(void **state)
{
    struct scene *s = *state;
    struct model *m;
    const char *canonical;
    MUST(store_model_alias_set(s->store, "topo", "champion", 1, NULL, -1, &s->e), &s->e);
    MUST(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), &s->e);
    struct evaluation_record ev = scene_evaluation(s, "ev_one", "topo@1", m, 5);
    int64_t revision = scene_run_menu(s, "run3", MENU(PATH("A", "topo@champion", AT_EFFICIENCY) ","
                                                      PATH("B", "topo@champion", AT_THRESHOLD)));
    struct json *frozen = frozen_of_active(s);
    const struct class_metrics *tt = (const struct class_metrics *)ev.metrics.classes.items + 1;
    const struct working_point *at99 = (const struct working_point *)tt->working_points.items + 2;
    assert_true(at99->target_signal_efficiency == 0.99);
    assert_string_equal(json_str(json_get(frozen_path_of(frozen, 0), "model"), ""), "topo@1");
    assert_string_equal(json_str(json_get(frozen_path_of(frozen, 0), "model_sha256"), ""), model_sha256(m));
    assert_true(json_num(json_get(frozen_path_of(frozen, 0), "threshold"), -1) == at99->threshold);
    const struct json *point = json_get(frozen_path_of(frozen, 0), "working_point");
    assert_string_equal(json_str(json_get(point, "evaluation_id"), ""), "ev_one");
    assert_true(json_num(json_get(frozen_path_of(frozen, 1), "threshold"), -1) == 0.25);
    assert_int_equal(json_type_of(json_get(frozen_path_of(frozen, 1), "working_point")), JSON_NULL_);
    json_free(frozen);

    /* Nothing that happens later changes it, also not activating it again. */
    MUST(store_model_alias_set(s->store, "topo", "champion", 2, NULL, -1, &s->e), &s->e);
    scene_evaluation(s, "ev_two", "topo@1", m, 6);
    MUST(trigger_menu_activate(s->trigger, "run3", revision, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), &s->e);
    frozen = frozen_of_active(s);
    assert_string_equal(json_str(json_get(frozen_path_of(frozen, 0), "model"), ""), "topo@1");
    assert_true(json_num(json_get(frozen_path_of(frozen, 0), "threshold"), -1) == at99->threshold);
    json_free(frozen);
    model_release(m);
}

static void test_activation_without_or_with_the_wrong_evaluation_says_which(void **state)
{
    struct scene *s = *state;
    struct model *m;
    const char *canonical, *name;
    int64_t revision;
    MUST(scene_create_menu(s, MENU(PATH("A", "topo@1", AT_EFFICIENCY)), &revision), &s->e);
    assert_int_equal(trigger_menu_activate(s->trigger, "run3", revision, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/paths/0/working_point/evaluation", "unknown_evaluation");
    assert_false(trigger_ready(s->trigger, &name, &revision));
    MUST(registry_get(s->registry, &s->a, "topo@2", &m, &canonical, &s->e), &s->e);
    scene_evaluation(s, "ev_two", "topo@2", m, 5);
    model_release(m);
    refuse(s,
           MENU(PATH("A", "topo@1",
                     "\"working_point\":{\"target\":{\"signal_efficiency\":0.9},\"evaluation\":\"ev_two\"}")),
           "/paths/0/working_point/evaluation", "other_model");
}

static void test_thresholds_between_the_stored_working_points_keep_at_least_the_target(void **state)
{
    struct scene *s = *state;
    struct model *m;
    const char *canonical;
    MUST(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), &s->e);
    struct evaluation_record ev = scene_evaluation(s, "ev_one", "topo@1", m, 5);
    const struct class_metrics *tt = (const struct class_metrics *)ev.metrics.classes.items + 1;
    for (int i = 1; i <= 1000; i++) {
        double target = i / 1000.0, threshold = NAN, kept = 0, next = 0;
        MUST(menu_threshold(&ev, "tt", target, &threshold, &s->e), &s->e);
        const struct roc_point *roc = tt->roc.items;
        for (size_t k = 0; k < tt->roc.n_items; k++) {
            if (roc[k].threshold == threshold)
                kept = roc[k].signal_efficiency;
            if (roc[k].threshold > threshold && roc[k].signal_efficiency > next)
                next = roc[k].signal_efficiency;
        }
        bool is_stored = fabs(target - 0.9) < 1e-9 || fabs(target - 0.95) < 1e-9 || fabs(target - 0.99) < 1e-9 ||
                         fabs(target - 0.999) < 1e-9;
        if (!is_stored)
            assert_true(kept >= target && next < target);
    }
    double threshold;
    const struct working_point *points = tt->working_points.items;
    for (size_t i = 0; i < tt->working_points.n_items; i++) {
        MUST(menu_threshold(&ev, "tt", points[i].target_signal_efficiency, &threshold, &s->e), &s->e);
        assert_true(threshold == points[i].threshold);
    }
    assert_int_equal(menu_threshold(&ev, "tt", 1.5, &threshold, &s->e), STATUS_RANGE);
    assert_int_equal(menu_threshold(&ev, "higgs", 0.5, &threshold, &s->e), STATUS_RANGE);
    model_release(m);
}

static void test_a_restart_runs_the_same_menu_with_the_same_column(void **state)
{
    struct scene *s = *state;
    const char *name;
    int64_t revision;
    struct decision_brief brief;
    MUST(scene_create_menu(s, MENU(PATH("A", "topo@1", AT_THRESHOLD ",\"prescales\":{\"low\":5,\"high\":3}")),
                           &revision),
         &s->e);
    MUST(trigger_menu_activate(s->trigger, "run3", revision, &(struct menu_change){.column = "high", .expected_seq = -1}, &s->problems, &s->e), &s->e);
    scene_shut(s);
    scene_open(s);
    assert_true(trigger_ready(s->trigger, &name, &revision));
    assert_string_equal(name, "run3");
    struct json *d = scene_decide(s, HLF_EVENT, &brief);
    assert_string_equal(json_str(json_get(json_get(d, "menu"), "prescale_column"), ""), "high");
    assert_int_equal(json_int(json_get(json_at(json_get(d, "paths"), 0), "prescale"), 0), 3);
    json_free(d);
}

static void test_a_restart_with_a_changed_model_runs_no_menu_and_says_why(void **state)
{
    struct scene *s = *state;
    const char *name;
    int64_t revision;
    struct decision_brief brief;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", AT_THRESHOLD)));
    scene_shut(s);
    MUST(store_open(s->folder, &s->store, &s->e), &s->e);
    struct model *other = scene_train(s, "topology-1", 77);
    MUST(model_save(other, scene_file(s, "model", "mdl_topo_1", MODEL_FILE), &s->e), &s->e);
    model_release(other);
    store_close(s->store);
    log_set(LOG_ERROR, scene_quiet, NULL);
    scene_open(s);
    log_set(LOG_INFO, NULL, NULL);
    assert_false(trigger_ready(s->trigger, &name, &revision));
    assert_int_equal(scene_refuse(s, HLF_EVENT, &brief), STATUS_NOTFOUND);
    assert_string_equal(brief.reason, "no_active_menu");
    assert_non_null(strstr(s->e.text, "SHA-256"));
}

static void test_a_column_that_the_menu_does_not_have_is_refused(void **state)
{
    struct scene *s = *state;
    int64_t revision;
    MUST(scene_create_menu(s, MENU(PATH("A", "topo@1", AT_THRESHOLD)), &revision), &s->e);
    assert_int_equal(trigger_menu_activate(s->trigger, "run3", revision, &(struct menu_change){.column = "2e34", .expected_seq = -1}, &s->problems, &s->e),
                     STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/prescale_column", "unknown_column");
}

#define SEEN(n) (&(struct menu_change){.expected_seq = (n)})

static struct menu_pointer pointer(struct scene *s)
{
    struct menu_pointer p;
    MUST(trigger_menu_pointer(s->trigger, &s->a, &p, &s->e), &s->e);
    return p;
}

static void assert_runs(struct scene *s, int64_t revision, const char *column)
{
    struct menu_pointer p = pointer(s);
    const char *name;
    int64_t running;
    assert_true(trigger_ready(s->trigger, &name, &running));
    assert_int_equal(running, revision);
    assert_int_equal(p.revision, revision);
    assert_string_equal(p.column, column);
}

static void test_a_rollback_runs_what_ran_before_with_its_column_and_twice_is_back_again(void **state)
{
    struct scene *s = *state;
    int64_t revision;
    assert_int_equal(pointer(s).seq, 0);
    assert_int_equal(trigger_menu_rollback(s->trigger, SEEN(-1), &s->problems, &s->e), STATUS_CONFLICT);
    assert_int_equal(trigger_menu_column(s->trigger, SEEN(-1), &s->problems, &s->e), STATUS_CONFLICT);
    for (int i = 0; i < 2; i++)
        MUST(scene_create_menu(s, MENU(PATH("A", "topo@1", AT_THRESHOLD)), &revision), &s->e);
    struct menu_change high = {.column = "high", .expected_seq = 0, .reason = "first beam"};
    MUST(trigger_menu_activate(s->trigger, "run3", 1, &high, &s->problems, &s->e), &s->e);
    assert_int_equal(trigger_menu_rollback(s->trigger, SEEN(-1), &s->problems, &s->e), STATUS_CONFLICT);
    MUST(trigger_menu_activate(s->trigger, "run3", 2, SEEN(pointer(s).seq), &s->problems, &s->e), &s->e);
    assert_runs(s, 2, "low");
    MUST(trigger_menu_rollback(s->trigger, SEEN(-1), &s->problems, &s->e), &s->e);
    assert_runs(s, 1, "high");
    MUST(trigger_menu_rollback(s->trigger, SEEN(-1), &s->problems, &s->e), &s->e);
    assert_runs(s, 2, "low");
}

static void test_the_column_of_the_running_menu_changes_and_a_restart_keeps_it(void **state)
{
    struct scene *s = *state;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", AT_THRESHOLD)));
    struct menu_change high = {.column = "high", .expected_seq = -1}, none = {.column = "none", .expected_seq = -1};
    MUST(trigger_menu_column(s->trigger, &high, &s->problems, &s->e), &s->e);
    assert_runs(s, 1, "high");
    assert_int_equal(trigger_menu_column(s->trigger, &none, &s->problems, &s->e), STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/prescale_column", "unknown_column");
    assert_runs(s, 1, "high");
    scene_shut(s);
    scene_open(s);
    assert_runs(s, 1, "high");
}

static void test_who_has_not_seen_the_last_change_changes_nothing(void **state)
{
    struct scene *s = *state;
    int64_t revision;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", AT_THRESHOLD)));
    MUST(scene_create_menu(s, MENU(PATH("A", "topo@2", AT_THRESHOLD)), &revision), &s->e);
    int64_t seen = pointer(s).seq;
    MUST(trigger_menu_activate(s->trigger, "run3", 2, SEEN(seen), &s->problems, &s->e), &s->e);
    assert_int_equal(trigger_menu_activate(s->trigger, "run3", 1, SEEN(seen), &s->problems, &s->e), STATUS_CONFLICT);
    assert_int_equal(trigger_menu_rollback(s->trigger, SEEN(seen), &s->problems, &s->e), STATUS_CONFLICT);
    assert_runs(s, 2, "low");
}

static void test_a_diff_names_what_another_revision_says_and_knows_paths_by_name(void **state)
{
    struct scene *s = *state;
    struct json *from = scene_parse(s, "{\"name\":\"m\",\"seed\":1,\"columns\":[\"a\",\"b\"],"
                                       "\"paths\":[{\"path\":\"A\",\"t\":0.5},{\"path\":\"B\",\"t\":0.5}]}");
    struct json *to = scene_parse(s, "{\"name\":\"m\",\"seed\":1,\"columns\":[\"a\",\"c\"],"
                                     "\"paths\":[{\"path\":\"C\",\"t\":1},{\"path\":\"A\",\"t\":0.25}],\"comment\":\"x\"}");
    static const char *const expected[] = {"/columns/1", "/paths/A/t", "/paths/B", "/paths/C", "/comment"};
    struct json *diff;
    MUST(menu_diff(from, to, &diff, &s->e), &s->e);
    assert_int_equal(json_count(diff), ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_string_equal(json_str(json_get(json_at(diff, i), "pointer"), ""), expected[i]);
    assert_true(json_num(json_get(json_at(diff, 1), "from"), 0) == 0.5);
    assert_true(json_num(json_get(json_at(diff, 1), "to"), 0) == 0.25);
    assert_int_equal(json_type_of(json_get(json_at(diff, 2), "to")), JSON_NULL_);
    json_free(diff);
    MUST(menu_diff(from, from, &diff, &s->e), &s->e);
    assert_int_equal(json_count(diff), 0);
    json_free(diff);
    json_free(from);
    json_free(to);
}

static void test_every_allocation_that_fails_in_an_activation_leaves_the_old_menu_running(void **state)
{
    struct scene *s = *state;
    const char *name;
    int64_t first, second, revision;
    first = scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", AT_THRESHOLD)));
    MUST(scene_create_menu(s, MENU(PATH("B", "topo@2", AT_THRESHOLD)), &second), &s->e);
    log_set(LOG_ERROR, scene_quiet, NULL);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        enum status st = trigger_menu_activate(s->trigger, "run3", second, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e);
        bool failed = alloc_fail_end();
        assert_true(trigger_ready(s->trigger, &name, &revision));
        if (st != STATUS_OK && !(failed && st == STATUS_NOMEM))
            fail_msg("%s: %s", status_name(st), s->e.text);
        assert_int_equal(revision, st == STATUS_OK ? second : first);
        if (st == STATUS_OK && failed)                /* a cache that could do without */
            MUST(trigger_menu_activate(s->trigger, "run3", first, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), &s->e);
    }
    log_set(LOG_INFO, NULL, NULL);
    assert_int_equal(revision, second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_menu_gets_revisions_and_is_not_active_before_it_is_activated, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_with_a_menu_is_pointed_at, setup, scene_teardown),
        cmocka_unit_test_setup_teardown(test_budgets_are_checked_and_overload_policies_refused_with_an_explanation, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_activation_freezes_aliases_to_versions_and_targets_to_thresholds, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_activation_without_or_with_the_wrong_evaluation_says_which, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_thresholds_between_the_stored_working_points_keep_at_least_the_target,
                                        setup, scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_runs_the_same_menu_with_the_same_column, setup, scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_with_a_changed_model_runs_no_menu_and_says_why, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_column_that_the_menu_does_not_have_is_refused, setup, scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_rollback_runs_what_ran_before_with_its_column_and_twice_is_back_again, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_the_column_of_the_running_menu_changes_and_a_restart_keeps_it, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_who_has_not_seen_the_last_change_changes_nothing, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_a_diff_names_what_another_revision_says_and_knows_paths_by_name, setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(test_every_allocation_that_fails_in_an_activation_leaves_the_old_menu_running,
                                        setup, scene_teardown),
    };
    return cmocka_run_group_tests_name("menu", tests, NULL, NULL);
}
