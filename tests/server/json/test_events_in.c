/* tests/server/json/test_events_in.c
 *
 * Posted events: what is taken, every kind of problem with its pointer, what is not JSON, and that an event printed
 * from a batch comes back bit for bit. */
#include "server/json/events_in.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/root.h"
#include "tests/support/support.h"

#define TRACK                                                                                                          \
    "\"EFlowTrack\":{\"PT\":[41.7,3.2],\"Eta\":[0.62,1.05],\"Phi\":[-1.91,0.44],\"X\":[0.0,0.1],\"Y\":[0.0,-0.1],"     \
    "\"Z\":[1.2,1.3],\"PID\":[11,-211]}"
#define PHOTON "\"EFlowPhoton\":{\"ET\":[5.1],\"Eta\":[-0.4],\"Phi\":[2.2]}"
#define NEUTRAL "\"EFlowNeutralHadron\":{\"ET\":[7.9],\"Eta\":[1.7],\"Phi\":[-2.5]}"
#define ELECTRON "\"Electron\":{\"PT\":[41.7],\"Eta\":[0.62],\"Phi\":[-1.91],\"Charge\":[-1]}"
#define MUON "\"MuonTight\":{\"PT\":[],\"Eta\":[],\"Phi\":[],\"Charge\":[]}"
#define MET "\"MissingET\":{\"MET\":[63.2],\"Phi\":[1.07]}"
#define JET "\"Jet\":{\"PT\":[88.1,61.0],\"Eta\":[0.3,-1.1],\"Phi\":[0.4,2.8],\"BTag\":[1,0]}"
#define HEAD "{\"schema\":\"delphes-event/1\","
#define REST TRACK "," PHOTON "," NEUTRAL "," MUON "," MET
#define WITH_ELECTRON(text) HEAD "\"collections\":{" REST "," JET "," text "}}"
#define WITH_JET(text) HEAD "\"collections\":{" REST "," ELECTRON "," text "}}"
#define EVENT(more) HEAD more "\"collections\":{" REST "," ELECTRON "," JET "}}"
#define NUMBERS "229.2,63.2,1.07,10473.1,4,2,41.7,0.62,-1.91,0,0,0,-1,1"

struct fixture {
    struct arena arena;
    struct event_batch batch;
    struct posted_event event;
    struct json_problems problems;
    struct error e;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena, 1 << 20);
    event_batch_init(&f->batch);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_batch_fini(&f->batch);
    arena_fini(&f->arena);
    free(f);
    return 0;
}

/* From memory of exactly the text's size, so that a sanitizer sees the first byte read beyond it. */
static enum status scan_bytes(struct fixture *f, const void *text, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    enum status s = events_in_scan(&f->arena, copy, len, &f->batch, &f->event, &f->problems, &f->e);
    free(copy);
    return s;
}

static enum status scan_text(struct fixture *f, const char *text)
{
    return scan_bytes(f, text, strlen(text));
}

static void assert_ok(struct fixture *f, const char *text)
{
    if (scan_text(f, text) != STATUS_OK)
        fail_msg("%s", f->e.text);
}

/* Exactly these "pointer code" lines. */
static void assert_problems(struct fixture *f, const char *text, const char *const *expected)
{
    enum status s = scan_text(f, text);
    if (s != STATUS_ARGUMENT)
        fail_msg("status %s: %s", status_name(s), s ? f->e.text : "");
    size_t n = 0;
    for (; expected[n]; n++) {
        char line[256];
        assert_true(n < f->problems.n);
        snprintf(line, sizeof line, "%s %s", f->problems.items[n].pointer, f->problems.items[n].code);
        assert_string_equal(line, expected[n]);
    }
    assert_int_equal(f->problems.n, n);
}
#define ASSERT_PROBLEMS(f, text, ...) assert_problems(f, text, (const char *const[]){__VA_ARGS__, NULL})

static void assert_format(struct fixture *f, const char *text)
{
    enum status s = scan_text(f, text);
    if (s != STATUS_FORMAT)
        fail_msg("%s: status %s", text, status_name(s));
}

/* ---- what is taken ------------------------------------------------------------------------------------- */

static void test_an_event_fills_the_columns_of_every_collection(void **state)
{
    struct fixture *f = *state;
    assert_ok(
        f, HEAD
        "\"event\":{\"run\":362091,\"lumi\":114,\"event\":208839147},\"time\":\"2026-11-23T10:05:33.120000Z\","
        "\"recipe\":\"topology-1\",\"collections\":{" REST "," ELECTRON "," JET "},"
        "\"options\":{\"menu\":\"active\",\"deadline_ms\":20,\"return\":[\"scores\",\"timing\"],\"log\":\"auto\"}}");
    const struct object_columns *o = f->batch.objects;
    const uint32_t counts[OBJECT_KINDS] = {2, 1, 1, 1, 0, 2, 1};
    for (size_t k = 0; k < OBJECT_KINDS; k++) {
        assert_int_equal(o[k].first[0], 0);
        assert_int_equal(o[k].first[1], counts[k]);
    }
    assert_true(o[OBJECT_TRACK].pt[1] == 3.2f && o[OBJECT_TRACK].z[0] == 1.2f && o[OBJECT_TRACK].y[1] == -0.1f);
    assert_int_equal(o[OBJECT_TRACK].pid[1], -211);
    assert_true(o[OBJECT_PHOTON].pt[0] == 5.1f && o[OBJECT_MET].pt[0] == 63.2f && o[OBJECT_MET].phi[0] == 1.07f);
    assert_int_equal(o[OBJECT_ELECTRON].charge[0], -1);
    assert_int_equal(o[OBJECT_JET].btag[0], 1);
    assert_int_equal(f->batch.n_events, 1);
    assert_int_equal(f->batch.number[0], 208839147);
    assert_true(f->batch.weight[0] == 1 && f->batch.label[0] == -1);
    assert_true(f->event.has_identity && f->event.run == 362091 && f->event.lumi == 114);
    assert_string_equal(f->event.menu, "active");
    assert_string_equal(f->event.recipe, "topology-1");
    assert_int_equal(f->event.deadline_ms, 20);
    assert_int_equal(f->event.parts, POSTED_SCORES | POSTED_TIMING);
}

static void test_leaves_that_may_be_missing_have_their_defaults(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, EVENT(""));
    assert_int_equal(f->batch.objects[OBJECT_TRACK].charge[0], 1);            /* sign of PID */
    assert_int_equal(f->batch.objects[OBJECT_TRACK].charge[1], -1);
    assert_true(f->batch.objects[OBJECT_JET].mass[0] == 0 && f->batch.objects[OBJECT_JET].mass[1] == 0);
    assert_false(f->event.has_identity);
    assert_null(f->event.menu);
    assert_int_equal(f->event.deadline_ms, -1);
    assert_int_equal(f->event.parts, POSTED_ALL);
}

static void test_muons_may_come_under_any_of_three_names(void **state)
{
    static const char *const names[] = {"MuonTight", "Muon", "MuonLoose"};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[2048];
        snprintf(text, sizeof text, HEAD "\"collections\":{" TRACK "," PHOTON "," NEUTRAL "," MET "," JET "," ELECTRON
                 ",\"%s\":{\"PT\":[30.5],\"Eta\":[1],\"Phi\":[2],\"Charge\":[1]}}}", names[i]);
        assert_ok(f, text);
        assert_true(f->batch.objects[OBJECT_MUON].pt[0] == 30.5f);
    }
    ASSERT_PROBLEMS(f, WITH_ELECTRON("\"Muon\":{\"PT\":[],\"Eta\":[],\"Phi\":[],\"Charge\":[]}," ELECTRON),
                    "/collections/Muon conflict");
}

static void test_members_and_leaves_may_come_in_any_order_with_any_whitespace(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, " {\n\t\"collections\" : { " JET " , " REST
                 ",\r\n\"Electron\":{\"Charge\":[ -1 , 1 ],\"Phi\":[ 0.5\n,\n0.25 ],"
                 "\"Eta\":[1,2],\"PT\":[30, 40]} }, \"schema\":\"delphes-event/1\" } \n");
    assert_true(f->batch.objects[OBJECT_ELECTRON].phi[0] == 0.5f && f->batch.objects[OBJECT_ELECTRON].phi[1] == 0.25f);
    assert_true(f->batch.objects[OBJECT_ELECTRON].pt[1] == 40);
    assert_int_equal(f->batch.objects[OBJECT_ELECTRON].charge[1], 1);
}

static void test_escaped_names_are_the_names_that_they_spell(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, EVENT("\"\\u0072ecipe\":\"topo\\u006cogy-1\","));
    assert_string_equal(f->event.recipe, "topology-1");
    ASSERT_PROBLEMS(f, EVENT("\"recipe\":\"a\",\"\\u0072ecipe\":\"b\","), "/recipe duplicate_member");
}

static void test_high_level_features_come_as_names_or_as_numbers_in_order(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, "{\"schema\":\"hlf/1\",\"hlf\":[" NUMBERS "]}");
    assert_true(f->event.schema == POSTED_HLF && f->event.hlf[HLF_MT] == 10473.1f && f->event.hlf[HLF_LEP_IS_ELE] == 1);
    assert_int_equal(f->batch.n_events, 0);
    const char *published =
        "{\"schema\":\"hlf/1\",\"hlf\":{\"LepIsEle\":1,\"HT\":229.2,\"MET\":63.2,\"phiMET\":1.07,\"MT\":5,"
        "\"nJets\":4,\"nBjets\":2,\"LepPt\":41.7,\"LepEta\":0.62,\"LepPhi\":-1.91,\"LepIsoCh\":0,"
        "\"LepIsoGamma\":0,\"LepIsoNeu\":0,\"LepCharge\":-1}}";
    assert_ok(f, published);
    assert_true(f->event.hlf[HLF_MET_PHI] == 1.07f && f->event.hlf[HLF_LEP_CHARGE] == -1 &&
                f->event.hlf[HLF_N_BJETS] == 2);
    char text[1024] = "{\"schema\":\"hlf/1\",\"hlf\":{";
    for (size_t i = 0; i < HLF_COUNT; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"%s\":%zu", i ? "," : "", hlf_info[i].name, i);
    assert_ok(f, strcat(text, "}}"));
    for (size_t i = 0; i < HLF_COUNT; i++)
        assert_true(f->event.hlf[i] == (float)i);
}

static void test_integral_numbers_are_integers_however_written(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, WITH_JET("\"Jet\":{\"PT\":[1,2,3],\"Eta\":[1,2,3],\"Phi\":[1,2,3],\"BTag\":[7.0,4294967295,2e0]}"));
    assert_int_equal(f->batch.objects[OBJECT_JET].btag[0], 7);
    assert_true(f->batch.objects[OBJECT_JET].btag[1] == UINT32_MAX);
    assert_int_equal(f->batch.objects[OBJECT_JET].btag[2], 2);
    assert_ok(f, EVENT("\"event\":{\"run\":9223372036854775807,\"lumi\":0,\"event\":-1},"));
    assert_true(f->event.run == INT64_MAX && f->event.event == -1);
}

/* ---- what is wrong ------------------------------------------------------------------------------------- */

static void test_missing_members_are_named(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, "{}", "/schema required");
    ASSERT_PROBLEMS(f, HEAD "\"event\":{\"run\":1,\"event\":2}}", "/event/lumi required", "/collections required");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\"}", "/hlf required");
    ASSERT_PROBLEMS(f, HEAD "\"collections\":{" TRACK "," ELECTRON "," JET "," NEUTRAL "," MET "}}",
                    "/collections/EFlowPhoton required", "/collections/MuonTight required");
    ASSERT_PROBLEMS(f, WITH_JET("\"Jet\":{\"PT\":[],\"Phi\":[],\"Mass\":[]}"), "/collections/Jet/Eta required",
                    "/collections/Jet/BTag required");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\",\"hlf\":{\"HT\":1}}", "/hlf/MET required", "/hlf/MET_phi required",
                    "/hlf/MT required", "/hlf/nJets required", "/hlf/nBJets required", "/hlf/lepPt required",
                    "/hlf/lepEta required", "/hlf/lepPhi required", "/hlf/lepIsoCh required",
                    "/hlf/lepIsoGamma required", "/hlf/lepIsoNeu required", "/hlf/lepCharge required",
                    "/hlf/lepIsEle required");
}

static void test_unknown_members_are_refused_wherever_they_are(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, EVENT("\"weight\":1,"), "/weight unknown_member");
    ASSERT_PROBLEMS(f, EVENT("\"event\":{\"run\":1,\"lumi\":2,\"event\":3,\"bx\":{\"a\":[1,{}]}},"),
                    "/event/bx unknown_member");
    ASSERT_PROBLEMS(f, EVENT("\"options\":{\"deadline\":20},"), "/options/deadline unknown_member");
    ASSERT_PROBLEMS(f, WITH_ELECTRON("\"Photon\":[true,false,null,\"x\",1e5],\"a/b~c\":0," ELECTRON),
                    "/collections/Photon unknown_member", "/collections/a~1b~0c unknown_member");
    ASSERT_PROBLEMS(f, WITH_JET("\"Jet\":{\"PT\":[],\"Eta\":[],\"Phi\":[],\"BTag\":[],\"TauTag\":[]}"),
                    "/collections/Jet/TauTag unknown_member");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\",\"hlf\":{\"Ht2\":1}}", "/hlf/Ht2 unknown_member", "/hlf/HT required",
                    "/hlf/MET required", "/hlf/MET_phi required", "/hlf/MT required", "/hlf/nJets required",
                    "/hlf/nBJets required", "/hlf/lepPt required", "/hlf/lepEta required", "/hlf/lepPhi required",
                    "/hlf/lepIsoCh required", "/hlf/lepIsoGamma required", "/hlf/lepIsoNeu required",
                    "/hlf/lepCharge required", "/hlf/lepIsEle required");
    assert_non_null(strstr(f->problems.items[0].detail, "lepIsEle"));        /* what is known is said */
}

static void test_members_that_come_twice_are_refused(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, EVENT("\"schema\":\"hlf/1\","), "/schema duplicate_member");
    ASSERT_PROBLEMS(f, EVENT("\"event\":{\"run\":1,\"run\":1,\"lumi\":2,\"event\":3},"), "/event/run duplicate_member");
    ASSERT_PROBLEMS(f, WITH_ELECTRON(ELECTRON "," ELECTRON), "/collections/Electron duplicate_member");
    ASSERT_PROBLEMS(f, WITH_JET("\"Jet\":{\"PT\":[],\"PT\":[1],\"Eta\":[],\"Phi\":[],\"BTag\":[]}"),
                    "/collections/Jet/PT duplicate_member");
    ASSERT_PROBLEMS(f, EVENT("\"options\":{\"log\":\"auto\",\"log\":\"auto\"},"), "/options/log duplicate_member");
}

static void test_arrays_of_a_collection_must_have_one_length(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, WITH_JET("\"Jet\":{\"Eta\":[1,2,3,4],\"PT\":[1,2,3,4,5],\"Phi\":[1,2,3,4,5],\"BTag\":[]}"),
                    "/collections/Jet/Eta length_mismatch", "/collections/Jet/BTag length_mismatch");
    assert_string_equal(f->problems.items[0].detail, "expected 5, as Jet.PT has; found 4");
}

static void test_numbers_that_are_not_finite_are_named_by_element(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(
        f,
        WITH_ELECTRON("\"Electron\":{\"PT\":[null,NaN,-Infinity,Infinity,1e39,-1e400,1],\"Eta\":[1,2,3,4,5,6,7],"
                      "\"Phi\":[1,2,3,4,5,6,7],\"Charge\":[1,1,1,1,1,1,1]}"),
        "/collections/Electron/PT/0 not_finite", "/collections/Electron/PT/1 not_finite",
        "/collections/Electron/PT/2 not_finite", "/collections/Electron/PT/3 not_finite",
        "/collections/Electron/PT/4 out_of_range", "/collections/Electron/PT/5 out_of_range");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\",\"hlf\":[229.2,null,1.07,10473.1,4,2,41.7,0.62,-1.91,0,0,0,-1,NaN]}",
                    "/hlf/1 not_finite", "/hlf/13 not_finite");
}

static void test_values_of_the_wrong_type_are_named(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, "[1,2]", " type");
    ASSERT_PROBLEMS(f, "null", " type");
    ASSERT_PROBLEMS(f, "{\"schema\":1}", "/schema type");
    ASSERT_PROBLEMS(f, WITH_ELECTRON("\"Electron\":[]"), "/collections/Electron type");
    ASSERT_PROBLEMS(f, WITH_ELECTRON("\"Electron\":{\"PT\":41.7,\"Eta\":[\"x\"],\"Phi\":[[1]],\"Charge\":[true]}"),
                    "/collections/Electron/PT type", "/collections/Electron/Eta/0 type",
                    "/collections/Electron/Phi/0 type", "/collections/Electron/Charge/0 type");
    ASSERT_PROBLEMS(f, EVENT("\"options\":[],\"event\":3,\"recipe\":null,"), "/options type", "/event type",
                    "/recipe type");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\",\"hlf\":\"x\"}", "/hlf type");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\",\"hlf\":[1,2]}", "/hlf length_mismatch");
    ASSERT_PROBLEMS(f, "{\"schema\":\"hlf/1\",\"hlf\":[" NUMBERS ",1]}", "/hlf length_mismatch");
}

static void test_integers_are_checked_for_fractions_and_range(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(
        f, WITH_JET("\"Jet\":{\"PT\":[1,2,3],\"Eta\":[1,2,3],\"Phi\":[1,2,3],\"BTag\":[0.5,-1,4294967296]}"),
        "/collections/Jet/BTag/0 type", "/collections/Jet/BTag/1 out_of_range", "/collections/Jet/BTag/2 out_of_range");
    ASSERT_PROBLEMS(
        f, WITH_ELECTRON("\"Electron\":{\"PT\":[1,2],\"Eta\":[1,2],\"Phi\":[1,2],\"Charge\":[2147483648,-2147483649]}"),
        "/collections/Electron/Charge/0 out_of_range", "/collections/Electron/Charge/1 out_of_range");
    ASSERT_PROBLEMS(f, EVENT("\"event\":{\"run\":-1,\"lumi\":1.5,\"event\":9223372036854775808},"),
                    "/event/run out_of_range", "/event/lumi type", "/event/event out_of_range");
    ASSERT_PROBLEMS(f, EVENT("\"options\":{\"deadline_ms\":-1},"), "/options/deadline_ms out_of_range");
}

static void test_collections_and_features_together_are_refused(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, EVENT("\"hlf\":[" NUMBERS "],"), " conflict");
    ASSERT_PROBLEMS(f, EVENT("\"options\":{\"menu\":\"active\",\"model\":\"m@1\"},"), "/options conflict");
}

static void test_options_and_schema_take_known_values_only(void **state)
{
    struct fixture *f = *state;
    ASSERT_PROBLEMS(f, "{\"schema\":\"delphes-event/2\"}", "/schema choice");
    ASSERT_PROBLEMS(f, EVENT("\"options\":{\"return\":[\"scores\",\"all\",3],\"log\":\"always\"},"),
                    "/options/return/1 choice", "/options/return/2 type", "/options/log not_supported");
    ASSERT_PROBLEMS(f, EVENT("\"options\":{\"model\":\"\"},"), "/options/model text");
    ASSERT_PROBLEMS(f, EVENT("\"recipe\":\"a\\u0000b\","), "/recipe text");
    static const char *const wrong[] = {"yesterday", "2026-11-23", "2026-11-23 10:05:33Z", "2026-11-23T10:05:33",
                                        "2026-11-23T10:05:33.Z", "2026-11-23T10:05:33+1:00", "2026-11-23T10:05:33Zx"};
    static const char *const right[] = {"2026-11-23T10:05:33Z", "2026-11-23t10:05:33.5z",
                                        "2026-11-23T10:05:33.123456+02:00"};
    char text[2048];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        snprintf(text, sizeof text, EVENT("\"time\":\"%s\","), wrong[i]);
        ASSERT_PROBLEMS(f, text, "/time invalid_time");
    }
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        snprintf(text, sizeof text, EVENT("\"time\":\"%s\","), right[i]);
        assert_ok(f, text);
    }
}

static void repeat(struct buf *b, const char *name, size_t n)
{
    struct error e;
    assert_int_equal(buf_printf(b, &e, "\"%s\":[0", name), STATUS_OK);
    for (size_t i = 1; i < n; i++)
        assert_int_equal(buf_printf(b, &e, ",%zu", i), STATUS_OK);
    assert_int_equal(buf_printf(b, &e, "],"), STATUS_OK);
}

static void test_a_collection_has_at_most_5000_objects(void **state)
{
    struct fixture *f = *state;
    struct error e;
    for (size_t n = EVENTS_IN_OBJECTS_MAX; n <= EVENTS_IN_OBJECTS_MAX + 1; n++) {
        struct buf b;
        buf_init(&b, EVENTS_IN_BYTES_MAX);
        assert_int_equal(buf_printf(&b, &e,
                                    HEAD "\"collections\":{" TRACK "," NEUTRAL "," MUON "," MET "," JET "," ELECTRON
                                         ",\"EFlowPhoton\":{"),
                         STATUS_OK);
        repeat(&b, "ET", n);
        repeat(&b, "Eta", n);
        repeat(&b, "Phi", n);
        b.len--;
        assert_int_equal(buf_printf(&b, &e, "}}}"), STATUS_OK);
        enum status s = scan_bytes(f, b.data, b.len);
        buf_fini(&b);
        assert_int_equal(s, n == EVENTS_IN_OBJECTS_MAX ? STATUS_OK : STATUS_ARGUMENT);
        if (s == STATUS_OK) {
            assert_int_equal(f->batch.objects[OBJECT_PHOTON].first[1], n);
            assert_true(f->batch.objects[OBJECT_PHOTON].phi[n - 1] == (float)(n - 1));
        } else {
            assert_int_equal(f->problems.n, 3);
            assert_string_equal(f->problems.items[0].code, "too_many");
        }
    }
}

static void test_size_and_depth_are_limited(void **state)
{
    struct fixture *f = *state;
    char *big = malloc(EVENTS_IN_BYTES_MAX + 1);
    memset(big, ' ', EVENTS_IN_BYTES_MAX + 1);
    memcpy(big, "{}", 2);
    assert_int_equal(scan_bytes(f, big, EVENTS_IN_BYTES_MAX + 1), STATUS_ARGUMENT);
    assert_string_equal(f->problems.items[0].code, "too_large");
    free(big);
    ASSERT_PROBLEMS(f, EVENT("\"x\":[[[[[[[]]]]]]],"), "/x unknown_member");          /* 7 and the event itself */
    ASSERT_PROBLEMS(f, EVENT("\"x\":[[[[[[[[]]]]]]]],"), "/x unknown_member", "/x too_deep");
    char deep[4096];
    memset(deep, '[', sizeof deep);
    assert_int_equal(scan_bytes(f, deep, sizeof deep), STATUS_ARGUMENT);
}

static void test_at_most_20_problems_are_kept(void **state)
{
    struct fixture *f = *state;
    char text[2048] = "{\"schema\":\"hlf/1\",\"hlf\":[null";
    for (size_t i = 0; i < 40; i++)
        strcat(text, ",null");
    assert_int_equal(scan_text(f, strcat(text, "]}")), STATUS_ARGUMENT);
    assert_int_equal(f->problems.n, JSON_PROBLEMS_MAX);
}

/* ---- what is not JSON ---------------------------------------------------------------------------------- */

static void test_text_that_is_not_json_says_line_and_column(void **state)
{
    struct fixture *f = *state;
    assert_format(f, "{\n  \"schema\": \"hlf/1\",\n  \"hlf\": [1,,2]}");
    assert_string_equal(f->e.text, "not JSON: ',' at line 3, column 13, where a value should be");
    assert_format(f, "{\"schema\"");
    assert_string_equal(f->e.text, "not JSON: the text ends at line 1, column 10, where ':' should be");
    static const char *const wrong[] = {"",
                                        " ",
                                        "{",
                                        "{]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{,}",
                                        "{\"a\":1 \"b\":2}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "{} x",
                                        "{}{}",
                                        "{\"a\":[1,]}",
                                        "{\"a\":[1 2]}",
                                        "{\"a\":[,1]}",
                                        "{\"a\":tru}",
                                        "{\"a\":True}",
                                        "{\"a\":nul}",
                                        "{\"a\":01}",
                                        "{\"a\":+1}",
                                        "{\"a\":.5}",
                                        "{\"a\":1.}",
                                        "{\"a\":1e}",
                                        "{\"a\":1e+}",
                                        "{\"a\":-}",
                                        "{\"a\":--1}",
                                        "{\"a\":0x10}",
                                        "{\"a\":1.5.2}",
                                        "{\"a\":NaN}",
                                        "{\"a\":\"}",
                                        "{\"a\":\"\\x\"}",
                                        "{\"a\":\"\\u12g4\"}",
                                        "{\"a\":\"\\ud800\"}",
                                        "{\"a\":\"\\ud800\\u0041\"}",
                                        "{\"a\":\"\\udc00\"}",
                                        "{\"a\":\"\t\"}",
                                        "{\"a\":\"\n\"}",
                                        "{\"a\":\"\x80\"}",
                                        "{\"a\":\"\xc0\xaf\"}",
                                        "{\"a\":\"\xed\xa0\x80\"}",
                                        "{\"a\":\"\xf4\x90\x80\x80\"}",
                                        "{\"a\":\"\xf0\x8f\x80\x80\"}",
                                        "{\"a\":\"\xe2\x82\"}",
                                        "\xef\xbb\xbf{}",
                                        "{\"a\":1}\x80",
                                        "/* c */{}",
                                        "{\"hlf\":[1.]}",
                                        "{\"hlf\":[01,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
                                        "{\"hlf\":[-,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
                                        "{\"hlf\":[1.,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
                                        "{\"hlf\":[1e,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
                                        "{\"hlf\":[1  2,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_format(f, wrong[i]);
    assert_int_equal(scan_bytes(f, "{}\0", 3), STATUS_FORMAT);
    assert_int_equal(scan_bytes(f, "{\"a\0\":1}", 8), STATUS_FORMAT);
}

static void test_strings_are_utf8_with_every_escape(void **state)
{
    struct fixture *f = *state;
    assert_ok(f, EVENT("\"recipe\":\"\\\"\\\\\\/ \xc3\xa9 \\u00e9\\u20ac\\ud83d\\ude00 \xf0\x9f\x98\x80\","));
    assert_string_equal(f->event.recipe, "\"\\/ \xc3\xa9 \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \xf0\x9f\x98\x80");
}

static void test_every_cut_of_a_good_event_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char text[] = EVENT("\"event\":{\"run\":1,\"lumi\":2,\"event\":3},\"time\":\"2026-11-23T10:05:33Z\","
                                     "\"options\":{\"return\":[\"scores\"],\"deadline_ms\":1e3},");
    for (size_t n = 0; n < sizeof text - 1; n++)
        assert_int_equal(scan_bytes(f, text, n), STATUS_FORMAT);
    assert_int_equal(scan_bytes(f, text, sizeof text - 1), STATUS_OK);
}

/* ---- round trip ---------------------------------------------------------------------------------------- */

static float random_float(struct rng *r)
{
    for (;;) {
        uint32_t bits = (uint32_t)rng_u64(r);
        float v;
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v))
            return v;
    }
}

/* A batch of one event with any bits that are a finite number. */
static void random_event(struct event_batch *b, struct rng *r)
{
    struct error e;
    size_t n;
    const struct event_column *columns = event_columns(&n);
    event_batch_clear(b);
    assert_int_equal(event_batch_reserve_events(b, 1, &e), STATUS_OK);
    for (unsigned k = 0; k < OBJECT_KINDS; k++) {
        size_t count = (size_t)rng_below(r, 40);
        assert_int_equal(event_batch_reserve_objects(b, (enum object_kind)k, 64, &e), STATUS_OK);
        b->objects[k].first[0] = 0;
        b->objects[k].first[1] = (uint32_t)count;
        for (size_t c = 0; c < n; c++)
            for (size_t i = 0; i < count && columns[c].kind == (enum object_kind)k; i++) {
                uint32_t *word = (uint32_t *)*event_column_data(&b->objects[k], &columns[c]) + i;
                float v = random_float(r);
                if (columns[c].type == EVENT_F32)
                    memcpy(word, &v, sizeof v);
                else
                    *word = (uint32_t)(rng_u64(r) >> (32 + rng_below(r, 32)));
            }
    }
    b->n_events = 1;
    b->number[0] = (int64_t)(rng_u64(r) >> 1);
    b->weight[0] = 1;
    b->label[0] = -1;
    b->entry[0] = 0;
}

static void assert_same_event(const struct event_batch *x, size_t i, const struct event_batch *y)
{
    size_t n;
    const struct event_column *columns = event_columns(&n);
    for (size_t c = 0; c < n; c++) {
        const struct object_columns *a = &x->objects[columns[c].kind], *b = &y->objects[columns[c].kind];
        size_t count = a->first[i + 1] - a->first[i];
        assert_int_equal(count, b->first[1]);
        const uint32_t *u = *event_column_data(a, &columns[c]), *v = *event_column_data(b, &columns[c]);
        if (count && memcmp(u + a->first[i], v, count * sizeof *u) != 0)
            fail_msg("column %s differs", columns[c].column);
    }
    assert_true(x->number[i] == y->number[0]);
}

static void print_and_scan(struct fixture *f, const struct event_batch *batch, size_t i)
{
    struct buf text;
    buf_init(&text, EVENTS_IN_BYTES_MAX);
    assert_int_equal(events_in_print(batch, i, &text, &f->e), STATUS_OK);
    if (scan_bytes(f, text.data, text.len) != STATUS_OK)
        fail_msg("%s", f->e.text);
    assert_same_event(batch, i, &f->batch);
    buf_fini(&text);
    arena_reset(&f->arena);
}

static void test_any_event_that_is_printed_comes_back_bit_for_bit(void **state)
{
    struct fixture *f = *state;
    struct event_batch batch;
    struct rng r = rng_stream(1, 2);
    event_batch_init(&batch);
    for (size_t i = 0; i < 300; i++) {
        random_event(&batch, &r);
        print_and_scan(f, &batch, 0);
    }
    event_batch_fini(&batch);
}

static void test_events_of_a_root_file_come_back_bit_for_bit(void **state)
{
    struct fixture *f = *state;
    struct event_batch batch;
    struct source *source;
    struct delphes *delphes;
    event_batch_init(&batch);
    assert_int_equal(source_open("tests/fixtures/sample/ttbar.root", &source, &f->e), STATUS_OK);
    assert_int_equal(delphes_open(source, "Delphes", NULL, &delphes, &f->e), STATUS_OK);
    assert_int_equal(delphes_read(delphes, 0, 100, &batch, &f->e), STATUS_OK);
    for (size_t i = 0; i < batch.n_events; i++)
        print_and_scan(f, &batch, i);
    delphes_close(delphes);
    source_close(source);
    event_batch_fini(&batch);
}

static void test_every_allocation_that_fails_is_reported(void **state)
{
    struct fixture *f = *state;
    char text[4096];
    snprintf(text, sizeof text,
             EVENT("\"recipe\":\"topology-1\",\"options\":{\"menu\":\"active\"},"
                   "\"event\":{\"run\":1.%0200d1,\"lumi\":2,\"event\":3},"),
             0); /* strtod's copy */
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct event_batch batch;
        struct arena a;
        event_batch_init(&batch);
        arena_init(&a, 1 << 20);
        enum status s = events_in_scan(&a, (const uint8_t *)text, strlen(text), &batch, &f->event, &f->problems, &f->e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        arena_fini(&a);
        event_batch_fini(&batch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_fills_the_columns_of_every_collection),
        cmocka_unit_test(test_leaves_that_may_be_missing_have_their_defaults),
        cmocka_unit_test(test_muons_may_come_under_any_of_three_names),
        cmocka_unit_test(test_members_and_leaves_may_come_in_any_order_with_any_whitespace),
        cmocka_unit_test(test_escaped_names_are_the_names_that_they_spell),
        cmocka_unit_test(test_high_level_features_come_as_names_or_as_numbers_in_order),
        cmocka_unit_test(test_integral_numbers_are_integers_however_written),
        cmocka_unit_test(test_missing_members_are_named),
        cmocka_unit_test(test_unknown_members_are_refused_wherever_they_are),
        cmocka_unit_test(test_members_that_come_twice_are_refused),
        cmocka_unit_test(test_arrays_of_a_collection_must_have_one_length),
        cmocka_unit_test(test_numbers_that_are_not_finite_are_named_by_element),
        cmocka_unit_test(test_values_of_the_wrong_type_are_named),
        cmocka_unit_test(test_integers_are_checked_for_fractions_and_range),
        cmocka_unit_test(test_collections_and_features_together_are_refused),
        cmocka_unit_test(test_options_and_schema_take_known_values_only),
        cmocka_unit_test(test_a_collection_has_at_most_5000_objects),
        cmocka_unit_test(test_size_and_depth_are_limited),
        cmocka_unit_test(test_at_most_20_problems_are_kept),
        cmocka_unit_test(test_text_that_is_not_json_says_line_and_column),
        cmocka_unit_test(test_strings_are_utf8_with_every_escape),
        cmocka_unit_test(test_every_cut_of_a_good_event_is_refused),
        cmocka_unit_test(test_any_event_that_is_printed_comes_back_bit_for_bit),
        cmocka_unit_test(test_events_of_a_root_file_come_back_bit_for_bit),
        cmocka_unit_test(test_every_allocation_that_fails_is_reported),
    };
    return cmocka_run_group_tests_name("events_in", tests, setup, teardown);
}
