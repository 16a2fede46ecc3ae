/* How far two names are from each other, to guess what a mistyped one means. No state; any thread. */
#ifndef ORCD_BASE_NEAREST_H
#define ORCD_BASE_NEAREST_H

#include <string.h>

/* The number of letters to change, add or take away (Levenshtein), of at most 63 of each name. */
unsigned name_distance(const char *a, const char *b);
/* A name that is meant by `typed` is nearer than this. */
static inline unsigned name_reach(const char *typed)
{
    return (unsigned)strlen(typed) / 3 + 1;
}

#endif
