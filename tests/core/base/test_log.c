/* tests/core/base/test_log.c */
#include "tests/support/unit.h"

#include <string.h>

struct seen {
    size_t n_lines, n_bytes;
    enum log_level level;
    char line[4096];
};

static void remember(void *ctx, enum log_level level, const char *line)
{
    struct seen *seen = ctx;
    seen->n_lines++;
    seen->n_bytes += strlen(line);
    seen->level = level;
    text_copy(seen->line, sizeof seen->line, line);
}

static void test_lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    struct seen seen = {0};
    log_set(LOG_WARN, remember, &seen);
    log_line(LOG_INFO, "not seen");
    assert_int_equal(seen.n_lines, 0);
    log_line(LOG_WARN, "disk %d%% full", 91);
    assert_int_equal(seen.n_lines, 1);
    assert_int_equal(seen.level, LOG_WARN);
    assert_string_equal(seen.line, "disk 91% full");
    log_set(LOG_DEBUG, remember, &seen);
    log_line(LOG_DEBUG, "seen");
    assert_int_equal(seen.n_lines, 2);
    log_set(LOG_INFO, NULL, NULL);
}

static void test_a_line_is_one_line_of_clean_text(void **state)
{
    (void)state;
    struct seen seen = {0};
    log_set(LOG_INFO, remember, &seen);
    log_line(LOG_INFO, "name %s", "a\nERROR forged\x1b[2J\xff");
    assert_string_equal(seen.line, "name a ERROR forged [2J?");
    log_line(LOG_INFO, "%5000s", "x");
    assert_int_equal(strlen(seen.line), 2047);
    log_set(LOG_INFO, NULL, NULL);
}

static enum status log_some(void *ctx, size_t i, size_t thread, struct error *e)
{
    (void)ctx, (void)thread, (void)e;
    log_line(LOG_INFO, "%08zu", i);
    return STATUS_OK;
}

static void test_the_sink_is_called_by_one_thread_at_a_time(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct error e;
    log_set(LOG_INFO, remember, &seen);
    assert_ok(par_for(8, 4000, log_some, NULL, &e), &e);
    log_set(LOG_INFO, NULL, NULL);
    assert_int_equal(seen.n_lines, 4000);
    assert_int_equal(seen.n_bytes, 32000);
}

static void test_clocks_run_forward_in_their_units(void **state)
{
    (void)state;
    int64_t mono_ns = time_mono_ns(), unix_us = time_unix_us();
    assert_true(unix_us > 1600000000ll * 1000000);            /* after 2020 */
    while (time_mono_ns() == mono_ns)
        ;
    assert_true(time_mono_ns() > mono_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_below_the_level_are_dropped),
        cmocka_unit_test(test_a_line_is_one_line_of_clean_text),
        cmocka_unit_test(test_the_sink_is_called_by_one_thread_at_a_time),
        cmocka_unit_test(test_clocks_run_forward_in_their_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
