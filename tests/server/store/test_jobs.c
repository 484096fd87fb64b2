/* tests/server/store/test_jobs.c
 *
 * The queue and the states of a job as the store keeps them: order, leases, fencing, crashes, cancels, retries. */
#include "server/store/store_jobs.h"
#include "server/store/store_private.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRY "{\"detail\":\"an error\"}"
#define UPSTREAM "{\"detail\":\"upstream\"}"

struct fixture {
    char *folder;
    struct store *s;
    struct arena a;
    struct error e;
    bool changed;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->folder = temp_folder_create();
    arena_init(&f->a, 64 << 20);
    *state = f;
    return store_open(f->folder, &f->s, &f->e) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    arena_fini(&f->a);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

#define OK(expr) do { if ((expr) != STATUS_OK) fail_msg("%s: %s", #expr, f->e.text); } while (0)
#define IS(expr, status) assert_int_equal((expr), (status))

static void insert(struct fixture *f, const char *id, int priority, const char *needs)
{
    struct job_new job = {.id = id, .kind = "fake", .spec = "{}", .spec_sha256 = "00", .priority = priority,
                          .max_attempts = 2, .needs = needs, .pipeline_id = "pl_1", .step = id};
    OK(store_jobs_insert(f->s, &job, 1, &f->e));
}

/* Takes the next job under the token; "" when there is none. */
static const char *claim(struct fixture *f, const char *boot, const char *token, bool alone)
{
    struct job_claim c;
    bool found;
    int64_t next;
    struct job_claim_request q = {boot, token, "w1", time_unix_us(), 1000000, alone};
    OK(store_job_claim(f->s, &f->a, &q, &c, &found, &next, &f->e));
    return found ? c.id : "";
}

static struct job_row row_of(struct fixture *f, const char *id)
{
    struct job_row row;
    OK(store_job_get(f->s, &f->a, id, &row, &f->e));
    return row;
}

static void assert_state(struct fixture *f, const char *id, enum job_state state)
{
    struct job_row row = row_of(f, id);
    if (row.state != state)
        fail_msg("%s is %s, not %s", id, job_state_name(row.state), job_state_name(state));
}

static void commit_unit(struct fixture *f, const char *id, const char *token, int64_t unit)
{
    OK(store_unit_commit(f->s, id, token, 0, unit, (struct span){(const uint8_t *)"r", 1}, &f->e));
}

static int64_t n_committed(struct fixture *f, const char *id)
{
    bool done[16];
    int64_t n;
    OK(store_units_committed(f->s, id, 0, 16, done, &n, &f->e));
    return n;
}

/* ---- the queue ------------------------------------------------------------------------------------------------------ */

static void test_jobs_are_taken_by_priority_then_by_age(void **state)
{
    struct fixture *f = *state;
    insert(f, "job_1", 5, NULL);
    insert(f, "job_2", 0, NULL);
    insert(f, "job_3", 5, NULL);
    insert(f, "job_4", 0, NULL);
    assert_string_equal(claim(f, "b", "t1", true), "job_2");
    assert_string_equal(claim(f, "b", "t2", true), "job_4");
    assert_string_equal(claim(f, "b", "t3", true), "job_1");
    assert_string_equal(claim(f, "b", "t4", true), "job_3");
    assert_string_equal(claim(f, "b", "t5", true), "");
    struct job_row row = row_of(f, "job_1");
    assert_int_equal(row.state, JOB_RUNNING);
    assert_int_equal(row.attempt, 1);
    assert_string_equal(row.worker, "w1");
    assert_true(row.started_us >= row.created_us && row.lease_expires_us > row.started_us);
}

static void test_a_job_never_starts_before_it_was_made(void **state)
{
    struct fixture *f = *state;
    struct job_claim c;
    bool found;
    int64_t next, before = time_unix_us() - 1000000;
    insert(f, "job_1", 0, NULL);
    struct job_claim_request q = {"b", "t", "w1", before, 1000000, true};
    OK(store_job_claim(f->s, &f->a, &q, &c, &found, &next, &f->e));
    assert_true(found);
    struct job_row row = row_of(f, "job_1");
    assert_int_equal(row.started_us, row.created_us);
}

static void test_insertion_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct job_row row;
    struct job_new jobs[2] = {{.id = "job_a", .kind = "k", .spec = "{}", .spec_sha256 = "", .max_attempts = 1},
                              {.id = "job_b", .kind = "k", .spec = "{}", .spec_sha256 = "", .max_attempts = 1,
                               .needs = "[\"job_nowhere\"]"}};
    IS(store_jobs_insert(f->s, jobs, 2, &f->e), STATUS_CONFLICT);
    IS(store_job_get(f->s, &f->a, "job_a", &row, &f->e), STATUS_NOTFOUND);
}

static void test_a_job_waits_for_all_that_it_needs(void **state)
{
    struct fixture *f = *state;
    struct job_new jobs[3] = {
        {.id = "job_c", .kind = "k", .spec = "{}", .spec_sha256 = "", .max_attempts = 1, .needs = "[\"job_a\",\"job_b\"]"},
        {.id = "job_a", .kind = "k", .spec = "{}", .spec_sha256 = "", .max_attempts = 1},
        {.id = "job_b", .kind = "k", .spec = "{}", .spec_sha256 = "", .max_attempts = 1}};
    OK(store_jobs_insert(f->s, jobs, 3, &f->e));
    assert_state(f, "job_c", JOB_PENDING);
    assert_string_equal(claim(f, "b", "t1", true), "job_a");
    OK(store_job_complete(f->s, "job_a", "t1", &(struct job_completion){.result = "{}"}, &f->e));
    assert_state(f, "job_c", JOB_PENDING);
    assert_string_equal(claim(f, "b", "t2", true), "job_b");
    OK(store_job_complete(f->s, "job_b", "t2", &(struct job_completion){.result = "{}"}, &f->e));
    assert_state(f, "job_c", JOB_AVAILABLE);
}

static void test_lists_filter_and_page_newest_first(void **state)
{
    struct fixture *f = *state;
    struct job_row *rows;
    struct job_count *counts;
    size_t n;
    for (int i = 1; i <= 5; i++) {
        char id[16];
        snprintf(id, sizeof id, "job_%d", i);
        insert(f, id, 0, NULL);
    }
    OK(store_job_cancel(f->s, "job_3", UPSTREAM, &(enum job_state){0}, &f->changed, &f->e));
    struct job_filter filter = {.limit = 2};
    OK(store_jobs_list(f->s, &f->a, &filter, &rows, &n, &f->e));
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].id, "job_5");
    filter.before = "job_4";
    OK(store_jobs_list(f->s, &f->a, &filter, &rows, &n, &f->e));
    assert_string_equal(rows[0].id, "job_3");
    filter = (struct job_filter){.state = "cancelled", .kind = "fake", .pipeline_id = "pl_1", .limit = 10};
    OK(store_jobs_list(f->s, &f->a, &filter, &rows, &n, &f->e));
    assert_int_equal(n, 1);
    filter.kind = "other";
    OK(store_jobs_list(f->s, &f->a, &filter, &rows, &n, &f->e));
    assert_int_equal(n, 0);
    OK(store_jobs_count(f->s, &f->a, &counts, &n, &f->e));
    assert_int_equal(n, 2);
    assert_int_equal(counts[0].n + counts[1].n, 5);
}

/* ---- leases ------------------------------------------------------------------------------------------------------------ */

static void test_every_write_under_a_lost_lease_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct job_publication p = {.id = "ds_1", .kind = "dataset", .staged = "/x"};
    struct job_publication *items;
    size_t n;
    bool found;
    struct buf b;
    insert(f, "job_1", 0, NULL);
    claim(f, "b", "mine", true);
    IS(store_unit_commit(f->s, "job_1", "theirs", 0, 0, (struct span){NULL, 0}, &f->e), STATUS_CANCELLED);
    IS(store_checkpoint_save(f->s, "job_1", "theirs", "x", 1, &f->e), STATUS_CANCELLED);
    IS(store_job_spec_set(f->s, "job_1", "theirs", "{}", "", &f->e), STATUS_CANCELLED);
    IS(store_publications_set(f->s, "job_1", "theirs", &p, 1, &f->e), STATUS_CANCELLED);
    IS(store_units_clear(f->s, "job_1", "theirs", &f->e), STATUS_CANCELLED);
    IS(store_job_complete(f->s, "job_1", "theirs", &(struct job_completion){.result = "{}"}, &f->e), STATUS_CANCELLED);
    IS(store_job_fail(f->s, "job_1", "theirs", -1, ENTRY, UPSTREAM, &f->e), STATUS_CANCELLED);
    IS(store_job_interrupt(f->s, "job_1", "theirs", &f->e), STATUS_CANCELLED);
    IS(store_job_cancelled(f->s, "job_1", "theirs", NULL, UPSTREAM, &f->e), STATUS_CANCELLED);
    struct job_flush flush[2] = {{.id = "job_1", .token = "theirs", .done = 5, .total = 9},
                                 {.id = "job_1", .token = "mine", .done = 3, .total = 9, .phase = "p"}};
    OK(store_jobs_flush(f->s, flush, 2, 77, &f->e));
    assert_true(flush[0].lost && !flush[1].lost);
    struct job_row row = row_of(f, "job_1");
    assert_int_equal(row.state, JOB_RUNNING);
    assert_int_equal(row.done, 3);
    assert_int_equal(row.lease_expires_us, 77);
    assert_string_equal(row.errors, "[]");
    assert_int_equal(n_committed(f, "job_1"), 0);
    buf_init(&b, 100);
    OK(store_checkpoint_load(f->s, "job_1", &b, &found, &f->e));
    assert_false(found);
    buf_fini(&b);
    OK(store_publications_list(f->s, &f->a, NULL, &items, &n, &f->e));
    assert_int_equal(n, 0);
}

static void test_units_and_checkpoints_come_back_and_end_with_the_job(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    bool found, done[16];
    int64_t n;
    static const uint8_t blob[] = {0, 1, 2, 0, 255};
    buf_init(&b, 100);
    insert(f, "job_1", 0, NULL);
    claim(f, "b", "t", true);
    OK(store_unit_commit(f->s, "job_1", "t", 1, 7, (struct span){blob, sizeof blob}, &f->e));
    OK(store_unit_commit(f->s, "job_1", "t", 1, 3, (struct span){NULL, 0}, &f->e));
    OK(store_units_committed(f->s, "job_1", 1, 10, done, &n, &f->e));
    assert_int_equal(n, 2);
    assert_true(done[7] && done[3] && !done[0]);
    OK(store_units_committed(f->s, "job_1", 1, 5, done, &n, &f->e));
    assert_int_equal(n, 1);
    assert_int_equal(n_committed(f, "job_1"), 0);
    OK(store_unit_result(f->s, "job_1", 1, 7, &b, &f->e));
    assert_memory_equal(b.data, blob, sizeof blob);
    OK(store_unit_result(f->s, "job_1", 1, 3, &b, &f->e));
    assert_int_equal(b.len, sizeof blob);
    IS(store_unit_result(f->s, "job_1", 0, 7, &b, &f->e), STATUS_NOTFOUND);
    b.len = 0;
    OK(store_checkpoint_save(f->s, "job_1", "t", "first", 5, &f->e));
    OK(store_checkpoint_save(f->s, "job_1", "t", blob, sizeof blob, &f->e));
    OK(store_checkpoint_load(f->s, "job_1", &b, &found, &f->e));
    assert_true(found && b.len == sizeof blob && memcmp(b.data, blob, sizeof blob) == 0);
    assert_true(row_of(f, "job_1").checkpoint_us > 0);
    OK(store_job_complete(f->s, "job_1", "t", &(struct job_completion){.result = "{\"a\":1}"}, &f->e));
    IS(store_unit_result(f->s, "job_1", 1, 7, &b, &f->e), STATUS_NOTFOUND);
    OK(store_checkpoint_load(f->s, "job_1", &b, &found, &f->e));
    assert_false(found);
    struct job_row row = row_of(f, "job_1");
    assert_string_equal(row.result, "{\"a\":1}");
    assert_true(row.finished_us >= row.started_us && row.fraction == 1);
    buf_fini(&b);
}

static void test_metrics_are_kept_by_key_and_step(void **state)
{
    struct fixture *f = *state;
    struct job_metric points[] = {{"loss", 2, 0.25}, {"loss", 1, 0.5}, {"accuracy", 1, 0.75}}, again = {"loss", 2, 0.125};
    struct job_metric *rows;
    size_t n;
    insert(f, "job_1", 0, NULL);
    OK(store_job_metrics_save(f->s, "job_1", points, 3, &f->e));
    OK(store_job_metrics_save(f->s, "job_1", &again, 1, &f->e));
    OK(store_job_metrics(f->s, &f->a, "job_1", NULL, &rows, &n, &f->e));
    assert_int_equal(n, 3);
    assert_string_equal(rows[0].key, "accuracy");
    OK(store_job_metrics(f->s, &f->a, "job_1", "loss", &rows, &n, &f->e));
    assert_int_equal(n, 2);
    assert_true(rows[0].step == 1 && rows[1].step == 2 && rows[1].value == 0.125);
}

/* ---- ends --------------------------------------------------------------------------------------------------------------- */

static void test_a_failed_job_waits_out_its_backoff(void **state)
{
    struct fixture *f = *state;
    struct job_claim c;
    bool found;
    int64_t next, soon = time_unix_us() + 3600 * 1000000LL;
    insert(f, "job_1", 0, NULL);
    claim(f, "b", "t1", true);
    OK(store_job_fail(f->s, "job_1", "t1", soon, ENTRY, UPSTREAM, &f->e));
    assert_state(f, "job_1", JOB_RETRYABLE);
    assert_string_equal(row_of(f, "job_1").errors, "[" ENTRY "]");
    struct job_claim_request q = {"b", "t2", "w1", soon - 1, 1000000, true};
    OK(store_job_claim(f->s, &f->a, &q, &c, &found, &next, &f->e));
    assert_false(found);
    assert_true(next == soon);
    q.now_us = soon;
    OK(store_job_claim(f->s, &f->a, &q, &c, &found, &next, &f->e));
    assert_true(found);
    assert_int_equal(c.attempt, 2);
    OK(store_job_fail(f->s, "job_1", "t2", -1, ENTRY, UPSTREAM, &f->e));
    assert_state(f, "job_1", JOB_DISCARDED);
    assert_string_equal(row_of(f, "job_1").errors, "[" ENTRY "," ENTRY "]");
}

static void test_an_interrupted_job_is_available_with_its_attempt_unspent(void **state)
{
    struct fixture *f = *state;
    insert(f, "job_1", 0, NULL);
    claim(f, "b", "t1", true);
    commit_unit(f, "job_1", "t1", 0);
    OK(store_job_interrupt(f->s, "job_1", "t1", &f->e));
    struct job_row row = row_of(f, "job_1");
    assert_int_equal(row.state, JOB_AVAILABLE);
    assert_int_equal(row.attempt, 0);
    assert_int_equal(row.lease_expires_us, 0);
    assert_int_equal(n_committed(f, "job_1"), 1);
}

static void test_errors_of_a_job_are_bounded(void **state)
{
    struct fixture *f = *state;
    insert(f, "job_1", 0, NULL);
    for (int i = 0; i < 70; i++) {
        char entry[64];
        snprintf(entry, sizeof entry, "{\"n\":%d}", i);
        assert_string_equal(claim(f, "b", "t", true), "job_1");
        OK(store_job_fail(f->s, "job_1", "t", 1, entry, UPSTREAM, &f->e));
    }
    struct job_row row = row_of(f, "job_1");
    assert_memory_equal(row.errors, "[{\"n\":20},", 10);
    assert_non_null(strstr(row.errors, ",{\"n\":69}]"));
}

static void test_discarding_and_cancelling_take_all_dependents_along(void **state)
{
    struct fixture *f = *state;
    enum job_state st;
    insert(f, "job_1", 0, NULL);
    insert(f, "job_2", 1, "[\"job_1\"]");
    insert(f, "job_3", 1, "[\"job_2\"]");
    insert(f, "job_4", 1, NULL);
    insert(f, "job_5", 1, "[\"job_4\",\"job_3\"]");
    claim(f, "b", "t", true);
    OK(store_job_fail(f->s, "job_1", "t", -1, ENTRY, UPSTREAM, &f->e));
    assert_state(f, "job_2", JOB_CANCELLED);
    assert_state(f, "job_3", JOB_CANCELLED);
    assert_state(f, "job_4", JOB_AVAILABLE);
    assert_state(f, "job_5", JOB_CANCELLED);
    assert_string_equal(row_of(f, "job_5").errors, "[" UPSTREAM "]");
    /* a retry of the first brings them back, but not one whose other need is gone */
    OK(store_job_cancel(f->s, "job_4", UPSTREAM, &st, &f->changed, &f->e));
    IS(store_job_retry(f->s, "job_2", &st, &f->e), STATUS_CONFLICT);
    OK(store_job_retry(f->s, "job_1", &st, &f->e));
    assert_int_equal(st, JOB_AVAILABLE);
    assert_state(f, "job_2", JOB_PENDING);
    assert_state(f, "job_3", JOB_PENDING);
    assert_state(f, "job_5", JOB_CANCELLED);
    OK(store_job_retry(f->s, "job_4", &st, &f->e));
    assert_state(f, "job_5", JOB_PENDING);
}

static void test_cancel_is_idempotent_and_comes_before_completion_or_after_it(void **state)
{
    struct fixture *f = *state;
    enum job_state st;
    insert(f, "job_1", 0, NULL);
    insert(f, "job_2", 1, NULL);
    claim(f, "b", "t1", true);
    commit_unit(f, "job_1", "t1", 0);
    OK(store_job_cancel(f->s, "job_1", UPSTREAM, &st, &f->changed, &f->e));
    assert_true(st == JOB_CANCELLING && f->changed);
    OK(store_job_cancel(f->s, "job_1", UPSTREAM, &st, &f->changed, &f->e));
    assert_true(st == JOB_CANCELLING && !f->changed);
    assert_true(row_of(f, "job_1").cancel_requested);
    IS(store_job_complete(f->s, "job_1", "t1", &(struct job_completion){.result = "{}"}, &f->e), STATUS_CANCELLED);
    IS(store_job_fail(f->s, "job_1", "t1", -1, ENTRY, UPSTREAM, &f->e), STATUS_CANCELLED);
    IS(store_job_interrupt(f->s, "job_1", "t1", &f->e), STATUS_CANCELLED);
    OK(store_job_cancelled(f->s, "job_1", "t1", NULL, UPSTREAM, &f->e));
    assert_state(f, "job_1", JOB_CANCELLED);
    assert_int_equal(n_committed(f, "job_1"), 0);
    OK(store_job_cancel(f->s, "job_1", UPSTREAM, &st, &f->changed, &f->e));
    assert_int_equal(st, JOB_CANCELLED);
    claim(f, "b", "t2", true);
    OK(store_job_complete(f->s, "job_2", "t2", &(struct job_completion){.result = "{}"}, &f->e));
    IS(store_job_cancel(f->s, "job_2", UPSTREAM, &st, &f->changed, &f->e), STATUS_CONFLICT);
    IS(store_job_retry(f->s, "job_2", &st, &f->e), STATUS_CONFLICT);
    IS(store_job_cancel(f->s, "job_9", UPSTREAM, &st, &f->changed, &f->e), STATUS_NOTFOUND);
}

/* ---- crashes --------------------------------------------------------------------------------------------------------------- */

static size_t rescue(struct fixture *f, const char *boot)
{
    struct job_row *rows;
    size_t n;
    OK(store_jobs_rescue(f->s, &f->a, boot, ENTRY, UPSTREAM, &rows, &n, &f->e));
    return n;
}

static void test_what_a_dead_process_ran_is_rescued_once(void **state)
{
    struct fixture *f = *state;
    enum job_state st;
    insert(f, "job_1", 0, NULL);
    insert(f, "job_2", 1, NULL);
    claim(f, "old", "t1", true);
    claim(f, "old", "t2", true);
    commit_unit(f, "job_1", "t1", 0);
    OK(store_job_cancel(f->s, "job_2", UPSTREAM, &st, &f->changed, &f->e));
    assert_int_equal(rescue(f, "old"), 0);
    assert_int_equal(rescue(f, "new"), 2);
    assert_int_equal(rescue(f, "newer"), 0);
    struct job_row row = row_of(f, "job_1");
    assert_int_equal(row.state, JOB_AVAILABLE);
    assert_int_equal(row.attempt, 1);
    assert_int_equal(row.max_attempts, 3);
    assert_string_equal(row.errors, "[" ENTRY "]");
    assert_int_equal(n_committed(f, "job_1"), 1);
    assert_state(f, "job_2", JOB_CANCELLED);
    IS(store_job_complete(f->s, "job_1", "t1", &(struct job_completion){.result = "{}"}, &f->e), STATUS_CANCELLED);
}

static void test_a_job_that_kills_three_processes_without_a_unit_is_discarded(void **state)
{
    struct fixture *f = *state;
    insert(f, "job_1", 0, NULL);
    insert(f, "job_2", 9, "[\"job_1\"]");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(claim(f, "b0", "t", true), "job_1");
        if (i == 0)
            commit_unit(f, "job_1", "t", 0);
        rescue(f, "b1");
        assert_state(f, "job_1", i < 2 ? JOB_AVAILABLE : JOB_DISCARDED);
    }
    assert_state(f, "job_2", JOB_CANCELLED);
    assert_int_equal(n_committed(f, "job_1"), 1);
}

static void test_a_job_that_gets_on_between_crashes_is_never_discarded(void **state)
{
    struct fixture *f = *state;
    insert(f, "job_1", 0, NULL);
    for (int i = 0; i < 10; i++) {
        assert_string_equal(claim(f, "b0", "t", true), "job_1");
        commit_unit(f, "job_1", "t", i);
        rescue(f, "b1");
    }
    assert_state(f, "job_1", JOB_AVAILABLE);
    assert_int_equal(n_committed(f, "job_1"), 10);
}

static void test_a_suspect_is_only_given_to_a_process_that_runs_nothing_else(void **state)
{
    struct fixture *f = *state;
    insert(f, "job_1", 0, NULL);
    insert(f, "job_2", 1, NULL);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(claim(f, "b0", "t", true), "job_1");
        rescue(f, "b1");
    }
    assert_string_equal(claim(f, "b1", "t1", false), "");
    assert_string_equal(claim(f, "b1", "t1", true), "job_1");
}

/* ---- a full disk ---------------------------------------------------------------------------------------------------------- */

static void quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static void test_on_a_full_disk_only_acknowledged_jobs_exist(void **state)
{
    struct fixture *f = *state;
    struct job_row row;
    static char spec[3000];
    int n_acknowledged = 0, n_refused = 0;
    memset(spec, ' ', sizeof spec - 1);
    int64_t pages;
    OK(db_number_values(&f->s->writer, "PRAGMA page_count", NULL, 0, 0, &pages, &f->e));
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)pages + 20);
    OK(db_exec(&f->s->writer, sql, &f->e));
    log_set(LOG_ERROR, quiet, NULL);
    for (int i = 0; i < 60; i++) {
        char id[16];
        snprintf(id, sizeof id, "job_%03d", i);
        struct job_new job = {.id = id, .kind = "k", .spec = spec, .spec_sha256 = "", .max_attempts = 1};
        enum status s = store_jobs_insert(f->s, &job, 1, &f->e);
        n_acknowledged += s == STATUS_OK;
        n_refused += s == STATUS_NOSPACE;
        IS(store_job_get(f->s, &f->a, id, &row, &f->e), s == STATUS_OK ? STATUS_OK : STATUS_NOTFOUND);
    }
    log_set(LOG_INFO, NULL, NULL);
    assert_true(n_acknowledged > 5 && n_refused > 5);
    assert_int_equal(n_acknowledged + n_refused, 60);
    OK(db_exec(&f->s->writer, "PRAGMA max_page_count = 1000000", &f->e));
    insert(f, "job_999", 0, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_jobs_are_taken_by_priority_then_by_age),
        TEST(test_a_job_never_starts_before_it_was_made),
        TEST(test_insertion_is_all_or_nothing),
        TEST(test_a_job_waits_for_all_that_it_needs),
        TEST(test_lists_filter_and_page_newest_first),
        TEST(test_every_write_under_a_lost_lease_is_refused_and_changes_nothing),
        TEST(test_units_and_checkpoints_come_back_and_end_with_the_job),
        TEST(test_metrics_are_kept_by_key_and_step),
        TEST(test_a_failed_job_waits_out_its_backoff),
        TEST(test_an_interrupted_job_is_available_with_its_attempt_unspent),
        TEST(test_errors_of_a_job_are_bounded),
        TEST(test_discarding_and_cancelling_take_all_dependents_along),
        TEST(test_cancel_is_idempotent_and_comes_before_completion_or_after_it),
        TEST(test_what_a_dead_process_ran_is_rescued_once),
        TEST(test_a_job_that_kills_three_processes_without_a_unit_is_discarded),
        TEST(test_a_job_that_gets_on_between_crashes_is_never_discarded),
        TEST(test_a_suspect_is_only_given_to_a_process_that_runs_nothing_else),
        TEST(test_on_a_full_disk_only_acknowledged_jobs_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
