/* server/access/access.h
 *
 * Keys: who may call which route.  A key is "dlt_" and 32 characters of Crockford base 32 (160 random bits); of it only the
 * SHA-256 is kept.  Without any key the service is for its own machine and everything is allowed; with the first one every
 * route that has a scope needs a key with that scope.
 *
 * Threads: any number check at once; a change replaces the set of keys under a lock that is held for the swap. */
#ifndef DLT_SERVER_ACCESS_H
#define DLT_SERVER_ACCESS_H

#include "server/store/store.h"

enum { ACCESS_TOKEN_BYTES = 40, ACCESS_SCOPES_BYTES = 256 };

/* "read", "data:write", ..., "admin": what routes ask for.  NULL-terminated. */
extern const char *const access_scopes[];
/* Named sets of them: "dashboard", "submitter", "filter", "shifter", "release-manager", "admin". */
struct access_preset {
    const char *name, *scopes;
};
extern const struct access_preset access_presets[];
extern const size_t access_n_presets;

struct access;
enum status access_create(struct store *store, struct access **out, struct error *e) MUST_USE;
void access_destroy(struct access *a);            /* NULL allowed */
/* Whether a key was ever made: before, everything is allowed and only this machine may ask.  A service whose keys have all
 * ended stays closed. */
bool access_has_keys(struct access *a);

enum access_answer { ACCESS_ALLOWED, ACCESS_NO_KEY, ACCESS_UNKNOWN_KEY, ACCESS_NO_SCOPE, ACCESS_TOO_FAST };
/* Whether a request with this token (NULL: none) may use a route of this scope ("": anybody may).  key_id gets the key's id,
 * "" for none; *wait_seconds: when to ask again after ACCESS_TOO_FAST. */
enum access_answer access_check(struct access *a, const char *token, const char *scope, char key_id[40],
                                int64_t *wait_seconds);

/* Names of scopes or of one preset, separated by spaces or commas, as kept: in order, each once.  ARGUMENT names what is
 * no scope, and lists those that are. */
enum status access_scopes_read(const char *text, char out[ACCESS_SCOPES_BYTES], struct error *e) MUST_USE;
/* A new key; `token` is shown to the caller this once.  rate_per_second 0 and expires_us 0: none. */
enum status access_key_make(struct store *store, const char *name, const char *scopes, double rate_per_second,
                            int64_t expires_us, char id[40], char token[ACCESS_TOKEN_BYTES], struct error *e) MUST_USE;
/* Reads the keys anew: after one was made or revoked. */
enum status access_reload(struct access *a, struct error *e) MUST_USE;
/* Unix microseconds of the key's last use in this run of the service; 0: none. */
int64_t access_last_used(struct access *a, const char *key_id);

#endif
