/* core/base/arena.c
 *
 * The allocation hooks and the bump allocator on top of them.  Under AddressSanitizer the unused part of each chunk
 * is poisoned, so that running over the end of an arena object is seen there too. */
#include "core/base.h"

#include <stdlib.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(ARENA_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGNMENT = 64, CHUNK_LEAST = 4096, CHUNK_MOST = 1 << 20 };

/* ---- allocation hooks -------------------------------------------------------------------------------- */

bool (*mem_fail_hook)(size_t bytes);

static bool must_fail(size_t bytes)
{
    return mem_fail_hook && mem_fail_hook(bytes);
}

void *mem_alloc(size_t bytes)
{
    return must_fail(bytes) ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || must_fail(bytes))
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *mem_realloc(void *p, size_t bytes)
{
    return must_fail(bytes) ? NULL : realloc(p, bytes ? bytes : 1);
}

void mem_free(void *p)
{
    free(p);
}

static void *aligned(size_t bytes)
{
    size_t rounded;
    if (__builtin_add_overflow(bytes ? bytes : 1, (size_t)ALIGNMENT - 1, &rounded) || must_fail(bytes))
        return NULL;
    return aligned_alloc(ALIGNMENT, rounded & ~((size_t)ALIGNMENT - 1));
}

void *mem_aligned(size_t bytes)
{
    void *p = aligned(bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

/* ---- arena ------------------------------------------------------------------------------------------- */

/* Chunks form a list; only the head is allocated from.  The head's header is one alignment unit. */
struct arena_chunk {
    _Alignas(ALIGNMENT) struct arena_chunk *next;
    size_t size, fill;                 /* bytes of `data`, bytes handed out */
    _Alignas(ALIGNMENT) uint8_t data[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){NULL, 0, max_bytes};
}

static void free_chunk(struct arena *a, struct arena_chunk *c)
{
    a->used -= sizeof *c + c->size;
    UNPOISON(c->data, c->size);
    mem_free(c);
}

void arena_fini(struct arena *a)
{
    while (a->chunk) {
        struct arena_chunk *next = a->chunk->next;
        free_chunk(a, a->chunk);
        a->chunk = next;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *largest = a->chunk;
    for (struct arena_chunk *c = a->chunk; c; c = c->next)
        if (c->size > largest->size)
            largest = c;
    for (struct arena_chunk *c = a->chunk, *next; c; c = next) {
        next = c->next;
        if (c != largest)
            free_chunk(a, c);
    }
    a->chunk = largest;
    if (largest) {
        largest->next = NULL;
        largest->fill = 0;
        POISON(largest->data, largest->size);
    }
}

/* A chunk for an object of `bytes`: chunks double up to CHUNK_MOST, but give way to what `max` still allows. */
static struct arena_chunk *new_chunk(struct arena *a, size_t bytes)
{
    size_t header = sizeof(struct arena_chunk), room = a->max > a->used ? a->max - a->used : 0;
    size_t wanted = a->chunk ? 2 * (header + a->chunk->size) : CHUNK_LEAST;
    wanted = wanted > CHUNK_MOST ? CHUNK_MOST : wanted;
    wanted = wanted > room ? room : wanted;
    if (room < header || bytes > room - header)
        return NULL;
    if (wanted < header + bytes)
        wanted = header + bytes;
    struct arena_chunk *c = aligned(wanted);
    if (!c)
        return NULL;
    c->size = wanted - header;
    c->fill = 0;
    POISON(c->data, c->size);
    a->used += wanted;
    /* The chunk with more room left becomes the head, so that one large object does not waste a fresh chunk. */
    if (a->chunk && a->chunk->size - a->chunk->fill > c->size - bytes) {
        c->next = a->chunk->next;
        a->chunk->next = c;
    } else {
        c->next = a->chunk;
        a->chunk = c;
    }
    return c;
}

static void *allocate(struct arena *a, size_t bytes, size_t alignment)
{
    struct arena_chunk *c = a->chunk;
    size_t at = c ? (c->fill + alignment - 1) & ~(alignment - 1) : 0;
    if (!c || at > c->size || bytes > c->size - at) {
        c = new_chunk(a, bytes);
        if (!c)
            return NULL;
        at = 0;
    }
    c->fill = at + bytes;
    UNPOISON(c->data + at, bytes);
    return c->data + at;
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *p = allocate(a, bytes, ALIGNMENT);
    if (p)
        memset(p, 0, bytes);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = allocate(a, len + 1, 1);
    if (copy) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *text = len < 0 ? NULL : allocate(a, (size_t)len + 1, 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}
