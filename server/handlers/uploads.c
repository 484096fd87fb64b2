/* server/handlers/uploads.c
 *
 * PUT /api/v1/uploads/{name}: a file from the client's side, in one request or in several that go on where the last one
 * ended.  A body never is in memory: its bytes go to DIR/uploads/ID as they come, and are counted in the store when they
 * are durable.  A complete file is named by its SHA-256; the client's name is a row, never a path.
 *
 * Content-Range "bytes A-B/T" says which bytes these are (T may be *); without it the body is the whole file.
 * Content-Digest is that of the body: a body that does not match is not kept. */
#include "server/handlers/handlers.h"
#include "server/store/data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 200 };
#define UNFINISHED_US (7LL * 24 * 3600 * 1000000)

struct taking {
    struct upload_row row;
    int fd;
    int64_t first, at, last, total;    /* first: of this body; last -1: unknown */
    int64_t room;                      /* of the quota */
    bool has_digest, digest_good, failed;
    char digest[65];                   /* hex, that is wanted */
    struct sha256 hash;
};

static char *file_path(struct app *app, struct arena *a, const char *name)
{
    return arena_printf(a, "%s/uploads/%s", store_folder(app->store), name);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static bool take_number(const char **at, int64_t *out)
{
    const char *begin = *at;
    *out = 0;
    for (; **at >= '0' && **at <= '9' && *at - begin < 18; ++*at)
        *out = *out * 10 + (**at - '0');
    return *at > begin && !(**at >= '0' && **at <= '9');
}

/* "bytes A-B/T", where T may be a star. */
static bool read_range(const char *text, struct taking *t)
{
    if (strncasecmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    if (!take_number(&text, &t->first) || *text++ != '-' || !take_number(&text, &t->last) || *text++ != '/')
        return false;
    t->total = -1;
    if (strcmp(text, "*") != 0 && (!take_number(&text, &t->total) || *text))
        return false;
    return t->first <= t->last && (t->total < 0 || t->last < t->total);
}

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 9530: a list that has "sha-256=:BASE64:" in it; other algorithms are passed over. */
static bool read_digest(const char *text, struct taking *t)
{
    const char *at = strcasestr(text, "sha-256=:");
    uint32_t bits = 0;
    size_t n = 0;
    if (!at)
        return false;
    at += 9;
    for (size_t i = 0; i < 43; i++) {
        int v = base64_value(at[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 1)
            n += (size_t)snprintf(t->digest + n, 3, "%02x", bits >> 4 & 255);
        else if (i % 4 == 2)
            n += (size_t)snprintf(t->digest + n, 3, "%02x", bits >> 2 & 255);
        else if (i % 4 == 3)
            n += (size_t)snprintf(t->digest + n, 3, "%02x", bits & 255);
    }
    return at[43] == '=' && at[44] == ':' && n == 64;
}

static bool read_headers(struct request *q, struct response *r, struct taking *t)
{
    const char *range = request_header(q, "Content-Range"), *digest = request_header(q, "Content-Digest");
    const char *name = q->params[0];
    t->last = t->total = -1;
    if (strlen(name) > NAME_BYTES_MAX || !text_is_clean(name, strlen(name)) || strncmp(name, "up_", 3) == 0 ||
        name[0] == '.' || strpbrk(name, "*?[]\"\\")) {
        respond_problem(q, r, "invalid_request", NULL, "A name has at most %d bytes, none of * ? [ ] \" \\, and does not "
                        "begin with up_ or a dot.", NAME_BYTES_MAX);
        return false;
    }
    if (range && !read_range(range, t)) {
        respond_problem(q, r, "invalid_request", NULL, "Content-Range is 'bytes FIRST-LAST/TOTAL', TOTAL may be *.");
        return false;
    }
    t->has_digest = digest != NULL;
    if (digest && !read_digest(digest, t)) {
        respond_problem(q, r, "invalid_request", NULL, "Content-Digest is 'sha-256=:BASE64:'.");
        return false;
    }
    return true;
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static void expire(struct app *app, struct arena *a)
{
    const char **ids;
    size_t n;
    struct error e;
    enum status s = store_uploads_expire(app->store, a, time_unix_us() - UNFINISHED_US, &ids, &n, &e);
    for (size_t i = 0; s == STATUS_OK && i < n; i++) {
        const char *path = file_path(app, a, ids[i]);
        if (path && unlink(path) == 0)
            log_line(LOG_INFO, "upload %s: not continued for a week, deleted", ids[i]);
    }
}

/* The file of an upload, ours alone: a second request for the name is refused while the first runs. */
static enum status open_part(struct app *app, struct request *q, struct taking *t, struct error *e)
{
    char *path = file_path(app, &q->arena, t->row.id), *folder = file_path(app, &q->arena, ".");
    if (!path || !folder)
        return error_set(e, STATUS_NOMEM, "no memory for an upload");
    folder[strlen(folder) - 2] = '\0';
    TRY(file_make_folder(folder, e));
    t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t->fd < 0)
        return error_errno(e, "upload");
    if (flock(t->fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(e, STATUS_CONFLICT, "another request is sending this upload");
    return STATUS_OK;
}

static void say_range(struct request *q, struct response *r, int64_t received)
{
    if (received > 0)
        response_header(r, "Range", arena_printf(&q->arena, "bytes=0-%lld", (long long)received - 1));
}

/* As announced; 0 when the body comes in chunks. */
static int64_t body_bytes(const struct request *q)
{
    const char *text = request_header(q, "Content-Length");
    int64_t n = 0;
    return text && take_number(&text, &n) && !*text ? n : 0;
}

static enum status begin(struct app *app, struct request *q, struct taking *t, struct error *e)
{
    int64_t all, limit = app->config->uploads_mb * 1000000;
    expire(app, &q->arena);
    TRY(store_upload_begin(app->store, &q->arena, q->params[0], &t->row, e));
    TRY(open_part(app, q, t, e));
    TRY(store_upload_get(app->store, &q->arena, t->row.id, &t->row, e));      /* as it is now that we have it */
    struct stat st;
    if (fstat(t->fd, &st) != 0)
        return error_errno(e, "upload");
    if (st.st_size < t->row.received) {                /* a crash between two steps of its completion */
        t->row.received = 0;
        TRY(store_upload_set(app->store, t->row.id, 0, -1, e));
    }
    TRY(store_uploads_bytes(app->store, &all, e));
    t->room = limit - all;
    int64_t coming = t->total >= 0 ? t->total : t->last >= 0 ? t->last + 1 : body_bytes(q);
    if (t->room <= 0 || coming - t->row.received > t->room)
        return error_set(e, STATUS_NOSPACE, "uploads may take %lld MB together, and have %lld", (long long)limit / 1000000,
                         (long long)(all / 1000000));
    if (t->last < 0 && t->row.received > 0) {      /* the whole file again */
        t->row.received = 0;
        TRY(store_upload_set(app->store, t->row.id, 0, -1, e));
    }
    t->at = t->first;
    sha256_init(&t->hash);
    return STATUS_OK;
}

static bool take_begin(struct app *app, struct request *q, struct response *r)
{
    struct taking *t = q->taking = ARENA_NEW(&q->arena, struct taking, 1);
    struct error e;
    if (!t) {
        respond_problem(q, r, "out_of_memory", NULL, "No memory for an upload.");
        return false;
    }
    t->fd = -1;
    t->failed = true;
    if (!read_headers(q, r, t))
        return false;
    int64_t most = app->config->upload_mb * 1000000;
    if (t->total > most || t->last >= most || body_bytes(q) > most) {
        respond_problem(q, r, "body_too_large", NULL, "A file has at most %lld bytes.", (long long)most);
        return false;
    }
    if (begin(app, q, t, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return false;
    }
    if (t->first != t->row.received || (t->row.total >= 0 && t->total >= 0 && t->total != t->row.total)) {
        say_range(q, r, t->row.received);
        respond_problem(q, r, "offset_mismatch", NULL, "%lld bytes are here%s, the body begins at %lld.",
                        (long long)t->row.received, t->first == t->row.received ? " of another total" : "",
                        (long long)t->first);
        return false;
    }
    t->failed = false;
    return true;
}

static bool take_piece(struct app *app, struct request *q, struct response *r, const void *data, size_t n)
{
    struct taking *t = q->taking;
    struct error e;
    const uint8_t *p = data;
    t->failed = true;
    if (t->last >= 0 && t->at + (int64_t)n > t->last + 1) {
        respond_problem(q, r, "invalid_request", NULL, "The body is longer than Content-Range says.");
        return false;
    }
    if (t->at + (int64_t)n > app->config->upload_mb * 1000000) {
        respond_problem(q, r, "body_too_large", NULL, "A file has at most %lld MB.", (long long)app->config->upload_mb);
        return false;
    }
    if (t->at + (int64_t)n - t->row.received > t->room) {
        (void)error_set(&e, STATUS_NOSPACE, "all uploads together may take %lld MB", (long long)app->config->uploads_mb);
        respond_error(q, r, &e);
        return false;
    }
    sha256_update(&t->hash, data, n);
    while (n > 0) {
        ssize_t done = pwrite(t->fd, p, n, (off_t)t->at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            (void)error_errno(&e, "upload");
            respond_error(q, r, &e);
            return false;
        }
        p += done;
        n -= (size_t)done;
        t->at += done;
    }
    t->failed = false;
    return true;
}

/* What came before the connection broke counts, unless a digest would have had to prove it. */
static void take_end(struct app *app, struct request *q)
{
    struct taking *t = q->taking;
    struct error e;
    if (!t)
        return;
    if (t->fd >= 0 && !t->failed && !t->has_digest && t->at > t->row.received && fsync(t->fd) == 0 &&
        store_upload_set(app->store, t->row.id, t->at, t->total >= 0 ? t->total : t->row.total, &e) != STATUS_OK)
        log_line(LOG_WARN, "upload %s: %s", t->row.id, e.text);
    if (t->fd >= 0)
        close(t->fd);
}
const struct body_taker upload_taker = {take_begin, take_piece, take_end};

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* The name that the client gave. */
static struct json *upload_to_json(struct arena *a, const struct upload_row *u)
{
    struct json *v = json_new_object();
    size_t len = strcspn(u->name, "\x01");
    json_set(v, "id", json_new_string(u->id));
    json_set(v, "name", json_new_string(arena_strndup(a, u->name, len)));
    json_set(v, "complete", json_new_bool(u->sha256 != NULL));
    json_set(v, "received", json_new_i64(u->received));
    json_set(v, "total", u->total >= 0 ? json_new_i64(u->total) : json_new_null());
    json_set(v, "sha256", json_new_string(u->sha256));
    json_set(v, "created_at", json_new_time(u->created_us));
    json_set(v, "changed_at", json_new_time(u->changed_us));
    return v;
}

static enum status complete(struct app *app, struct request *q, struct taking *t, struct error *e)
{
    char sha[65];
    int64_t bytes;
    const char *old;
    char *from = file_path(app, &q->arena, t->row.id), *folder = file_path(app, &q->arena, ".");
    if (!from || !folder)
        return error_set(e, STATUS_NOMEM, "no memory for an upload");
    if (ftruncate(t->fd, (off_t)t->at) != 0)
        return error_errno(e, "upload");
    struct sha256 hash = t->hash;
    if (t->first == 0)
        sha256_final_hex(&hash, sha);                  /* all of it came in this body */
    else
        TRY(sha256_file_hex(from, sha, &bytes, e));
    char *to = file_path(app, &q->arena, sha), *gone;
    if (!to)
        return error_set(e, STATUS_NOMEM, "no memory for an upload");
    if (rename(from, to) != 0)                         /* over a file of the same bytes, if there is one */
        return error_errno(e, "upload");
    TRY(file_sync_folder(folder, e));
    TRY(store_upload_set(app->store, t->row.id, t->at, t->at, e));
    TRY(store_upload_complete(app->store, &q->arena, t->row.id, sha, &old, e));
    if (old && strcmp(old, sha) != 0 && (gone = file_path(app, &q->arena, old)))
        (void)!unlink(gone);
    return store_upload_get(app->store, &q->arena, t->row.id, &t->row, e);
}

void handle_upload_put(struct app *app, struct request *q, struct response *r)
{
    struct taking *t = q->taking;
    char sha[65];
    struct error e;
    t->failed = true;                                  /* nothing is left to do for take_end */
    if (t->last >= 0 && t->at != t->last + 1) {
        respond_problem(q, r, "invalid_request", NULL, "The body has %lld bytes, Content-Range says %lld.",
                        (long long)(t->at - t->first), (long long)(t->last + 1 - t->first));
        return;
    }
    struct sha256 hash = t->hash;
    sha256_final_hex(&hash, sha);
    if (t->has_digest && strcmp(sha, t->digest) != 0) {
        respond_problem(q, r, "digest_mismatch", NULL, "The body's SHA-256 is %s.", sha);
        return;
    }
    int64_t total = t->last < 0 ? t->at : t->total >= 0 ? t->total : t->row.total;
    enum status s = fsync(t->fd) == 0 ? STATUS_OK : error_errno(&e, "upload");
    bool whole = total >= 0 && t->at == total;
    if (s == STATUS_OK)
        s = whole ? complete(app, q, t, &e) : store_upload_set(app->store, t->row.id, t->at, total, &e);
    if (s == STATUS_OK && !whole)
        s = store_upload_get(app->store, &q->arena, t->row.id, &t->row, &e);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (!whole)
        say_range(q, r, t->at);
    else
        response_header(r, "Location", arena_printf(&q->arena, "/api/v1/uploads/%s", t->row.id));
    respond_json(q, r, whole ? 201 : 200, upload_to_json(&q->arena, &t->row));
}

static bool find_upload(struct app *app, struct request *q, struct response *r, struct upload_row *out)
{
    struct error e;
    if (store_upload_get(app->store, &q->arena, q->params[0], out, &e) == STATUS_OK)
        return true;
    respond_error(q, r, &e);
    return false;
}

void handle_upload_get(struct app *app, struct request *q, struct response *r)
{
    struct upload_row row;
    if (!find_upload(app, q, r, &row))
        return;
    if (!row.sha256)
        say_range(q, r, row.received);
    respond_json_tagged(q, r, upload_to_json(&q->arena, &row));
}

void handle_upload_list(struct app *app, struct request *q, struct response *r)
{
    struct page page;
    struct upload_row *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page))
        return;
    expire(app, &q->arena);
    if (store_uploads_list(app->store, &q->arena, page.before, page.limit + 1, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    bool more = n > page.limit;
    struct json *items = json_new_array();
    for (size_t i = 0; i < (more ? page.limit : n); i++)
        json_push(items, upload_to_json(&q->arena, &rows[i]));
    respond_page(q, r, &page, items, more ? rows[page.limit - 1].name : NULL);
}

void handle_upload_delete(struct app *app, struct request *q, struct response *r)
{
    struct upload_row row;
    struct error e;
    bool unused = false;
    if (!find_upload(app, q, r, &row))
        return;
    if (store_upload_delete(app->store, &row, &unused, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    const char *path = unused ? file_path(app, &q->arena, row.sha256 ? row.sha256 : row.id) : NULL;
    if (path && unlink(path) != 0 && errno != ENOENT)
        log_line(LOG_WARN, "deleted upload %s: its file cannot be removed", row.id);
    respond_empty(r, 204);
}
