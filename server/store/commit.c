/* server/store/commit.c
 *
 * Group commit.  A commit waits for the disk, and who writes meanwhile waits for that commit; so those that have come
 * together in the meantime become one transaction, and one wait for the disk is shared by all of them.  The first of them
 * does the work of all, each within a savepoint of its own: one that fails takes nothing of its neighbours along.  Nobody
 * is told OK before the commit. */
#include "server/store/store_private.h"

enum { GROUP_MAX = 256 };                         /* writes in one transaction */

/* A write under way, on the stack of the thread that wants it. */
struct store_pending {
    enum status (*fn)(struct store *s, void *ctx, struct error *e);
    void *ctx;
    struct error *e;
    enum status status;
    bool done, lead;                              /* lead: its thread does the next group */
    pthread_cond_t told;
    struct store_pending *next;
};

/* ---- transactions -------------------------------------------------------------------------------------------------- */

static void roll_back(struct store *s)
{
    struct error ignored;
    if (!sqlite3_get_autocommit(s->writer.handle))        /* else SQLite has done so itself */
        (void)!db_exec(&s->writer, "ROLLBACK", &ignored);
}

enum status store_begin(struct store *s, struct error *e)
{
    pthread_mutex_lock(&s->write_lock);
    enum status st = DB_RUN(&s->writer, NULL, e, "BEGIN IMMEDIATE");
    if (st != STATUS_OK)
        pthread_mutex_unlock(&s->write_lock);
    return st;
}

enum status store_end(struct store *s, enum status outcome, struct error *e)
{
    if (outcome == STATUS_OK)
        outcome = DB_RUN(&s->writer, NULL, e, "COMMIT");
    if (outcome != STATUS_OK)
        roll_back(s);
    pthread_mutex_unlock(&s->write_lock);
    return outcome;
}

enum status store_ping(struct store *s, struct error *e)
{
    TRY(store_begin(s, e));
    enum status st = DB_RUN(&s->writer, NULL, e, "INSERT INTO model_aliases VALUES (?1, ?1, 0, 0)", db_text(""));
    roll_back(s);
    pthread_mutex_unlock(&s->write_lock);
    return st;
}

/* ---- a group --------------------------------------------------------------------------------------------------------- */

static void write_alone(struct store *s, struct store_pending *p)
{
    p->status = store_begin(s, p->e);
    if (p->status == STATUS_OK)
        p->status = store_end(s, p->fn(s, p->ctx, p->e), p->e);
}

/* One of a group.  False: SQLite has rolled back the whole transaction, as it does when a disk is full. */
static bool write_within(struct store *s, struct store_pending *p)
{
    struct error ignored;
    p->status = DB_RUN(&s->writer, NULL, p->e, "SAVEPOINT one");
    if (p->status == STATUS_OK) {
        p->status = p->fn(s, p->ctx, p->e);
        if (sqlite3_get_autocommit(s->writer.handle))
            return false;
        if (p->status != STATUS_OK)
            (void)!DB_RUN(&s->writer, NULL, &ignored, "ROLLBACK TO one");
        if (DB_RUN(&s->writer, NULL, &ignored, "RELEASE one") != STATUS_OK && p->status == STATUS_OK) {
            *p->e = ignored;
            p->status = ignored.status;
        }
    }
    return !sqlite3_get_autocommit(s->writer.handle);
}

static void fail_all(struct store_pending *group, const struct error *e)
{
    for (struct store_pending *p = group; p; p = p->next)
        if (p->status == STATUS_OK) {
            *p->e = *e;
            p->status = e->status;
        }
}

static void write_group(struct store *s, struct store_pending *group)
{
    struct error e;
    bool whole = true;
    if (store_begin(s, &e) != STATUS_OK) {
        fail_all(group, &e);
        return;
    }
    for (struct store_pending *p = group; p && whole; p = p->next)
        whole = write_within(s, p);
    if (whole) {
        /* Not tried again when it fails: after a sync that failed, one that succeeds proves nothing. */
        if (store_end(s, STATUS_OK, &e) != STATUS_OK)
            fail_all(group, &e);
        return;
    }
    (void)!store_end(s, STATUS_IO, &e);
    for (struct store_pending *p = group; p; p = p->next)      /* nothing of it was written: each by itself */
        write_alone(s, p);
}

/* ---- who leads --------------------------------------------------------------------------------------------------------- */

/* Takes up to GROUP_MAX from the queue; queue_lock is held. */
static struct store_pending *take_group(struct store *s)
{
    struct store_pending *group = s->queue, *last = group;
    s->n_queued--;
    for (int n = 1; n < GROUP_MAX && last->next; n++, s->n_queued--)
        last = last->next;
    s->queue = last->next;
    if (!s->queue)
        s->queue_end = &s->queue;
    last->next = NULL;
    return group;
}

static void lead(struct store *s)
{
    struct store_pending *group = take_group(s);
    s->leading = true;
    pthread_mutex_unlock(&s->queue_lock);
    if (group->next)
        write_group(s, group);
    else
        write_alone(s, group);
    pthread_mutex_lock(&s->queue_lock);
    for (struct store_pending *p = group, *next; p; p = next) {
        next = p->next;                           /* gone with its thread once it is done */
        p->done = true;
        pthread_cond_signal(&p->told);
    }
    s->leading = s->queue != NULL;
    if (s->queue) {
        s->queue->lead = true;
        pthread_cond_signal(&s->queue->told);
    }
}

enum status store_write(struct store *s, enum status (*fn)(struct store *s, void *ctx, struct error *e), void *ctx,
                        struct error *e)
{
    struct store_pending mine = {.fn = fn, .ctx = ctx, .e = e};
    check(pthread_cond_init(&mine.told, NULL) == 0);
    pthread_mutex_lock(&s->queue_lock);
    *s->queue_end = &mine;
    s->queue_end = &mine.next;
    s->n_queued++;
    mine.lead = !s->leading;
    while (!mine.done && !mine.lead)
        pthread_cond_wait(&mine.told, &s->queue_lock);
    if (!mine.done)
        lead(s);
    pthread_mutex_unlock(&s->queue_lock);
    pthread_cond_destroy(&mine.told);
    return mine.status;
}
