/*
 * Hand-written scanners for the most frequent expressions of pre-tokenizers; tokenizer-scan.c has the
 * expression of each. They cut as PCRE2 does and are faster where a text is not plain prose
 * (bench-tokenizer pre).
 *
 * Pure functions: any thread may call them at any time, in any order.
 */
#ifndef ORCD_MODEL_TOKENIZER_SCAN_H
#define ORCD_MODEL_TOKENIZER_SCAN_H

#include <stddef.h>

/* The bytes of the first word of text[0..n), n > 0; at least 1. The next word is found by another call on
 * the rest of the text. The whole text costs O(n). Any bytes are safe. */
typedef size_t pre_scanner(const char *text, size_t n);

pre_scanner scan_gpt2;
pre_scanner scan_llama3;
pre_scanner scan_qwen2;
pre_scanner scan_gpt4o;
pre_scanner scan_default;

#endif
