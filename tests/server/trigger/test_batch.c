/* tests/server/trigger/test_batch.c
 *
 * Batches: the decisions of many events at once are those of each alone, in order, and what is wrong with a line stays
 * that line's affair. */
#include "server/trigger/batch.h"

#include "core/root.h"
#include "tests/server/trigger/scene.h"

#define PATH(name, model, class, more)                                                                                 \
    "{\"path\":\"" name "\",\"model\":\"" model "\",\"discriminant\":\"" class "\"," more "}"
#define AT(threshold) "\"working_point\":{\"target\":{\"threshold\":" #threshold "}}"
#define MENU(paths) "{\"name\":\"run3\",\"columns\":[\"low\",\"high\"],\"prescale_seed\":7,\"paths\":[" paths "]}"

static int setup(void **state)
{
    scene_setup(state);
    struct scene *s = *state;
    model_release(scene_model(s, "topo", 1, "topology-1", 1));
    model_release(scene_model(s, "spark", 1, "sparkdltrigger-1", 3));
    model_release(scene_particles_model(s));
    return 0;
}

/* ---- the batch as lines ---------------------------------------------------------------------------------- */

struct gathered_calls {
    int64_t n_decided, n_accepted, n_refused, lines[16];
    const char *reasons[16];
    enum status status[16];
};

static enum status refused(void *ctx, int64_t line, const struct decision_brief *brief,
                           const struct json_problems *problems, const struct error *why, struct buf *out,
                           struct error *e)
{
    struct gathered_calls *c = ctx;
    if (c->n_refused < 16) {
        c->lines[c->n_refused] = line;
        c->reasons[c->n_refused] = brief->reason;
        c->status[c->n_refused] = why->status;
    }
    c->n_refused++;
    return buf_printf(out, e, "refused %lld %s", (long long)line, problems->n ? problems->items[0].pointer : "-");
}

static void decided(void *ctx, const struct decision_brief *brief)
{
    struct gathered_calls *c = ctx;
    c->n_decided++;
    c->n_accepted += brief->accept;
}

static enum status run(struct scene *s, const struct buf *body, struct gathered_calls *calls, struct buf *out,
                       struct batch_brief *brief)
{
    const struct batch_host host = {calls, refused, decided};
    *calls = (struct gathered_calls){0};
    buf_init(out, 64 << 20);
    return trigger_decide_lines(s->trigger, time_mono_ns(), body->data, body->len, &host, out, brief, &s->e);
}

static void add_line(struct scene *s, struct buf *body, const char *text)
{
    MUST(buf_append(body, text, strlen(text), &s->e), &s->e);
    MUST(buf_append(body, "\n", 1, &s->e), &s->e);
}

/* The next line of an answer, in the scene's arena. */
static char *take_line(struct scene *s, struct span *rest)
{
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    assert_non_null(end);
    char *line = arena_strndup(&s->a, (const char *)rest->data, (size_t)(end - rest->data));
    rest->len -= (size_t)(end + 1 - rest->data);
    rest->data = end + 1;
    return line;
}

/* A decision without what differs from call to call: its id and its timing. */
static char *lasting(struct scene *s, const char *text)
{
    char *copy = arena_strdup(&s->a, text), *id = strstr(copy, "\"decision_id\":\""), *timing = strstr(copy, "\"timing\":");
    assert_non_null(id);
    memset(id + 15, 'x', 26);
    if (timing)
        memmove(timing, strchr(timing, '}'), strlen(strchr(timing, '}')) + 1);
    return copy;
}

static void assert_same_as_alone(struct scene *s, const char *line, const char *event)
{
    struct decision_brief brief;
    struct buf out;
    buf_init(&out, 1 << 20);
    MUST(trigger_decide(s->trigger, &s->a, (const uint8_t *)event, strlen(event), &out, &brief, &s->problems, &s->e),
         &s->e);
    MUST(buf_append(&out, "", 1, &s->e), &s->e);
    assert_string_equal(lasting(s, line), lasting(s, (const char *)out.data));
    buf_fini(&out);
}

/* Events of a sample file as posted bodies; returns their number. */
static size_t sample_events(struct scene *s, const char *file, size_t n, const char **events)
{
    struct source *source;
    struct delphes *delphes;
    struct event_batch batch;
    event_batch_init(&batch);
    MUST(source_open(file, &source, &s->e), &s->e);
    MUST(delphes_open(source, "Delphes", NULL, &delphes, &s->e), &s->e);
    MUST(delphes_read(delphes, 0, n, &batch, &s->e), &s->e);
    for (size_t i = 0; i < n; i++) {
        struct buf body;
        buf_init(&body, EVENTS_IN_BYTES_MAX);
        MUST(events_in_print(&batch, i, &body, &s->e), &s->e);
        events[i] = arena_strndup(&s->a, (const char *)body.data, body.len);
        buf_fini(&body);
    }
    delphes_close(delphes);
    source_close(source);
    event_batch_fini(&batch);
    return n;
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static void test_each_event_of_a_batch_is_decided_as_alone(void **state)
{
    enum { N = 150 };
    struct scene *s = *state;
    const char *events[N];
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    scene_run_menu(s, "run3", MENU(PATH("A", "particles@1", "tt", AT(0.34)) "," PATH("B", "topo@1", "tt", AT(0.4)) ","
                                   PATH("C", "spark@1", "qcd", AT(0.3) ",\"prescales\":{\"low\":3}")));
    buf_init(&body, 32 << 20);
    sample_events(s, "tests/fixtures/sample/ttbar.root", N, events);
    for (size_t i = 0; i < N; i++)
        add_line(s, &body, events[i]);
    MUST(run(s, &body, &calls, &out, &brief), &s->e);
    assert_int_equal(brief.n_events, N);
    assert_int_equal(calls.n_decided, N);
    assert_int_equal(brief.n_accepted, calls.n_accepted);
    assert_true(brief.n_accepted > 0 && brief.n_accepted < N);
    struct span rest = {out.data, out.len};
    for (size_t i = 0; i < N; i++)
        assert_same_as_alone(s, take_line(s, &rest), events[i]);
    assert_int_equal(rest.len, 0);
    buf_fini(&out);
    buf_fini(&body);
}

static void test_posted_features_are_scored_together_and_say_how_many(void **state)
{
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    struct json *v;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0.4))));
    buf_init(&body, 1 << 20);
    for (int i = 0; i < 70; i++)
        add_line(s, &body, HLF_EVENT);
    MUST(run(s, &body, &calls, &out, &brief), &s->e);
    struct span rest = {out.data, out.len};
    for (int i = 0; i < 70; i++) {
        const char *line = take_line(s, &rest);
        assert_same_as_alone(s, line, HLF_EVENT);
        MUST(json_parse(line, strlen(line), &v, &s->e), &s->e);
        assert_int_equal(json_int(json_get(json_get(v, "timing"), "batch_size"), 0), i < 64 ? 64 : 6);
        json_free(v);
    }
    buf_fini(&out);
    buf_fini(&body);
}

static void test_a_bad_line_gets_its_problem_in_its_place_and_the_rest_go_on(void **state)
{
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0.4))));
    buf_init(&body, 1 << 20);
    add_line(s, &body, HLF_EVENT);
    add_line(s, &body, "{\"schema\":\"hlf/1\",");
    add_line(s, &body, "");
    add_line(s, &body, " \r");
    add_line(s, &body, "{\"schema\":\"hlf/1\",\"hlf\":[1]}");
    add_line(s, &body, HLF_EVENT "\r");
    add_line(s, &body, "{\"schema\":\"hlf/1\",\"hlf\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"options\":{\"menu\":\"other\"}}");
    add_line(s, &body, "{\"schema\":\"hlf/1\",\"hlf\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"options\":{\"deadline_ms\":0}}");
    MUST(buf_append(&body, HLF_EVENT, strlen(HLF_EVENT), &s->e), &s->e);        /* no newline at the end */
    MUST(run(s, &body, &calls, &out, &brief), &s->e);
    assert_int_equal(brief.n_events, 7);
    assert_int_equal(brief.n_refused, 4);
    assert_int_equal(calls.n_refused, 4);
    assert_int_equal(calls.n_decided, 3);
    const int64_t lines[] = {2, 5, 7, 8};
    const enum status status[] = {STATUS_FORMAT, STATUS_ARGUMENT, STATUS_ARGUMENT, STATUS_BUSY};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(calls.lines[i], lines[i]);
        assert_int_equal(calls.status[i], status[i]);
    }
    assert_string_equal(calls.reasons[3], "deadline_exceeded");
    struct span rest = {out.data, out.len};
    assert_same_as_alone(s, take_line(s, &rest), HLF_EVENT);
    assert_string_equal(take_line(s, &rest), "refused 2 -");
    assert_string_equal(take_line(s, &rest), "refused 5 /hlf");
    assert_same_as_alone(s, take_line(s, &rest), HLF_EVENT);
    assert_string_equal(take_line(s, &rest), "refused 7 /options/menu");
    assert_string_equal(take_line(s, &rest), "refused 8 -");
    assert_same_as_alone(s, take_line(s, &rest), HLF_EVENT);
    buf_fini(&out);
    buf_fini(&body);
}

static void test_without_a_menu_only_lines_that_name_a_model_are_decided(void **state)
{
    static const char named[] =
        "{\"schema\":\"hlf/1\",\"hlf\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0],\"options\":{\"model\":\"topo@1\"}}";
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    buf_init(&body, 1 << 20);
    add_line(s, &body, HLF_EVENT);
    add_line(s, &body, named);
    MUST(run(s, &body, &calls, &out, &brief), &s->e);
    assert_int_equal(calls.n_refused, 1);
    assert_string_equal(calls.reasons[0], "no_active_menu");
    struct span rest = {out.data, out.len};
    assert_string_equal(take_line(s, &rest), "refused 1 -");
    assert_same_as_alone(s, take_line(s, &rest), named);
    buf_fini(&out);
    buf_fini(&body);
}

static void test_a_batch_without_events_or_with_too_many_is_refused_as_a_whole(void **state)
{
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    buf_init(&body, 1 << 20);
    add_line(s, &body, "  ");
    assert_int_equal(run(s, &body, &calls, &out, &brief), STATUS_ARGUMENT);
    body.len = 0;
    for (int i = 0; i < BATCH_EVENTS_MAX + 1; i++)
        add_line(s, &body, "{}");
    assert_int_equal(run(s, &body, &calls, &out, &brief), STATUS_ARGUMENT);
    assert_int_equal(calls.n_refused, 0);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    buf_fini(&body);
}

static void test_an_allocation_that_fails_ends_the_batch_with_nothing_written(void **state)
{
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    const char *events[3];
    scene_run_menu(s, "run3", MENU(PATH("A", "particles@1", "tt", AT(0))));
    sample_events(s, "tests/fixtures/sample/ttbar.root", 3, events);
    buf_init(&body, 1 << 20);
    for (size_t i = 0; i < 3; i++)
        add_line(s, &body, events[i]);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        trigger_destroy(s->trigger);
        s->trigger = NULL;
        log_set(LOG_ERROR, scene_quiet, NULL);
        enum status st = trigger_create(s->store, s->registry, &s->trigger, &s->e);
        buf_init(&out, 1 << 20);
        if (st == STATUS_OK)
            st = run(s, &body, &calls, &out, &brief);
        bool failed = alloc_fail_end();
        log_set(LOG_INFO, NULL, NULL);
        assert_true(st == STATUS_OK || st == STATUS_NOMEM);
        assert_true(failed || st == STATUS_OK);
        assert_true((st == STATUS_OK) == (out.len > 0));
        buf_fini(&out);
    }
    buf_fini(&body);
}

/* ---- binary columns -------------------------------------------------------------------------------------- */

static void put(struct scene *s, struct buf *b, const void *p, size_t n)
{
    MUST(buf_append(b, p, n, &s->e), &s->e);
}

static void put_header(struct scene *s, struct buf *b, uint32_t schema, uint32_t n, int32_t deadline_ms)
{
    put(s, b, "DLTEVENT", 8);
    put(s, b, (uint32_t[]){1, schema, n, (uint32_t)deadline_ms}, 16);
    for (int column = 0; column < 3; column++)
        for (int64_t i = 0; i < n; i++)
            put(s, b, &i, 8);
}

/* A batch of file events as a body. */
static void put_batch(struct scene *s, struct buf *b, const struct event_batch *batch)
{
    size_t n_columns;
    const struct event_column *columns = event_columns(&n_columns);
    put_header(s, b, 0, (uint32_t)batch->n_events, -1);
    for (unsigned k = 0; k < OBJECT_KINDS; k++) {
        const struct object_columns *o = &batch->objects[k];
        for (size_t i = 0; i < batch->n_events; i++) {
            uint32_t n = o->first[i + 1] - o->first[i];
            put(s, b, &n, 4);
        }
        for (size_t i = 0; i < n_columns; i++)
            if (columns[i].kind == k)
                put(s, b, *event_column_data(o, &columns[i]), 4 * (size_t)o->first[batch->n_events]);
    }
}

struct answer {
    uint32_t n, n_paths;
    const char *legend;
    const uint64_t *accepted, *raw;
    const float *score;
    const uint8_t *accept, *reason;
};

static struct answer read_answer(struct scene *s, const struct buf *out)
{
    struct answer a;
    uint32_t numbers[4];
    assert_true(out->len > 24);
    assert_memory_equal(out->data, "DLTDECIS", 8);
    memcpy(numbers, out->data + 8, sizeof numbers);
    assert_int_equal(numbers[0], 1);
    assert_int_equal(numbers[3] % 8, 0);
    a.n = numbers[1];
    a.n_paths = numbers[2];
    assert_int_equal(out->len, 24 + numbers[3] + a.n * (16 + 4 * a.n_paths + 2));
    a.legend = arena_strndup(&s->a, (const char *)out->data + 24, numbers[3]);
    uint8_t *columns = arena_alloc(&s->a, out->len, 8);
    memcpy(columns, out->data + 24 + numbers[3], out->len - 24 - numbers[3]);
    a.accepted = (const uint64_t *)(void *)columns;
    a.raw = a.accepted + a.n;
    a.score = (const float *)(const void *)(a.raw + a.n);
    a.accept = (const uint8_t *)(a.score + (size_t)a.n * a.n_paths);
    a.reason = a.accept + a.n;
    return a;
}

static enum status run_columns(struct scene *s, const struct buf *body, struct gathered_calls *calls, struct buf *out,
                               struct batch_brief *brief)
{
    const struct batch_host host = {calls, refused, decided};
    *calls = (struct gathered_calls){0};
    buf_init(out, 64 << 20);
    return trigger_decide_columns(s->trigger, time_mono_ns(), body->data, body->len, &host, out, brief, &s->e);
}

static void assert_columns_as_json(struct scene *s, const struct answer *a, size_t i, const char *line)
{
    struct json *v;
    MUST(json_parse(line, strlen(line), &v, &s->e), &s->e);
    const struct json *paths = json_get(v, "paths");
    assert_int_equal(a->accept[i], json_bool(json_get(v, "accept"), false));
    assert_string_equal(trigger_reason_name(a->reason[i]), json_str(json_get(v, "reason"), ""));
    for (size_t k = 0; k < json_count(paths); k++) {
        const struct json *path = json_at(paths, k);
        float score = a->score[k * a->n + i];
        assert_int_equal(a->accepted[i] >> k & 1, json_bool(json_get(path, "accept"), false));
        assert_int_equal(a->raw[i] >> k & 1, json_bool(json_get(path, "raw"), false));
        if (json_type_of(json_get(path, "score")) == JSON_NULL_)
            assert_true(isnan(score));
        else
            assert_true(score == (float)json_num(json_get(path, "score"), -1));
    }
    json_free(v);
}

static void test_binary_events_are_decided_as_the_same_events_in_json(void **state)
{
    enum { N = 150 };
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief, same;
    struct buf lines, columns, out, answer;
    struct source *source;
    struct delphes *delphes;
    struct event_batch batch;
    /* Identity decides prescales: both forms say the same. */
    scene_run_menu(s, "run3", MENU(PATH("A", "particles@1", "tt", AT(0.34)) "," PATH("B", "spark@1", "tt", AT(0.4))));
    event_batch_init(&batch);
    MUST(source_open("tests/fixtures/sample/ttbar.root", &source, &s->e), &s->e);
    MUST(delphes_open(source, "Delphes", NULL, &delphes, &s->e), &s->e);
    MUST(delphes_read(delphes, 0, N, &batch, &s->e), &s->e);
    buf_init(&lines, 32 << 20);
    buf_init(&columns, 32 << 20);
    for (size_t i = 0; i < N; i++) {
        MUST(events_in_print(&batch, i, &lines, &s->e), &s->e);
        put(s, &lines, "\n", 1);
    }
    put_batch(s, &columns, &batch);
    MUST(run(s, &lines, &calls, &out, &same), &s->e);
    MUST(run_columns(s, &columns, &calls, &answer, &brief), &s->e);
    assert_int_equal(brief.n_events, N);
    assert_int_equal(brief.n_accepted, same.n_accepted);
    assert_true(brief.n_accepted > 0 && brief.n_accepted < N);
    struct answer a = read_answer(s, &answer);
    assert_int_equal(a.n, N);
    assert_int_equal(a.n_paths, 2);
    assert_non_null(strstr(a.legend, "\"paths\":[\"A\",\"B\"]"));
    struct span rest = {out.data, out.len};
    for (size_t i = 0; i < N; i++)
        assert_columns_as_json(s, &a, i, take_line(s, &rest));
    delphes_close(delphes);
    source_close(source);
    event_batch_fini(&batch);
    buf_fini(&out);
    buf_fini(&answer);
    buf_fini(&lines);
    buf_fini(&columns);
}

static void test_binary_features_are_feature_by_feature_and_a_number_that_is_none_refuses_its_event_only(void **state)
{
    enum { N = 3 };
    const float hlf[HLF_COUNT] = {0.5f, 1.5f, -0.25f, 1, 0, 0, 0.5f, 0, 0, 0, 0, 0, 1, 0};
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf body, out;
    float column[N], scores[3];
    struct model *m;
    const char *canonical;
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0))));
    buf_init(&body, 1 << 20);
    put_header(s, &body, 1, N, -1);
    for (size_t k = 0; k < HLF_COUNT; k++) {
        for (size_t i = 0; i < N; i++)
            column[i] = i == 1 && k == 5 ? INFINITY : hlf[k] + (float)i;
        put(s, &body, column, sizeof column);
    }
    MUST(run_columns(s, &body, &calls, &out, &brief), &s->e);
    struct answer a = read_answer(s, &out);
    assert_int_equal(brief.n_refused, 1);
    assert_int_equal(calls.lines[0], 2);
    assert_int_equal(a.reason[1], BINARY_REFUSED);
    assert_int_equal(a.accept[1], 0);
    MUST(registry_get(s->registry, &s->a, "topo@1", &m, &canonical, &s->e), &s->e);
    model_predict_hlf(m, hlf, 1, scores);
    assert_true(a.score[0] == scores[1] && a.accept[0] == 1 && a.accepted[0] == 1);
    assert_true(isnan(a.score[1]) && isfinite(a.score[2]));
    model_release(m);
    buf_fini(&out);
    buf_fini(&body);
}

static void test_malformed_columns_are_refused_as_a_whole(void **state)
{
    struct scene *s = *state;
    struct gathered_calls calls;
    struct batch_brief brief;
    struct buf good, body, out;
    static const float hlf[HLF_COUNT];
    scene_run_menu(s, "run3", MENU(PATH("A", "topo@1", "tt", AT(0))));
    buf_init(&good, 1 << 20);
    buf_init(&body, 1 << 20);
    put_header(s, &good, 1, 1, -1);
    put(s, &good, hlf, sizeof hlf);
    for (size_t n = 0; n < good.len; n++) {                        /* every length but the right one */
        body.len = 0;
        put(s, &body, good.data, n);
        assert_int_equal(run_columns(s, &body, &calls, &out, &brief), STATUS_FORMAT);
    }
    body.len = 0;
    put(s, &body, good.data, good.len);
    put(s, &body, "", 1);
    assert_int_equal(run_columns(s, &body, &calls, &out, &brief), STATUS_FORMAT);
    static const struct { size_t at; uint8_t value; } lies[] = {{0, 'X'}, {8, 2}, {12, 2}, {16, 0}, {18, 1}, {23, 0x80}};
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        body.len = 0;
        put(s, &body, good.data, good.len);
        body.data[lies[i].at] = lies[i].value;
        assert_int_equal(run_columns(s, &body, &calls, &out, &brief), STATUS_FORMAT);
    }
    buf_fini(&good);
    buf_fini(&body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_event_of_a_batch_is_decided_as_alone),
        TEST(test_posted_features_are_scored_together_and_say_how_many),
        TEST(test_a_bad_line_gets_its_problem_in_its_place_and_the_rest_go_on),
        TEST(test_without_a_menu_only_lines_that_name_a_model_are_decided),
        TEST(test_a_batch_without_events_or_with_too_many_is_refused_as_a_whole),
        TEST(test_binary_events_are_decided_as_the_same_events_in_json),
        TEST(test_binary_features_are_feature_by_feature_and_a_number_that_is_none_refuses_its_event_only),
        TEST(test_malformed_columns_are_refused_as_a_whole),
        TEST(test_an_allocation_that_fails_ends_the_batch_with_nothing_written),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
