/* tests/server/test_config.c
 *
 * Settings: where each may come from, who wins, and what is refused. */
#include "server/config.h"

#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena arena;
static struct config config;
static struct error error;
static enum config_action action;
static const char *environment[8][2];

static char *fake_env(const char *name)
{
    for (size_t i = 0; environment[i][0]; i++)
        if (strcmp(environment[i][0], name) == 0)
            return (char *)(uintptr_t)environment[i][1];
    return NULL;
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    memset(environment, 0, sizeof environment);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* Arguments behind the program's name, up to a NULL. */
static enum status load(const char *first, ...)
{
    char *argv[32] = {(char *)(uintptr_t)"dltriggerd"};
    int argc = 1;
    va_list args;
    va_start(args, first);
    for (const char *arg = first; arg; arg = va_arg(args, const char *))
        argv[argc++] = (char *)(uintptr_t)arg;
    va_end(args);
    return config_load(&arena, argc, argv, fake_env, &config, &action, &error);
}

static const char *root(size_t i)
{
    return ((const char **)config.data_root.items)[i];
}

static void test_defaults_need_only_a_data_folder(void **state)
{
    (void)state;
    assert_int_equal(load("--data-dir", "d", NULL), STATUS_OK);
    assert_int_equal(action, CONFIG_RUN);
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.port, 8080);
    assert_string_equal(config.data_dir, "d");
    assert_int_equal(config.data_root.n_items, 0);
    assert_in_range(config.http_threads, 2, 8);
    assert_in_range(config.workers, 1, 2);
    assert_true(config.threads >= 1);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(load(NULL), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "--data-dir"));
}

static void test_flags_beat_environment_beats_file(void **state)
{
    char *folder = temp_folder_create();
    const char *file = path_in(folder, "config.json");
    static const char text[] = "{\"data_dir\":\"from_file\",\"workers\":3,\"threads\":3,\"log_level\":\"warn\","
                               "\"drain_grace_seconds\":2.5,\"data_root\":[\"/\",\"/tmp\"]}";
    (void)state;
    assert_int_equal(file_write_atomic(file, text, sizeof text - 1, &error), STATUS_OK);
    environment[0][0] = "DLTRIGGER_WORKERS", environment[0][1] = "4";
    environment[1][0] = "DLTRIGGER_THREADS", environment[1][1] = "4";
    environment[2][0] = "DLTRIGGER_CONFIG", environment[2][1] = file;
    assert_int_equal(load("--threads=5", NULL), STATUS_OK);
    assert_string_equal(config.data_dir, "from_file");
    assert_int_equal(config.workers, 4);
    assert_int_equal(config.threads, 5);
    assert_int_equal(config.log_level, LOG_WARN);
    assert_true(config.drain_grace_seconds == 2.5);
    assert_int_equal(config.data_root.n_items, 2);
    assert_int_equal(load("--config", "/nowhere/x.json", "--data-dir", "d", NULL), STATUS_NOTFOUND);
    temp_folder_remove(folder);
}

static void test_lists_are_replaced_by_the_stronger_source(void **state)
{
    (void)state;
    environment[0][0] = "DLTRIGGER_DATA_ROOT", environment[0][1] = "/usr:/";
    assert_int_equal(load("--data-dir", "d", NULL), STATUS_OK);
    assert_int_equal(config.data_root.n_items, 2);
    assert_string_equal(root(0), "/usr");
    assert_string_equal(root(1), "/");
    assert_int_equal(load("--data-dir", "d", "--data-root", "/usr/../usr", "--data-root=/", NULL), STATUS_OK);
    assert_int_equal(config.data_root.n_items, 2);
    assert_string_equal(root(0), "/usr");
    assert_int_equal(load("--data-dir", "d", "--data-root", "/does/not/exist", NULL), STATUS_NOTFOUND);
    environment[0][1] = "/usr::/";
    assert_int_equal(load("--data-dir", "d", NULL), STATUS_ARGUMENT);
}

static void test_what_is_listened_on_is_a_numeric_address_with_its_port(void **state)
{
    static const char *const good[] = {"127.0.0.1:0", "127.3.2.1:99", "localhost:8080", "[::1]:8080"};
    static const char *const elsewhere[] = {"0.0.0.0:8080", "[::]:80", "192.168.1.5:8080"};   /* for a service with keys */
    static const char *const nonsense[] = {"8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                                           "127.0.0.1:-1", "127.0.0.1:8080x", "127.0.0.1: 80", "", "example.org:80"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(load("--data-dir", "d", "--listen", good[i], NULL), STATUS_OK);
    assert_string_equal(config.host, "::1");
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        assert_int_equal(load("--data-dir", "d", "--listen", elsewhere[i], NULL), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++)
        assert_int_equal(load("--data-dir", "d", "--listen", nonsense[i], NULL), STATUS_ARGUMENT);
}

static void test_what_is_unknown_or_out_of_range_is_refused(void **state)
{
    (void)state;
    assert_int_equal(load("--data-dir", "d", "--wrokers", "3", NULL), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "--wrokers"));
    assert_int_equal(load("--data-dir", "d", "stray", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "d", "-x", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "d", "--workers", "three", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "d", "--workers", "3.5", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "d", "--workers", "-1", NULL), STATUS_RANGE);
    assert_int_equal(load("--data-dir", "d", "--workers", "99999999999999999999", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "d", "--drain-grace-seconds", "nan", NULL), STATUS_RANGE);
    assert_int_equal(load("--data-dir", "d", "--log-level", "loud", NULL), STATUS_ARGUMENT);
    assert_int_equal(load("--data-dir", "d", "--configuration", "x", NULL), STATUS_ARGUMENT);
}

static void test_unknown_member_of_the_file_is_refused_with_its_name(void **state)
{
    char *folder = temp_folder_create();
    const char *file = path_in(folder, "config.json");
    static const char text[] = "{\"data_dir\":\"d\",\"worker\":3}";
    (void)state;
    assert_int_equal(file_write_atomic(file, text, sizeof text - 1, &error), STATUS_OK);
    assert_int_equal(load("--config", file, NULL), STATUS_ARGUMENT);
    assert_non_null(strstr(error.text, "worker"));
    assert_int_equal(file_write_atomic(file, "{", 1, &error), STATUS_OK);
    assert_int_equal(load("--config", file, NULL), STATUS_FORMAT);
    temp_folder_remove(folder);
}

static void test_actions_need_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(load("--help", NULL), STATUS_OK);
    assert_int_equal(action, CONFIG_HELP);
    assert_int_equal(load("--version", NULL), STATUS_OK);
    assert_int_equal(action, CONFIG_VERSION);
    assert_int_equal(load("--print-routes", NULL), STATUS_OK);
    assert_int_equal(action, CONFIG_ROUTES);
    assert_int_equal(load("--data-dir", "d", "--print-config", "--workers", "7", NULL), STATUS_OK);
    assert_int_equal(action, CONFIG_PRINT);
    assert_int_equal(config.workers, 7);
}

static void test_printed_settings_read_back_the_same(void **state)
{
    char *folder = temp_folder_create();
    const char *file = path_in(folder, "config.json");
    struct buf first, second;
    (void)state;
    buf_init(&first, 1 << 16);
    buf_init(&second, 1 << 16);
    assert_int_equal(load("--data-dir", "d", "--data-root", "/usr", "--allowed-host", "a.example.org", "--port-file", "p",
                          "--drain-grace-seconds", "0.25", NULL), STATUS_OK);
    assert_int_equal(config_print_json(&config, &first, &error), STATUS_OK);
    assert_int_equal(file_write_atomic(file, first.data, first.len, &error), STATUS_OK);
    assert_int_equal(load("--config", file, NULL), STATUS_OK);
    assert_int_equal(config_print_json(&config, &second, &error), STATUS_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    buf_fini(&first);
    buf_fini(&second);
    temp_folder_remove(folder);
}

static void test_help_names_every_setting(void **state)
{
    struct buf help;
    (void)state;
    buf_init(&help, 1 << 16);
    assert_int_equal(config_print_help(&help, &error), STATUS_OK);
    assert_int_equal(buf_append(&help, "", 1, &error), STATUS_OK);
    for (const struct field *f = config_fields; f->name; f++) {
        char flag[64];
        snprintf(flag, sizeof flag, "  --%s ", f->name);
        for (char *p = flag; *p; p++)
            *p = *p == '_' ? '-' : *p;
        assert_non_null(strstr((const char *)help.data, flag));
        assert_non_null(f->doc);
    }
    buf_fini(&help);
}

static void test_loading_survives_each_failing_allocation(void **state)
{
    (void)state;
    environment[0][0] = "DLTRIGGER_DATA_ROOT", environment[0][1] = "/usr:/";
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        arena_fini(&arena);
        enum status s = load("--data-dir", "d", NULL);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_need_only_a_data_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flags_beat_environment_beats_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists_are_replaced_by_the_stronger_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_listened_on_is_a_numeric_address_with_its_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_unknown_or_out_of_range_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_member_of_the_file_is_refused_with_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_actions_need_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_printed_settings_read_back_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_help_names_every_setting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_loading_survives_each_failing_allocation, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
