/*
 * Pre-tokenizers: how byte-level BPE vocabularies cut a text into words before
 * merging. Each is the regular expression that was published with its models, as a
 * hand-written scanner; the expressions stand in tokenizer-pre.c.
 */
#ifndef ORCD_MODEL_TOKENIZER_PRE_H
#define ORCD_MODEL_TOKENIZER_PRE_H

#include <stddef.h>

enum pretokenizer { PRE_DEFAULT, PRE_GPT2, PRE_LLAMA3, PRE_QWEN2, PRE_GPT4O, PRE_COUNT };

/* By a name as in tokenizer.ggml.pre, aliases included; -1: unknown. */
int pretokenizer_find(const char *name, size_t n);
/* "gpt-2, llama-bpe, ...": the canonical names, for messages. */
const char *pretokenizer_names(void);
const char *pretokenizer_name(enum pretokenizer pre);

/* Bytes of the first word of text[0..n), n > 0: at least 1. No state: the next word
 * is found by a call on the rest. The whole text costs O(n). Any bytes are safe. */
size_t pretokenizer_next(enum pretokenizer pre, const char *text, size_t n);

#endif
