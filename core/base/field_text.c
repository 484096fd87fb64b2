/* core/base/field_text.c
 *
 * The text codec of field tables: one "path = value" line a scalar.  Whatever the writer accepts the reader gives
 * back bit by bit; the reader takes bytes from anywhere and bounds depth, line length, list indices and map sizes. */
#include "core/base.h"

#include "core/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 16,                          /* objects within objects */
    PATH_BYTES_MAX = 512,                    /* names and indices of a path, without a map's key */
    LINE_BYTES_MAX = 1 << 20,
    MAP_PAIRS_MAX = 16384,                   /* the reader looks for duplicates one by one */
    NUMBER_BYTES_MAX = 64
};

/* ---- writing ----------------------------------------------------------------------------------------- */

struct writer {
    struct buf *out;
    struct error *e;
    char path[PATH_BYTES_MAX];
    size_t path_len;
};

static enum status push_path(struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static enum status push_path(struct writer *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(w->path + w->path_len, sizeof w->path - w->path_len, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof w->path - w->path_len)
        return error_set(w->e, STATUS_RANGE, "%s: path is longer than %d bytes", w->path, PATH_BYTES_MAX - 1);
    w->path_len += (size_t)n;
    return STATUS_OK;
}

static void pop_path(struct writer *w, size_t len)
{
    w->path_len = len;
    w->path[len] = '\0';
}

static enum status put_quoted(struct writer *w, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *s = (const uint8_t *)text;
    size_t n = strlen(text);
    /* Room for the worst case, \xNN throughout: then each byte is only stored. */
    if (n > (LINE_BYTES_MAX - 2 * PATH_BYTES_MAX) / 4)
        return error_set(w->e, STATUS_RANGE, "%s: text of %zu bytes is too long for one line", w->path, n);
    TRY(buf_reserve(w->out, 4 * n + 2, w->e));
    uint8_t *p = w->out->data + w->out->len;
    *p++ = '"';
    for (size_t i = 0; i < n;) {
        size_t len = utf8_char_len(s + i, n - i);
        if (s[i] == '"' || s[i] == '\\' || s[i] == '\n') {
            *p++ = '\\';
            *p++ = s[i] == '\n' ? 'n' : s[i];
        } else if (len > 0 && !utf8_is_control(s + i, len)) {
            memcpy(p, s + i, len);
            p += len;
            i += len - 1;
        } else {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = (uint8_t)hex[s[i] >> 4];
            *p++ = (uint8_t)hex[s[i] & 15];
        }
        i++;
    }
    *p++ = '"';
    w->out->len = (size_t)(p - w->out->data);
    return STATUS_OK;
}

static enum status put_number(struct writer *w, double value)
{
    if (isnan(value))                        /* without the sign that printf would show */
        return buf_printf(w->out, w->e, "nan");
    return buf_printf(w->out, w->e, "%.17g", value);
}

static enum status put_choice(struct writer *w, const struct field *f, int index)
{
    for (int i = 0; f->choices[i]; i++)
        if (i == index)
            return buf_printf(w->out, w->e, "%s", f->choices[i]);
    return error_set(w->e, STATUS_RANGE, "%s: choice number %d does not exist", w->path, index);
}

/* "path = value": a scalar of `kind` at p. */
static enum status put_line(struct writer *w, const struct field *f, enum field_kind kind, const void *p)
{
    TRY(buf_printf(w->out, w->e, "%s = ", w->path));
    switch (kind) {
    case FIELD_KIND_BOOL: TRY(buf_printf(w->out, w->e, "%s", *(const bool *)p ? "true" : "false")); break;
    case FIELD_KIND_I64: TRY(buf_printf(w->out, w->e, "%" PRId64, *(const int64_t *)p)); break;
    case FIELD_KIND_F64: TRY(put_number(w, *(const double *)p)); break;
    case FIELD_KIND_STRING: TRY(put_quoted(w, *(const char *const *)p)); break;
    case FIELD_KIND_ENUM: TRY(put_choice(w, f, *(const int *)p)); break;
    default: check(!"not a scalar");
    }
    return buf_append(w->out, "\n", 1, w->e);
}

static enum status put_table(struct writer *w, const struct field *table, const void *object, size_t depth);

static enum status put_item(struct writer *w, const struct field *f, const void *item, size_t depth)
{
    if (f->item == FIELD_KIND_STRING && !*(const char *const *)item)
        return error_set(w->e, STATUS_ARGUMENT, "%s: a list cannot hold an absent text", w->path);
    if (f->item != FIELD_KIND_OBJECT)
        return put_line(w, f, f->item, item);
    size_t len_before = w->out->len;
    TRY(put_table(w, f->fields, item, depth + 1));
    if (w->out->len > len_before)
        return STATUS_OK;
    return buf_printf(w->out, w->e, "%s = {}\n", w->path);     /* nothing to say, but it is an item */
}

static enum status put_list(struct writer *w, const struct field *f, const struct field_list *list, size_t depth)
{
    size_t len = w->path_len;
    for (size_t i = 0; i < list->n_items; i++) {
        TRY(push_path(w, "[%zu]", i));
        TRY(put_item(w, f, (const char *)list->items + i * f->item_size, depth));
        pop_path(w, len);
    }
    return STATUS_OK;
}

static enum status put_map(struct writer *w, const struct field_list *list)
{
    const struct field_pair *pairs = list->items;
    if (list->n_items > MAP_PAIRS_MAX)
        return error_set(w->e, STATUS_RANGE, "%s: %zu pairs, a map holds at most %d", w->path, list->n_items,
                         MAP_PAIRS_MAX);
    for (size_t i = 0; i < list->n_items; i++) {
        TRY(buf_printf(w->out, w->e, "%s[", w->path));
        TRY(put_quoted(w, pairs[i].name));
        TRY(buf_append(w->out, "] = ", 4, w->e));
        TRY(put_number(w, pairs[i].value));
        TRY(buf_append(w->out, "\n", 1, w->e));
    }
    return STATUS_OK;
}

static enum status put_field(struct writer *w, const struct field *f, const void *member, size_t depth)
{
    switch (f->kind) {
    case FIELD_KIND_OBJECT: return put_table(w, f->fields, member, depth + 1);
    case FIELD_KIND_LIST:
    case FIELD_KIND_SPACE:
    case FIELD_KIND_POINT: return put_list(w, f, member, depth);
    case FIELD_KIND_MAP: return put_map(w, member);
    case FIELD_KIND_STRING: return *(const char *const *)member ? put_line(w, f, f->kind, member) : STATUS_OK;
    default: return put_line(w, f, f->kind, member);
    }
}

static enum status put_table(struct writer *w, const struct field *table, const void *object, size_t depth)
{
    size_t len = w->path_len;
    if (depth > DEPTH_MAX)
        return error_set(w->e, STATUS_RANGE, "%s: nested deeper than %d", w->path, DEPTH_MAX);
    for (const struct field *f = table; f->name; f++) {
        TRY(push_path(w, "%s%s", len > 0 ? "." : "", f->name));
        TRY(put_field(w, f, (const char *)object + f->offset, depth));
        pop_path(w, len);
    }
    return STATUS_OK;
}

enum status field_write_text(const struct field *table, const void *object, struct buf *out, struct error *e)
{
    struct writer w = {.out = out, .e = e};
    size_t len_before = out->len;
    enum status s = put_table(&w, table, object, 0);
    if (s != STATUS_OK)
        out->len = len_before;
    return s;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

struct reader {
    struct arena *a;
    struct error *e;
    const char *p, *end;                     /* the rest of the line */
    const char *line;
    size_t i_line;                           /* from 1 */
};

static enum status bad_line(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static enum status bad_line(struct reader *r, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t len = (size_t)(r->end - r->line);
    return error_set(r->e, STATUS_FORMAT, "line %zu: %s, in \"%.*s\"", r->i_line, text, len > 80 ? 80 : (int)len,
                     r->line);
}

static enum status no_memory(struct reader *r)
{
    return error_set(r->e, STATUS_NOMEM, "line %zu: no memory for its value", r->i_line);
}

static bool accept(struct reader *r, const char *token)
{
    size_t n = strlen(token);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, token, n) != 0)
        return false;
    r->p += n;
    return true;
}

static enum status expect(struct reader *r, const char *token)
{
    return accept(r, token) ? STATUS_OK
                            : bad_line(r, "'%s' is missing at column %zu", token, (size_t)(r->p - r->line) + 1);
}

/* The rest of the line is the value, as a terminated word. */
static enum status take_word(struct reader *r, char word[NUMBER_BYTES_MAX])
{
    size_t n = (size_t)(r->end - r->p);
    if (n == 0 || n >= NUMBER_BYTES_MAX || memchr(r->p, '\0', n))
        return bad_line(r, "the value is no word of 1 to %d bytes", NUMBER_BYTES_MAX - 1);
    memcpy(word, r->p, n);
    word[n] = '\0';
    r->p = r->end;
    return STATUS_OK;
}

static enum status read_bool(struct reader *r, bool *out)
{
    *out = accept(r, "true");
    return *out || accept(r, "false") ? STATUS_OK : bad_line(r, "the value must be true or false");
}

static enum status read_i64(struct reader *r, int64_t *out)
{
    char word[NUMBER_BYTES_MAX], *stop;
    TRY(take_word(r, word));
    if (word[strspn(word, "-0123456789")] != '\0')
        return bad_line(r, "the value must be a whole number");
    errno = 0;
    long long value = strtoll(word, &stop, 10);
    if (*stop != '\0' || stop == word || errno == ERANGE)
        return bad_line(r, "the value must be a whole number of 64 bits");
    *out = value;
    return STATUS_OK;
}

static enum status read_f64(struct reader *r, double *out)
{
    char word[NUMBER_BYTES_MAX], *stop;
    TRY(take_word(r, word));
    bool special = strcmp(word, "nan") == 0 || strcmp(word, "inf") == 0 || strcmp(word, "-inf") == 0;
    /* strtod also takes hexadecimal and other names: those are not ours. */
    if (!special && word[strspn(word, "+-.0123456789eE")] != '\0')
        return bad_line(r, "the value must be a number, nan, inf or -inf");
    double value = strtod(word, &stop);
    if (*stop != '\0' || stop == word || (isinf(value) && !special))
        return bad_line(r, "the value must be a number that fits");
    *out = value;
    return STATUS_OK;
}

/* What follows a backslash; 0 when it is no escape (texts cannot hold the byte 0). */
static uint8_t read_escape(struct reader *r)
{
    size_t left = (size_t)(r->end - r->p);
    if (left == 0)
        return 0;
    char c = *r->p++;
    if (c == '"' || c == '\\')
        return (uint8_t)c;
    if (c == 'n')
        return '\n';
    if (c != 'x' || left < 3)
        return 0;
    int high = hex_digit(r->p[0]), low = hex_digit(r->p[1]);
    r->p += 2;
    return high < 0 || low < 0 ? 0 : (uint8_t)(high * 16 + low);
}

/* Length of a quoted text in the line, without its quotes and still escaped; r->p is behind the first quote. */
static size_t quoted_len(const struct reader *r)
{
    const char *p = r->p;
    while (p < r->end && *p != '"')
        p += *p == '\\' && p + 1 < r->end ? 2 : 1;
    return (size_t)(p - r->p);
}

static enum status read_quoted(struct reader *r, const char **out)
{
    TRY(expect(r, "\""));
    char *text = arena_alloc(r->a, quoted_len(r) + 1, 1);
    if (!text)
        return no_memory(r);
    size_t n = 0;
    while (r->p < r->end && *r->p != '"') {
        size_t len = utf8_char_len((const uint8_t *)r->p, (size_t)(r->end - r->p));
        if (len == 0 || utf8_is_control((const uint8_t *)r->p, len))
            return bad_line(r, "the text holds raw control or malformed bytes");
        if (*r->p == '\\') {
            r->p++;
            text[n] = (char)read_escape(r);
            if (text[n++] == '\0')
                return bad_line(r, "the text holds an unknown escape");
            continue;
        }
        memcpy(text + n, r->p, len);
        n += len;
        r->p += len;
    }
    *out = text;
    return expect(r, "\"");
}

static enum status read_choice(struct reader *r, const struct field *f, int *out)
{
    size_t n = (size_t)(r->end - r->p);
    for (int i = 0; f->choices[i]; i++)
        if (strlen(f->choices[i]) == n && memcmp(f->choices[i], r->p, n) == 0) {
            *out = i;
            r->p = r->end;
            return STATUS_OK;
        }
    return bad_line(r, "the value is no choice of %s", f->name);
}

/* " = value" up to the end of the line, into the scalar of `kind` at p. */
static enum status read_scalar(struct reader *r, const struct field *f, enum field_kind kind, void *p)
{
    TRY(expect(r, " = "));
    switch (kind) {
    case FIELD_KIND_BOOL: TRY(read_bool(r, p)); break;
    case FIELD_KIND_I64: TRY(read_i64(r, p)); break;
    case FIELD_KIND_F64: TRY(read_f64(r, p)); break;
    case FIELD_KIND_STRING: TRY(read_quoted(r, p)); break;
    case FIELD_KIND_ENUM: TRY(read_choice(r, f, p)); break;
    default: check(!"not a scalar");
    }
    return r->p == r->end ? STATUS_OK : bad_line(r, "something follows the value");
}

/* One more zeroed item behind the list.  Capacity is the next power of two from 4 on, so it need not be stored. */
static void *add_item(struct reader *r, const struct field *f, struct field_list *list)
{
    size_t n = list->n_items;
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        void *items = n <= SIZE_MAX / 2 ? arena_alloc(r->a, n ? 2 * n : 4, f->item_size) : NULL;
        if (!items)
            return NULL;
        if (n > 0)
            memcpy(items, list->items, n * f->item_size);
        list->items = items;
    }
    list->n_items++;
    return (char *)list->items + n * f->item_size;
}

static enum status read_map_line(struct reader *r, const struct field *f, struct field_list *map)
{
    struct field_pair pair = {NULL, 0};
    TRY(expect(r, "["));
    TRY(read_quoted(r, &pair.name));
    TRY(expect(r, "]"));
    TRY(read_scalar(r, f, FIELD_KIND_F64, &pair.value));
    const struct field_pair *pairs = map->items;
    for (size_t i = 0; i < map->n_items; i++)
        if (strcmp(pairs[i].name, pair.name) == 0)
            return bad_line(r, "this name is given twice");
    if (map->n_items >= MAP_PAIRS_MAX)
        return bad_line(r, "a map holds at most %d names", MAP_PAIRS_MAX);
    struct field_pair *added = add_item(r, f, map);
    if (!added)
        return no_memory(r);
    *added = pair;
    return STATUS_OK;
}

/* "[index]": the index must be the present last item or the one behind it. */
static enum status read_index(struct reader *r, size_t n_items, size_t *index)
{
    TRY(expect(r, "["));
    size_t value = 0, n_digits = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9' && n_digits < 18; n_digits++)
        value = 10 * value + (size_t)(*r->p++ - '0');
    TRY(expect(r, "]"));
    if (n_digits == 0 || value > n_items || value + 1 < n_items)
        return bad_line(r, "index %zu does not follow the %zu items so far", value, n_items);
    *index = value;
    return STATUS_OK;
}

static enum status read_in_table(struct reader *r, const struct field *table, void *object, size_t depth);

static enum status read_list_line(struct reader *r, const struct field *f, struct field_list *list, size_t depth)
{
    size_t index = 0;
    TRY(read_index(r, list->n_items, &index));
    bool is_new = index == list->n_items;
    if (!is_new && f->item != FIELD_KIND_OBJECT)
        return bad_line(r, "item %zu is given twice", index);
    void *item = is_new ? add_item(r, f, list) : (char *)list->items + index * f->item_size;
    if (!item)
        return no_memory(r);
    if (f->item != FIELD_KIND_OBJECT)
        return read_scalar(r, f, f->item, item);
    if (is_new)
        field_defaults(f->fields, item);
    if (is_new && accept(r, " = {}"))
        return r->p == r->end ? STATUS_OK : bad_line(r, "something follows the value");
    TRY(expect(r, "."));
    return read_in_table(r, f->fields, item, depth + 1);
}

static const struct field *find_name(const struct field *table, const char *name, size_t len)
{
    for (const struct field *f = table; f->name; f++)
        if (strncmp(f->name, name, len) == 0 && f->name[len] == '\0')
            return f;
    return NULL;
}

static enum status read_in_table(struct reader *r, const struct field *table, void *object, size_t depth)
{
    if (depth > DEPTH_MAX)
        return bad_line(r, "nested deeper than %d", DEPTH_MAX);
    const char *name = r->p;
    while (r->p < r->end && ((*r->p >= 'a' && *r->p <= 'z') || (*r->p >= 'A' && *r->p <= 'Z') ||
                             (*r->p >= '0' && *r->p <= '9') || *r->p == '_'))
        r->p++;
    const struct field *f = find_name(table, name, (size_t)(r->p - name));
    if (!f)
        return bad_line(r, "unknown name at column %zu", (size_t)(name - r->line) + 1);
    void *member = (char *)object + f->offset;
    switch (f->kind) {
    case FIELD_KIND_OBJECT: TRY(expect(r, ".")); return read_in_table(r, f->fields, member, depth + 1);
    case FIELD_KIND_LIST:
    case FIELD_KIND_SPACE:
    case FIELD_KIND_POINT: return read_list_line(r, f, member, depth);
    case FIELD_KIND_MAP: return read_map_line(r, f, member);
    default: return read_scalar(r, f, f->kind, member);
    }
}

enum status field_read_text(struct arena *a, const struct field *table, struct span text, void *object,
                            struct error *e)
{
    struct reader r = {.a = a, .e = e};
    const char *p = (const char *)text.data, *end = text.len ? p + text.len : p;
    field_defaults(table, object);
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        r.i_line++;
        r.line = r.p = p;
        r.end = newline ? newline : end;
        if (!newline)
            return bad_line(&r, "the last line has no end: the text is cut short");
        if (r.end - r.p > LINE_BYTES_MAX)
            return bad_line(&r, "longer than %d bytes", LINE_BYTES_MAX);
        if (r.p < r.end && *r.p != '#')
            TRY(read_in_table(&r, table, object, 0));
        p = newline + 1;
    }
    return STATUS_OK;
}
