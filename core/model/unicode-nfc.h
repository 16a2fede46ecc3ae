/*
 * The Unicode normalization form NFC (UAX 15), from generated tables.
 *
 * Pure functions and constant tables: any thread may call them at any time, in any order.
 */
#ifndef ORCD_MODEL_UNICODE_NFC_H
#define ORCD_MODEL_UNICODE_NFC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True: the text is in NFC. False: it may or may not be. Any bytes are safe; bytes that are not a character
 * are not changed. */
bool unicode_is_nfc(const char *text, size_t n);
/* Returns the text in NFC, malloc'ed and at most three times as long, in O(n) time and memory. False: out of
 * memory, and the out-parameters are not changed. */
bool unicode_nfc(const char *text, size_t n, char **out, size_t *n_out);

/* The tables of unicode-nfc-tables.c. They do not have Hangul syllables, which follow a rule. */

/* Canonical decomposition in one step, sorted by cp; b is 0 if there is only one character. */
struct nfc_split {
    uint32_t cp, a, b;
};
/* Primary composition, sorted by a, then b. */
struct nfc_pair {
    uint32_t a, b, cp;
};
/* Canonical combining classes other than 0, sorted. */
struct nfc_class {
    uint32_t first, last, class;
};
extern const struct nfc_split nfc_splits[];
extern const struct nfc_pair nfc_pairs[];
extern const struct nfc_class nfc_classes[];
extern const uint32_t nfc_n_splits, nfc_n_pairs, nfc_n_classes;

/* One bit per code point: it has a combining class, may be the second character of a composition, or is not
 * the same in NFC. The bits are in blocks of 256 code points, which an index finds. */
extern const uint32_t nfc_index_blocks;
extern const uint8_t nfc_index[];
extern const uint8_t nfc_blocks[];

#endif
