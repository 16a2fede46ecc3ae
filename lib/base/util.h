/* Small inline helpers without state or policy. Any thread. */
#ifndef ORCD_BASE_UTIL_H
#define ORCD_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The length of the valid UTF-8 character at text (1 to 4 bytes). 0: there is none, because
 * of an invalid byte, an overlong form, a surrogate or a number beyond U+10FFFF, or because
 * only `left` bytes remain, which are fewer than it needs. */
static inline size_t utf8_char_len(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    if (left == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    size_t n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* The whole of [text, text + n) is valid UTF-8. */
static inline bool utf8_valid(const char *text, size_t n)
{
    while (n) {
        size_t k = utf8_char_len(text, n);
        if (!k)
            return false;
        text += k;
        n -= k;
    }
    return true;
}

#endif
