/* core/parquet/thrift.c
 *
 * The compact protocol: zigzag varints, field numbers as differences, booleans inside the field's type. */
#include "core/parquet/thrift.h"

/* ---- reading --------------------------------------------------------------------------------------------- */

struct thrift_reader thrift_reader_of(const uint8_t *p, size_t n)
{
    return (struct thrift_reader){.in = cursor_of(p, n)};
}

void thrift_fault(struct thrift_reader *t, const char *why)
{
    if (!t->fault && !t->in.bad) /* past the end everything reads as zero: no news */
        t->fault = why;
}

bool thrift_short(const struct thrift_reader *t)
{
    return t->in.bad && !t->fault;
}

static bool faulty(const struct thrift_reader *t)
{
    return t->fault || t->in.bad;
}

static uint64_t read_varint(struct thrift_reader *t)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = cursor_u8(&t->in);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            if (shift == 63 && b > 1)
                thrift_fault(t, "number of more than 64 bits");
            return v;
        }
    }
    thrift_fault(t, "number of more than 64 bits");
    return 0;
}

static int64_t read_zigzag(struct thrift_reader *t)
{
    uint64_t v = read_varint(t);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static int32_t read_i32(struct thrift_reader *t)
{
    int64_t v = read_zigzag(t);
    if (v < INT32_MIN || v > INT32_MAX) {
        thrift_fault(t, "number of more than 32 bits");
        return 0;
    }
    return (int32_t)v;
}

static struct span read_binary(struct thrift_reader *t)
{
    uint64_t n = read_varint(t);
    if (faulty(t))
        return (struct span){(const uint8_t *)"", 0};
    const uint8_t *p = n > SIZE_MAX ? NULL : cursor_take(&t->in, (size_t)n);
    return p ? (struct span){p, (size_t)n} : (struct span){(const uint8_t *)"", 0};
}

struct thrift_field thrift_enter(struct thrift_reader *t)
{
    if (t->depth == THRIFT_DEPTH_MAX)
        thrift_fault(t, "structs nested too deeply");
    t->depth++;
    return (struct thrift_field){0, THRIFT_STOP};
}

bool thrift_next(struct thrift_reader *t, struct thrift_field *f)
{
    uint8_t head = faulty(t) ? 0 : cursor_u8(&t->in);
    f->type = (enum thrift_type)(head & 0x0f);
    if (faulty(t) || f->type == THRIFT_STOP) {
        t->depth--;
        return false;
    }
    int step = head >> 4;
    int64_t id = step ? f->id + step : read_zigzag(t);
    if (f->type > THRIFT_STRUCT)
        thrift_fault(t, "unknown field type");
    if (id < INT16_MIN || id > INT16_MAX)
        thrift_fault(t, "field number out of range");
    if (faulty(t)) {
        t->depth--;
        return false;
    }
    f->id = (int)id;
    return true;
}

static bool expect(struct thrift_reader *t, bool as_expected)
{
    if (!as_expected)
        thrift_fault(t, "field of an unexpected type");
    return as_expected;
}

bool thrift_bool(struct thrift_reader *t, const struct thrift_field *f)
{
    return expect(t, f->type == THRIFT_TRUE || f->type == THRIFT_FALSE) && f->type == THRIFT_TRUE;
}

int32_t thrift_i32(struct thrift_reader *t, const struct thrift_field *f)
{
    if (f->type == THRIFT_BYTE)
        return (int8_t)cursor_u8(&t->in);
    return expect(t, f->type == THRIFT_I32 || f->type == THRIFT_I16) ? read_i32(t) : 0;
}

int64_t thrift_i64(struct thrift_reader *t, const struct thrift_field *f)
{
    return expect(t, f->type == THRIFT_I64) ? read_zigzag(t) : 0;
}

struct span thrift_binary(struct thrift_reader *t, const struct thrift_field *f)
{
    return expect(t, f->type == THRIFT_BINARY) ? read_binary(t) : (struct span){(const uint8_t *)"", 0};
}

void thrift_struct(struct thrift_reader *t, const struct thrift_field *f)
{
    (void)expect(t, f->type == THRIFT_STRUCT);
}

/* Length and item type of a list or set. */
static size_t read_list_head(struct thrift_reader *t, enum thrift_type *item)
{
    uint8_t head = cursor_u8(&t->in);
    *item = (enum thrift_type)(head & 0x0f);
    uint64_t n = head >> 4;
    if (n == 15)
        n = read_varint(t);
    if (*item == THRIFT_STOP || *item > THRIFT_STRUCT)
        thrift_fault(t, "unknown item type");
    return faulty(t) ? 0 : (size_t)n;
}

size_t thrift_list(struct thrift_reader *t, const struct thrift_field *f, enum thrift_type item, size_t item_bytes)
{
    if (!expect(t, f->type == THRIFT_LIST))
        return 0;
    enum thrift_type found;
    size_t n = read_list_head(t, &found);
    if (n > 0) /* some writers give an empty list another item type */
        (void)expect(t, found == item);
    if (n > cursor_left(&t->in) / item_bytes)
        thrift_fault(t, "list claims more items than the remaining bytes hold");
    return faulty(t) ? 0 : n;
}

int32_t thrift_item_i32(struct thrift_reader *t)
{
    return faulty(t) ? 0 : read_i32(t);
}
struct span thrift_item_binary(struct thrift_reader *t)
{
    return read_binary(t);
}

static void skip_value(struct thrift_reader *t, enum thrift_type type, bool in_field);

static void skip_items(struct thrift_reader *t, enum thrift_type first, enum thrift_type second, size_t n)
{
    if (t->depth == THRIFT_DEPTH_MAX)
        thrift_fault(t, "lists nested too deeply");
    if (n > cursor_left(&t->in)) /* each item takes at least one byte */
        t->in.bad = true;
    t->depth++;
    for (size_t i = 0; i < n && !faulty(t); i++) {
        skip_value(t, first, false);
        if (second != THRIFT_STOP)
            skip_value(t, second, false);
    }
    t->depth--;
}

static void skip_map(struct thrift_reader *t)
{
    uint64_t n = read_varint(t);
    if (n == 0 || faulty(t))
        return;
    uint8_t types = cursor_u8(&t->in);
    enum thrift_type key = (enum thrift_type)(types >> 4), value = (enum thrift_type)(types & 0x0f);
    if (key == THRIFT_STOP || value == THRIFT_STOP)
        thrift_fault(t, "unknown item type");
    else
        skip_items(t, key, value, (size_t)n);
}

/* Recursion is bounded: structs and lists both count towards THRIFT_DEPTH_MAX. */
static void skip_value(struct thrift_reader *t, enum thrift_type type, bool in_field)
{
    enum thrift_type item;
    size_t n;
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        if (!in_field)
            (void)cursor_skip(&t->in, 1);
        return;
    case THRIFT_BYTE:
        (void)cursor_skip(&t->in, 1);
        return;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        (void)read_varint(t);
        return;
    case THRIFT_DOUBLE:
        (void)cursor_skip(&t->in, 8);
        return;
    case THRIFT_BINARY:
        (void)read_binary(t);
        return;
    case THRIFT_LIST:
    case THRIFT_SET:
        n = read_list_head(t, &item);
        skip_items(t, item, THRIFT_STOP, n);
        return;
    case THRIFT_MAP:
        skip_map(t);
        return;
    case THRIFT_STRUCT: {
        THRIFT_EACH_FIELD(t, f)
        skip_value(t, f.type, true);
        return;
    }
    case THRIFT_STOP:
        break;
    }
    thrift_fault(t, "unknown field type");
}

void thrift_skip(struct thrift_reader *t, const struct thrift_field *f)
{
    skip_value(t, f->type, true);
}

enum status thrift_done(const struct thrift_reader *t, const char *what, struct error *e)
{
    if (!faulty(t))
        return STATUS_OK;
    return error_set(e, STATUS_FORMAT, "%s: %s at byte %zu of %zu", what, t->fault ? t->fault : "ends too early",
                     cursor_offset(&t->in), (size_t)(t->in.end - t->in.start));
}

/* ---- writing --------------------------------------------------------------------------------------------- */

struct thrift_writer thrift_writer_of(struct buf *out, struct error *e)
{
    return (struct thrift_writer){.out = out, .e = e, .status = STATUS_OK};
}

void thrift_put_raw(struct thrift_writer *w, const void *p, size_t n)
{
    if (w->status == STATUS_OK)
        w->status = buf_append(w->out, p, n, w->e);
}

static void put_varint(struct thrift_writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    thrift_put_raw(w, bytes, n);
}

static void put_zigzag(struct thrift_writer *w, int64_t v)
{
    put_varint(w, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void put_head(struct thrift_writer *w, int id, enum thrift_type type)
{
    check(w->depth > 0);
    int *last = &w->last_id[w->depth - 1];
    int step = id - *last;
    uint8_t head = (uint8_t)(step > 0 && step < 16 ? step << 4 | (int)type : (int)type);
    thrift_put_raw(w, &head, 1);
    if (!(head >> 4))
        put_zigzag(w, id);
    *last = id;
}

void thrift_put_begin(struct thrift_writer *w)
{
    check(w->depth < THRIFT_DEPTH_MAX);
    w->last_id[w->depth++] = 0;
}

void thrift_put_end(struct thrift_writer *w)
{
    check(w->depth > 0);
    w->depth--;
    thrift_put_raw(w, "\0", 1);
}

void thrift_put_bool(struct thrift_writer *w, int id, bool v)
{
    put_head(w, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_put_byte(struct thrift_writer *w, int id, int8_t v)
{
    put_head(w, id, THRIFT_BYTE);
    thrift_put_raw(w, &v, 1);
}

void thrift_put_i16(struct thrift_writer *w, int id, int16_t v)
{
    put_head(w, id, THRIFT_I16);
    put_zigzag(w, v);
}

void thrift_put_i32(struct thrift_writer *w, int id, int32_t v)
{
    put_head(w, id, THRIFT_I32);
    put_zigzag(w, v);
}

void thrift_put_i64(struct thrift_writer *w, int id, int64_t v)
{
    put_head(w, id, THRIFT_I64);
    put_zigzag(w, v);
}

void thrift_put_binary(struct thrift_writer *w, int id, const void *p, size_t n)
{
    put_head(w, id, THRIFT_BINARY);
    put_varint(w, n);
    thrift_put_raw(w, p, n);
}

void thrift_put_string(struct thrift_writer *w, int id, const char *s)
{
    thrift_put_binary(w, id, s, strlen(s));
}

void thrift_put_struct(struct thrift_writer *w, int id)
{
    put_head(w, id, THRIFT_STRUCT);
    thrift_put_begin(w);
}

void thrift_put_list(struct thrift_writer *w, int id, enum thrift_type item, size_t n)
{
    put_head(w, id, THRIFT_LIST);
    uint8_t head = (uint8_t)((n < 15 ? n << 4 : 0xf0) | (size_t)item);
    thrift_put_raw(w, &head, 1);
    if (n >= 15)
        put_varint(w, n);
}

void thrift_put_item_i32(struct thrift_writer *w, int32_t v)
{
    put_zigzag(w, v);
}

void thrift_put_item_string(struct thrift_writer *w, const char *s)
{
    size_t n = strlen(s);
    put_varint(w, n);
    thrift_put_raw(w, s, n);
}
