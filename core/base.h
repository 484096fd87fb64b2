/* core/base.h
 *
 * What every module stands on: status and error text, arenas and growing buffers with stated maxima,
 * byte spans, field tables, the log sink, random numbers, hashes, matrix products and parallel loops.
 * Nothing here knows physics, files or networks.  All functions are safe from any thread on distinct objects. */
#ifndef DLT_CORE_BASE_H
#define DLT_CORE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DLT_VERSION "0.1.0"
/* Commit that was built. */
extern const char dlt_build_id[];
#define DLT_BUILD_ID dlt_build_id

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- status ------------------------------------------------------------------------------------------ */

/* X(name, text, retryable).  `retryable`: the same call may succeed later without anybody changing the input. */
#define STATUS_TABLE(X) \
    X(OK,          "ok",                          false) \
    X(NOMEM,       "memory limit reached",        true)  \
    X(IO,          "input or output failed",      true)  \
    X(FORMAT,      "malformed data",              false) \
    X(UNSUPPORTED, "not supported",               false) \
    X(RANGE,       "value out of range",          false) \
    X(ARGUMENT,    "invalid argument",            false) \
    X(NOTFOUND,    "not found",                   false) \
    X(FORBIDDEN,   "not allowed",                 false) \
    X(CONFLICT,    "conflict with current state", false) \
    X(BUSY,        "busy",                        true)  \
    X(CANCELLED,   "cancelled",                   false) \
    X(NOSPACE,     "no space left",               true)  \
    X(REMOTE,      "remote side failed",          true)  \
    X(BUG,         "internal error",              false)

enum status {
#define X(name, text, retryable) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};

const char *status_name(enum status s);      /* "FORMAT" */
const char *status_text(enum status s);      /* "malformed data" */
bool status_retryable(enum status s);

/* ---- errors ------------------------------------------------------------------------------------------ */

enum { ERROR_TEXT_MAX = 1024 };

/* Lives on the caller's stack; never NULL where a function takes it.  Text gathers outward, outermost first:
 * "tt_017.root: tree Delphes: branch Jet.PT: basket 12: key says 4096 bytes, 310 remain". */
struct error {
    enum status status;
    char text[ERROR_TEXT_MAX];
};

/* Sets status and text; returns the status, so that `return error_set(...)` reads well.  Texts are always clean
 * UTF-8 on one line: malformed bytes become '?', control characters spaces. */
enum status error_set(struct error *e, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As error_set, with strerror(errno) behind the text; ENOSPC and EDQUOT become NOSPACE, ENOENT NOTFOUND,
 * ENOMEM NOMEM, others IO. */
enum status error_errno(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "fmt: " before the present text; keeps and returns the status. */
enum status error_wrap(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define TRY(expr) do { enum status try_s_ = (expr); if (try_s_ != STATUS_OK) return try_s_; } while (0)
#define TRY_OR(expr, label) do { if ((expr) != STATUS_OK) goto label; } while (0)
#define FAIL_OR(label, e, s, ...) do { (void)error_set((e), (s), __VA_ARGS__); goto label; } while (0)

/* Always-on assertion for what only a wrong program can violate: prints and aborts. */
#define check(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
_Noreturn void check_failed(const char *cond, const char *file, int line);

/* ---- memory ------------------------------------------------------------------------------------------ */

struct arena_chunk;
/* Bump allocator; everything is freed at once.  `max` bounds the sum of chunks. */
struct arena {
    struct arena_chunk *chunk;
    size_t used, max;
};

void arena_init(struct arena *a, size_t max_bytes);
void arena_fini(struct arena *a);
void arena_reset(struct arena *a);                    /* frees all but the largest chunk */
/* 64-byte aligned, zeroed.  NULL when `max` or the system's memory is exhausted, or n * size overflows. */
void *arena_alloc(struct arena *a, size_t n, size_t size) MUST_USE;
#define ARENA_NEW(a, type, n) ((type *)arena_alloc((a), (n), sizeof(type)))
char *arena_strndup(struct arena *a, const char *s, size_t len) MUST_USE;
char *arena_strdup(struct arena *a, const char *s) MUST_USE;
char *arena_printf(struct arena *a, const char *fmt, ...) MUST_USE PRINTF_LIKE(2, 3);

/* Allocation hooks, replaced by tests to fail the n-th allocation.  All of core allocates through these. */
void *mem_alloc(size_t bytes) MUST_USE;               /* as malloc */
void *mem_calloc(size_t n, size_t size) MUST_USE;
void *mem_realloc(void *p, size_t bytes) MUST_USE;
void mem_free(void *p);
/* 64-byte aligned and zeroed; release with mem_free. */
void *mem_aligned(size_t bytes) MUST_USE;
extern bool (*mem_fail_hook)(size_t bytes);           /* returns true to make this allocation fail; NULL: never */

/* Growing byte buffer with a stated maximum.  A function that fails leaves it as it was; beyond `max` is NOMEM. */
struct buf {
    uint8_t *data;
    size_t len, cap, max;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
enum status buf_reserve(struct buf *b, size_t more, struct error *e) MUST_USE;   /* room for `more` bytes behind len */
enum status buf_append(struct buf *b, const void *p, size_t n, struct error *e) MUST_USE;
enum status buf_printf(struct buf *b, struct error *e, const char *fmt, ...) MUST_USE PRINTF_LIKE(3, 4);

struct span {
    const uint8_t *data;
    size_t len;
};

/* ---- text -------------------------------------------------------------------------------------------- */

/* Whether `s` is well-formed UTF-8 without control characters. */
bool text_is_clean(const char *s, size_t len);
/* Copies into dst[cap], always terminated, cutting what does not fit. */
void text_copy(char *dst, size_t cap, const char *src);

/* ---- field tables -------------------------------------------------------------------------------------- */

/* A field table describes a parameter, result or manifest struct once: the JSON codec, the text codec, the
 * command line, validation messages, GET /api/v1/job-kinds and the OpenAPI check all walk it.
 *
 * kind          C type at `offset`
 * BOOL          bool
 * I64           int64_t
 * F64           double
 * STRING        const char * (NULL when absent and without default)
 * ENUM          int: index into `choices`
 * OBJECT        the struct itself, described by `fields`
 * LIST          struct field_list: `items` points to n_items items of kind `item` (item_size bytes each)
 * MAP           struct field_list of struct field_pair: free names to numbers
 * SPACE         struct field_list of struct field_axis: members of another table (`into`) to the values to be tried
 * POINT         the same with one value each: members of another table to a value */
enum field_kind { FIELD_KIND_END, FIELD_KIND_BOOL, FIELD_KIND_I64, FIELD_KIND_F64, FIELD_KIND_STRING,
                  FIELD_KIND_ENUM, FIELD_KIND_OBJECT, FIELD_KIND_LIST, FIELD_KIND_MAP, FIELD_KIND_SPACE,
                  FIELD_KIND_POINT };

struct field_list {
    void *items;
    size_t n_items;
};

struct field_pair {
    const char *name;
    double value;
};

struct field {
    const char *name;                 /* snake_case, as in JSON */
    enum field_kind kind;
    size_t offset;
    bool required;                    /* must be present in input */
    bool nullable;                    /* outputs only.  F64: NaN is written as null; OBJECT: all-zero first member... */
    double min, max;                  /* I64, F64: bounds; STRING, LIST, MAP: bounds of the length.  Both 0: none;
                                       * max < min: only the minimum.  NaN passes if nullable or the default */
    double def;                       /* BOOL, I64, F64, ENUM (index) */
    const char *def_text;             /* STRING */
    const char *unit, *doc;
    const char *const *choices;       /* ENUM: names, NULL-terminated */
    const struct field *fields;       /* OBJECT, and LIST of OBJECT */
    enum field_kind item;             /* LIST: kind of one item (never LIST, ENUM or MAP) */
    size_t item_size;                 /* LIST */
    const struct field *into;         /* SPACE, POINT: the table whose members the paths name */
};

/* Values for one member of a table.  In JSON "path": [value, ...], or {"low", "high", "step", "log"}. */
struct field_axis {
    const char *path;                 /* see field_path_find() */
    struct field_list values;         /* const char *: each as field_value_write() gives it.  None: a range */
    double low, high;                 /* both ends included */
    double step;                      /* 0: any value; with log a factor */
    bool log;                         /* even on a logarithmic scale */
};
extern const struct field field_axis_fields[];

#define FIELD_BOOL(type, member, ...) \
    { .name = #member, .kind = FIELD_KIND_BOOL, .offset = offsetof(type, member), __VA_ARGS__ }
#define FIELD_I64(type, member, ...) \
    { .name = #member, .kind = FIELD_KIND_I64, .offset = offsetof(type, member), __VA_ARGS__ }
#define FIELD_F64(type, member, ...) \
    { .name = #member, .kind = FIELD_KIND_F64, .offset = offsetof(type, member), __VA_ARGS__ }
#define FIELD_STRING(type, member, ...) \
    { .name = #member, .kind = FIELD_KIND_STRING, .offset = offsetof(type, member), __VA_ARGS__ }
#define FIELD_ENUM(type, member, names, ...) \
    { .name = #member, .kind = FIELD_KIND_ENUM, .offset = offsetof(type, member), .choices = (names), __VA_ARGS__ }
#define FIELD_OBJECT(type, member, table, ...) \
    { .name = #member, .kind = FIELD_KIND_OBJECT, .offset = offsetof(type, member), .fields = (table), __VA_ARGS__ }
#define FIELD_LIST_OF(type, member, kind_, size_, ...) \
    { .name = #member, .kind = FIELD_KIND_LIST, .offset = offsetof(type, member), .item = (kind_), \
      .item_size = (size_), __VA_ARGS__ }
#define FIELD_LIST_STRING(type, member, ...) FIELD_LIST_OF(type, member, FIELD_KIND_STRING, sizeof(char *), __VA_ARGS__)
#define FIELD_LIST_I64(type, member, ...) FIELD_LIST_OF(type, member, FIELD_KIND_I64, sizeof(int64_t), __VA_ARGS__)
#define FIELD_LIST_F64(type, member, ...) FIELD_LIST_OF(type, member, FIELD_KIND_F64, sizeof(double), __VA_ARGS__)
#define FIELD_LIST_OBJECT(type, member, item_type, table, ...) \
    FIELD_LIST_OF(type, member, FIELD_KIND_OBJECT, sizeof(item_type), .fields = (table), __VA_ARGS__)
#define FIELD_MAP(type, member, ...) \
    { .name = #member, .kind = FIELD_KIND_MAP, .offset = offsetof(type, member), \
      .item = FIELD_KIND_F64, .item_size = sizeof(struct field_pair), __VA_ARGS__ }
#define FIELD_SPACE(type, member, table, ...) \
    { .name = #member, .kind = FIELD_KIND_SPACE, .offset = offsetof(type, member), .item = FIELD_KIND_OBJECT, \
      .item_size = sizeof(struct field_axis), .fields = field_axis_fields, .into = (table), __VA_ARGS__ }
#define FIELD_POINT(type, member, table, ...) \
    { .name = #member, .kind = FIELD_KIND_POINT, .offset = offsetof(type, member), .item = FIELD_KIND_OBJECT, \
      .item_size = sizeof(struct field_axis), .fields = field_axis_fields, .into = (table), __VA_ARGS__ }
#define FIELD_END { .name = NULL, .kind = FIELD_KIND_END }

/* Sets every member to its default (lists empty, nested objects recursively). */
void field_defaults(const struct field *table, void *object);
const struct field *field_find(const struct field *table, const char *name);    /* may be NULL */
/* Checks bounds of numbers, lengths and required strings of a filled object, recursively.  `where` is the prefix
 * of the path in messages ("/spec").  The first violation becomes the error (RANGE or ARGUMENT). */
enum status field_validate(const struct field *table, const void *object, const char *where, struct error *e) MUST_USE;

/* Text codec of field tables: one "path = value" line a scalar, strings quoted, numbers exact.  It serves
 * dataset manifests, model headers, checkpoints and unit results, where core has no JSON.
 *   a.b = 3      list[2].name = "x"     map["qcd"] = 0.5     rows[0] = {}    (an item whose members are all absent)
 * Empty lists and NULL strings write nothing.  Fails: RANGE (a text above 256 kB, more than 16384 map names, objects
 * nested deeper than 16), ARGUMENT (NULL string in a list), NOMEM.  On error `out` is as before. */
enum status field_write_text(const struct field *table, const void *object, struct buf *out, struct error *e) MUST_USE;
/* Sets `object` to its defaults, then to what the lines say; strings and lists are allocated from `a`.  Takes bytes
 * from anywhere: unknown paths, list indices out of order, a map name given twice, a value that is not exactly one
 * and a last line without its newline are FORMAT naming the line.  Empty lines and lines starting with '#' are
 * skipped; of a scalar given twice the last counts.  Bounds and required members are field_validate()'s business. */
enum status field_read_text(struct arena *a, const struct field *table, struct span text, void *object,
                            struct error *e) MUST_USE;
/* Copies the members that the table names, with everything that they point to; other members of dst stay. */
enum status field_copy(struct arena *a, const struct field *table, const void *src, void *dst,
                       struct error *e) MUST_USE;

/* Members by path: names (also of maps) and indices of list items, separated by '/' or '.': "batch_size", "trees.eta",
 * "class_weight/tt", "hidden/0", "layers/1/units".  *leaf describes what is there: a number, text, choice or list (of the place in the
 * table only the offset and, of items, bounds and default are gone).  Fails: NOTFOUND (no such member, with the part of
 * the path that is wrong), ARGUMENT (an object or a map: one of its members is wanted; an index above 4095). */
enum status field_path_find(const struct field *table, const char *path, struct field *leaf, struct error *e) MUST_USE;
/* The place itself.  Lists that are too short grow (from `a`) by items of zeros, or of the defaults of their table;
 * maps by the name, with 0. */
enum status field_path_get(struct arena *a, const struct field *table, void *object, const char *path,
                           struct field *leaf, void **at, struct error *e) MUST_USE;
/* Room for any value that a path leads to. */
struct field_slot { _Alignas(16) unsigned char bytes[32]; };
/* One value as text: a scalar as behind the "=" of the text codec, a list as its lines, of a field named "value".
 * Equal values have equal texts.  Writing appends; reading takes bytes from anywhere.  Fails as the codec does. */
enum status field_value_write(const struct field *leaf, const void *at, struct buf *out, struct error *e) MUST_USE;
enum status field_value_read(struct arena *a, const struct field *leaf, const char *text, void *at,
                             struct error *e) MUST_USE;
/* Sets the member of `object` that the path names. */
enum status field_path_set(struct arena *a, const struct field *table, void *object, const char *path,
                           const char *text, struct error *e) MUST_USE;

/* ---- log --------------------------------------------------------------------------------------------- */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
/* Where lines go (default and sink NULL: standard error, INFO and above).  The sink gets
 * clean UTF-8 lines of at most 2047 bytes, one call at a time, and must not log. */
void log_set(enum log_level least, void (*sink)(void *ctx, enum log_level level, const char *line), void *ctx);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- random numbers ------------------------------------------------------------------------------------ */

/* Counter-based: output i is a hash of (key, i), so a checkpoint is two integers and streams are independent.
 * Mixing function: SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2714064.2660195). */
struct rng {
    uint64_t key, counter;
};

struct rng rng_stream(uint64_t seed, uint64_t stream);        /* independent streams of one seed */
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n);                /* uniform in [0, n), unbiased; n > 0 */
double rng_f64(struct rng *r);                                /* uniform in [0, 1), 53 bits */
double rng_normal(struct rng *r);                             /* mean 0, deviation 1 (Box-Muller, 2 draws each) */
void rng_shuffle_u32(struct rng *r, uint32_t *v, size_t n);   /* Fisher-Yates */
uint64_t hash64(const void *p, size_t n, uint64_t seed);      /* XXH64: stable across builds and machines */

/* ---- SHA-256 ------------------------------------------------------------------------------------------- */

struct sha256 { _Alignas(16) uint8_t state[256]; };
void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *p, size_t n);
void sha256_final_hex(struct sha256 *h, char out[65]);
void sha256_hex(const void *p, size_t n, char out[65]);
enum status sha256_file_hex(const char *path, char out[65], int64_t *bytes, struct error *e) MUST_USE;

/* ---- files --------------------------------------------------------------------------------------------- */

/* In all of these, messages name the last path component only: callers add what they may disclose.
 *
 * Durable publication: write to `path`.tmp, sync, rename over `path`, sync the folder.  On error nothing is visible
 * and `path` is what it was; only when the very last step fails (syncing the folder: a broken disk) is the new file
 * in place without the promise that it survives a power cut.  Writers of the same path wait for each other. */
enum status file_write_atomic(const char *path, const void *data, size_t n, struct error *e) MUST_USE;
/* Appends the whole regular file to `b`; more than its max allows is RANGE. */
enum status file_read(const char *path, struct buf *b, struct error *e) MUST_USE;
enum status file_sync_folder(const char *path, struct error *e) MUST_USE;
enum status file_make_folder(const char *path, struct error *e) MUST_USE;       /* parents too; existing is OK */
/* Removes a folder and what is in it, never following symbolic links; absent is OK.  What is not a folder (also a
 * link to one) is IO; nested deeper than 64 folders is RANGE. */
enum status file_remove_tree(const char *path, struct error *e) MUST_USE;

/* ---- time ---------------------------------------------------------------------------------------------- */

int64_t time_mono_ns(void);
int64_t time_unix_us(void);

/* ---- matrix products ------------------------------------------------------------------------------------- */

/* Row-major C[m,n] = alpha op(A) op(B) + beta C; op is transposition when the flag is set.  One BLAS thread.
 * The only caller of OpenBLAS. */
void blas_sgemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc);
const char *blas_config(void);                       /* OpenBLAS's own description */

/* CPU features for kernels chosen at run time; DLT_KERNEL=portable|avx2|avx512 lowers it (tests, comparisons). */
enum cpu_level { CPU_PORTABLE, CPU_AVX2, CPU_AVX512 };
enum cpu_level cpu_level(void);
void cpu_level_set(enum cpu_level most);             /* tests: cap it from now on */

/* ---- parallel loops -------------------------------------------------------------------------------------- */

size_t par_cores(void);                              /* cores this process may use (affinity, container quota) */
/* Calls fn(ctx, i, thread) for each i in [0, n) on up to `threads` threads (this one included); returns when all
 * are done.  thread < threads.  After a failure no new i is started; the error of the lowest failing i is
 * returned, whatever the number of threads. */
enum status par_for(size_t threads, size_t n, enum status (*fn)(void *ctx, size_t i, size_t thread, struct error *e),
                    void *ctx, struct error *e) MUST_USE;

/* read -> compute -> write over recycled slots.  read(slot) and write(slot) are each called by one thread at a time
 * and in serial order; compute(slot) runs in parallel.  Slots bound the memory and give back-pressure.  read sets
 * *end to finish (that slot then holds no item).  Same bytes whatever the number of threads: also after an error, all
 * items before the first failing one are still written, none behind it, and its error is returned. */
struct par_stage_fns {
    enum status (*read)(void *ctx, size_t slot, bool *end, struct error *e);
    enum status (*compute)(void *ctx, size_t slot, size_t thread, struct error *e);
    enum status (*write)(void *ctx, size_t slot, struct error *e);
};
enum status par_pipeline(size_t threads, size_t n_slots, const struct par_stage_fns *fns, void *ctx,
                         struct error *e) MUST_USE;

#endif
