/* server/drop/drop.c: see drop.h. */
#include "server/drop/drop.h"

#include "server/store/data.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

enum { CANDIDATES_MAX = 4096, ARENA_BYTES_MAX = 64 << 20 };

/* A file that is not known to be complete yet. */
struct candidate {
    char *path;
    int64_t bytes, mtime_ns, since_ns;
    bool seen;                         /* in this scan */
};
struct drop {
    struct drop_options o;
    struct candidate *candidates;
    size_t n;
    bool full_told;
};

enum status drop_create(const struct drop_options *o, struct drop **out, struct error *e)
{
    struct drop *d = mem_calloc(1, sizeof *d);
    *out = NULL;
    if (d)
        d->candidates = mem_calloc(CANDIDATES_MAX, sizeof *d->candidates);
    if (!d || !d->candidates) {
        mem_free(d);
        return error_set(e, STATUS_NOMEM, "drop folders");
    }
    d->o = *o;
    *out = d;
    return STATUS_OK;
}

void drop_destroy(struct drop *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n; i++)
        mem_free(d->candidates[i].path);
    mem_free(d->candidates);
    mem_free(d);
}

void drop_split(const char *given, char out[4096], const char **label)
{
    const char *equals = strrchr(given, '=');
    text_copy(out, 4096, given);
    *label = equals ? equals + 1 : NULL;
    if (equals && (size_t)(equals - given) < 4096)
        out[equals - given] = '\0';
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static struct json *job_body(const char *path, const char *label)
{
    struct json *body = json_new_object(), *spec = json_new_object(), *inputs = json_new_array(), *input = json_new_object(),
                *tags = json_new_array();
    json_set(input, "path", json_new_string(path));
    json_set(input, "label", json_new_string(label));
    json_push(inputs, input);
    json_set(spec, "inputs", inputs);
    json_push(tags, json_new_string("dropped"));
    json_set(body, "kind", json_new_string("ingest"));
    json_set(body, "spec", spec);
    json_set(body, "tags", tags);
    return body;
}

/* The key makes a repetition after a crash the same job. */
static enum status submit(struct drop *d, struct arena *a, const struct dropped_file *f, const char **job_id, struct error *e)
{
    char key[65];
    struct submit_answer answer = {0};
    struct json_problems *problems = ARENA_NEW(a, struct json_problems, 1);
    const char *text = arena_printf(a, "%s\n%lld\n%lld", f->path, (long long)f->bytes, (long long)f->mtime_ns);
    if (!problems || !text)
        return error_set(e, STATUS_NOMEM, "dropped file");
    sha256_hex(text, strlen(text), key);
    struct json *body = job_body(f->path, f->label);
    if (!body)
        return error_set(e, STATUS_NOMEM, "dropped file");
    const struct submit_key k = {.route = "drop folder", .key = key, .body_sha256 = key};
    enum status s = jobs_accept(d->o.jobs, a, body, &k, &answer, problems, e);
    json_free(body);
    if (s == STATUS_ARGUMENT && problems->n > 0)
        s = error_set(e, s, "%s: %s", problems->items[0].pointer, problems->items[0].detail);
    if (s == STATUS_OK && answer.outcome != SUBMIT_ACCEPTED && answer.outcome != SUBMIT_REPLAYED)
        s = error_set(e, STATUS_BUSY, "another submission of this file is under way");
    *job_id = answer.id;
    return s;
}

/* False: try again later. */
static bool take(struct drop *d, const char *path, const char *label, int64_t bytes, int64_t mtime_ns)
{
    struct arena a;
    struct error e;
    struct dropped_file f = {.path = path, .label = label, .bytes = bytes, .mtime_ns = mtime_ns};
    enum status s = STATUS_OK;
    arena_init(&a, ARENA_BYTES_MAX);
    if (!label)
        s = error_set(&e, STATUS_ARGUMENT, "a file that is not in a folder with the name of its class");
    else
        s = submit(d, &a, &f, &f.job_id, &e);
    bool later = s != STATUS_OK && s != STATUS_ARGUMENT && s != STATUS_FORBIDDEN && s != STATUS_RANGE;
    if (s != STATUS_OK) {
        f.job_id = NULL;
        f.error = arena_strdup(&a, e.text);
        log_line(LOG_WARN, "drop folder: %s: %s", path, e.text);
    }
    if (!later && store_dropped_insert(d->o.store, &f, &e) != STATUS_OK) {
        log_line(LOG_WARN, "drop folder: %s: %s", path, e.text);
        later = true;
    }
    if (!later && f.job_id)
        log_line(LOG_INFO, "drop folder: %s: class %s, job %s", path, label, f.job_id);
    arena_fini(&a);
    return !later;
}

/* ---- which files are complete ------------------------------------------------------------------------------------ */

static struct candidate *candidate_get(struct drop *d, const char *path)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->candidates[i].path, path) == 0)
            return &d->candidates[i];
    if (d->n == CANDIDATES_MAX) {
        if (!d->full_told)
            log_line(LOG_WARN, "drop folder: %d files are waiting; more are looked at as these go", CANDIDATES_MAX);
        d->full_told = true;
        return NULL;
    }
    size_t len = strlen(path) + 1;
    char *copy = mem_alloc(len);
    if (!copy)
        return NULL;
    memcpy(copy, path, len);
    d->candidates[d->n] = (struct candidate){.path = copy, .bytes = -1};
    return &d->candidates[d->n++];
}

static void candidate_forget(struct drop *d, struct candidate *c)
{
    mem_free(c->path);
    *c = d->candidates[--d->n];
    d->full_told = false;
}

static bool is_marked(const char *path)
{
    char marker[4200];
    struct stat st;
    return snprintf(marker, sizeof marker, "%s.done", path) < (int)sizeof marker && stat(marker, &st) == 0;
}

static void look_at(struct drop *d, const char *path, const char *label, const struct stat *st)
{
    struct error e;
    bool known;
    int64_t mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec, now = time_mono_ns();
    struct candidate *c = candidate_get(d, path);
    if (!c)
        return;
    c->seen = true;
    if (c->bytes != st->st_size || c->mtime_ns != mtime_ns) {
        c->bytes = st->st_size;
        c->mtime_ns = mtime_ns;
        c->since_ns = now;
    }
    if (c->since_ns < 0)
        return;                                        /* taken, as far as this process knows */
    if ((double)(now - c->since_ns) * 1e-9 < d->o.settle_seconds && !is_marked(path))
        return;
    if (store_dropped_known(d->o.store, path, c->bytes, c->mtime_ns, &known, &e) != STATUS_OK)
        log_line(LOG_WARN, "drop folder: %s: %s", path, e.text);
    else if (known || take(d, path, label, c->bytes, c->mtime_ns))
        c->since_ns = -1;
}

static bool is_root_file(const char *name)
{
    size_t len = strlen(name);
    return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".root") == 0;
}

/* Files of a folder; of sub-folders, whose names are classes, too when `below`. */
static void scan_folder(struct drop *d, const char *folder, const char *label, bool below)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        log_line(LOG_WARN, "drop folder: %s cannot be read", folder);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[4096];
        struct stat st;
        if (entry->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || lstat(path, &st) != 0 ||
            !text_is_clean(path, strlen(path)))
            continue;
        if (S_ISDIR(st.st_mode) && below)
            scan_folder(d, path, entry->d_name, false);
        else if (S_ISREG(st.st_mode) && is_root_file(entry->d_name))
            look_at(d, path, label, &st);
    }
    closedir(dir);
}

void drop_scan(struct drop *d)
{
    for (size_t i = 0; i < d->n; i++)
        d->candidates[i].seen = false;
    for (size_t i = 0; i < d->o.n_folders; i++) {
        char folder[4096];
        const char *label;
        drop_split(d->o.folders[i], folder, &label);
        scan_folder(d, folder, label, true);
    }
    for (size_t i = d->n; i-- > 0;)
        if (!d->candidates[i].seen)
            candidate_forget(d, &d->candidates[i]);
}
