/* core/base/bytes.h
 *
 * Reading numbers out of untrusted bytes.  A cursor never reads past its end: once it would, it goes bad, stays
 * bad and yields zeros, so a parser may read a whole record and test `bad` once, before it believes a number. */
#ifndef DLT_CORE_BASE_BYTES_H
#define DLT_CORE_BASE_BYTES_H

#include "core/base.h"

#include <string.h>

struct cursor {
    const uint8_t *start, *p, *end;
    bool bad;
};

static inline struct cursor cursor_of(const uint8_t *p, size_t n)
{
    return (struct cursor){p, p, p + n, false};
}
static inline size_t cursor_left(const struct cursor *c) { return (size_t)(c->end - c->p); }
static inline size_t cursor_offset(const struct cursor *c) { return (size_t)(c->p - c->start); }

/* The next n bytes, or NULL (and bad) when fewer remain. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (c->bad || n > cursor_left(c)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    return p;
}
static inline bool cursor_skip(struct cursor *c, size_t n) { return cursor_take(c, n) != NULL; }

static inline uint16_t load_be16(const void *p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
static inline uint32_t load_be32(const void *p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
static inline uint64_t load_be64(const void *p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
static inline uint16_t load_le16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load_le32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t load_le64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store_le32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store_le64(void *p, uint64_t v) { memcpy(p, &v, 8); }

#define CURSOR_LOAD(name, type, load, size)                                        \
    static inline type name(struct cursor *c)                                      \
    {                                                                              \
        const uint8_t *p = cursor_take(c, size);                                   \
        return p ? (type)load(p) : 0;                                              \
    }
static inline uint8_t load_u8_(const void *p) { return *(const uint8_t *)p; }
CURSOR_LOAD(cursor_u8, uint8_t, load_u8_, 1)
CURSOR_LOAD(cursor_be16, uint16_t, load_be16, 2)
CURSOR_LOAD(cursor_be32, uint32_t, load_be32, 4)
CURSOR_LOAD(cursor_be64, uint64_t, load_be64, 8)
CURSOR_LOAD(cursor_le32, uint32_t, load_le32, 4)
CURSOR_LOAD(cursor_le64, uint64_t, load_le64, 8)
#undef CURSOR_LOAD

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored columns are little-endian");

#endif
