/* golden.json: what exact arithmetic says of the tiny models, to compare with. */
#ifndef ORCD_TESTS_GOLDEN_H
#define ORCD_TESTS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

struct golden {
    char model[64];     /* file name in the models folder */
    int32_t prompt[64]; /* n_prompt tokens */
    size_t n_prompt;
    int32_t greedy[64]; /* n_greedy tokens that follow the prompt */
    size_t n_greedy;
    int32_t n_vocab;
    double least_margin; /* least distance of first and second logit along greedy */
    /* Two engines' NMSE per position on this file: median and largest; -1: unknown. */
    double peer_median[2], peer_max[2];
};

/* The folder with golden.json and the models, or NULL when this machine has none. */
const char *golden_dir(void);

/* All entries; the caller frees them. NULL when there is no file or it is malformed. */
struct golden *golden_load(size_t *n);

/* The better (smaller) known peer median, or fallback. */
double golden_best_median(const struct golden *g, double fallback);

/* X.logits.f32 beside X.gguf: [n_prompt][n_vocab] floats, malloc'ed; NULL when absent or
 * of another size. */
float *golden_logits(const struct golden *g);

/* sum (a - b)^2 / sum b^2 of n floats; b is the reference. */
double golden_nmse(const float *a, const float *b, size_t n);
/* Index of the largest; the lowest one of equals. */
size_t golden_argmax(const float *x, size_t n);
/* Largest minus second largest. */
double golden_margin(const float *x, size_t n);

#endif
