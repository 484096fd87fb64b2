/* core/base/text.c
 *
 * Well-formedness as in the Unicode standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "core/base/text.h"

#include <string.h>

size_t utf8_char_len(const uint8_t *s, size_t n)
{
    uint8_t lead = s[0];
    if (lead < 0x80)
        return 1;
    size_t len = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xBF)
            return 0;
    return len;
}

bool utf8_is_control(const uint8_t *s, size_t len)
{
    return len == 1 ? s[0] < 0x20 || s[0] == 0x7F : len == 2 && s[0] == 0xC2 && s[1] < 0xA0;
}

bool text_is_clean(const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_char_len(p + i, len - i);
        if (n == 0 || utf8_is_control(p + i, n))
            return false;
        i += n;
    }
    return true;
}

void text_clean(char *s)
{
    uint8_t *p = (uint8_t *)s;
    size_t len = strlen(s);
    for (size_t i = 0; i < len;) {
        size_t n = utf8_char_len(p + i, len - i);
        if (n == 0)
            p[i] = '?';
        else if (utf8_is_control(p + i, n))
            memset(p + i, ' ', n);
        i += n ? n : 1;
    }
}

void text_copy(char *dst, size_t cap, const char *src)
{
    check(cap > 0);
    size_t len = strlen(src);
    if (len >= cap) {
        len = cap - 1;
        while (len > 0 && ((uint8_t)src[len] & 0xC0) == 0x80)      /* never half a character */
            len--;
    }
    memmove(dst, src, len);
    dst[len] = '\0';
}
