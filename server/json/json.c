/* server/json/json.c
 *
 * The value type: jansson's, behind our names.  Two things are added.  Every allocation of jansson goes through mem_*
 * (so tests can make it fail), and one that failed is noticed even where jansson itself would go on with half a token.
 * A container that could not take a member is marked in a header in front of its memory, so that a builder tests once,
 * at the end.  The writer is json_write.c. */
#include "server/json/json.h"

#include "server/json/json_private.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* In front of every block that jansson has from us. */
struct header {
    _Alignas(16) bool incomplete;
};

static _Thread_local bool allocation_failed;

static void *json_alloc(size_t bytes)
{
    size_t whole;
    struct header *h = __builtin_add_overflow(bytes, sizeof(struct header), &whole) ? NULL : mem_alloc(whole);
    if (!h) {
        allocation_failed = true;
        return NULL;
    }
    h->incomplete = false;
    return h + 1;
}

static void json_release(void *p)
{
    if (p)
        mem_free((struct header *)p - 1);
}

/* Before main, hence before any value exists: jansson must see one allocator only. */
__attribute__((constructor)) static void set_allocator(void)
{
    json_set_alloc_funcs(json_alloc, json_release);
}

static bool is_container(const json_t *v)
{
    return json_is_object(v) || json_is_array(v);
}

static void mark_incomplete(json_t *container)
{
    ((struct header *)(void *)container - 1)->incomplete = true;
}

bool json_is_incomplete(const json_t *v)
{
    return !v || (is_container(v) && ((const struct header *)(const void *)v - 1)->incomplete);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

enum status json_parse(const void *text, size_t len, struct json **out, struct error *e)
{
    json_error_t why;
    *out = NULL;
    allocation_failed = false;
    json_t *v = json_loadb(len ? text : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (allocation_failed) {
        json_decref(v);
        return error_set(e, STATUS_NOMEM, "no memory for a JSON text of %zu bytes", len);
    }
    if (!v)
        return error_set(e, STATUS_FORMAT, "JSON: line %d, column %d: %s", why.line, why.column, why.text);
    *out = wrap(v);
    return STATUS_OK;
}

void json_free(struct json *v)
{
    json_decref(raw(v));
}

enum json_type json_type_of(const struct json *v)
{
    if (!v)
        return JSON_NULL_;
    switch (json_typeof(raw(v))) {
    case JSON_OBJECT: return JSON_OBJECT_;
    case JSON_ARRAY: return JSON_ARRAY_;
    case JSON_STRING: return JSON_STRING_;
    case JSON_INTEGER: return JSON_I64_;
    case JSON_REAL: return JSON_F64_;
    case JSON_TRUE:
    case JSON_FALSE: return JSON_BOOL_;
    case JSON_NULL: break;
    }
    return JSON_NULL_;
}

const char *json_type_name(enum json_type t)
{
    static const char *const names[] = {"null", "true or false", "an integer", "a number", "a string", "an array",
                                        "an object"};
    return names[t];
}

const struct json *json_get(const struct json *object, const char *key)
{
    return wrap(json_object_get(raw(object), key));
}

const struct json *json_at(const struct json *array, size_t i)
{
    return wrap(json_array_get(raw(array), i));
}

size_t json_count(const struct json *v)
{
    return json_is_array(raw(v)) ? json_array_size(raw(v)) : json_object_size(raw(v));
}

const char *json_str(const struct json *v, const char *otherwise)
{
    const char *s = json_string_value(raw(v));
    return s ? s : otherwise;
}

int64_t json_int(const struct json *v, int64_t otherwise)
{
    return json_is_integer(raw(v)) ? json_integer_value(raw(v)) : otherwise;
}

double json_num(const struct json *v, double otherwise)
{
    return json_is_number(raw(v)) ? json_number_value(raw(v)) : otherwise;
}

bool json_bool(const struct json *v, bool otherwise)
{
    return json_is_boolean(raw(v)) ? json_is_true(raw(v)) : otherwise;
}

void json_each(const struct json *object, void (*fn)(void *ctx, const char *key, const struct json *value), void *ctx)
{
    json_t *o = raw(object);
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i))
        fn(ctx, json_object_iter_key(i), wrap(json_object_iter_value(i)));
}

/* ---- building ----------------------------------------------------------------------------------------------- */

struct json *json_new_object(void) { return wrap(json_object()); }
struct json *json_new_array(void) { return wrap(json_array()); }
struct json *json_new_i64(int64_t v) { return wrap(json_integer(v)); }
struct json *json_new_f64(double v) { return wrap(isfinite(v) ? json_real(v) : json_null()); }
struct json *json_new_bool(bool v) { return wrap(json_boolean(v)); }
struct json *json_new_null(void) { return wrap(json_null()); }

/* Bytes of the well-formed character at s (a NUL ends the text), or 0. */
static size_t char_len(const char *s)
{
    if ((signed char)*s > 0)
        return 1;
    for (size_t n = 2; n <= 4 && s[n - 1]; n++)
        if (text_is_clean(s, n))
            return n;
    return 0;
}

static bool is_well_formed(const char *s)
{
    for (size_t n; *s; s += n)
        if ((n = char_len(s)) == 0)
            return false;
    return true;
}

/* A copy with '?' for each byte that is no part of a character; release with mem_free.  NULL without memory. */
static char *mended(const char *s)
{
    char *copy = mem_alloc(strlen(s) + 1), *to = copy;
    if (!copy)
        return NULL;
    while (*s) {
        size_t n = char_len(s);
        if (n == 0)
            *to++ = '?';
        else
            to = (char *)memcpy(to, s, n) + n;
        s += n ? n : 1;
    }
    *to = '\0';
    return copy;
}

struct json *json_new_string(const char *s)
{
    if (!s)
        return json_new_null();
    if (is_well_formed(s))
        return wrap(json_string_nocheck(s));
    char *good = mended(s);
    struct json *v = good ? wrap(json_string_nocheck(good)) : NULL;
    mem_free(good);
    return v;
}

void json_time_text(int64_t unix_us, char out[40])
{
    int64_t micros = unix_us % 1000000;
    time_t seconds = (time_t)(unix_us / 1000000);
    if (micros < 0) {
        micros += 1000000;
        seconds--;
    }
    struct tm utc;
    check(gmtime_r(&seconds, &utc));              /* fails only for years beyond int, which 64 bits of us never reach */
    size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, 40 - n, ".%06dZ", (int)micros);
}

struct json *json_new_time(int64_t unix_us)
{
    char text[40];
    if (unix_us == 0)
        return json_new_null();
    json_time_text(unix_us, text);
    return json_new_string(text);
}

struct json *json_new_copy(const struct json *v)
{
    if (!json_is_complete(v))
        return NULL;
    allocation_failed = false;
    json_t *copy = json_deep_copy(raw(v));
    if (allocation_failed) {
        json_decref(copy);
        copy = NULL;
    }
    return wrap(copy);
}

bool json_set(struct json *object, const char *key, struct json *value)
{
    if (!object) {
        json_free(value);
        return false;
    }
    check(json_is_object(raw(object)));
    char *good = is_well_formed(key) ? NULL : mended(key);
    bool set = value && (good || is_well_formed(key)) &&
               json_object_set_nocheck(raw(object), good ? good : key, raw(value)) == 0;
    mem_free(good);
    json_free(value);
    if (!set)
        mark_incomplete(raw(object));
    return set;
}

bool json_push(struct json *array, struct json *value)
{
    if (!array) {
        json_free(value);
        return false;
    }
    check(json_is_array(raw(array)));
    bool pushed = value && json_array_append(raw(array), raw(value)) == 0;
    json_free(value);
    if (!pushed)
        mark_incomplete(raw(array));
    return pushed;
}
