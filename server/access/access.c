/* server/access/access.c
 *
 * Checking keys.  The set in force is small and is looked through from end to end, so that the time says nothing about
 * which key matched. */
#include "server/access/access.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "server/trigger/budget.h"

enum { TOKEN_PREFIX = 4, TOKEN_RANDOM = 20, TOKEN_CHARS = 32, HEX = 64 };
_Static_assert(TOKEN_PREFIX + TOKEN_CHARS < ACCESS_TOKEN_BYTES, "a token has room");

const char *const access_scopes[] = {"read",           "data:write",    "jobs:write",    "jobs:admin",   "models:write",
                                     "models:promote", "trigger:score", "trigger:admin", "metrics:read", "admin",
                                     NULL};
const struct access_preset access_presets[] = {
    {"dashboard", "read metrics:read"},
    {"submitter", "read data:write jobs:write"},
    {"filter", "trigger:score"},
    {"shifter", "read trigger:admin"},
    {"release-manager", "read trigger:admin models:promote"},
};
const size_t access_n_presets = ARRAY_LEN(access_presets);

struct key {
    char id[40], sha256[HEX + 1], scopes[ACCESS_SCOPES_BYTES];
    int64_t expires_us;
    struct budget rate;
    _Atomic int64_t last_used_us;
};
struct access {
    struct store *store;
    pthread_rwlock_t lock;                        /* of keys and n; not of what they point to */
    struct key *keys;
    size_t n;
    bool any;                                     /* a key was ever made: the service stays closed when all have ended */
};

/* ---- scopes ----------------------------------------------------------------------------------------------------- */

/* Whether `word` of length n is one of the words of `list`. */
static bool listed(const char *list, const char *word, size_t n)
{
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, " ");
        if (len == n && memcmp(at, word, n) == 0)
            return true;
        at += len + strspn(at + len, " ");
    }
    return false;
}

static bool is_scope(const char *word, size_t n)
{
    for (size_t i = 0; access_scopes[i]; i++)
        if (strlen(access_scopes[i]) == n && memcmp(access_scopes[i], word, n) == 0)
            return true;
    return false;
}

static enum status not_a_scope(const char *word, size_t n, struct error *e)
{
    char known[200] = "";
    for (size_t i = 0, len = 0; access_scopes[i] && len < sizeof known; i++)
        len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", i ? ", " : "", access_scopes[i]);
    return error_set(e, STATUS_ARGUMENT, "'%.*s' is no scope; there are %s, and the sets dashboard, submitter, filter, "
                                         "shifter, release-manager", (int)(n < 40 ? n : 40), word, known);
}

enum status access_scopes_read(const char *text, char out[ACCESS_SCOPES_BYTES], struct error *e)
{
    char wanted[ACCESS_SCOPES_BYTES] = "";
    size_t len = 0;
    for (const char *at = text + strspn(text, " ,"); *at;) {
        size_t n = strcspn(at, " ,");
        const char *add = at;
        size_t n_add = n;
        for (size_t i = 0; i < access_n_presets; i++)
            if (strlen(access_presets[i].name) == n && memcmp(access_presets[i].name, at, n) == 0) {
                add = access_presets[i].scopes;
                n_add = strlen(add);
            }
        if (add == at && !is_scope(at, n))
            return not_a_scope(at, n, e);
        if (len + n_add + 2 > sizeof wanted)
            return error_set(e, STATUS_ARGUMENT, "too many scopes");
        memcpy(wanted + len, add, n_add);
        wanted[len + n_add] = ' ';
        wanted[len += n_add + 1] = '\0';
        at += n + strspn(at + n, " ,");
    }
    if (len == 0)
        return error_set(e, STATUS_ARGUMENT, "a key has at least one scope");
    out[0] = '\0';
    for (size_t i = 0, at = 0; access_scopes[i]; i++)
        if (listed(wanted, access_scopes[i], strlen(access_scopes[i])))
            at += (size_t)snprintf(out + at, ACCESS_SCOPES_BYTES - at, "%s%s", at ? " " : "", access_scopes[i]);
    return STATUS_OK;
}

/* ---- the set in force --------------------------------------------------------------------------------------------- */

static enum status load(struct access *a, struct key **out, size_t *n_out, bool *any, struct error *e)
{
    struct arena arena;
    struct key_row *rows;
    size_t n, kept = 0;
    arena_init(&arena, 16 << 20);
    enum status s = store_keys_list(a->store, &arena, &rows, &n, e);
    struct key *keys = s == STATUS_OK ? mem_calloc(n + 1, sizeof *keys) : NULL;
    if (s == STATUS_OK && !keys)
        s = error_set(e, STATUS_NOMEM, "no memory for %zu keys", n);
    for (size_t i = 0; i < n && s == STATUS_OK; i++) {
        if (rows[i].revoked_us)
            continue;
        struct key *k = &keys[kept++];
        text_copy(k->id, sizeof k->id, rows[i].id);
        text_copy(k->sha256, sizeof k->sha256, rows[i].sha256);
        text_copy(k->scopes, sizeof k->scopes, rows[i].scopes);
        k->expires_us = rows[i].expires_us;
        budget_init(&k->rate, rows[i].rate_per_second > 0 ? rows[i].rate_per_second : __builtin_nan(""), BUDGET_LIMIT);
    }
    arena_fini(&arena);
    *out = keys;
    *n_out = kept;
    *any = n > 0;
    return s;
}

static struct key *find(struct access *a, const char *id)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->keys[i].id, id) == 0)
            return &a->keys[i];
    return NULL;
}

enum status access_reload(struct access *a, struct error *e)
{
    struct key *keys, *old;
    size_t n;
    bool any;
    TRY(load(a, &keys, &n, &any, e));
    pthread_rwlock_wrlock(&a->lock);
    for (size_t i = 0; i < n; i++) {
        const struct key *before = find(a, keys[i].id);
        if (before) {
            atomic_store(&keys[i].last_used_us, atomic_load((_Atomic int64_t *)(uintptr_t)&before->last_used_us));
            atomic_store(&keys[i].rate.next_ns, atomic_load((_Atomic int64_t *)(uintptr_t)&before->rate.next_ns));
        }
    }
    old = a->keys;
    a->keys = keys;
    a->n = n;
    a->any = any;
    pthread_rwlock_unlock(&a->lock);
    mem_free(old);
    return STATUS_OK;
}

enum status access_create(struct store *store, struct access **out, struct error *e)
{
    struct access *a = *out = mem_calloc(1, sizeof *a);
    if (!a)
        return error_set(e, STATUS_NOMEM, "no memory for keys");
    a->store = store;
    check(pthread_rwlock_init(&a->lock, NULL) == 0);
    enum status s = access_reload(a, e);
    if (s == STATUS_OK)
        return s;
    access_destroy(a);
    *out = NULL;
    return s;
}

void access_destroy(struct access *a)
{
    if (!a)
        return;
    mem_free(a->keys);
    pthread_rwlock_destroy(&a->lock);
    mem_free(a);
}

bool access_has_keys(struct access *a)
{
    pthread_rwlock_rdlock(&a->lock);
    bool any = a->any;
    pthread_rwlock_unlock(&a->lock);
    return any;
}

int64_t access_last_used(struct access *a, const char *key_id)
{
    pthread_rwlock_rdlock(&a->lock);
    struct key *k = find(a, key_id);
    int64_t at = k ? atomic_load(&k->last_used_us) : 0;
    pthread_rwlock_unlock(&a->lock);
    return at;
}

/* ---- a request --------------------------------------------------------------------------------------------------- */

/* Looks at every byte, whatever the first ones say. */
static bool same_digest(const char *a, const char *b)
{
    unsigned char difference = 0;
    for (size_t i = 0; i < HEX; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

static enum access_answer check_key(struct key *k, const char *scope, int64_t *wait_seconds)
{
    int64_t now_us = time_unix_us();
    if (k->expires_us && now_us >= k->expires_us)
        return ACCESS_UNKNOWN_KEY;
    if (!listed(k->scopes, scope, strlen(scope)) && !listed(k->scopes, "admin", 5))
        return ACCESS_NO_SCOPE;
    if (!budget_take(&k->rate, time_mono_ns())) {
        *wait_seconds = k->rate.hz < 1 ? (int64_t)(1 / k->rate.hz) + 1 : 1;
        return ACCESS_TOO_FAST;
    }
    atomic_store_explicit(&k->last_used_us, now_us, memory_order_relaxed);
    return ACCESS_ALLOWED;
}

enum access_answer access_check(struct access *a, const char *token, const char *scope, char key_id[40],
                                int64_t *wait_seconds)
{
    char digest[HEX + 1];
    struct key *found = NULL;
    enum access_answer answer = ACCESS_ALLOWED;
    key_id[0] = '\0';
    *wait_seconds = 0;
    if (*scope == '\0')
        return ACCESS_ALLOWED;
    pthread_rwlock_rdlock(&a->lock);
    if (a->any && !token) {
        answer = ACCESS_NO_KEY;
    } else if (a->any) {
        sha256_hex(token, strlen(token), digest);
        for (size_t i = 0; i < a->n; i++)
            if (same_digest(a->keys[i].sha256, digest))
                found = &a->keys[i];
        answer = found ? check_key(found, scope, wait_seconds) : ACCESS_UNKNOWN_KEY;
        if (found)
            text_copy(key_id, 40, found->id);
    }
    pthread_rwlock_unlock(&a->lock);
    return answer;
}

/* ---- making one --------------------------------------------------------------------------------------------------- */

static void token_text(const uint8_t random[TOKEN_RANDOM], char out[ACCESS_TOKEN_BYTES])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned value = 0, n_bits = 0;
    size_t at = TOKEN_PREFIX;
    memcpy(out, "dlt_", TOKEN_PREFIX);
    for (size_t i = 0; i < TOKEN_RANDOM; i++) {
        value = value << 8 | random[i];
        for (n_bits += 8; n_bits >= 5; n_bits -= 5)
            out[at++] = digits[value >> (n_bits - 5) & 31];
    }
    out[at] = '\0';
}

enum status access_key_make(struct store *store, const char *name, const char *scopes, double rate_per_second,
                            int64_t expires_us, char id[40], char token[ACCESS_TOKEN_BYTES], struct error *e)
{
    uint8_t random[TOKEN_RANDOM];
    char digest[HEX + 1];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return error_errno(e, "random numbers for a key");
    token_text(random, token);
    sha256_hex(token, strlen(token), digest);
    store_new_id("key", id);
    const struct key_row row = {.id = id, .name = name, .sha256 = digest, .scopes = scopes,
                                .rate_per_second = rate_per_second, .created_us = time_unix_us(),
                                .expires_us = expires_us};
    return store_key_insert(store, &row, e);
}
