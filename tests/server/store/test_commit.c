/* tests/server/store/test_commit.c
 *
 * Group commit: writes that come together share one transaction, and none pays for another's failure. */
#include "server/store/store_jobs.h"
#include "server/store/store_private.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 40 };

static struct {
    atomic_int commits;
    atomic_int refuse_number;                     /* this commit fails, as on a bad disk */
} disk;

static int on_commit(void *ctx)
{
    (void)ctx;
    return atomic_fetch_add(&disk.commits, 1) + 1 == atomic_load(&disk.refuse_number);
}

static void quiet(void *ctx, enum log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

struct client {
    struct store *store;
    pthread_t thread;
    char id[40];
    const char *answer_id;                        /* NULL: without a key */
    enum status status;
    bool durable;                                 /* when it was told OK, another connection saw the job */
};

static void *submit(void *client)
{
    struct client *c = client;
    struct error e;
    struct arena a;
    struct job_row row;
    struct job_new job = {.id = c->id, .kind = "sum", .spec = "{}", .spec_sha256 = "", .priority = 2, .max_attempts = 1};
    struct submit_record record = {"/api/v1/jobs", c->answer_id ? c->answer_id : "", "", c->id, "{}", time_unix_us()};
    c->status = store_jobs_insert_answered(c->store, &job, 1, c->answer_id ? &record : NULL, &e);
    arena_init(&a, 1 << 20);
    c->durable = store_job_get(c->store, &a, c->id, &row, &e) == STATUS_OK;
    arena_fini(&a);
    return NULL;
}

/* Lets all clients come while the store is held, so that they are one group behind the first of them. */
static void submit_together(struct store *s, struct client *clients, size_t n)
{
    struct error e;
    assert_int_equal(store_begin(s, &e), STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        clients[i].store = s;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, submit, &clients[i]), 0);
    }
    for (size_t waiting = 0; waiting + 1 < n; usleep(1000)) {
        pthread_mutex_lock(&s->queue_lock);
        waiting = s->n_queued;
        pthread_mutex_unlock(&s->queue_lock);
    }
    assert_int_equal(store_end(s, STATUS_OK, &e), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        pthread_join(clients[i].thread, NULL);
}

static struct store *opened(const char *folder)
{
    struct store *s;
    struct error e;
    if (store_open(folder, &s, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    sqlite3_commit_hook(s->writer.handle, on_commit, NULL);
    atomic_store(&disk.commits, 0);
    atomic_store(&disk.refuse_number, 0);
    return s;
}

static struct client *new_clients(void)
{
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    assert_non_null(clients);
    for (int i = 0; i < CLIENTS; i++)
        store_new_id("job", clients[i].id);
    return clients;
}

static void test_writes_that_come_together_are_one_commit(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct client *clients = new_clients();
    submit_together(s, clients, CLIENTS);
    assert_int_equal(atomic_load(&disk.commits), 3);              /* the holder's, the first client's, all others' */
    for (int i = 0; i < CLIENTS; i++)
        assert_true(clients[i].status == STATUS_OK && clients[i].durable);
    free(clients);
    store_close(s);
    temp_folder_remove(folder);
}

static void test_one_that_fails_takes_nothing_of_its_neighbours_along(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct client *clients = new_clients();
    for (int i = 0; i < CLIENTS; i++)
        clients[i].answer_id = i % 4 == 1 ? "the same key" : clients[i].id;
    log_set(LOG_ERROR, quiet, NULL);
    submit_together(s, clients, CLIENTS);
    log_set(LOG_INFO, NULL, NULL);
    int n_same = 0;
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].durable, clients[i].status == STATUS_OK);      /* also that a refused one is gone */
        if (i % 4 == 1)
            n_same += clients[i].status == STATUS_OK;
        else
            assert_int_equal(clients[i].status, STATUS_OK);
    }
    assert_int_equal(n_same, 1);
    free(clients);
    store_close(s);
    temp_folder_remove(folder);
}

static void test_nobody_is_told_ok_when_the_commit_fails(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct client *clients = new_clients();
    int n_refused = 0;
    log_set(LOG_ERROR, quiet, NULL);
    atomic_store(&disk.refuse_number, 3);                         /* the group's, behind the holder's and the first one's */
    submit_together(s, clients, CLIENTS);
    log_set(LOG_INFO, NULL, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].durable, clients[i].status == STATUS_OK);
        n_refused += clients[i].status != STATUS_OK;
    }
    assert_int_equal(n_refused, CLIENTS - 1);
    assert_int_equal(atomic_load(&disk.commits), 3);              /* and it was not tried again */
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].status != STATUS_OK)
            submit(&clients[i]);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(clients[i].status == STATUS_OK && clients[i].durable);
    free(clients);
    store_close(s);
    temp_folder_remove(folder);
}

static void test_many_writers_lose_nothing(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct store *s = opened(folder);
    struct arena a;
    struct job_row *rows;
    struct error e;
    size_t n;
    for (int round = 0; round < 5; round++) {
        struct client *clients = new_clients();
        for (int i = 0; i < CLIENTS; i++) {
            clients[i].store = s;
            assert_int_equal(pthread_create(&clients[i].thread, NULL, submit, &clients[i]), 0);
        }
        for (int i = 0; i < CLIENTS; i++) {
            pthread_join(clients[i].thread, NULL);
            assert_true(clients[i].status == STATUS_OK && clients[i].durable);
        }
        free(clients);
    }
    store_close(s);
    s = opened(folder);
    arena_init(&a, 64 << 20);
    assert_int_equal(store_jobs_list(s, &a, &(struct job_filter){.limit = 1000}, &rows, &n, &e), STATUS_OK);
    assert_int_equal(n, 5 * CLIENTS);
    arena_fini(&a);
    store_close(s);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_that_come_together_are_one_commit),
        cmocka_unit_test(test_one_that_fails_takes_nothing_of_its_neighbours_along),
        cmocka_unit_test(test_nobody_is_told_ok_when_the_commit_fails),
        cmocka_unit_test(test_many_writers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
