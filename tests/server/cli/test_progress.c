/* tests/server/cli/test_progress.c
 *
 * The progress line's text, and that it appears on a terminal and nowhere else. */
#include "server/cli/progress.c"
#include "tests/support/support.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_the_line_says_phase_bar_percent_counts_rate_and_time_left(void **state)
{
    (void)state;
    char line[512];
    progress_line(line, sizeof line, 120, "epoch 7/50", 0.143, 1945600, 13600000, "samples", 91240, 128);
    assert_string_equal(line, "epoch 7/50  [####..........................]   14.3 %  1.95 M/13.6 M samples"
                              "  91.2 k/s  2:08 left");
    progress_line(line, sizeof line, 79, "epoch 7/50", 0.143, 1945600, 13600000, "samples", 91240, 128);
    assert_string_equal(line, "epoch 7/50  [##..........]   14.3 %  1.95 M/13.6 M samples  91.2 k/s  2:08 left");
    progress_line(line, sizeof line, 79, "3/5 a-long-step-name: epoch 7/50", 0.5, 1, 2, "samples", 0, -1);
    assert_string_equal(line, "3/5 a-long-step-name: epoch 7/50  [###########..........]   50.0 %  1/2 samples");
    progress_line(line, sizeof line, 60, "3/5 a-long-step-name: epoch 7/50", 0.5, 1, 2, "samples", 0, -1);
    assert_string_equal(line, "3/5 a-long-step-name: ep  [#####.....]   50.0 %  1/2 samples");
    progress_line(line, sizeof line, 50, "epoch 7/50", 0.143, 1945600, 13600000, "samples", 91240, 128);
    assert_null(strchr(line, '['));
    assert_true(strlen(line) <= 50);
}

static void test_what_is_unknown_is_left_out(void **state)
{
    (void)state;
    char line[512];
    progress_line(line, sizeof line, 79, "reading", 0, 0, -1, "events", 0, -1);
    assert_string_equal(line, "reading  ");
    progress_line(line, sizeof line, 79, "reading", 0, 999, -1, "events", 12.5, -1);
    assert_string_equal(line, "reading  999 events  12.5/s");
    progress_line(line, sizeof line, 79, "done", 7, 10, 10, NULL, 0, 0);
    assert_non_null(strstr(line, "[##############################]  100.0 %  10/10   0:00 left"));
}

static void test_numbers_and_times_stay_short(void **state)
{
    (void)state;
    static const struct { double value; const char *text; } numbers[] = {
        {0, "0"}, {7, "7"}, {0.5, "0.50"}, {999, "999"}, {999.6, "1.00 k"}, {1000, "1.00 k"}, {99949, "99.9 k"},
        {99951, "100 k"}, {2.5e15, "2500 T"}};
    static const struct { double seconds; const char *text; } times[] = {
        {0, "0:00"}, {59.4, "0:59"}, {3599, "59:59"}, {3600, "1:00:00"}, {100000, "27:46:40"}, {1e6, "11 days"}, {1e300, "months"}};
    char text[24];
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        format_number(numbers[i].value, text);
        assert_string_equal(text, numbers[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        format_seconds(times[i].seconds, text);
        assert_string_equal(text, times[i].text);
    }
}

static void test_a_hostile_phase_cannot_command_the_terminal(void **state)
{
    (void)state;
    char line[512], longer[2000];
    progress_line(line, sizeof line, 79, "a\033[2Jb\r\n", 0.5, 1, 2, "\033x", 0, -1);
    assert_null(strpbrk(line, "\033\r\n"));
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (int columns = 0; columns < 300; columns++) {
        progress_line(line, sizeof line, columns, longer, 0.5, 1, 2, longer, 1e300, 1e300);
        assert_true(strlen(line) <= (size_t)(columns < 20 ? 20 : columns));
        progress_line(line, sizeof line, columns, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 0.5, 1, 2, "u", 1, 1);
        assert_true(text_is_clean(line, strlen(line)));
    }
}

static void test_the_bar_is_drawn_on_a_terminal_only(void **state)
{
    (void)state;
    char seen[512] = "";
    int main_side = posix_openpt(O_RDWR | O_NOCTTY);
    if (main_side < 0 || grantpt(main_side) != 0 || unlockpt(main_side) != 0) {
        print_message("skipped: no pseudo-terminal is to be had here (is /dev/pts mounted?)\n");
        skip();
    }
    FILE *terminal = fopen(ptsname(main_side), "r+");
    assert_non_null(terminal);
    struct progress_bar bar;
    progress_bar_init(&bar, terminal);
    assert_true(bar.terminal);
    progress_bar_draw(&bar, "here", 0.5, 1, 2, "u", 0, -1);
    ssize_t n = read(main_side, seen, sizeof seen - 1);
    assert_true(n > 0 && strstr(seen, "here"));
    progress_bar_clear(&bar);
    n = read(main_side, seen, sizeof seen - 1);
    assert_true(n > 0 && memcmp(seen, "\r\033[K", 4) == 0);
    fclose(terminal);
    close(main_side);

    FILE *file = tmpfile();
    progress_bar_init(&bar, file);
    progress_bar_draw(&bar, "here", 0.5, 1, 2, "u", 0, -1);
    progress_bar_clear(&bar);
    assert_int_equal(ftell(file), 0);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_says_phase_bar_percent_counts_rate_and_time_left),
        cmocka_unit_test(test_what_is_unknown_is_left_out),
        cmocka_unit_test(test_numbers_and_times_stay_short),
        cmocka_unit_test(test_a_hostile_phase_cannot_command_the_terminal),
        cmocka_unit_test(test_the_bar_is_drawn_on_a_terminal_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
