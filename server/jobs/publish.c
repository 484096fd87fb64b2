/* server/jobs/publish.c
 *
 * Staged folders to their places.  Three steps, each of which may be the last before a crash:
 *   1. the store notes which folders are about to move          (nothing moved: forgotten at the next start)
 *   2. the folders are renamed                                   (moved back at the next start)
 *   3. the job completes and the notes become artifacts         (done)
 * so a folder in datasets/, models/ or evaluations/ either belongs to a completed job or goes back into work/, and what a
 * kind staged is where it left it when its `finish` is repeated. */
#include "server/jobs/engine.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- checks ------------------------------------------------------------------------------------------------------- */

static bool is_id(const char *id)
{
    const char *line = strchr(id, '_');
    if (!line || line == id || strlen(id) >= 40)
        return false;
    for (const char *c = id; *c; c++)
        if (c != line && !isalnum((unsigned char)*c))
            return false;
    return true;
}

/* A folder below `work_dir`, by a path without "..". */
static bool is_inside(const char *work_dir, const char *staged)
{
    size_t n = strlen(work_dir);
    struct stat st;
    return strncmp(staged, work_dir, n) == 0 && staged[n] == '/' && !strstr(staged, "/../") &&
           strlen(staged) > n + 1 && lstat(staged, &st) == 0 && S_ISDIR(st.st_mode);
}

enum status publication_check(struct arena *a, const char *work_dir, const struct artifact *artifact,
                              struct job_publication *out, struct error *e)
{
    const char *kind = artifact->kind;
    bool model = strcmp(kind, "model") == 0;
    static const char *const others[] = {"dataset", "evaluation", "export", "study"};
    bool known = model;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        known |= strcmp(kind, others[i]) == 0;
    if (!known)
        return error_set(e, STATUS_BUG, "there are no artifacts of kind %s", kind);
    if (!is_id(artifact->id) || (model && (!artifact->name || !*artifact->name)))
        return error_set(e, STATUS_BUG, "a %s is published without a proper id or name", kind);
    if (!is_inside(work_dir, artifact->staged))
        return error_set(e, STATUS_BUG, "%s %s is not staged in a folder of the job's own", kind, artifact->id);
    *out = (struct job_publication){
        .id = arena_strdup(a, artifact->id),
        .kind = arena_strdup(a, kind),
        .name = artifact->name ? arena_strdup(a, artifact->name) : NULL,
        .sha256 = artifact->sha256 ? arena_strdup(a, artifact->sha256) : NULL,
        .staged = arena_strdup(a, artifact->staged),
    };
    bool whole = out->id && out->kind && out->staged && !(artifact->name && !out->name) &&
                 !(artifact->sha256 && !out->sha256);
    return whole ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for an artifact");
}

/* ---- there -------------------------------------------------------------------------------------------------------- */

static void final_path(const struct jobs *j, const struct job_publication *p, char folder[4096], char path[4096])
{
    const char *kinds = store_kind_folder(p->kind);
    check(snprintf(folder, 4096, "%s/%s", store_folder(j->store), kinds) < 4096);
    check(snprintf(path, 4096, "%s/%s/%s", store_folder(j->store), kinds, p->id) < 4096);
}

/* The folder that `path` is in. */
static void parent_of(const char *path, char out[4096])
{
    text_copy(out, 4096, path);
    char *slash = strrchr(out, '/');
    check(slash);
    *slash = '\0';
}

/* Renames and makes both names durable; what stands at `to` is replaced. */
static enum status move_folder(const char *from, const char *to, struct error *e)
{
    char parent[4096];
    TRY(file_remove_tree(to, e));
    if (rename(from, to) != 0)
        return error_errno(e, "moving a finished folder to its place");
    parent_of(to, parent);
    TRY(file_sync_folder(parent, e));
    parent_of(from, parent);
    return file_sync_folder(parent, e);
}

enum status publications_move(struct jobs *j, const char *job_id, const char *token, const struct job_publication *items,
                              size_t n, struct error *e)
{
    char folder[4096], path[4096];
    if (n == 0)
        return STATUS_OK;
    TRY(store_publications_set(j->store, job_id, token, items, n, e));
    for (size_t i = 0; i < n; i++) {
        final_path(j, &items[i], folder, path);
        TRY(file_make_folder(folder, e));
        TRY(move_folder(items[i].staged, path, e));
    }
    return STATUS_OK;
}

/* ---- and back ------------------------------------------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum status undo_one(struct jobs *j, const struct job_publication *p, struct error *e)
{
    char folder[4096], path[4096], parent[4096];
    final_path(j, p, folder, path);
    parent_of(p->staged, parent);
    if (!is_folder(path))
        return STATUS_OK;
    if (is_folder(p->staged) || !is_folder(parent))
        return file_remove_tree(path, e);
    return move_folder(path, p->staged, e);
}

enum status publications_undo(struct jobs *j, const char *job_id, struct error *e)
{
    struct arena a;
    struct job_publication *items;
    size_t n;
    arena_init(&a, 64 << 20);
    enum status s = store_publications_list(j->store, &a, job_id, &items, &n, e);
    for (size_t i = 0; s == STATUS_OK && i < n; i++)
        s = undo_one(j, &items[i], e);
    for (size_t i = 0; s == STATUS_OK && i < n; i++)
        if (i == 0 || strcmp(items[i].job_id, items[i - 1].job_id) != 0)
            s = store_publications_clear(j->store, items[i].job_id, e);
    arena_fini(&a);
    return s;
}
