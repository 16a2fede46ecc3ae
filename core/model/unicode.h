/*
 * Classes of code points for the pre-tokenizers, from generated Unicode tables.
 *
 * Pure functions and constant tables: any thread may call them at any time, in any order.
 */
#ifndef ORCD_MODEL_UNICODE_H
#define ORCD_MODEL_UNICODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

/* The general categories that pre-tokenizers distinguish. A character with the property White_Space is
 * UC_SPACE only; a character in no other class is UC_OTHER. */
enum unicode_class {
    UC_OTHER = 1 << 0,
    UC_LU = 1 << 1,
    UC_LL = 1 << 2,
    UC_LT = 1 << 3,
    UC_LM = 1 << 4,
    UC_LO = 1 << 5,
    UC_M = 1 << 6,
    UC_N = 1 << 7,
    UC_P = 1 << 8,
    UC_S = 1 << 9,
    UC_SPACE = 1 << 10,
    UC_L = UC_LU | UC_LL | UC_LT | UC_LM | UC_LO,
};

extern const char unicode_version[];
extern const uint32_t unicode_index_blocks;
extern const uint16_t unicode_index[];
extern const uint8_t unicode_blocks[];

/* Any value is allowed; values beyond U+10FFFF are UC_OTHER. */
static inline unsigned unicode_class_of(uint32_t cp)
{
    uint32_t block = cp >> 7;
    if (block >= unicode_index_blocks)
        return UC_OTHER;
    uint8_t pair = unicode_blocks[(size_t)unicode_index[block] * 64 + ((cp & 127) >> 1)];
    return 1u << (cp & 1 ? pair >> 4 : pair & 15);
}

/* The class and the length in bytes of the character at p < end. A byte that does not begin a valid character
 * counts as one character of class UC_OTHER. */
static inline unsigned unicode_class_at(const unsigned char *p, const unsigned char *end, size_t *n)
{
    if (p[0] < 0x80) {
        *n = 1;
        return unicode_class_of(p[0]);
    }
    switch (utf8_char_len((const char *)p, (size_t)(end - p))) {
    case 2:
        *n = 2;
        return unicode_class_of((uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f));
    case 3:
        *n = 3;
        return unicode_class_of((uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f));
    case 4:
        *n = 4;
        return unicode_class_of((uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
                                (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f));
    default:
        *n = 1;
        return UC_OTHER;
    }
}

#endif
