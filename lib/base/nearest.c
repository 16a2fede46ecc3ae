#include "base/nearest.h"

#include "base/util.h"

unsigned name_distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strnlen(b, ARRAY_LEN(row) - 1), m = strnlen(a, ARRAY_LEN(row) - 1);
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= m; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[n];
}
