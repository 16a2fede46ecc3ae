/*
 * The forward pass of the families that orcd runs, written as a textbook would: weights
 * dequantized to float32, everything else in double, full attention over all positions,
 * no cache. It shares the GGUF reader and the dequantizers with orcd and nothing else; it
 * reads keys and tensor names itself. What a plugin computes is compared with this.
 *
 * Trusted files only. Memory: four bytes a parameter. Not thread-safe.
 */
#ifndef ORCD_TESTS_ORACLE_H
#define ORCD_TESTS_ORACLE_H

#include <stddef.h>
#include <stdint.h>

struct oracle;

/* NULL with a line on standard error. */
struct oracle *oracle_open(const char *path);
void oracle_close(struct oracle *o); /* takes NULL */
size_t oracle_n_vocab(const struct oracle *o);

/* The context that the model is run with, which chooses among rope factors; 0 at first. */
void oracle_set_context(struct oracle *o, size_t n_ctx);

/* Logits of all n positions: out[n][n_vocab]. Ids must lie in the vocabulary. */
void oracle_logits(const struct oracle *o, const int32_t *tokens, size_t n, float *out);
/* Of the last position alone: out[n_vocab]. */
void oracle_logits_last(const struct oracle *o, const int32_t *tokens, size_t n, float *out);

#endif
