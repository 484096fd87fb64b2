/* server/json/json.h
 *
 * The API's JSON: a thin value type over jansson (which nothing outside this folder includes), and the codec that turns
 * field tables into JSON and back.  Control API only; posted events are scanned by server/json/events_in.h. */
#ifndef DLT_SERVER_JSON_H
#define DLT_SERVER_JSON_H

#include "core/base.h"

struct json;                                      /* a value; objects and arrays own their children */

/* ---- reading ------------------------------------------------------------------------------------------------ */

/* UTF-8 text of any one value, duplicate keys rejected, at most 2048 levels deep (jansson's limit).  Integers that do
 * not fit 64 bits and numbers that are not finite are malformed.  FORMAT says line and column. */
enum status json_parse(const void *text, size_t len, struct json **out, struct error *e) MUST_USE;
void json_free(struct json *v);                   /* NULL allowed */

enum json_type { JSON_NULL_, JSON_BOOL_, JSON_I64_, JSON_F64_, JSON_STRING_, JSON_ARRAY_, JSON_OBJECT_ };
enum json_type json_type_of(const struct json *v);                             /* NULL is JSON_NULL_ */
const char *json_type_name(enum json_type t);                                  /* "a string", for messages */
const struct json *json_get(const struct json *object, const char *key);      /* NULL when absent or not an object */
const struct json *json_at(const struct json *array, size_t i);
size_t json_count(const struct json *v);                                       /* array or object members */
const char *json_str(const struct json *v, const char *otherwise);             /* `otherwise` when v is no string */
int64_t json_int(const struct json *v, int64_t otherwise);
double json_num(const struct json *v, double otherwise);                       /* integers too */
bool json_bool(const struct json *v, bool otherwise);
/* Calls fn for each member in insertion order. */
void json_each(const struct json *object, void (*fn)(void *ctx, const char *key, const struct json *value), void *ctx);

/* ---- building: NULL anywhere (no memory) makes the whole NULL, tested once at json_write ------------------------ */

struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_string(const char *s);      /* NULL gives null; text that is not UTF-8 is mended with '?' */
struct json *json_new_i64(int64_t v);
struct json *json_new_f64(double v);              /* null when not finite */
struct json *json_new_bool(bool v);
struct json *json_new_null(void);
struct json *json_new_time(int64_t unix_us);      /* json_time_text's; null for 0, which is "not yet" */
struct json *json_new_copy(const struct json *v);
/* RFC 3339 in UTC with microseconds: "2026-11-23T10:05:33.120000Z". */
void json_time_text(int64_t unix_us, char out[40]);
/* Takes `value`; returns false (and frees it) without memory.  The object is then incomplete for good, and writing it
 * or what it has been put into is NOMEM: callers need not look at the answer. */
bool json_set(struct json *object, const char *key, struct json *value);
bool json_push(struct json *array, struct json *value);
/* Compact text appended to `out`: members in insertion order, numbers the shortest of 15 to 17 digits that read back
 * equal, so that equal values have equal text.  `v` NULL or incomplete is NOMEM. */
enum status json_write(const struct json *v, struct buf *out, struct error *e) MUST_USE;
/* The same for people, indented by two spaces. */
enum status json_write_pretty(const struct json *v, struct buf *out, struct error *e) MUST_USE;

/* ---- field tables --------------------------------------------------------------------------------------------- */

/* Validation problems, collected rather than stopping at the first.
 * Codes: unknown_member, required, type, out_of_range, length, choice, text; and of jobs: invalid (the kind's own check),
 * reference, duplicate, circle. */
enum { JSON_PROBLEMS_MAX = 20 };
struct json_problem { char pointer[160], code[32], detail[256]; };
struct json_problems { size_t n; struct json_problem items[JSON_PROBLEMS_MAX]; };
/* Adds one; the ones past the maximum are counted away silently. */
void json_problem_add(struct json_problems *p, const char *pointer, const char *code, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* "unknown_member" for each member of `object` that is not in `known` (NULL-terminated), with the nearest known name
 * suggested: for the few bodies that have no field table.  Returns the number of problems. */
size_t json_check_members(const struct json *object, const char *const *known, const char *pointer,
                          struct json_problems *problems);
/* The pointer of member `key` of what `parent` points to, "~" and "/" escaped (RFC 6901), cut to fit. */
void json_pointer_child(char out[160], const char *parent, const char *key);

/* Fills `object` (defaults first) from a JSON object; unknown members ("unknown_member", with the nearest known name
 * suggested), wrong types, bounds and missing required members become problems below `pointer`.  ARGUMENT when there
 * was any (then *object must not be used); strings are copied into `a`.
 * A value equal to its default is within bounds by definition, null stands for an absent string, a nullable number
 * (NaN) or a nullable object, an integral real for an integer: so that whatever json_encode_fields wrote reads back. */
enum status json_decode_fields(struct arena *a, const struct field *table, const struct json *value, const char *pointer,
                               void *object, struct json_problems *problems, struct error *e) MUST_USE;
/* NULL without memory.  Non-finite numbers are null. */
struct json *json_encode_fields(const struct field *table, const void *object);
/* JSON Schema (draft 2020-12) of a table, for GET /api/v1/job-kinds and the API document's check. */
struct json *json_schema_fields(const struct field *table);

#endif
