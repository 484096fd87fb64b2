/* server/jobs/inputs.c
 *
 * From what a spec says to files that may be read: nothing outside the data roots, whatever links and dots it is made
 * of, and no word on whether something outside exists.  URLs are for core/source.h to judge. */
#include "server/jobs/engine.h"
#include "server/store/data.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 100000 };

struct search {
    const char *const *roots;
    size_t n_roots;
    struct arena *a;
    const char *given;                            /* for messages */
};

/* ---- paths -------------------------------------------------------------------------------------------------------- */

static bool is_below(const char *path, const char *root)
{
    size_t n = strlen(root);
    if (n == 1)
        return true;                              /* "/" */
    return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_allowed(const struct search *s, const char *path)
{
    for (size_t i = 0; i < s->n_roots; i++)
        if (is_below(path, s->roots[i]))
            return true;
    return false;
}

/* Takes "." and ".." out of an absolute path by its letters alone, without looking at the disk. */
static bool normalise(const char *path, char out[PATH_MAX])
{
    size_t n = 0;
    while (*path) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.') {
            while (n > 0 && out[--n] != '/')
                ;
        } else if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (n + len + 2 > PATH_MAX)
                return false;
            out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len;
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return true;
}

static enum status forbidden(const struct search *s, struct error *e)
{
    return error_set(e, STATUS_FORBIDDEN, "%.200s is not inside a data root", s->given);
}

static enum status not_found(const struct search *s, struct error *e)
{
    return error_set(e, STATUS_NOTFOUND, "%.200s: no such file below the data roots", s->given);
}

/* ---- what a path stands for ------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The real path of one match; *kept NULL when it is to be passed over.  `named`: by the user, not by a pattern. */
static enum status take_file(const struct search *s, const char *path, bool named, const char **kept, struct error *e)
{
    char real[PATH_MAX];
    struct stat st;
    *kept = NULL;
    if (!realpath(path, real))
        return named ? not_found(s, e) : STATUS_OK;           /* gone meanwhile, or a link to nowhere */
    if (!is_allowed(s, real))
        return forbidden(s, e);
    if (stat(real, &st) != 0 || !S_ISREG(st.st_mode))
        return named ? error_set(e, STATUS_ARGUMENT, "%.200s is not a file", s->given) : STATUS_OK;
    *kept = arena_strdup(s->a, real);
    return *kept ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for a path");
}

/* All files that `pattern` matches, sorted by their real paths; *out empty when there is none. */
static enum status take_glob(const struct search *s, const char *pattern, struct field_list *out, struct error *e)
{
    glob_t g;
    *out = (struct field_list){NULL, 0};
    int rc = glob(pattern, GLOB_NOSORT, NULL, &g);
    if (rc == GLOB_NOSPACE)
        return error_set(e, STATUS_NOMEM, "no memory for the files of %.200s", s->given);
    if (rc != 0)
        return STATUS_OK;
    enum status st = STATUS_OK;
    const char **files = ARENA_NEW(s->a, const char *, g.gl_pathc);
    if (!files)
        st = error_set(e, STATUS_NOMEM, "no memory for %zu files", g.gl_pathc);
    else if (g.gl_pathc > FILES_MAX)
        st = error_set(e, STATUS_RANGE, "%.200s matches %zu files, at most %d are taken", s->given, g.gl_pathc, FILES_MAX);
    size_t n = 0;
    for (size_t i = 0; st == STATUS_OK && i < g.gl_pathc; i++) {
        st = take_file(s, g.gl_pathv[i], false, &files[n], e);
        n += st == STATUS_OK && files[n];
    }
    globfree(&g);
    if (st == STATUS_OK && n > 0) {
        qsort(files, n, sizeof *files, by_name);
        *out = (struct field_list){files, n};
    }
    return st;
}

/* A folder stands for its *.root files; characters that a pattern would understand are quoted. */
static enum status take_folder(const struct search *s, const char *folder, struct field_list *out, struct error *e)
{
    char *pattern = arena_alloc(s->a, 2 * strlen(folder) + sizeof "/*.root", 1);
    size_t n = 0;
    if (!pattern)
        return error_set(e, STATUS_NOMEM, "no memory for a path");
    for (const char *c = folder; *c; c++) {
        if (strchr("*?[]\\", *c))
            pattern[n++] = '\\';
        pattern[n++] = *c;
    }
    memcpy(pattern + n, "/*.root", sizeof "/*.root");
    TRY(take_glob(s, pattern, out, e));
    return out->n_items > 0 ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "folder %.200s has no .root files", s->given);
}

/* An absolute path or pattern.  *out empty: nothing is there. */
static enum status take_path(const struct search *s, const char *path, struct field_list *out, struct error *e)
{
    char plain[PATH_MAX], real[PATH_MAX];
    struct stat st;
    *out = (struct field_list){NULL, 0};
    if (!normalise(path, plain))
        return error_set(e, STATUS_ARGUMENT, "the path is too long");
    if (!realpath(path, real)) {
        if (!is_allowed(s, plain))
            return forbidden(s, e);
        bool pattern = strpbrk(path, "*?[") != NULL;
        if (pattern && strstr(path, ".."))
            return error_set(e, STATUS_ARGUMENT, "%.200s: a pattern must not have \"..\" in it", s->given);
        return pattern ? take_glob(s, plain, out, e) : STATUS_OK;
    }
    if (!is_allowed(s, real))
        return forbidden(s, e);
    if (stat(real, &st) == 0 && S_ISDIR(st.st_mode))
        return take_folder(s, real, out, e);
    const char **one = ARENA_NEW(s->a, const char *, 1);
    if (!one)
        return error_set(e, STATUS_NOMEM, "no memory for a path");
    TRY(take_file(s, real, true, one, e));
    *out = (struct field_list){one, 1};
    return STATUS_OK;
}

/* ---- roots ------------------------------------------------------------------------------------------------------------- */

/* Tried below each root in turn; the first where something is wins. */
static enum status take_relative(const struct search *s, const char *given, struct field_list *out, struct error *e)
{
    char path[PATH_MAX];
    bool was_forbidden = false;
    for (size_t i = 0; i < s->n_roots; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s", s->roots[i], given) >= sizeof path)
            return error_set(e, STATUS_ARGUMENT, "the path is too long");
        enum status st = take_path(s, path, out, e);
        was_forbidden |= st == STATUS_FORBIDDEN;
        if (st != STATUS_OK && st != STATUS_FORBIDDEN)
            return st;
        if (st == STATUS_OK && out->n_items > 0)
            return st;
    }
    return was_forbidden ? forbidden(s, e) : not_found(s, e);
}

/* "root://", but not "file://" and not "a/b://c". */
static bool is_url(const char *given)
{
    const char *colon = strstr(given, "://");
    return colon && colon > given && strcspn(given, "/") > (size_t)(colon - given) && strncmp(given, "file://", 7) != 0;
}

enum status input_resolve_upload(struct store *store, struct arena *a, const char *given, struct field_list *paths,
                                 struct error *e)
{
    struct upload_row row;
    const char **one = ARENA_NEW(a, const char *, 1);
    *paths = (struct field_list){NULL, 0};
    if (!one)
        return error_set(e, STATUS_NOMEM, "no memory for a path");
    TRY(store_upload_get(store, a, given + strlen(INPUT_UPLOAD), &row, e));
    if (!row.sha256)
        return error_set(e, STATUS_CONFLICT, "upload %.80s is not complete: %lld bytes are there", row.name,
                         (long long)row.received);
    *one = arena_printf(a, "%s/uploads/%s", store_folder(store), row.sha256);
    if (!*one)
        return error_set(e, STATUS_NOMEM, "no memory for a path");
    *paths = (struct field_list){one, 1};
    return STATUS_OK;
}

enum status input_resolve(const char *const *roots, size_t n_roots, struct arena *a, const char *given,
                          struct field_list *paths, struct error *e)
{
    struct search s = {roots, n_roots, a, given};
    *paths = (struct field_list){NULL, 0};
    if (!*given || !text_is_clean(given, strlen(given)))
        return error_set(e, STATUS_ARGUMENT, "an input is a path or a URL, without control characters");
    if (is_url(given)) {
        const char **one = ARENA_NEW(a, const char *, 1);
        if (!one || !(one[0] = arena_strdup(a, given)))
            return error_set(e, STATUS_NOMEM, "no memory for a URL");
        *paths = (struct field_list){one, 1};
        return STATUS_OK;
    }
    if (strncmp(given, "file://", 7) == 0)
        given += 7;
    if (given[0] != '/')
        return take_relative(&s, given, paths, e);
    TRY(take_path(&s, given, paths, e));
    return paths->n_items > 0 ? STATUS_OK : not_found(&s, e);
}
