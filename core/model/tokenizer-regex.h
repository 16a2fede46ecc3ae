/*
 * One regular expression of a pre-tokenizer, run by PCRE2: compiled by its JIT where the system allows that,
 * else interpreted.
 *
 * Life cycle: regex_new(), regex_find() any number of times, regex_free(). A room starts as NULL; the first
 * regex_find() allocates it, regex_room_free() frees it.
 * Threads: a regex is immutable, and any thread may search with it. A room belongs to one thread at a time.
 */
#ifndef ORCD_MODEL_TOKENIZER_REGEX_H
#define ORCD_MODEL_TOKENIZER_REGEX_H

#include <stddef.h>

#include "base/error.h"

struct regex;
struct regex_room; /* the memory and the limits of a search */

/* The pattern is valid UTF-8. \s and \S mean the Unicode property White_Space; \S may not be in a class.
 * Errors: INVALID with PCRE2's message; NOMEM. */
int regex_new(struct regex **out, const char *pattern, struct orcd_error *err);
void regex_free(struct regex *r); /* accepts NULL */

struct regex_match {
    size_t start, end; /* bytes; start < end */
};
/* Finds the first match in text[0..n) at or after `from` that is not empty. The text is valid UTF-8, and from
 * is at a character. What is before from is visible to lookbehinds. 1: found, 0: none. Errors: NOMEM;
 * INVALID: the search took more steps or memory than the limits, which grow with n, allow. */
int regex_find(const struct regex *r, struct regex_room **room, const char *text, size_t n, size_t from,
    struct regex_match *match, struct orcd_error *err);
void regex_room_free(struct regex_room *room); /* accepts NULL */

#endif
