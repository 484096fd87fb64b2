/* tests/server/jobs/engine_fixture.h
 *
 * An engine with the fake kinds on a folder of its own, and short ways to submit, wait and look. */
#ifndef DLT_TESTS_SERVER_JOBS_ENGINE_FIXTURE_H
#define DLT_TESTS_SERVER_JOBS_ENGINE_FIXTURE_H

#include "server/jobs/engine.h"
#include "tests/server/jobs/fake_kinds.h"

#include <setjmp.h>

#include <cmocka.h>

struct fixture {
    char *folder;
    struct store *s;
    struct jobs *j;
    struct arena a;
    struct error e;
    bool changed;
    struct json_problems problems;
    const char *root;
};

#define OK(expr) do { if ((expr) != STATUS_OK) fail_msg("%s: %s", #expr, f->e.text); } while (0)
#define IS(expr, status) assert_int_equal((expr), (status))

static inline struct jobs_options options_of(const struct fixture *f, size_t workers)
{
    return (struct jobs_options){.data_dir = f->folder, .data_roots = &f->root, .n_data_roots = 1, .workers = workers,
                                 .threads_per_job = 2, .kinds = fake_kinds, .retry_base_us = 2000,
                                 .cancel_deadline_us = 300000};
}

static inline void start_with(struct fixture *f, size_t workers, const struct job_kind *const *kinds)
{
    struct jobs_options o = options_of(f, workers);
    o.kinds = kinds;
    OK(jobs_start(f->s, &o, &f->j, &f->e));
}

static inline void start_threads_per_job(struct fixture *f, size_t threads)
{
    struct jobs_options o = options_of(f, 1);
    o.threads_per_job = threads;
    OK(jobs_start(f->s, &o, &f->j, &f->e));
}

static inline void start(struct fixture *f, size_t workers)
{
    start_with(f, workers, fake_kinds);
}

static inline void stop(struct fixture *f)
{
    jobs_stop(f->j);
    f->j = NULL;
}

static inline void no_log(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    log_set(LOG_ERROR, no_log, NULL);
    memset(&fake, 0, sizeof fake);
    f->folder = temp_folder_create();
    f->root = f->folder;
    arena_init(&f->a, 256 << 20);
    *state = f;
    return store_open(f->folder, &f->s, &f->e) == STATUS_OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    atomic_store(&fake.hang, false);
    jobs_stop(f->j);
    if (atomic_load(&fake.states) != 0)
        fake_break("what a kind kept between its units is freed when the attempt ends");
    store_close(f->s);
    arena_fini(&f->a);
    temp_folder_remove(f->folder);
    free(f);
    if (atomic_load(&fake.broken))
        print_error("broken promise: %s\n", fake.broken_promise);
    return atomic_load(&fake.broken);
}

static inline enum status try_submit(struct fixture *f, const char *text, char id[40])
{
    struct json *body;
    f->problems.n = 0;
    OK(json_parse(text, strlen(text), &body, &f->e));
    enum status s = jobs_submit(f->j, body, id, &f->problems, &f->e);
    json_free(body);
    return s;
}

/* The id stays valid until the test ends. */
static inline const char *submit(struct fixture *f, const char *text)
{
    char id[40];
    OK(try_submit(f, text, id));
    return arena_strdup(&f->a, id);
}

static inline struct job_row look(struct fixture *f, const char *id)
{
    struct job_row row;
    OK(jobs_get(f->j, &f->a, id, &row, &f->e));
    return row;
}

static inline struct job_row wait_for(struct fixture *f, const char *id, enum job_state state)
{
    for (;;) {
        struct job_row row = look(f, id);
        if (row.state == state)
            return row;
        if (job_state_final(row.state))
            fail_msg("%s is %s, not %s: %s", id, job_state_name(row.state), job_state_name(state), row.errors);
        jobs_wait_change(f->j, id, 50);
    }
}

/* The value at a member of the result. */
static inline struct json *result_of(struct fixture *f, const char *id)
{
    struct json *v;
    struct job_row row = wait_for(f, id, JOB_COMPLETED);
    OK(json_parse(row.result, strlen(row.result), &v, &f->e));
    return v;
}

static inline int64_t sum_of(struct fixture *f, const char *id)
{
    struct json *v = result_of(f, id);
    int64_t sum = json_int(json_get(v, "sum"), -1);
    json_free(v);
    return sum;
}

static inline bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static inline const char *work_dir_of(const char *id, const struct fixture *f)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/work/%s", store_folder(f->s), id);
    return path;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
