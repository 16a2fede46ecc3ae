/*
 * A vocabulary of any size that real tokenizers load: the 256 bytes, a few hundred common
 * English words with all their beginnings, then every string of two, three, four letters
 * until it is full; the special tokens of its family come last (of SPM the basic ones first).
 * Text comes to about three characters a token.
 */
#ifndef ORCD_TESTS_SYNTH_VOCAB_H
#define ORCD_TESTS_SYNTH_VOCAB_H

#include "tests/lib/gguf-writer.h"

/* kind: "qwen2", "llama-bpe" (byte-level BPE), "spm", "phi3" and "gemma" (SPM with the special
 * tokens and the chat template of those), "none". NULL, or what is wrong. */
const char *synth_vocab_check(const char *kind, uint32_t n_vocab);
/* The tokenizer.* keys. */
void synth_vocab_write(struct gguf_writer *w, const char *kind, uint32_t n_vocab);

#endif
