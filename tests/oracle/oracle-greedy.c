/* oracle-greedy MODEL N TOKEN...: the N tokens that come next when always the best is taken, a
 * line each, with the logit's lead over the second best. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/oracle/oracle.h"

enum { MAX_TOKENS = 4096 };

static void best_two(const float *logits, size_t n, size_t *best, size_t *second)
{
    *best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[*best])
            *best = i;
    *second = *best == 0;
    for (size_t i = 0; i < n; i++)
        if (i != *best && logits[i] > logits[*second])
            *second = i;
}

int main(int argc, char **argv)
{
    static int32_t tokens[MAX_TOKENS];
    size_t n = 0;
    if (argc < 4)
        return 2;
    const size_t more = strtoul(argv[2], NULL, 10);
    struct oracle *o = oracle_open(argv[1]);
    if (!o)
        return 1;
    const size_t n_vocab = oracle_n_vocab(o);
    float *logits = malloc(n_vocab * sizeof(*logits));
    for (int i = 3; i < argc && n < MAX_TOKENS; i++) {
        tokens[n] = (int32_t)strtol(argv[i], NULL, 10);
        if (tokens[n] < 0 || (size_t)tokens[n] >= n_vocab)
            return 2;
        n++;
    }
    for (size_t i = 0; logits && i < more && n < MAX_TOKENS; i++) {
        size_t best, second;
        oracle_logits_last(o, tokens, n, logits);
        best_two(logits, n_vocab, &best, &second);
        printf("%zu %.6f\n", best, (double)(logits[best] - logits[second]));
        tokens[n++] = (int32_t)best;
    }
    free(logits);
    oracle_close(o);
    return 0;
}
