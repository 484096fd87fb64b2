/* tests/fuzz/fuzz_json.c
 *
 * Control-API JSON from anywhere: never a crash; what is read is written and read again as the same value; what a field
 * table accepts survives being encoded and decoded. */
#include "server/json/json.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
    const char *path;
    double weight;
};
struct spec {
    bool on;
    int64_t count;
    double rate;
    const char *title;
    int mode;
    struct item first;
    struct field_list items, names, shares;
};

static const char *const modes[] = {"slow", "fast", NULL};
static const struct field item_fields[] = {FIELD_STRING(struct item, path, .min = 1, .max = 40, .def_text = "none"),
                                           FIELD_F64(struct item, weight, .def = 1, .nullable = true), FIELD_END};
static const struct field spec_fields[] = {
    FIELD_BOOL(struct spec, on),
    FIELD_I64(struct spec, count, .min = -5, .max = 100, .def = 200),
    FIELD_F64(struct spec, rate, .min = 0, .max = 1, .def = 0.5),
    FIELD_STRING(struct spec, title),
    FIELD_ENUM(struct spec, mode, modes),
    FIELD_OBJECT(struct spec, first, item_fields),
    FIELD_LIST_OBJECT(struct spec, items, struct item, item_fields, .max = 100),
    FIELD_LIST_STRING(struct spec, names),
    FIELD_MAP(struct spec, shares),
    FIELD_END,
};
/* Values for members of the other table. */
struct search {
    struct field_list space, point;
};
static const struct field search_fields[] = {
    FIELD_SPACE(struct search, space, spec_fields, .max = 8),
    FIELD_POINT(struct search, point, spec_fields),
    FIELD_END,
};

static struct buf text_of(const struct json *v)
{
    struct buf b;
    struct error e;
    buf_init(&b, 64 << 20);
    check(json_write(v, &b, &e) == STATUS_OK);
    return b;
}

/* Writing, reading and writing again gives the same bytes. */
static void check_text(const struct json *v)
{
    struct json *again;
    struct error e;
    struct buf first = text_of(v);
    check(json_parse(first.data, first.len, &again, &e) == STATUS_OK);
    struct buf second = text_of(again);
    check(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    buf_fini(&second);
    buf_fini(&first);
    json_free(again);
}

static void check_decoding(const struct json *v, const struct field *table)
{
    struct arena a;
    union {
        struct spec spec;
        struct search search;
    } object, again;
    struct json_problems problems = {0};
    struct error e;
    arena_init(&a, 64 << 20);
    enum status s = json_decode_fields(&a, table, v, "/spec", &object, &problems, &e);
    check(s == STATUS_OK ? problems.n == 0 : s == STATUS_NOMEM || (s == STATUS_ARGUMENT && problems.n > 0));
    if (s == STATUS_OK) {
        struct json *one = json_encode_fields(table, &object);
        check(json_decode_fields(&a, table, one, "", &again, &problems, &e) == STATUS_OK);
        struct json *two = json_encode_fields(table, &again);
        struct buf first = text_of(one), second = text_of(two);
        check(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        buf_fini(&second);
        buf_fini(&first);
        json_free(two);
        json_free(one);
    }
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *v;
    struct error e;
    if (json_parse(data, size, &v, &e) != STATUS_OK) {
        check(e.status == STATUS_FORMAT && !v);
        return 0;
    }
    check_text(v);
    check_decoding(v, spec_fields);
    check_decoding(v, search_fields);
    json_free(v);
    return 0;
}

#define FUZZ_NAME "json"
#include "tests/fuzz/replay.h"
