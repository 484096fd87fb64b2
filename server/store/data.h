/* server/store/data.h
 *
 * What the store keeps of data that comes from outside: uploads and dropped files; and facts of artifacts, so that lists
 * and lineage need not open folders. */
#ifndef DLT_SERVER_STORE_DATA_H
#define DLT_SERVER_STORE_DATA_H

#include "server/store/store.h"

/* The JSON object that was kept of an artifact; *out NULL when there is none yet. */
enum status store_facts_get(struct store *s, struct arena *a, const char *id, const char **out, struct error *e) MUST_USE;
enum status store_facts_set(struct store *s, const char *id, const char *facts, struct error *e) MUST_USE;
/* Deletes the row of an export; its folder is the caller's to remove.  NOTFOUND. */
enum status store_export_delete(struct store *s, const char *id, struct error *e) MUST_USE;

/* The file is DIR/uploads/ID while it grows, DIR/uploads/SHA256 when it is complete. */
struct upload_row {
    const char *name, *id, *sha256;    /* sha256 NULL: not complete */
    int64_t received, total;           /* total -1: not stated yet */
    int64_t created_us, changed_us;
};
/* By name, or id, which always begins with "up_".  NOTFOUND. */
enum status store_upload_get(struct store *s, struct arena *a, const char *name, struct upload_row *out,
                             struct error *e) MUST_USE;
/* By name, those behind `after` when not NULL. */
enum status store_uploads_list(struct store *s, struct arena *a, const char *after, size_t limit, struct upload_row **rows,
                               size_t *n, struct error *e) MUST_USE;
/* The unfinished upload of this name, made when there is none; a complete one is as if it were not there until the new one
 * is complete too, so *out is then a new row under the name with '\x01' behind it. */
enum status store_upload_begin(struct store *s, struct arena *a, const char *name, struct upload_row *out,
                               struct error *e) MUST_USE;
/* How far it is; NOTFOUND when it was deleted meanwhile. */
enum status store_upload_set(struct store *s, const char *id, int64_t received, int64_t total, struct error *e) MUST_USE;
/* It is complete; *old is the hash of the one that it replaces and no other upload has, or NULL. */
enum status store_upload_complete(struct store *s, struct arena *a, const char *id, const char *sha256, const char **old,
                                  struct error *e) MUST_USE;
/* CONFLICT: an unfinished job names it.  *unused: the file is nobody's now. */
enum status store_upload_delete(struct store *s, const struct upload_row *row, bool *unused, struct error *e) MUST_USE;
/* Bytes of all uploads, each content once. */
enum status store_uploads_bytes(struct store *s, int64_t *out, struct error *e) MUST_USE;
/* Unfinished uploads that nobody has touched since `before_us`: deleted; ids of their files. */
enum status store_uploads_expire(struct store *s, struct arena *a, int64_t before_us, const char ***ids, size_t *n,
                                 struct error *e) MUST_USE;

/* A file in a drop folder, in one of its states. */
struct dropped_file {
    const char *path, *label, *job_id, *error;
    int64_t bytes, mtime_ns, seen_us;
};
/* Whether this state of a file was taken before. */
enum status store_dropped_known(struct store *s, const char *path, int64_t bytes, int64_t mtime_ns, bool *out,
                                struct error *e) MUST_USE;
/* Together with the jobs (n 0 or 1): a file is taken exactly when its job is there. */
enum status store_dropped_insert(struct store *s, const struct dropped_file *file, struct error *e) MUST_USE;
/* Newest first. */
enum status store_dropped_list(struct store *s, struct arena *a, size_t limit, struct dropped_file **rows, size_t *n,
                               struct error *e) MUST_USE;

#endif
