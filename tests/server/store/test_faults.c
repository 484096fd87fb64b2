/* tests/server/store/test_faults.c
 *
 * Disks that fail and power that goes: what was acknowledged is there afterwards, what was refused is not, and the data
 * base is whole.  See fault_vfs.h. */
#include "server/store/store_jobs.h"
#include "server/store/store_private.h"
#include "tests/server/store/fault_vfs.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 6, CUTS = 12, JOBS_MAX = 4096 };

static void quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static struct store *opened(const char *folder)
{
    struct store *s;
    struct error e;
    if (store_open(folder, &s, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return s;
}

static enum status insert(struct store *s, const char *id, struct error *e)
{
    const struct job_new job = {.id = id, .kind = "sum", .spec = "{\"units\":3}", .spec_sha256 = "", .priority = 2,
                                .max_attempts = 3};
    return store_jobs_insert(s, &job, 1, e);
}

static bool has_job(struct store *s, const char *id)
{
    struct arena a;
    struct job_row row;
    struct error e;
    arena_init(&a, 1 << 20);
    enum status st = store_job_get(s, &a, id, &row, &e);
    arena_fini(&a);
    assert_true(st == STATUS_OK || st == STATUS_NOTFOUND);
    return st == STATUS_OK;
}

/* Clients that submit until they are told to stop; ids of what was acknowledged, in any order. */
static struct {
    struct store *store;
    atomic_bool stop;
    atomic_int n;
    char ids[JOBS_MAX][40];
} load;

static void *submit_for_ever(void *arg)
{
    struct error e;
    char id[40];
    (void)arg;
    while (!atomic_load(&load.stop)) {
        store_new_id("job", id);
        if (insert(load.store, id, &e) != STATUS_OK)
            continue;
        int i = atomic_fetch_add(&load.n, 1);
        if (i < JOBS_MAX)
            text_copy(load.ids[i], sizeof load.ids[i], id);
    }
    return NULL;
}

static void test_a_power_cut_takes_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    struct rng r = rng_stream(20261123, 3);
    int n_torn = 0, n_all = 0;
    for (int cut = 0; cut < CUTS; cut++) {
        pthread_t threads[CLIENTS];
        char *folder = temp_folder_create(), *after = temp_folder_create();
        load.store = opened(folder);
        atomic_store(&load.stop, false);
        atomic_store(&load.n, 0);
        for (int i = 0; i < CLIENTS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, submit_for_ever, NULL), 0);
        usleep((useconds_t)(20000 + rng_below(&r, 40000)));
        /* What was acknowledged before the moment of the cut: counted first, the pictures are taken after. */
        int n = atomic_load(&load.n);
        n = n > JOBS_MAX ? JOBS_MAX : n;
        fault_power_cut(store_folder(load.store), after, cut % 2 ? &r : NULL);
        n_torn += cut % 2;
        atomic_store(&load.stop, true);
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(threads[i], NULL);
        store_close(load.store);
        struct store *s = opened(after);
        int n_lost = 0;
        for (int i = 0; i < n; i++)
            n_lost += load.ids[i][0] && !has_job(s, load.ids[i]);
        assert_int_equal(n_lost, 0);
        n_all += n;
        store_close(s);
        temp_folder_remove(after);
        temp_folder_remove(folder);
        memset(load.ids, 0, sizeof load.ids);
    }
    print_message("%d power cuts, %d of them with half-written pages: %d acknowledged jobs, none lost\n", CUTS, n_torn, n_all);
    assert_true(n_all > CUTS);
}

/* Fails the n-th write or sync, for each n in turn, under inserts, claims, units and completions. */
static int run_life(struct store *s, const char *id, bool *acknowledged)
{
    struct arena a;
    struct job_claim claim;
    struct error e;
    bool found = false;
    int64_t next;
    int n_failed = 0;
    char token[40];
    *acknowledged = insert(s, id, &e) == STATUS_OK;
    n_failed += !*acknowledged;
    store_new_id("t", token);
    arena_init(&a, 1 << 20);
    struct job_claim_request q = {.boot = "boot", .token = token, .worker = "w", .now_us = time_unix_us(), .lease_us = 1000000,
                                  .alone = true};
    n_failed += store_job_claim(s, &a, &q, &claim, &found, &next, &e) != STATUS_OK;
    if (found) {
        n_failed += store_unit_commit(s, claim.id, token, 0, 0, (struct span){(const uint8_t *)"x", 1}, &e) != STATUS_OK;
        enum status st = store_job_complete(s, claim.id, token, &(struct job_completion){.result = "{}"}, &e);
        for (int i = 0; st != STATUS_OK && i < 10; i++)                    /* as the engine does: its outcome must not be lost */
            st = store_job_complete(s, claim.id, token, &(struct job_completion){.result = "{}"}, &e);
        n_failed += st != STATUS_OK;
    }
    arena_fini(&a);
    return n_failed;
}

static void sweep(enum fault fault, int64_t n_times)
{
    char *folder = temp_folder_create(), id[40];
    int n_hit = 0;
    for (int64_t after = 0; after < 40; after++) {
        struct store *s = opened(folder);
        bool acknowledged;
        store_new_id("job", id);
        fault_set(fault, after, n_times);
        n_hit += run_life(s, id, &acknowledged) > 0;
        fault_set(FAULT_NONE, 0, 0);
        store_close(s);
        s = opened(folder);                                        /* which checks its pages */
        assert_int_equal(has_job(s, id), acknowledged);
        bool again;
        store_new_id("job", id);
        assert_int_equal(run_life(s, id, &again), 0);              /* and work goes on */
        store_close(s);
    }
    assert_true(n_hit > 0);
    temp_folder_remove(folder);
}

static void test_a_full_disk_refuses_and_never_loses(void **state)
{
    (void)state;
    sweep(FAULT_FULL, 3);
}

static void test_a_write_that_fails_refuses_and_never_loses(void **state)
{
    (void)state;
    sweep(FAULT_WRITE, 1);
}

static void test_a_sync_that_fails_is_not_acknowledged(void **state)
{
    (void)state;
    sweep(FAULT_SYNC, 1);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

static int64_t allocations_left = -1;

static bool fail_nth(size_t bytes)
{
    (void)bytes;
    return allocations_left >= 0 && allocations_left-- == 0;
}

static void test_every_allocation_may_fail_once(void **state)
{
    (void)state;
    char *folder = temp_folder_create(), id[40];
    struct store *s = opened(folder);
    int n_failed = 0;
    mem_fail_hook = fail_nth;
    for (int64_t n = 0; n < 60; n++) {
        bool acknowledged;
        store_new_id("job", id);
        allocations_left = n;
        n_failed += run_life(s, id, &acknowledged) > 0;
        allocations_left = -1;
        assert_int_equal(has_job(s, id), acknowledged);
    }
    mem_fail_hook = NULL;
    assert_true(n_failed > 0);
    store_close(s);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_power_cut_takes_nothing_that_was_acknowledged),
        cmocka_unit_test(test_a_full_disk_refuses_and_never_loses),
        cmocka_unit_test(test_a_write_that_fails_refuses_and_never_loses),
        cmocka_unit_test(test_a_sync_that_fails_is_not_acknowledged),
        cmocka_unit_test(test_every_allocation_may_fail_once),
    };
    log_set(LOG_ERROR, quiet, NULL);
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
