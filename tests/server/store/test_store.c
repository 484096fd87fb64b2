/* tests/server/store/test_store.c
 *
 * The data folder's lock, migrations, damaged files, ids, artifacts, models and menus. */
#include "server/store/store.h"
#include "server/store/store_jobs.h"
#include "server/store/store_private.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct store *opened(const char *folder)
{
    struct store *s;
    struct error e;
    if (store_open(folder, &s, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return s;
}

static void quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

/* The number of the last migration of this build. */
static int newest_schema(void)
{
    int newest = 0, number;
    for (size_t i = 0; i < n_embedded_files; i++)
        if (sscanf(embedded_files[i].name, "migrations/%4d_", &number) == 1 && number > newest)
            newest = number;
    return newest;
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static void test_an_empty_folder_becomes_a_store_of_the_newest_schema(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct error e;
    struct store *s = opened(path_in(folder, "a/b"));
    assert_int_equal(store_schema_version(s), newest_schema());
    assert_int_equal(store_ping(s, &e), STATUS_OK);
    assert_true(store_folder(s)[0] == '/');
    store_close(s);
    s = opened(path_in(folder, "a/b"));
    assert_int_equal(store_schema_version(s), newest_schema());
    store_close(s);
    temp_folder_remove(folder);
}

static void test_an_empty_data_base_beside_datasets_is_a_lost_one(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s;
    struct error e;
    store_close(opened(folder));
    assert_int_equal(truncate(path_in(folder, "dltrigger.db"), 0), 0);
    store_close(opened(folder));                                   /* nothing else is there: as on the first day */
    assert_int_equal(file_make_folder(path_in(folder, "datasets"), &e), STATUS_OK);
    assert_int_equal(truncate(path_in(folder, "dltrigger.db"), 0), 0);
    assert_int_equal(store_open(folder, &s, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "restore the data base from a backup"));
    assert_int_equal(unlink(path_in(folder, "dltrigger.db")), 0);
    assert_int_equal(store_open(folder, &s, &e), STATUS_FORMAT);
    temp_folder_remove(folder);
}

static void test_a_second_opener_is_refused_and_told_who_has_it(void **state)
{
    (void)state;
    char *folder = temp_folder_create(), pid[32];
    struct store *first = opened(folder), *second;
    struct error e;
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_int_equal(store_open(folder, &second, &e), STATUS_CONFLICT);
    assert_null(second);
    assert_non_null(strstr(e.text, pid));
    store_close(first);
    store_close(opened(folder));
    temp_folder_remove(folder);
}

static void test_a_dead_process_holds_no_lock(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        opened(folder);
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    store_close(opened(folder));
    temp_folder_remove(folder);
}

static void overwrite(const char *path, long offset, size_t n)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, offset, SEEK_SET);
    for (size_t i = 0; i < n; i++)
        fputc(0xA5, f);
    fclose(f);
}

static void test_a_damaged_file_is_a_clear_error(void **state)
{
    (void)state;
    static const struct { long offset; size_t n; } damages[] = {{0, 100}, {4096, 4000}, {100, 200}};
    log_set(LOG_ERROR, quiet, NULL);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        char *folder = temp_folder_create();
        struct store *s = opened(folder);
        struct error e;
        store_close(s);
        overwrite(path_in(folder, "dltrigger.db"), damages[i].offset, damages[i].n);
        assert_int_equal(store_open(folder, &s, &e), STATUS_FORMAT);
        assert_null(s);
        assert_non_null(strstr(e.text, "damaged"));
        assert_non_null(strstr(e.text, "backup"));
        temp_folder_remove(folder);
    }
    log_set(LOG_INFO, NULL, NULL);
}

static void test_a_newer_schema_and_a_foreign_file_are_refused(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct error e;
    assert_int_equal(db_exec(&s->writer, "PRAGMA user_version = 99", &e), STATUS_OK);
    store_close(s);
    assert_int_equal(store_open(folder, &s, &e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(e.text, "99"));
    temp_folder_remove(folder);

    folder = temp_folder_create();
    struct db db;
    assert_int_equal(db_open(path_in(folder, "dltrigger.db"), true, &db, &e), STATUS_OK);
    assert_int_equal(db_exec(&db, "CREATE TABLE theirs (x)", &e), STATUS_OK);
    db_close(&db);
    assert_int_equal(store_open(folder, &s, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "another program"));
    temp_folder_remove(folder);
}

#define MIGRATION(name, sql) {name, (const unsigned char *)(sql), sizeof(sql) - 1}

static int64_t number(struct db *db, const char *sql)
{
    int64_t out;
    struct error e;
    assert_int_equal(db_number_values(db, sql, NULL, 0, -1, &out, &e), STATUS_OK);
    return out;
}

static void test_migrations_run_in_order_once_and_a_failing_one_leaves_nothing(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct db db;
    struct error e;
    int version;
    const struct embedded_file files[] = {
        MIGRATION("server/dashboard/index.html", "not SQL"),
        MIGRATION("migrations/0002_two.sql", "INSERT INTO t VALUES (2);"),
        MIGRATION("migrations/0001_one.sql", "CREATE TABLE t (x); INSERT INTO t VALUES (1);"),
        MIGRATION("migrations/0003_three.sql", "INSERT INTO t VALUES (3); INSERT INTO nowhere VALUES (1);"),
        MIGRATION("migrations/0003_three.sql", "INSERT INTO t VALUES (3);"),
    };
    assert_int_equal(db_open(path_in(folder, "x.db"), true, &db, &e), STATUS_OK);
    assert_int_equal(store_migrate(&db, files, 3, &version, &e), STATUS_OK);
    assert_int_equal(version, 2);
    assert_int_equal(number(&db, "SELECT group_concat(x, '') FROM t"), 12);
    assert_int_equal(store_migrate(&db, files, 3, &version, &e), STATUS_OK);
    log_set(LOG_ERROR, quiet, NULL);
    assert_int_not_equal(store_migrate(&db, files, 4, &version, &e), STATUS_OK);
    log_set(LOG_INFO, NULL, NULL);
    assert_non_null(strstr(e.text, "0003_three"));
    assert_int_equal(number(&db, "SELECT count(*) FROM t"), 2);
    assert_int_equal(number(&db, "PRAGMA user_version"), 2);
    const struct embedded_file mended[] = {files[1], files[2], files[4]};
    assert_int_equal(store_migrate(&db, mended, 3, &version, &e), STATUS_OK);
    assert_int_equal(number(&db, "SELECT count(*) FROM t"), 3);
    db_close(&db);
    temp_folder_remove(folder);
}

static void test_every_commit_is_synced_and_only_the_writer_checkpoints(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct db *reader;
    struct error e;
    assert_int_equal(number(&s->writer, "PRAGMA synchronous"), 2);
    assert_int_equal(number(&s->writer, "PRAGMA foreign_keys"), 1);
    assert_int_equal(store_reader_acquire(s, &reader, &e), STATUS_OK);
    assert_int_equal(number(reader, "PRAGMA wal_autocheckpoint"), 0);
    log_set(LOG_ERROR, quiet, NULL);
    assert_int_not_equal(db_exec(reader, "DELETE FROM jobs", &e), STATUS_OK);
    log_set(LOG_INFO, NULL, NULL);
    store_reader_release(s, reader);
    store_close(s);
    temp_folder_remove(folder);
}

static void test_a_backup_is_a_whole_store_of_its_own(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(path_in(folder, "data"));
    struct error e;
    int64_t revision;
    assert_int_equal(store_menu_insert(s, "m", "{}", NULL, &revision, &e), STATUS_OK);
    assert_int_equal(file_make_folder(path_in(folder, "copy"), &e), STATUS_OK);
    assert_int_equal(store_backup(s, path_in(folder, "copy/dltrigger.db"), &e), STATUS_OK);
    assert_int_equal(store_backup(s, path_in(folder, "copy/dltrigger.db"), &e), STATUS_CONFLICT);
    struct store *copy = opened(path_in(folder, "copy"));
    assert_int_equal(number(&copy->writer, "SELECT count(*) FROM menus"), 1);
    store_close(copy);
    store_close(s);
    temp_folder_remove(folder);
}

/* ---- ids ------------------------------------------------------------------------------------------------------------ */

static void *make_ids(void *arg)
{
    char (*ids)[40] = arg;
    for (int i = 0; i < 2000; i++)
        store_new_id("job", ids[i]);
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void test_ids_sort_in_the_order_they_were_given_and_never_repeat(void **state)
{
    (void)state;
    static char ids[4][2000][40];
    pthread_t threads[4];
    for (int t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, ids[t]), 0);
    for (int t = 0; t < 4; t++)
        pthread_join(threads[t], NULL);
    for (int t = 0; t < 4; t++)
        for (int i = 1; i < 2000; i++)
            assert_true(strcmp(ids[t][i - 1], ids[t][i]) < 0);
    qsort(ids, 8000, sizeof ids[0][0], by_text);
    for (int i = 1; i < 8000; i++)
        assert_string_not_equal(((char (*)[40])ids)[i - 1], ((char (*)[40])ids)[i]);
    assert_int_equal(strlen(ids[0][0]), strlen("job_") + 26);
    assert_null(strpbrk(ids[0][0] + 4, "ILOU"));
}

static void test_derived_ids_are_the_same_each_time_and_carry_the_time_of_their_origin(void **state)
{
    (void)state;
    char job[40], one[40], again[40], two[40], model[40];
    store_new_id("job", job);
    store_derived_id("ds", job, 0, one);
    store_derived_id("ds", job, 0, again);
    store_derived_id("ds", job, 1, two);
    store_derived_id("mdl", job, 0, model);
    assert_string_equal(one, again);
    assert_string_not_equal(one, two);
    assert_string_not_equal(one + 3, model + 4);
    assert_memory_equal(one + 3, job + 4, 10);
    assert_memory_equal(model, "mdl_", 4);
    assert_int_equal(strlen(one), 3 + 26);
}

/* ---- artifacts -------------------------------------------------------------------------------------------------------- */

/* A completed job that published one artifact. */
static void publish(struct store *s, const char *kind, const char *id, const char *name)
{
    struct error e;
    struct arena a;
    struct job_claim claim;
    char job[40];
    bool found;
    int64_t next, version;
    arena_init(&a, 1 << 20);
    store_new_id("job", job);
    struct job_new row = {.id = job, .kind = "fake", .spec = "{}", .spec_sha256 = "", .max_attempts = 1};
    assert_int_equal(store_jobs_insert(s, &row, 1, &e), STATUS_OK);
    struct job_claim_request q = {"boot", job, "w1", time_unix_us(), 1000000, true};
    assert_int_equal(store_job_claim(s, &a, &q, &claim, &found, &next, &e), STATUS_OK);
    assert_true(found);
    if (strcmp(kind, "model") == 0)
        assert_int_equal(store_model_version_reserve(s, job, name, &version, &e), STATUS_OK);
    struct job_publication p = {.id = id, .kind = kind, .name = name, .sha256 = "abc", .staged = "/nowhere"};
    assert_int_equal(store_publications_set(s, job, job, &p, 1, &e), STATUS_OK);
    assert_int_equal(store_job_complete(s, job, job, &(struct job_completion){.result = "{}"}, &e), STATUS_OK);
    arena_fini(&a);
}

static void assert_model(struct store *s, const char *ref, const char *id, int64_t version)
{
    struct arena a;
    struct artifact_row row;
    struct error e;
    arena_init(&a, 1 << 20);
    if (store_model_resolve(s, &a, ref, &row, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    assert_string_equal(row.id, id);
    assert_int_equal(row.version, version);
    char *folder = arena_printf(&a, "%s/models/%s", store_folder(s), id);
    assert_string_equal(row.folder, folder);
    arena_fini(&a);
}

static void test_models_are_found_by_name_version_alias_and_id(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct arena a;
    struct artifact_row row;
    struct error e;
    arena_init(&a, 1 << 20);
    publish(s, "model", "mdl_1", "hlf");
    publish(s, "model", "mdl_2", "hlf");
    publish(s, "model", "mdl_3", "other");
    assert_int_equal(store_model_alias_set(s, "hlf", "champion", 1, NULL, -1, &e), STATUS_OK);
    assert_model(s, "hlf", "mdl_2", 2);
    assert_model(s, "hlf@1", "mdl_1", 1);
    assert_model(s, "hlf@champion", "mdl_1", 1);
    assert_model(s, "mdl_3", "mdl_3", 1);
    assert_int_equal(store_model_alias_set(s, "hlf", "champion", 2, NULL, -1, &e), STATUS_OK);
    assert_model(s, "hlf@champion", "mdl_2", 2);
    assert_int_equal(store_model_alias_set(s, "hlf", "champion", 9, NULL, -1, &e), STATUS_NOTFOUND);
    assert_int_equal(store_model_alias_set(s, "hlf", "12", 1, NULL, -1, &e), STATUS_ARGUMENT);
    struct alias_move *moves;
    size_t n_moves;
    assert_int_equal(store_model_alias_moves(s, &a, "hlf", "champion", 10, &moves, &n_moves, &e), STATUS_OK);
    assert_int_equal(n_moves, 2);
    assert_int_equal(moves[0].version, 2);
    int64_t seen = moves[0].seq;
    assert_int_equal(store_model_alias_set(s, "hlf", "champion", 1, "better", seen - 1, &e), STATUS_CONFLICT);
    assert_int_equal(store_model_alias_remove(s, "hlf", "champion", "obsolete", seen, &e), STATUS_OK);
    assert_int_equal(store_model_alias_remove(s, "hlf", "champion", NULL, -1, &e), STATUS_NOTFOUND);
    assert_int_equal(store_model_alias_moves(s, &a, "hlf", NULL, 10, &moves, &n_moves, &e), STATUS_OK);
    assert_int_equal(n_moves, 3);
    assert_int_equal(moves[0].version, 0);
    assert_string_equal(moves[0].reason, "obsolete");
    assert_int_equal(store_model_alias_set(s, "hlf", "champion", 2, "again", moves[0].seq, &e), STATUS_OK);
    static const char *const absent[] = {"nothing", "hlf@9", "hlf@nobody", "hlf@", "@1", ""};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_int_equal(store_model_resolve(s, &a, absent[i], &row, &e), STATUS_NOTFOUND);
    arena_fini(&a);
    store_close(s);
    temp_folder_remove(folder);
}

static void test_artifacts_are_listed_newest_first_in_pages(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct arena a;
    struct artifact_row *rows, row;
    struct error e;
    size_t n;
    arena_init(&a, 1 << 20);
    publish(s, "dataset", "ds_1", "train");
    publish(s, "dataset", "ds_2", "test");
    publish(s, "dataset", "ds_3", "train");
    publish(s, "evaluation", "ev_1", "hlf@1");
    publish(s, "evaluation", "ev_2", "hlf@1");
    assert_int_equal(store_artifacts_list(s, &a, "dataset", NULL, NULL, 2, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].id, "ds_3");
    assert_int_equal(store_artifacts_list(s, &a, "dataset", NULL, "ds_2", 2, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].id, "ds_1");
    assert_int_equal(store_artifacts_list(s, &a, "dataset", "train", NULL, 10, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(store_artifact_get(s, &a, "dataset", "ds_2", &row, &e), STATUS_OK);
    assert_string_equal(row.name, "test");
    assert_int_equal(store_artifact_get(s, &a, "model", "ds_2", &row, &e), STATUS_NOTFOUND);
    assert_int_equal(store_evaluation_latest(s, &a, "hlf@1", &row, &e), STATUS_OK);
    assert_string_equal(row.id, "ev_2");
    assert_int_equal(store_evaluation_latest(s, &a, "hlf@2", &row, &e), STATUS_NOTFOUND);
    arena_fini(&a);
    store_close(s);
    temp_folder_remove(folder);
}

static void test_a_job_keeps_the_version_it_asked_for_and_numbers_never_repeat(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct error e;
    int64_t a, b, again, other;
    assert_int_equal(store_model_version_reserve(s, "job_a", "hlf", &a, &e), STATUS_OK);
    assert_int_equal(store_model_version_reserve(s, "job_b", "hlf", &b, &e), STATUS_OK);
    assert_int_equal(store_model_version_reserve(s, "job_a", "hlf", &again, &e), STATUS_OK);
    assert_int_equal(store_model_version_reserve(s, "job_a", "gru", &other, &e), STATUS_OK);
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(again, 1);
    assert_int_equal(other, 1);
    store_close(s);
    temp_folder_remove(folder);
}

/* ---- menus ------------------------------------------------------------------------------------------------------------ */

static void test_one_menu_revision_is_active_at_a_time(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct arena a;
    struct menu_row row, *rows;
    struct error e;
    size_t n;
    int64_t one, two, other, first, second, third;
    struct menu_activation *history;
    arena_init(&a, 1 << 20);
    assert_int_equal(store_menu_active(s, &a, &row, &e), STATUS_NOTFOUND);
    assert_int_equal(store_menu_insert(s, "run3", "{\"a\":1}", "first", &one, &e), STATUS_OK);
    assert_int_equal(store_menu_insert(s, "run3", "{\"a\":2}", NULL, &two, &e), STATUS_OK);
    assert_int_equal(store_menu_insert(s, "cosmics", "{}", NULL, &other, &e), STATUS_OK);
    assert_int_equal(one, 1);
    assert_int_equal(two, 2);
    assert_int_equal(other, 1);
    const struct menu_activation changes[] = {
        {.name = "run3", .revision = 2, .column = "low", .action = "activate", .reason = "first beam"},
        {.name = "cosmics", .revision = 1, .action = "rollback"},
        {.name = "run3", .revision = 9, .action = "activate"},
    };
    assert_int_equal(store_menu_activate(s, &changes[0], 0, "{\"frozen\":1}", &first, &e), STATUS_OK);
    assert_int_equal(store_menu_activate(s, &changes[1], 0, "{}", &second, &e), STATUS_CONFLICT);
    assert_int_equal(store_menu_activate(s, &changes[1], first, "{}", &second, &e), STATUS_OK);
    assert_true(second > first);
    assert_int_equal(store_menu_activate(s, &changes[2], -1, "{}", &third, &e), STATUS_NOTFOUND);
    assert_int_equal(store_menu_activations(s, &a, 10, &history, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_string_equal(history[0].name, "cosmics");
    assert_string_equal(history[0].action, "rollback");
    assert_int_equal(history[0].seq, second);
    assert_null(history[0].column);
    assert_string_equal(history[1].column, "low");
    assert_string_equal(history[1].reason, "first beam");
    assert_int_equal(store_menu_active(s, &a, &row, &e), STATUS_OK);
    assert_string_equal(row.name, "cosmics");
    assert_int_equal(store_menu_get(s, &a, "run3", 2, &row, &e), STATUS_OK);
    assert_false(row.active);
    assert_string_equal(row.resolved, "{\"frozen\":1}");
    assert_true(row.activated_us > 0);
    assert_int_equal(store_menu_get(s, &a, "run3", 1, &row, &e), STATUS_OK);
    assert_null(row.resolved);
    assert_string_equal(row.comment, "first");
    assert_int_equal(store_menu_get(s, &a, "run3", 3, &row, &e), STATUS_NOTFOUND);
    assert_int_equal(store_menus_list(s, &a, 0, 2, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].name, "cosmics");
    assert_int_equal(store_menus_list(s, &a, rows[1].id, 10, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].revision, 1);
    arena_fini(&a);
    store_close(s);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_folder_becomes_a_store_of_the_newest_schema),
        cmocka_unit_test(test_an_empty_data_base_beside_datasets_is_a_lost_one),
        cmocka_unit_test(test_a_second_opener_is_refused_and_told_who_has_it),
        cmocka_unit_test(test_a_dead_process_holds_no_lock),
        cmocka_unit_test(test_a_damaged_file_is_a_clear_error),
        cmocka_unit_test(test_a_newer_schema_and_a_foreign_file_are_refused),
        cmocka_unit_test(test_migrations_run_in_order_once_and_a_failing_one_leaves_nothing),
        cmocka_unit_test(test_every_commit_is_synced_and_only_the_writer_checkpoints),
        cmocka_unit_test(test_a_backup_is_a_whole_store_of_its_own),
        cmocka_unit_test(test_ids_sort_in_the_order_they_were_given_and_never_repeat),
        cmocka_unit_test(test_derived_ids_are_the_same_each_time_and_carry_the_time_of_their_origin),
        cmocka_unit_test(test_models_are_found_by_name_version_alias_and_id),
        cmocka_unit_test(test_artifacts_are_listed_newest_first_in_pages),
        cmocka_unit_test(test_a_job_keeps_the_version_it_asked_for_and_numbers_never_repeat),
        cmocka_unit_test(test_one_menu_revision_is_active_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
