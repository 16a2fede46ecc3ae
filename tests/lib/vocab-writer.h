/* Small vocabularies for tests, built token by token. Out of memory ends the process. */
#ifndef ORCD_TESTS_VOCAB_WRITER_H
#define ORCD_TESTS_VOCAB_WRITER_H

#include "model/tokenizer.h"
#include "tests/lib/gguf-writer.h"

struct vocab_writer {
    struct gguf_writer file; /* further keys go straight into it */
    struct gw_buf tokens, scores, types, merges;
    uint32_t n, n_merges;
};

/* model: "llama" or "gpt2"; pre may be NULL. */
void vw_init(struct vocab_writer *w, const char *model, const char *pre);
/* Returns the id. type as in the format: 1 normal ... 6 byte. */
int32_t vw_token(struct vocab_writer *w, const char *text, int32_t type, float score);
void vw_merge(struct vocab_writer *w, const char *merge);
/* "<0x00>" to "<0xFF>" as byte tokens. */
void vw_byte_tokens(struct vocab_writer *w);
/* The 256 characters of the byte alphabet, as normal tokens. */
void vw_alphabet(struct vocab_writer *w);
/* Opens what was written; frees w. The result of tokenizer_from_gguf. */
int vw_finish(struct vocab_writer *w, struct tokenizer **t, struct orcd_error *err);

#endif
