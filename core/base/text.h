/* core/base/text.h
 *
 * UTF-8 helpers shared inside base: error and log lines are cleaned before they leave, so that a hostile file name
 * cannot forge a log line or break a JSON reply. */
#ifndef DLT_CORE_BASE_TEXT_H
#define DLT_CORE_BASE_TEXT_H

#include "core/base.h"

/* Bytes of the well-formed UTF-8 character at s (1 to 4), or 0 when the bytes there are none.  n > 0. */
size_t utf8_char_len(const uint8_t *s, size_t n);
/* Whether the character of `len` bytes at s is a control character (C0, DEL, C1). */
bool utf8_is_control(const uint8_t *s, size_t len);
/* Replaces control characters by spaces and malformed bytes by '?', in place. */
void text_clean(char *s);

/* 0 to 15, or -1. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
