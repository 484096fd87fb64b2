/* tests/server/live/test_prom.c
 *
 * Counters and their text: what a scrape must be able to rely on. */
#include "server/live/prom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct route table[] = {
    {.method = HTTP_GET, .path = "/jobs"},
    {.method = HTTP_POST, .path = "/jobs"},
    {.method = HTTP_GET, .path = "/jobs/{id}"},
};

struct fixture {
    struct prom *prom;
    struct buf text;
    struct prom_facts facts;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct error e;
    f = (struct fixture){0};
    buf_init(&f.text, 1 << 20);
    assert_int_equal(prom_create(table, ARRAY_LEN(table), &f.prom, &e), STATUS_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    prom_destroy(f->prom);
    buf_fini(&f->text);
    return 0;
}

static const char *scrape(struct fixture *f)
{
    struct error e;
    f->text.len = 0;
    assert_int_equal(prom_write(f->prom, &f->facts, &f->text, &e), STATUS_OK);
    assert_int_equal(buf_append(&f->text, "", 1, &e), STATUS_OK);
    return (const char *)f->text.data;
}

/* Value of the series with exactly this name and labels; -1 when absent. */
static double value_of(const char *text, const char *series)
{
    size_t len = strlen(series);
    for (const char *at = strstr(text, series); at; at = strstr(at + 1, series))
        if ((at == text || at[-1] == '\n') && at[len] == ' ')
            return strtod(at + len, NULL);
    return -1;
}

static void request(struct fixture *f, size_t route, enum http_method method, int status, int64_t us)
{
    prom_http_begun(f->prom);
    prom_http_done(f->prom, route, method, status, us * 1000);
}

static void test_requests_are_counted_by_route_method_and_code(void **state)
{
    struct fixture *f = *state;
    request(f, 0, HTTP_GET, 200, 10);
    request(f, 0, HTTP_GET, 200, 10);
    request(f, 0, HTTP_HEAD, 304, 10);
    request(f, 1, HTTP_POST, 422, 10);
    request(f, 3, HTTP_OTHER, 404, 10);
    request(f, 2, HTTP_GET, 0, 10);
    request(f, 2, HTTP_GET, 418, 10);
    const char *text = scrape(f);
    assert_true(value_of(text, "dltrigger_http_requests_total{route=\"/jobs\",method=\"GET\",code=\"200\"}") == 2);
    assert_true(value_of(text, "dltrigger_http_requests_total{route=\"/jobs\",method=\"HEAD\",code=\"304\"}") == 1);
    assert_true(value_of(text, "dltrigger_http_requests_total{route=\"/jobs\",method=\"POST\",code=\"422\"}") == 1);
    assert_true(value_of(text, "dltrigger_http_requests_total{route=\"unknown\",method=\"OTHER\",code=\"404\"}") == 1);
    assert_true(value_of(text, "dltrigger_http_requests_total{route=\"/jobs/{id}\",method=\"GET\",code=\"499\"}") == 2);
    assert_true(value_of(text, "dltrigger_http_in_flight_requests") == 0);
    prom_http_begun(f->prom);
    assert_true(value_of(scrape(f), "dltrigger_http_in_flight_requests") == 1);
}

static void test_buckets_are_cumulative_and_inclusive(void **state)
{
    struct fixture *f = *state;
    request(f, 2, HTTP_GET, 200, 50);                  /* on the border: inside */
    request(f, 2, HTTP_GET, 200, 51);
    request(f, 2, HTTP_GET, 200, 2000000);
    const char *text = scrape(f);
    assert_true(value_of(text, "dltrigger_http_request_duration_seconds_bucket{route=\"/jobs/{id}\",le=\"5e-05\"}") == 1);
    assert_true(value_of(text, "dltrigger_http_request_duration_seconds_bucket{route=\"/jobs/{id}\",le=\"0.0001\"}") == 2);
    assert_true(value_of(text, "dltrigger_http_request_duration_seconds_bucket{route=\"/jobs/{id}\",le=\"1\"}") == 2);
    assert_true(value_of(text, "dltrigger_http_request_duration_seconds_bucket{route=\"/jobs/{id}\",le=\"+Inf\"}") == 3);
    assert_true(value_of(text, "dltrigger_http_request_duration_seconds_count{route=\"/jobs/{id}\"}") == 3);
    double sum = value_of(text, "dltrigger_http_request_duration_seconds_sum{route=\"/jobs/{id}\"}");
    assert_true(sum > 2.000100 && sum < 2.000102);
}

static void test_two_methods_of_a_path_are_one_duration_series(void **state)
{
    struct fixture *f = *state;
    request(f, 0, HTTP_GET, 200, 10);
    request(f, 1, HTTP_POST, 202, 10);
    const char *text = scrape(f), *series = "dltrigger_http_request_duration_seconds_count{route=\"/jobs\"}";
    assert_true(value_of(text, series) == 2);
    assert_null(strstr(strstr(text, series) + 1, series));
}

static void test_decisions_are_counted_by_reason(void **state)
{
    struct fixture *f = *state;
    prom_decided(f->prom, &(struct decision_brief){.accept = true, .reason = "path", .total_us = 120});
    prom_decided(f->prom, &(struct decision_brief){.reason = "preselection", .total_us = 30});
    prom_decided(f->prom, &(struct decision_brief){.reason = "of a later version"});
    prom_undecided(f->prom, "invalid_event");
    prom_undecided(f->prom, "busy");
    const char *text = scrape(f);
    assert_true(value_of(text, "dltrigger_trigger_events_total{result=\"accept\",reason=\"path\"}") == 1);
    assert_true(value_of(text, "dltrigger_trigger_events_total{result=\"reject\",reason=\"preselection\"}") == 1);
    assert_true(value_of(text, "dltrigger_trigger_events_total{result=\"reject\",reason=\"other\"}") == 1);
    assert_true(value_of(text, "dltrigger_trigger_events_total{result=\"error\",reason=\"invalid_event\"}") == 1);
    assert_true(value_of(text, "dltrigger_trigger_events_total{result=\"error\",reason=\"other\"}") == 1);
    assert_true(value_of(text, "dltrigger_trigger_latency_seconds_count{stage=\"total\"}") == 3);
    assert_true(value_of(text, "dltrigger_trigger_latency_seconds_bucket{stage=\"total\",le=\"5e-05\"}") == 2);
}

static void test_facts_are_written_and_labels_cannot_break_lines(void **state)
{
    struct fixture *f = *state;
    const struct job_count jobs[] = {{"train", JOB_RUNNING, 2}, {"a\"b\\c\nd", JOB_COMPLETED, 1}};
    int64_t transitions[JOB_STATES] = {[JOB_COMPLETED] = 7};
    f->facts = (struct prom_facts){jobs, 2, transitions, "run3", 12, 1500000};
    const char *text = scrape(f);
    assert_true(value_of(text, "dltrigger_jobs{kind=\"train\",state=\"running\"}") == 2);
    assert_true(value_of(text, "dltrigger_jobs{kind=\"a_b_c_d\",state=\"completed\"}") == 1);
    assert_true(value_of(text, "dltrigger_job_transitions_total{to=\"completed\"}") == 7);
    assert_true(value_of(text, "dltrigger_menu_info{menu=\"run3\",revision=\"12\"}") == 1);
    assert_true(value_of(text, "process_start_time_seconds") == 1.5);
    assert_true(value_of(text, "process_resident_memory_bytes") > 100000);
    assert_true(value_of(text, "process_open_fds") >= 3);
    assert_true(value_of(text, "process_cpu_seconds_total") >= 0);
}

/* Each line is a comment or "name{labels} value"; each family has its TYPE before its first series. */
static void test_text_is_well_formed(void **state)
{
    struct fixture *f = *state;
    char type[300] = "";
    request(f, 0, HTTP_GET, 200, 10);
    char *text = strdup(scrape(f)), *rest = text;
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            snprintf(type, sizeof type, "%.*s", (int)strcspn(line + 7, " "), line + 7);
        } else if (line[0] != '#') {
            char *end, *space = strrchr(line, ' ');
            assert_memory_equal(line, type, strlen(type));
            assert_non_null(space);
            strtod(space + 1, &end);
            assert_true(*end == '\0' && end > space + 1);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests_are_counted_by_route_method_and_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_buckets_are_cumulative_and_inclusive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_methods_of_a_path_are_one_duration_series, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_decisions_are_counted_by_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_facts_are_written_and_labels_cannot_break_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_is_well_formed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
