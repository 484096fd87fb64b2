/* server/json/events_in_scan.h
 *
 * The tokens of JSON, for server/json/events_in*.c only: a cursor over bytes, strings, numbers, arrays of numbers, and
 * the skipping of what is not understood.  Syntax errors are FORMAT with line and column; values that are JSON but
 * wrong become problems at a pointer, and scanning goes on behind them. */
#ifndef DLT_SERVER_JSON_EVENTS_IN_SCAN_H
#define DLT_SERVER_JSON_EVENTS_IN_SCAN_H

#include "server/json/json.h"

enum { SCAN_TEXT_MAX = 256, SCAN_POINTER_MAX = 160 };
#define SCAN_NO_INDEX SIZE_MAX

struct scan {
    const uint8_t *begin, *p, *end;
    int depth, depth_max;
    struct arena *arena;
    struct json_problems *problems;
    struct error *e;
    char where[SCAN_POINTER_MAX];      /* JSON pointer of the value being scanned */
    size_t where_len;
    size_t index;                      /* of the element of an array there, or SCAN_NO_INDEX */
    char text[SCAN_TEXT_MAX];          /* the last string, decoded when it had escapes */
};

/* A string value: UTF-8, valid until the next string is scanned.  `len` is cut at SCAN_TEXT_MAX when it had escapes and
 * was longer (no known name is). */
struct scan_text {
    const char *s;
    size_t len;
};

void scan_init(struct scan *s, const uint8_t *text, size_t len, int depth_max, struct arena *a,
               struct json_problems *problems, struct error *e);
enum status scan_fail(struct scan *s, const char *expected);           /* FORMAT: what stands here, what was expected */
void scan_problem(struct scan *s, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);        /* at s->where */

/* Appends "/member" to s->where, escaped; returns what scan_leave takes back. */
size_t scan_enter(struct scan *s, const char *name, size_t len);
size_t scan_enter_index(struct scan *s, size_t i);
void scan_leave(struct scan *s, size_t mark);

/* First byte of the next value or token, whitespace skipped; 0 at the end (a NUL byte reads as itself: no token). */
int scan_peek(struct scan *s);
bool scan_take(struct scan *s, char c);                                 /* skips whitespace, takes c if it is next */
enum status scan_end(struct scan *s) MUST_USE;                          /* nothing but whitespace is left */
const char *scan_type_name(int first);                                  /* "a string", "null", ... */

enum status scan_string(struct scan *s, struct scan_text *out) MUST_USE;
/* Calls `member` for each member with the cursor before its value; it must consume the value.  s->where points to the
 * member.  A value that is no object becomes a problem and is skipped (*is_object false; may be NULL). */
enum status scan_object(struct scan *s, enum status (*member)(struct scan *s, void *ctx, struct scan_text key),
                        void *ctx, bool *is_object) MUST_USE;
enum status scan_skip(struct scan *s) MUST_USE;                         /* any value, checked */
enum status scan_unknown(struct scan *s, const char *known) MUST_USE;   /* problem "unknown_member", then skipped */
/* Problem "type", then skipped. */
enum status scan_wrong_type(struct scan *s, const char *expected) MUST_USE;

/* String into the arena, or a problem and NULL. */
enum status scan_name(struct scan *s, const char **out) MUST_USE;
/* Integer in [min, max] (12, 12.0 and 1.2e1 are the same), or a problem and *ok false. */
enum status scan_integer(struct scan *s, int64_t min, int64_t max, int64_t *out, bool *ok) MUST_USE;
/* Finite number within float's range, or a problem and *ok false. */
enum status scan_f32(struct scan *s, float *out, bool *ok) MUST_USE;
/* Array of numbers into out[max]; *n counts the elements, also those past `max` (not stored) and those that were
 * problems.  *n is 0 and *is_array false when it is no array. */
enum status scan_f32_array(struct scan *s, float *out, size_t max, size_t *n, bool *is_array) MUST_USE;
enum status scan_i32_array(struct scan *s, int32_t *out, size_t max, size_t *n, bool *is_array) MUST_USE;
enum status scan_u32_array(struct scan *s, uint32_t *out, size_t max, size_t *n, bool *is_array) MUST_USE;

/* ---- numbers (events_in_number.c) ---------------------------------------------------------------------- */

struct scan_number {
    double value;                      /* as strtod; infinite when beyond double */
    int64_t integer;                   /* when is_integer */
    bool is_integer;                   /* an integral value that fits int64_t */
};
/* The number at p, which stands at '-' or a digit.  Returns its end, NULL when it is no JSON number.
 * NOMEM (a very long number needs a copy) sets *no_memory. */
const uint8_t *number_scan(const uint8_t *p, const uint8_t *end, struct arena *a, struct scan_number *out,
                           bool *no_memory);
#endif
