/* tests/server/jobs/test_kill.c
 *
 * kill -9 at random moments.  A child process opens the folder, submits jobs all the time from two threads, writes down
 * each that was acknowledged, and works until it is killed; after SOAK_KILLS of these (15 by default; `make soak` has 1000)
 * one is left alone.  Nothing acknowledged may be lost, stuck, run twice at once, or come out with another result; the
 * history that the store keeps of who held which job may have no two holders at a time.  SOAK_SEED chooses the moments.
 * The parent never starts a thread before its last fork. */
#include "server/jobs/jobs.h"
#include "server/store/store_private.h"
#include "tests/server/jobs/fake_kinds.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { KILLS = 15, JOBS_A_ROUND = 4, SUBMITTERS = 2, EXIT_BROKEN = 3, EXIT_REFUSED = 4 };

static void quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static struct jobs *started(struct store *s, const char *folder, size_t workers)
{
    struct jobs *j;
    struct error e;
    struct jobs_options o = {.data_dir = folder, .workers = workers, .threads_per_job = 2, .kinds = fake_kinds,
                             .retry_base_us = 1000};
    if (jobs_start(s, &o, &j, &e) != STATUS_OK) {
        fprintf(stderr, "%s\n", e.text);
        _exit(EXIT_REFUSED);
    }
    return j;
}

static struct store *opened(const char *folder)
{
    struct store *s;
    struct error e;
    if (store_open(folder, &s, &e) != STATUS_OK) {
        fprintf(stderr, "%s\n", e.text);
        _exit(EXIT_REFUSED);
    }
    return s;
}

static void submit(struct jobs *j, const char *text, char id[40])
{
    struct json *body;
    struct json_problems problems = {0};
    struct error e;
    check(json_parse(text, strlen(text), &body, &e) == STATUS_OK);
    if (jobs_submit(j, body, id, &problems, &e) != STATUS_OK) {
        fprintf(stderr, "%s\n", e.text);
        _exit(EXIT_REFUSED);
    }
    json_free(body);
}

struct submitter {
    struct jobs *jobs;
    int acks, round, number;
};

/* Submits one job after the other, each id going to `acks` once it is acknowledged. */
static void *submitter_main(void *arg)
{
    const struct submitter *s = arg;
    for (int i = s->number; i < SUBMITTERS * JOBS_A_ROUND; i += SUBMITTERS) {
        char text[200], id[48];
        snprintf(text, sizeof text,
                 "{\"kind\":\"%s\",\"spec\":{\"units\":%d,\"phases\":%d,\"delay_ms\":1,\"checkpoint\":%s%s}}",
                 i == 2 ? "many" : "sum", 1 + (s->round + i) % 9,
                 1 + i % 2, i % 3 ? "false" : "true", i % 2 ? ",\"publish\":\"dataset\"" : "");
        submit(s->jobs, text, id);
        strcat(id, "\n");
        check(write(s->acks, id, strlen(id)) == (ssize_t)strlen(id));
        usleep(15000);
    }
    return NULL;
}

/* Works until it is killed, or until a promise is broken. */
static void child_main(const char *folder, int acks, int ready, int round)
{
    log_set(LOG_ERROR, quiet, NULL);
    struct jobs *j = started(opened(folder), folder, 2);
    struct submitter submitters[SUBMITTERS];
    bool told = false;
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_t thread;
        submitters[i] = (struct submitter){j, acks, round, i};
        check(pthread_create(&thread, NULL, submitter_main, &submitters[i]) == 0);
    }
    while (atomic_load(&fake.broken) == 0) {
        if (!told && atomic_load(&fake.units) >= 3) {
            check(write(ready, "r", 1) == 1);
            told = true;
        }
        usleep(2000);
    }
    fprintf(stderr, "broken: %s\n", fake.broken_promise);
    _exit(EXIT_BROKEN);
}

/* The clock starts when the child is at its third unit, and so has committed one: a slow machine must not kill each
 * child before it gets anywhere. */
static void kill_one(const char *folder, int acks, int round, useconds_t after_us)
{
    int status, ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        child_main(folder, acks, ready[1], round);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    usleep(after_us);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        fail_msg("the child ended by itself with %d", WEXITSTATUS(status));
}

static void wait_until_all_are_final(struct store *s)
{
    for (;;) {
        struct arena a;
        struct job_count *counts;
        struct error e;
        size_t n, n_open = 0;
        arena_init(&a, 1 << 20);
        assert_int_equal(store_jobs_count(s, &a, &counts, &n, &e), STATUS_OK);
        for (size_t i = 0; i < n; i++)
            n_open += !job_state_final(counts[i].state);
        arena_fini(&a);
        if (n_open == 0)
            return;
        usleep(10000);
    }
}

/* A job that happened to be in its first unit at three kills in a row looks like the killer and is discarded, units kept:
 * a person would retry it.  Returns how many there were. */
static size_t retry_the_unlucky(struct jobs *j, struct store *s)
{
    struct arena a;
    struct job_row *rows;
    struct error e;
    size_t n;
    struct job_filter filter = {.state = "discarded", .limit = 10000};
    arena_init(&a, 1 << 24);
    assert_int_equal(store_jobs_list(s, &a, &filter, &rows, &n, &e), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(jobs_retry(j, rows[i].id, &e), STATUS_OK);
    arena_fini(&a);
    return n;
}

/* The job is completed, with the sum that its spec asks for, and its dataset is in its place. */
static void assert_whole(struct store *s, const char *id)
{
    struct arena a;
    struct job_row row;
    struct artifact_row artifact;
    struct json *spec, *result;
    struct error e;
    arena_init(&a, 1 << 20);
    if (store_job_get(s, &a, id, &row, &e) != STATUS_OK)
        fail_msg("acknowledged and lost: %s", e.text);
    if (row.state != JOB_COMPLETED)
        fail_msg("%s is %s: %s", id, job_state_name(row.state), row.errors);
    assert_int_equal(json_parse(row.spec, strlen(row.spec), &spec, &e), STATUS_OK);
    assert_int_equal(json_parse(row.result, strlen(row.result), &result, &e), STATUS_OK);
    int64_t sum = fake_sum(json_int(json_get(spec, "phases"), 0), json_int(json_get(spec, "units"), 0));
    assert_int_equal(json_int(json_get(result, "sum"), -1), sum);
    if (json_str(json_get(spec, "publish"), NULL)) {
        struct buf b;
        assert_int_equal(store_artifact_get(s, &a, "dataset", json_str(json_get(result, "dataset_id"), ""), &artifact, &e),
                         STATUS_OK);
        assert_string_equal(artifact.job_id, id);
        buf_init(&b, 4096);
        assert_int_equal(file_read(path_in(artifact.folder, "sum"), &b, &e), STATUS_OK);
        assert_memory_equal(b.data, &sum, sizeof sum);
        buf_fini(&b);
    }
    json_free(result);
    json_free(spec);
    arena_fini(&a);
}

static size_t assert_all_whole(struct store *s, const char *acks_path)
{
    char id[64];
    size_t n = 0;
    FILE *f = fopen(acks_path, "r");
    assert_non_null(f);
    while (fgets(id, sizeof id, f)) {
        if (!strchr(id, '\n'))
            break;                                /* the kill came while it was written down */
        id[strcspn(id, "\n")] = '\0';
        assert_whole(s, id);
        n++;
    }
    fclose(f);
    return n;
}

/* The store's history: every claim has ended, and none of a job began before the one before it had. */
static size_t assert_one_holder_at_a_time(struct store *s)
{
    struct arena a;
    struct db_rows r;
    struct error e;
    char before_id[40] = "";
    int64_t before_end_us = 0;
    size_t n = 0;
    bool more = true;
    arena_init(&a, 256 << 20);
    assert_int_equal(DB_QUERY(&s->writer, &a, &r, &e,
                              "SELECT job_id, started_us, ended_us FROM job_runs ORDER BY job_id, seq"), STATUS_OK);
    for (;; n++) {
        assert_int_equal(db_rows_next(&r, &more, &e), STATUS_OK);
        if (!more)
            break;
        const char *id = db_column_text(&r);
        int64_t started_us = db_column_i64(&r), ended_us = db_column_i64(&r);
        if (ended_us == 0)
            fail_msg("%s: somebody still holds it", id);
        if (strcmp(id, before_id) == 0 && started_us + 1000 < before_end_us)           /* ends are in whole milliseconds */
            fail_msg("%s: two held it at a time", id);
        text_copy(before_id, sizeof before_id, id);
        before_end_us = ended_us;
    }
    arena_fini(&a);
    return n;
}

static int64_t environment_number(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

static void test_kills_under_load_lose_nothing_stick_nothing_and_repeat_nothing(void **state)
{
    (void)state;
    char *folder = temp_folder_create(), acks_path[1024], data[1024];
    int64_t kills = environment_number("SOAK_KILLS", KILLS), seed = environment_number("SOAK_SEED", 20261123);
    struct rng r = rng_stream((uint64_t)seed, 9);
    text_copy(acks_path, sizeof acks_path, path_in(folder, "acks"));
    text_copy(data, sizeof data, path_in(folder, "data"));
    int acks = open(acks_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(acks >= 0);
    for (int round = 0; round < kills; round++)
        kill_one(data, acks, round, (useconds_t)rng_below(&r, 120000));
    close(acks);
    log_set(LOG_ERROR, quiet, NULL);
    struct store *s = opened(data);
    struct jobs *j = started(s, data, 2);
    wait_until_all_are_final(s);
    size_t n_unlucky = retry_the_unlucky(j, s);
    wait_until_all_are_final(s);
    size_t n_runs = assert_one_holder_at_a_time(s);
    jobs_stop(j);
    log_set(LOG_INFO, NULL, NULL);
    if (atomic_load(&fake.broken))
        fail_msg("broken: %s", fake.broken_promise);
    size_t n = assert_all_whole(s, acks_path);
    print_message("%lld kills (seed %lld): %zu acknowledged jobs, all completed, %zu of them after a retry by hand; taken %zu "
                  "times, never by two at once\n", (long long)kills, (long long)seed, n, n_unlucky, n_runs);
    assert_true(n >= (size_t)kills && n_unlucky <= n / 4);
    assert_int_equal(folder_count(path_in(data, "work")), 0);
    size_t n_datasets = folder_count(path_in(data, "datasets"));
    struct arena a;
    struct artifact_row *rows;
    struct error e;
    size_t n_rows;
    arena_init(&a, 1 << 24);
    assert_int_equal(store_artifacts_list(s, &a, "dataset", NULL, NULL, 100000, &rows, &n_rows, &e), STATUS_OK);
    assert_int_equal(n_datasets, n_rows);         /* none in its place without a row */
    arena_fini(&a);
    store_close(s);
    temp_folder_remove(folder);
}

/* One job kills its process each time; the other is slow and must not be taken along. */
static void test_a_job_that_kills_its_process_ends_discarded_and_the_other_completes(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    int n_killed = 0;
    for (bool done = false; !done;) {
        int status;
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            char id[40];
            log_set(LOG_ERROR, quiet, NULL);
            struct store *s = opened(folder);
            struct jobs *j = started(s, folder, 2);
            if (n_killed == 0) {
                submit(j, "{\"kind\":\"sum\",\"priority\":1,\"spec\":{\"units\":1,\"delay_ms\":200}}", id);
                submit(j, "{\"kind\":\"sum\",\"priority\":0,\"spec\":{\"units\":3,\"delay_ms\":30,\"kill_unit\":1}}", id);
            }
            wait_until_all_are_final(s);
            jobs_stop(j);
            store_close(s);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        done = WIFEXITED(status);
        n_killed += WIFSIGNALED(status);
        assert_true(n_killed <= 3);
        if (done)
            assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(n_killed, 3);
    struct store *s = opened(folder);
    struct arena a;
    struct job_row *rows;
    struct error e;
    size_t n;
    arena_init(&a, 1 << 20);
    struct job_filter filter = {.limit = 10};
    assert_int_equal(store_jobs_list(s, &a, &filter, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].state, JOB_DISCARDED);
    assert_int_equal(rows[1].state, JOB_COMPLETED);
    arena_fini(&a);
    store_close(s);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_that_kills_its_process_ends_discarded_and_the_other_completes),
        cmocka_unit_test(test_kills_under_load_lose_nothing_stick_nothing_and_repeat_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
