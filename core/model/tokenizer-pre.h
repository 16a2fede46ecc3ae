/*
 * Pre-tokenizers: they cut a text into words before byte-level BPE merges each word. Each is a hand-written
 * scanner for the regular expression that was published with its models; tokenizer-pre.c has the
 * expressions.
 *
 * Pure functions and constant tables: any thread may call them at any time, in any order.
 */
#ifndef ORCD_MODEL_TOKENIZER_PRE_H
#define ORCD_MODEL_TOKENIZER_PRE_H

#include <stddef.h>

enum pretokenizer { PRE_DEFAULT, PRE_GPT2, PRE_LLAMA3, PRE_QWEN2, PRE_GPT4O, PRE_COUNT };

/* The pre-tokenizer with this name in tokenizer.ggml.pre, including aliases; -1: unknown. */
int pretokenizer_find(const char *name, size_t n);
/* "gpt-2, llama-bpe, ...": the canonical names, for messages. */
const char *pretokenizer_names(void);
const char *pretokenizer_name(enum pretokenizer pre);

/* The bytes of the first word of text[0..n), n > 0; at least 1. The next word is found by another call on the
 * rest of the text. The whole text costs O(n). Any bytes are safe. */
size_t pretokenizer_next(enum pretokenizer pre, const char *text, size_t n);

#endif
