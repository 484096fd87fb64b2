/* tests/server/store/test_migrations.c
 *
 * Stores of every earlier schema, filled: tests/fixtures/store/schema_N.sql.  Each is opened, and goes on where it was. */
#include "server/store/store_jobs.h"
#include "server/store/store_private.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

enum { OLDEST = 1, NEWEST_FIXTURE = 5, JOBS = 8 };

static void quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static void restore(int schema, const char *folder)
{
    char path[1024];
    struct buf sql;
    struct error e;
    sqlite3 *db;
    snprintf(path, sizeof path, "tests/fixtures/store/schema_%d.sql", schema);
    buf_init(&sql, 1 << 20);
    if (file_read(path, &sql, &e) != STATUS_OK || buf_append(&sql, "", 1, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(sqlite3_open(path_in(folder, "dltrigger.db"), &db), SQLITE_OK);
    char *why = NULL;
    if (sqlite3_exec(db, (const char *)sql.data, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", path, why);
    sqlite3_close(db);
    buf_fini(&sql);
}

static struct job_row look(struct store *s, struct arena *a, int number)
{
    char id[40];
    struct job_row row;
    struct error e;
    snprintf(id, sizeof id, "job_%026d", number);
    if (store_job_get(s, a, id, &row, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return row;
}

/* What was running is rescued with its unit; what waits runs to its end, and what waits for that after it. */
static void go_on(struct store *s, struct arena *a)
{
    struct job_row *rows;
    struct job_claim claim;
    struct error e;
    size_t n;
    int n_run = 0;
    assert_int_equal(store_jobs_rescue(s, a, "boot_new", "{\"status\":\"CANCELLED\"}", "{}", &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(look(s, a, 8).state, JOB_CANCELLED);
    for (bool found = true; found; n_run += found) {
        int64_t next;
        char token[40];
        store_new_id("t", token);
        struct job_claim_request q = {.boot = "boot_new", .token = token, .worker = "w", .now_us = time_unix_us(),
                                      .lease_us = 1000000, .alone = true};
        if (store_job_claim(s, a, &q, &claim, &found, &next, &e) != STATUS_OK)
            fail_msg("%s", e.text);
        if (found)
            assert_int_equal(store_job_complete(s, claim.id, token, &(struct job_completion){.result = "{}"}, &e), STATUS_OK);
    }
    assert_int_equal(n_run, 4);                                    /* 3, 4, 5 behind it, and 7, whose backoff is over */
}

static void check_schema(int schema)
{
    char *folder = temp_folder_create();
    struct arena a;
    struct store *s;
    struct job_row *rows;
    struct job_metric *metrics;
    struct artifact_row model;
    struct error e;
    size_t n;
    restore(schema, folder);
    arena_init(&a, 64 << 20);
    log_set(LOG_ERROR, quiet, NULL);
    if (store_open(folder, &s, &e) != STATUS_OK)
        fail_msg("schema %d: %s", schema, e.text);
    log_set(LOG_INFO, NULL, NULL);
    assert_true(store_schema_version(s) > NEWEST_FIXTURE);
    assert_int_equal(store_jobs_list(s, &a, &(struct job_filter){.limit = 100}, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, JOBS);
    struct job_row done = look(s, &a, 1);
    assert_true(done.state == JOB_COMPLETED && strcmp(done.outcome, "ok") == 0 && strcmp(done.queue, "sum") == 0);
    assert_int_equal(store_jobs_list(s, &a, &(struct job_filter){.tag = "run3a", .limit = 100}, &rows, &n, &e), STATUS_OK);
    assert_true(n == 1 && strcmp(rows[0].id, done.id) == 0);
    assert_int_equal(store_job_metrics(s, &a, done.id, "loss", &metrics, &n, &e), STATUS_OK);
    assert_int_equal(n, 5);
    if (schema >= 2) {
        assert_int_equal(store_model_resolve(s, &a, "m@champion", &model, &e), STATUS_OK);
        assert_true(model.version == 1 && strcmp(model.job_id, done.id) == 0);
    }
    go_on(s, &a);
    store_close(s);
    if (store_open(folder, &s, &e) != STATUS_OK)                   /* its pages are checked once more */
        fail_msg("schema %d: %s", schema, e.text);
    assert_int_equal(look(s, &a, 5).state, JOB_COMPLETED);
    store_close(s);
    arena_fini(&a);
    temp_folder_remove(folder);
}

static void test_stores_of_every_earlier_schema_go_on_where_they_were(void **state)
{
    (void)state;
    for (int schema = OLDEST; schema <= NEWEST_FIXTURE; schema++)
        check_schema(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_of_every_earlier_schema_go_on_where_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
