/* server/json/problems.c
 *
 * Problems of a request body, with the pointer to each, and the nearest known name for a mistyped one. */
#include "server/json/problems.h"

#include "server/json/json_private.h"

#include <ctype.h>
#include <string.h>

enum { NAME_MAX_BYTES = 48 };                     /* longer names are nobody's typing error */

void json_problem_add(struct json_problems *p, const char *pointer, const char *code, const char *fmt, ...)
{
    if (p->n >= JSON_PROBLEMS_MAX)
        return;
    struct json_problem *item = &p->items[p->n++];
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_copy(item->pointer, sizeof item->pointer, pointer);
    text_copy(item->code, sizeof item->code, code);
    text_copy(item->detail, sizeof item->detail, text);
}

void json_pointer_child(char out[160], const char *parent, const char *key)
{
    char text[512];
    size_t n = strlen(parent);
    n = n > 300 ? 300 : n;
    memcpy(text, parent, n);
    text[n++] = '/';
    for (; *key && n + 3 < sizeof text; key++) {
        if (*key == '~' || *key == '/') {
            text[n++] = '~';
            text[n++] = *key == '~' ? '0' : '1';
        } else {
            text[n++] = *key;
        }
    }
    text[n] = '\0';
    text_copy(out, 160, text);
}

/* ---- nearest name --------------------------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Case does not count, and "-" is as good as "_". */
static int letter(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

/* Insertions, deletions and changes between two names (Levenshtein), SIZE_MAX when one is too long. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b), row[NAME_MAX_BYTES + 1];
    if (n_a > NAME_MAX_BYTES || n_b > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t up = row[j], changed = diagonal + (letter(a[i - 1]) != letter(b[j - 1]));
            row[j] = least(up + 1, row[j - 1] + 1, changed);
            diagonal = up;
        }
    }
    return row[n_b];
}

void json_nearest_offer(struct json_nearest *n, const char *given, const char *known)
{
    size_t distance = edit_distance(given, known);
    if (distance <= 1 + strlen(given) / 4 && (!n->name || distance < n->distance)) {
        n->name = known;
        n->distance = distance;
    }
}

void json_problem_unknown(struct json_problems *p, const char *pointer, const char *key, const char *nearest)
{
    if (nearest)
        json_problem_add(p, pointer, "unknown_member", "there is no member \"%.80s\"; did you mean \"%s\"?", key, nearest);
    else
        json_problem_add(p, pointer, "unknown_member", "there is no member \"%.80s\"", key);
}

size_t json_check_members(const struct json *object, const char *const *known, const char *pointer,
                          struct json_problems *problems)
{
    size_t n_unknown = 0;
    json_t *o = raw(object);
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
        const char *key = json_object_iter_key(i);
        struct json_nearest nearest = {NULL, 0};
        bool found = false;
        for (const char *const *name = known; *name && !found; name++) {
            found = strcmp(*name, key) == 0;
            json_nearest_offer(&nearest, key, *name);
        }
        if (found)
            continue;
        char where[160];
        json_pointer_child(where, pointer, key);
        json_problem_unknown(problems, where, key, nearest.name);
        n_unknown++;
    }
    return n_unknown;
}
