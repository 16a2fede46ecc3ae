/* Unicode's normalization form NFC (UAX 15), from generated tables. */
#ifndef ORCD_MODEL_UNICODE_NFC_H
#define ORCD_MODEL_UNICODE_NFC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True: the text is in NFC. False: it may or may not be. Any bytes are safe; those that
 * are no character are left as they are. */
bool unicode_is_nfc(const char *text, size_t n);
/* The text in NFC, malloc'ed, at most three times as long. O(n) in time and memory.
 * False: out of memory, the out-parameters are untouched. */
bool unicode_nfc(const char *text, size_t n, char **out, size_t *n_out);

/* unicode-nfc-tables.c. Hangul syllables are in none of them: they follow a rule. */

/* Canonical decomposition in one step, sorted by cp; b is 0 where there is one only. */
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

/* A bit for each code point that has a combining class, may be the second of a
 * composition, or is not the same in NFC: blocks of 256 by an index. */
extern const uint32_t nfc_index_blocks;
extern const uint8_t nfc_index[];
extern const uint8_t nfc_blocks[];

#endif
