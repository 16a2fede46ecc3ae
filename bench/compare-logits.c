/*
 * Compares two files of float32 logits (orcd eval --logits) with POSITIONS rows each. Prints the
 * normalized mean square error (NMSE) of the rows of the second file against the first. Exit status
 * 1: the median error is above LIMIT, or a value is not finite.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/golden.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* malloc'ed. */
static float *read_floats(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    long bytes = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    float *x = bytes > 0 ? malloc((size_t)bytes) : NULL;
    if (x)
        rewind(f);
    if (!x || bytes % (long)sizeof(*x) || fread(x, 1, (size_t)bytes, f) != (size_t)bytes) {
        fprintf(stderr, "compare-logits: %s: %s\n", path,
            errno ? strerror(errno) : "not a file of float32 numbers");
        exit(2);
    }
    fclose(f);
    *n = (size_t)bytes / sizeof(*x);
    return x;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("Usage: compare-logits REFERENCE FILE POSITIONS LIMIT\n", stderr);
        return 64;
    }
    size_t n, n_right;
    float *right = read_floats(argv[1], &n_right), *x = read_floats(argv[2], &n);
    const size_t rows = (size_t)strtoull(argv[3], NULL, 10);
    const double limit = strtod(argv[4], NULL);
    if (n != n_right || !rows || n % rows) {
        fprintf(stderr,
            "compare-logits: the files have %zu and %zu numbers, which do not match %zu positions\n", n_right,
            n, rows);
        return 2;
    }
    const size_t width = n / rows;
    double *e = malloc(rows * sizeof(*e));
    size_t same = 0;
    if (!e)
        return 2;
    for (size_t i = 0; i < rows; i++) {
        e[i] = golden_nmse(x + i * width, right + i * width, width);
        same += golden_argmax(right + i * width, width) == golden_argmax(x + i * width, width);
        if (!isfinite(e[i])) {
            printf("position %zu: not finite\n", i);
            return 1;
        }
    }
    qsort(e, rows, sizeof(*e), by_value);
    const double middle = e[rows / 2];
    printf("NMSE median %.3g, worst %.3g, limit %.3g; same argmax at %zu of %zu positions\n", middle,
        e[rows - 1], limit, same, rows);
    free(e);
    free(x);
    free(right);
    return middle <= limit ? 0 : 1;
}
