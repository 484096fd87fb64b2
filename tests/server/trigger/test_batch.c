/* tests/server/trigger/test_batch.c
 *
 * Batches: the decisions of many events at once are those of each alone, in order, and what is wrong with a line stays
 * that line's affair. */
#include "server/trigger/decide.h"

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_event_of_a_batch_is_decided_as_alone),
        TEST(test_posted_features_are_scored_together_and_say_how_many),
        TEST(test_a_bad_line_gets_its_problem_in_its_place_and_the_rest_go_on),
        TEST(test_without_a_menu_only_lines_that_name_a_model_are_decided),
        TEST(test_a_batch_without_events_or_with_too_many_is_refused_as_a_whole),
        TEST(test_an_allocation_that_fails_ends_the_batch_with_nothing_written),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
