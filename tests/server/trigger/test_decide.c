/* tests/server/trigger/test_decide.c
 *
 * Decisions: both schemas, the reasons of the preselection, prescales, shadow paths, options, what is refused, and that
 * a posted event has the features of the same event in its ROOT file, bit for bit. */
#include "server/trigger/decide.h"

#include "core/root.h"
#include "tests/server/trigger/scene.h"

#define PATH(name, model, class, more)                                                                                 \
    "{\"path\":\"" name "\",\"model\":\"" model "\",\"discriminant\":\"" class "\"," more "}"
#define AT(threshold) "\"working_point\":{\"target\":{\"threshold\":" #threshold "}}"
#define MENU(paths) "{\"name\":\"run3\",\"columns\":[\"low\",\"high\"],\"prescale_seed\":7,\"paths\":[" paths "]}"

#define TRACKS                                                                                                         \
    "\"EFlowTrack\":{\"PT\":[41.7,3.2],\"Eta\":[0.62,1.05],\"Phi\":[-1.91,0.44],\"X\":[0.0,0.1],\"Y\":[0.0,-0.1],"     \
    "\"Z\":[1.2,1.3],\"PID\":[11,-211]}"
#define NO_TRACKS "\"EFlowTrack\":{\"PT\":[0.4],\"Eta\":[0],\"Phi\":[0],\"X\":[0],\"Y\":[0],\"Z\":[0],\"PID\":[211]}"
#define PHOTONS "\"EFlowPhoton\":{\"ET\":[5.1],\"Eta\":[-0.4],\"Phi\":[2.2]}"
#define NO_PHOTONS "\"EFlowPhoton\":{\"ET\":[],\"Eta\":[],\"Phi\":[]}"
#define NEUTRALS "\"EFlowNeutralHadron\":{\"ET\":[7.9],\"Eta\":[1.7],\"Phi\":[-2.5]}"
#define NO_NEUTRALS "\"EFlowNeutralHadron\":{\"ET\":[],\"Eta\":[],\"Phi\":[]}"
#define ELECTRON "\"Electron\":{\"PT\":[12.5,41.7],\"Eta\":[1,0.62],\"Phi\":[1,-1.91],\"Charge\":[1,-1]}"
#define SOFT_ELECTRON "\"Electron\":{\"PT\":[23],\"Eta\":[0.62],\"Phi\":[-1.91],\"Charge\":[-1]}"
#define NO_ELECTRON "\"Electron\":{\"PT\":[],\"Eta\":[],\"Phi\":[],\"Charge\":[]}"
#define NO_MUON "\"MuonTight\":{\"PT\":[],\"Eta\":[],\"Phi\":[],\"Charge\":[]}"
#define BUSY_ELECTRON "\"Electron\":{\"PT\":[30],\"Eta\":[1.05],\"Phi\":[0.44],\"Charge\":[-1]}"
#define BUSY_PHOTONS "\"EFlowPhoton\":{\"ET\":[60.5],\"Eta\":[1.1],\"Phi\":[0.44]}"
#define MET_JETS "\"MissingET\":{\"MET\":[63.2],\"Phi\":[1.07]},\"Jet\":{\"PT\":[88.1,61.0],\"Eta\":[0.3,-1.1]," \
                 "\"Phi\":[0.4,2.8],\"BTag\":[1,0]}"
#define EVENT(tracks, photons, neutrals, electrons, more)                                                              \
    "{\"schema\":\"delphes-event/1\",\"event\":{\"run\":1,\"lumi\":2,\"event\":3}," more "\"collections\":{" tracks    \
    "," photons "," neutrals "," electrons "," NO_MUON "," MET_JETS "}}"
#define GOOD EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "")

static int setup(void **state)
{
    scene_setup(state);
    struct scene *s = *state;
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    model_release(scene_model(s, "topo", 2, "topology-1", 2));
    model_release(scene_model(s, "spark", 1, "sparkdltrigger-1", 3));
    return 0;
}

static const char *text_at(const struct json *v, const char *a, const char *b)
{
    const struct json *x = json_get(v, a);
    return json_str(b ? json_get(x, b) : x, "(none)");
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

static void test_an_accepted_event_says_by_which_path_lepton_scores_menu_and_model(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    int64_t revision =
        scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0)) "," PATH("B", "topo@1", "qcd", AT(1))));
    struct json *d = scene_decide(s, GOOD, &brief);
    assert_true(brief.accept && json_bool(json_get(d, "accept"), false));
    assert_string_equal(brief.reason, "path");
    assert_string_equal(text_at(d, "reason", NULL), "path");
    assert_int_equal(strlen(text_at(d, "decision_id", NULL)), 26);
    assert_int_equal(json_int(json_get(json_get(d, "event"), "lumi"), 0), 2);
    assert_int_equal(json_count(json_get(d, "paths_accepted")), 1);
    assert_string_equal(json_str(json_at(json_get(d, "paths_accepted"), 0), ""), "A");
    const struct json *preselection = json_get(d, "preselection"), *lepton = json_get(preselection, "lepton");
    assert_true(json_bool(json_get(preselection, "pass"), false));
    assert_string_equal(json_str(json_get(lepton, "flavour"), ""), "electron");
    assert_int_equal(json_int(json_get(lepton, "index"), -1), 1);            /* as posted: the first is cut away */
    assert_true((float)json_num(json_get(lepton, "pt"), 0) == 41.7f);
    assert_true((float)json_num(json_get(lepton, "phi"), 0) == -1.91f);
    assert_int_equal(json_count(json_get(lepton, "iso")), 3);
    assert_int_equal(json_count(json_get(d, "scores")), 3);
    assert_int_equal(json_count(json_get(d, "paths")), 2);
    const struct json *a = json_at(json_get(d, "paths"), 0), *b = json_at(json_get(d, "paths"), 1);
    assert_true(json_num(json_get(a, "score"), -1) == json_num(json_get(json_get(d, "scores"), "tt"), -2));
    assert_true(json_bool(json_get(a, "raw"), false) && json_bool(json_get(a, "prescale_pass"), false));
    assert_true(json_bool(json_get(a, "accept"), false));
    assert_false(json_bool(json_get(b, "raw"), true));
    assert_int_equal(json_type_of(json_get(b, "prescale_pass")), JSON_NULL_);
    assert_string_equal(json_str(json_get(b, "model"), ""), "topo@1");
    assert_string_equal(text_at(d, "menu", "name"), "run3");
    assert_int_equal(json_int(json_get(json_get(d, "menu"), "revision"), 0), revision);
    assert_string_equal(text_at(d, "menu", "prescale_column"), "low");
    assert_string_equal(text_at(d, "model", "name"), "topo");
    assert_int_equal(json_int(json_get(json_get(d, "model"), "version"), 0), 1);
    assert_string_equal(text_at(d, "model", "recipe"), "topology-1");
    assert_int_equal(json_int(json_get(json_get(d, "timing"), "batch_size"), 0), 1);
    assert_int_equal(json_count(json_get(d, "warnings")), 0);
    json_free(d);
}

static void test_scores_are_those_of_the_model_on_the_event_s_features(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    struct model *m;
    const char *canonical;
    const float hlf[HLF_COUNT] = {0.5f, 1.5f, -0.25f, 1, 0, 0, 0.5f, 0, 0, 0, 0, 0, 1, 0};
    float scores[3];
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@2", "wjets", AT(0.5))));
    MUST(registry_get(s->registry, &s->a, "topo@2", &m, &canonical, &s->e), &s->e);
    model_predict_hlf(m, hlf, 1, scores);
    struct json *d = scene_decide(s, HLF_EVENT, &brief);
    for (size_t i = 0; i < 3; i++)
        assert_true((float)json_num(json_get(json_get(d, "scores"), scene_classes[i]), -1) == scores[i]);
    assert_int_equal(json_type_of(json_get(d, "preselection")), JSON_NULL_);
    assert_int_equal(brief.accept, scores[2] >= 0.5f);
    json_free(d);
    model_release(m);
}

static void test_a_model_of_particles_scores_collections_beside_one_of_features_but_not_posted_features(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    model_release(scene_particles_model(s));
    scene_run_menu(s, "run3", MENU(PATH("A", "particles@1", "tt", AT(0)) "," PATH("B", "topo@1", "tt", AT(0))));
    struct json *d = scene_decide(s, GOOD, &brief), *again = scene_decide(s, GOOD, &brief);
    assert_true(brief.accept);
    double sum = 0;
    for (size_t i = 0; i < 3; i++) {
        double score = json_num(json_get(json_get(d, "scores"), scene_classes[i]), -1);
        assert_true(score > 0 && score == json_num(json_get(json_get(again, "scores"), scene_classes[i]), -1));
        sum += score;
    }
    assert_float_equal(sum, 1, 1e-5);
    assert_string_equal(text_at(d, "model", "name"), "particles");
    json_free(d);
    json_free(again);
    assert_int_equal(scene_refuse(s, HLF_EVENT, &brief), STATUS_ARGUMENT);
}

static void test_a_score_equal_to_the_threshold_is_accepted(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    struct model *m;
    const char *canonical;
    const float hlf[HLF_COUNT] = {0.5f, 1.5f, -0.25f, 1, 0, 0, 0.5f, 0, 0, 0, 0, 0, 1, 0};
    float scores[3];
    MUST(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), &s->e);
    model_predict_hlf(m, hlf, 1, scores);
    model_release(m);
    for (int above = 0; above < 2; above++) {
        double threshold = above ? nextafter((double)scores[1], 2) : (double)scores[1];
        scene_run_menu(s, "run3",
                       arena_printf(&s->a,
                                    "{\"name\":\"run3\",\"paths\":[{\"path\":\"A\",\"model\":\"topo@1\","
                                    "\"discriminant\":\"tt\",\"working_point\":{\"target\":{\"threshold\":%.17g}}}]}",
                                    threshold));
        struct json *d = scene_decide(s, HLF_EVENT, &brief);
        assert_int_equal(brief.accept, !above);
        double shown = json_num(json_get(json_at(json_get(d, "paths"), 0), "threshold"), -1);
        assert_true(above ? shown == threshold : (float)shown == (float)threshold);
        json_free(d);
    }
}

static void test_only_the_parts_that_are_asked_for_are_returned(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0))));
    struct json *d =
        scene_decide(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"return\":[\"timing\"]},"), &brief);
    assert_null(json_get(d, "scores"));
    assert_null(json_get(d, "paths"));
    assert_non_null(json_get(d, "timing"));
    assert_int_equal(json_count(json_get(d, "paths_accepted")), 1);
    json_free(d);
}

/* ---- preselection -------------------------------------------------------------------------------------- */

static void check_reason(struct scene *s, const char *event, const char *reason)
{
    struct decision_brief brief;
    struct json *d = scene_decide(s, event, &brief);
    assert_false(brief.accept);
    assert_string_equal(brief.reason, "preselection");
    assert_string_equal(text_at(d, "preselection", "reason"), reason);
    assert_false(json_bool(json_get(json_get(d, "preselection"), "pass"), true));
    assert_int_equal(json_type_of(json_get(d, "scores")), JSON_NULL_);
    assert_int_equal(json_count(json_get(d, "paths")), 0);
    assert_int_equal(json_count(json_get(d, "paths_accepted")), 0);
    json_free(d);
}

static void test_every_reason_of_the_preselection_is_told_apart(void **state)
{
    struct scene *s = *state;
    scene_run_menu(s, "run3", MENU(PATH("A", "spark@1", "tt", AT(0))));
    check_reason(s, EVENT(TRACKS, PHOTONS, NEUTRALS, NO_ELECTRON, ""), "no_lepton");
    check_reason(s, EVENT(TRACKS, PHOTONS, NEUTRALS, SOFT_ELECTRON, ""), "no_lepton_above_pt");
    check_reason(s, EVENT(NO_TRACKS, PHOTONS, NEUTRALS, ELECTRON, ""), "no_tracks");
    check_reason(s, EVENT(TRACKS, NO_PHOTONS, NEUTRALS, ELECTRON, ""), "no_photons");
    check_reason(s, EVENT(TRACKS, PHOTONS, NO_NEUTRALS, ELECTRON, ""), "no_neutral_hadrons");
    check_reason(s, EVENT(TRACKS, BUSY_PHOTONS, NEUTRALS, BUSY_ELECTRON, ""), "no_isolated_lepton");
}

/* SOFT_ELECTRON has 23 GeV and is not isolated: the default cut drops it before, the cut that this model learned behind
 * lets the isolation judge. */
static void test_events_are_cut_as_the_model_s_training_events_were(void **state)
{
    struct scene *s = *state;
    int64_t revision;
    scene_electron_pt = 20;
    model_release(scene_model(s, "loose", 1, "topology-1", 4));
    scene_electron_pt = 23;
    scene_run_menu(s, "run3", MENU(PATH("A", "loose@1", "tt", AT(0))));
    check_reason(s, EVENT(TRACKS, PHOTONS, NEUTRALS, SOFT_ELECTRON, ""), "no_isolated_lepton");

    MUST(scene_create_menu(s, MENU(PATH("A", "loose@1", "tt", AT(0)) "," PATH("B", "topo@1", "tt", AT(0))), &revision),
         &s->e);
    assert_int_equal(trigger_menu_activate(s->trigger, "run3", revision, &(struct menu_change){.expected_seq = -1}, &s->problems, &s->e), STATUS_ARGUMENT);
    assert_non_null(strstr(s->e.text, "other object cuts"));
}

static void test_paths_of_two_recipes_are_decided_each_by_its_own(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    scene_run_menu(s, "run3", MENU(PATH("S", "spark@1", "tt", AT(0)) "," PATH("T", "topo@1", "tt", AT(0))));
    /* Without photons only topology-1 keeps the event: what is shown of the event is of the path that could score. */
    struct json *d = scene_decide(s, EVENT(TRACKS, NO_PHOTONS, NEUTRALS, ELECTRON, ""), &brief);
    const struct json *spark = json_at(json_get(d, "paths"), 0);
    assert_true(brief.accept);
    assert_string_equal(json_str(json_at(json_get(d, "paths_accepted"), 0), ""), "T");
    assert_int_equal(json_type_of(json_get(spark, "score")), JSON_NULL_);
    assert_string_equal(json_str(json_get(spark, "preselection"), ""), "no_photons");
    assert_false(json_bool(json_get(spark, "accept"), true));
    assert_string_equal(text_at(d, "model", "recipe"), "topology-1");
    json_free(d);
    d = scene_decide(s, GOOD, &brief);
    assert_int_equal(json_count(json_get(d, "paths_accepted")), 2);
    assert_string_equal(text_at(d, "model", "recipe"), "sparkdltrigger-1");
    json_free(d);
    assert_int_equal(scene_refuse(s, HLF_EVENT, &brief), STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/hlf", "recipe_mismatch");
}

/* ---- paths --------------------------------------------------------------------------------------------- */

static void test_shadow_paths_never_accept(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    scene_run_menu(s, "run3",
                   MENU(PATH("A", "topo@1", "tt", AT(0) ",\"shadow\":true") "," PATH("B", "topo@1", "tt", AT(1))));
    struct json *d = scene_decide(s, GOOD, &brief);
    const struct json *path = json_at(json_get(d, "paths"), 0);
    assert_false(brief.accept);
    assert_string_equal(brief.reason, "no_path");
    assert_true(json_bool(json_get(path, "raw"), false) && json_bool(json_get(path, "prescale_pass"), false));
    assert_true(json_bool(json_get(path, "shadow"), false));
    assert_false(json_bool(json_get(path, "accept"), true));
    json_free(d);
}

static void test_a_prescale_keeps_one_event_in_n_and_says_so_otherwise(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    int n_kept = 0;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0) ",\"prescales\":{\"low\":5}")));
    for (int i = 0; i < 500; i++) {
        char event[512];
        snprintf(event, sizeof event, "{\"schema\":\"hlf/1\",\"event\":{\"run\":1,\"lumi\":2,\"event\":%d},"
                 "\"hlf\":[0.5,1.5,-0.25,1,0,0,0.5,0,0,0,0,0,1,0]}", i);
        struct json *d = scene_decide(s, event, &brief);
        bool kept = trigger_prescale_keeps(7, "A", 1, 2, i, 5);
        assert_int_equal(brief.accept, kept);
        assert_string_equal(brief.reason, kept ? "path" : "prescaled");
        assert_int_equal(json_bool(json_get(json_at(json_get(d, "paths"), 0), "prescale_pass"), !kept), kept);
        n_kept += kept;
        json_free(d);
    }
    assert_in_range(n_kept, 60, 140);
    struct json *d = scene_decide(s, "{\"schema\":\"hlf/1\",\"hlf\":[0.5,1.5,-0.25,1,0,0,0.5,0,0,0,0,0,1,0]}", &brief);
    assert_int_equal(json_type_of(json_get(d, "event")), JSON_NULL_);
    assert_int_equal(json_count(json_get(d, "warnings")), 1);
    json_free(d);
}

static void test_prescales_are_the_same_on_every_machine_and_in_replay(void **state)
{
    (void)state;
    size_t n = 0;
    assert_true(trigger_prescale_keeps(1, "A", 1, 2, 3, 1));
    assert_false(trigger_prescale_keeps(1, "A", 1, 2, 3, 0));
    /* The definition, written out: XXH64 of the path's bytes and three little-endian 64-bit numbers. */
    for (int64_t event = 0; event < 1000; event++) {
        uint8_t key[15 + 24] = "DLT_TTbar_Eff99";
        int64_t numbers[3] = {362091, 114, event};
        for (size_t i = 0; i < 24; i++)
            key[15 + i] = (uint8_t)((uint64_t)numbers[i / 8] >> (8 * (i % 8)));
        bool keeps = trigger_prescale_keeps(20261123, "DLT_TTbar_Eff99", 362091, 114, event, 10);
        assert_int_equal(keeps, hash64(key, sizeof key, 20261123) % 10 == 0);
        n += keeps;
        assert_int_equal(keeps, trigger_prescale_keeps(20261123, "DLT_TTbar_Eff99", 362091, 114, event, 10));
    }
    assert_in_range(n, 60, 140);
}

/* ---- options ------------------------------------------------------------------------------------------- */

static void test_without_a_menu_only_a_named_model_scores(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    assert_int_equal(scene_refuse(s, GOOD, &brief), STATUS_NOTFOUND);
    assert_string_equal(brief.reason, "no_active_menu");
    struct json *d =
        scene_decide(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"model\":\"topo@2\"},"), &brief);
    assert_false(brief.accept);
    assert_string_equal(brief.reason, "no_path");
    assert_int_equal(json_type_of(json_get(d, "menu")), JSON_NULL_);
    assert_int_equal(json_count(json_get(d, "scores")), 3);
    assert_int_equal(json_count(json_get(d, "paths")), 0);
    assert_int_equal(json_int(json_get(json_get(d, "model"), "version"), 0), 2);
    json_free(d);
    assert_int_equal(
        scene_refuse(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"model\":\"topo@9\"},"), &brief),
        STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/options/model", "unknown_model");
}

static void test_a_recipe_that_the_client_counts_on_must_be_the_model_s(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0))));
    json_free(scene_decide(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"recipe\":\"topology-1\","), &brief));
    assert_int_equal(
        scene_refuse(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"recipe\":\"sparkdltrigger-1\","), &brief),
        STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/recipe", "recipe_mismatch");
    assert_int_equal(scene_refuse(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"recipe\":\"topology-9\","), &brief),
                     STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/recipe", "choice");
}

static void test_a_deadline_that_has_passed_scores_nothing(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    struct buf out;
    static const char event[] = EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"deadline_ms\":20},");
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0))));
    assert_int_equal(
        scene_refuse(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"deadline_ms\":0},"), &brief),
        STATUS_BUSY);
    assert_string_equal(brief.reason, "deadline_exceeded");
    buf_init(&out, 1 << 16);
    assert_int_equal(trigger_decide_at(s->trigger, &s->a, time_mono_ns() - 21000000, (const uint8_t *)event,
                                       strlen(event), &out, &brief, &s->problems, &s->e),
                     STATUS_BUSY);
    assert_int_equal(out.len, 0);
    json_free(
        scene_decide(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"deadline_ms\":3600000},"), &brief));
    buf_fini(&out);
}

static void test_events_that_are_refused_are_counted_and_named(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0))));
    assert_int_equal(scene_refuse(s, "{\"schema\":", &brief), STATUS_FORMAT);
    assert_int_equal(scene_refuse(s, "{}", &brief), STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/schema", "required");
    assert_int_equal(
        scene_refuse(s, EVENT(TRACKS, PHOTONS, NEUTRALS, ELECTRON, "\"options\":{\"menu\":\"other\"},"), &brief),
        STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/options/menu", "choice");
    /* Numbers that a float holds, but not the features made of them. */
    assert_int_equal(scene_refuse(s,
                                  EVENT(TRACKS, PHOTONS, NEUTRALS,
                                        "\"Electron\":{\"PT\":[3e38],\"Eta\":[0],\"Phi\":[-2],"
                                        "\"Charge\":[-1]}",
                                        "\"options\":{\"model\":\"spark@1\"},"),
                                  &brief),
                     STATUS_ARGUMENT);
    ASSERT_PROBLEM(s, "/collections", "out_of_range");
    json_free(scene_decide(s, GOOD, &brief));
    json_free(scene_decide(s, EVENT(TRACKS, PHOTONS, NEUTRALS, NO_ELECTRON, ""), &brief));
    struct trigger_counters c = trigger_counters(s->trigger);
    assert_int_equal(c.accepted, 1);
    assert_int_equal(c.rejected, 1);
    assert_int_equal(c.errors, 4);
    assert_int_equal(c.by_reason[TRIGGER_PATH], 1);
    assert_int_equal(c.by_reason[TRIGGER_PRESELECTION], 1);
}

static void test_every_allocation_that_fails_refuses_the_event(void **state)
{
    struct scene *s = *state;
    struct decision_brief brief;
    static const char event[] = GOOD;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0)) "," PATH("B", "spark@1", "tt", AT(0))));
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct trigger *t;
        struct arena a;
        struct buf out;
        arena_init(&a, 1 << 20);
        buf_init(&out, 1 << 16);
        log_set(LOG_ERROR, scene_quiet, NULL);
        enum status st = trigger_create(s->store, s->registry, &t, &s->e);
        if (st == STATUS_OK)
            st = trigger_decide(t, &a, (const uint8_t *)event, strlen(event), &out, &brief, &s->problems, &s->e);
        bool failed = alloc_fail_end();
        log_set(LOG_INFO, NULL, NULL);
        if (!failed)
            assert_int_equal(st, STATUS_OK);
        assert_true(st == STATUS_OK || out.len == 0);
        /* A menu that could not be restored for want of memory is no menu; everything else is NOMEM. */
        assert_true(st == STATUS_OK || st == STATUS_NOMEM || st == STATUS_NOTFOUND);
        trigger_destroy(t);
        buf_fini(&out);
        arena_fini(&a);
    }
}

/* ---- the same event from a file ------------------------------------------------------------------------ */

static void same_features(struct scene *s, const struct recipe *recipe, struct event_batch *from_file)
{
    struct event_batch cut, posted;
    struct feature_batch expected, got;
    struct object_cuts cuts;
    struct cut_counts counts = {0};
    size_t n_kept = 0;
    field_defaults(object_cuts_fields, &cuts);
    cuts.need_lepton = false;
    event_batch_init(&posted);
    event_batch_init(&cut);
    feature_batch_init(&expected);
    feature_batch_init(&got);
    struct buf *bodies = calloc(from_file->n_events, sizeof *bodies);
    for (size_t i = 0; i < from_file->n_events; i++) {
        buf_init(&bodies[i], EVENTS_IN_BYTES_MAX);
        MUST(events_in_print(from_file, i, &bodies[i], &s->e), &s->e);
    }
    event_batch_cut(from_file, &cuts, &counts);
    MUST(features_compute(recipe, from_file, true, &expected, &s->e), &s->e);
    for (size_t i = 0; i < from_file->n_events; i++) {
        struct posted_event event;
        MUST(events_in_scan(&s->a, bodies[i].data, bodies[i].len, &posted, &event, &s->problems, &s->e), &s->e);
        event_batch_cut(&posted, &cuts, &counts);
        MUST(features_compute(recipe, &posted, true, &got, &s->e), &s->e);
        assert_int_equal(got.reject[0], expected.reject[i]);
        buf_fini(&bodies[i]);
        if (got.reject[0] != REJECT_NONE)
            continue;
        n_kept++;
        assert_memory_equal(got.hlf, expected.hlf + i * HLF_COUNT, HLF_COUNT * sizeof(float));
        size_t first = expected.row_first[i], n = expected.row_first[i + 1] - first;
        assert_int_equal(got.row_first[1], n);
        assert_memory_equal(got.rows.pt, expected.rows.pt + first, n * sizeof(float));
        assert_memory_equal(got.rows.phi, expected.rows.phi + first, n * sizeof(float));
        assert_memory_equal(got.rows.iso_ch, expected.rows.iso_ch + first, n * sizeof(float));
        assert_memory_equal(got.rows.charge, expected.rows.charge + first, n);
    }
    assert_true(n_kept > 50);
    free(bodies);
    feature_batch_fini(&expected);
    feature_batch_fini(&got);
    event_batch_fini(&posted);
    event_batch_fini(&cut);
}

static void test_a_posted_event_has_the_features_of_its_root_file_bit_for_bit(void **state)
{
    static const char *const files[] = {"tests/fixtures/sample/ttbar.root", "tests/fixtures/sample/wlnu.root"};
    struct scene *s = *state;
    size_t n_recipes;
    const struct recipe *recipes = recipe_all(&n_recipes);
    assert_int_equal(n_recipes, 2);
    for (size_t f = 0; f < ARRAY_LEN(files); f++)
        for (size_t r = 0; r < n_recipes; r++) {
            struct source *source;
            struct delphes *delphes;
            struct event_batch batch;
            event_batch_init(&batch);
            MUST(source_open(files[f], &source, &s->e), &s->e);
            MUST(delphes_open(source, "Delphes", NULL, &delphes, &s->e), &s->e);
            MUST(delphes_read(delphes, 0, 150, &batch, &s->e), &s->e);
            same_features(s, &recipes[r], &batch);
            delphes_close(delphes);
            source_close(source);
            event_batch_fini(&batch);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_accepted_event_says_by_which_path_lepton_scores_menu_and_model),
        TEST(test_scores_are_those_of_the_model_on_the_event_s_features),
        TEST(test_a_model_of_particles_scores_collections_beside_one_of_features_but_not_posted_features),
        TEST(test_a_score_equal_to_the_threshold_is_accepted),
        TEST(test_only_the_parts_that_are_asked_for_are_returned),
        TEST(test_every_reason_of_the_preselection_is_told_apart),
        TEST(test_events_are_cut_as_the_model_s_training_events_were),
        TEST(test_paths_of_two_recipes_are_decided_each_by_its_own),
        TEST(test_shadow_paths_never_accept),
        TEST(test_a_prescale_keeps_one_event_in_n_and_says_so_otherwise),
        cmocka_unit_test(test_prescales_are_the_same_on_every_machine_and_in_replay),
        TEST(test_without_a_menu_only_a_named_model_scores),
        TEST(test_a_recipe_that_the_client_counts_on_must_be_the_model_s),
        TEST(test_a_deadline_that_has_passed_scores_nothing),
        TEST(test_events_that_are_refused_are_counted_and_named),
        TEST(test_every_allocation_that_fails_refuses_the_event),
        TEST(test_a_posted_event_has_the_features_of_its_root_file_bit_for_bit),
    };
    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
