/*
 * Text to token ids and back.
 *
 * A tokenizer is immutable after it was made: any thread may encode and decode.
 */
#ifndef ORCD_MODEL_TOKENIZER_H
#define ORCD_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/gguf.h"

struct tokenizer;

/* From tokenizer.ggml.* of a model file, which may be closed afterwards.
 * UNSUPPORTED names the tokenizer model or pre-tokenizer and lists the known ones.
 * INVALID: arrays that don't fit each other, a BOS or EOS in use that is no token. Other
 * special ids out of range are ignored with a warning in the log. */
int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct orcd_error *err);
/* From a tokenizer.json, the file that models are published with: byte-level BPE with a
 * known expression, or BPE over characters with U+2581 for the space. The tokenizer has as
 * many tokens as the model's table (g, may be NULL) has rows; special ids and flags that g
 * has go before those of the file. NOT_FOUND, PERMISSION, IO; INVALID: malformed;
 * UNSUPPORTED names the model type, normalizer, pre-tokenizer or option. */
int tokenizer_from_json(
    struct tokenizer **out, const char *path, const struct gguf *g, struct orcd_error *err);
/* The same from text, which is overwritten and may be freed afterwards. */
int tokenizer_from_json_text(
    struct tokenizer **out, char *text, size_t n, const struct gguf *g, struct orcd_error *err);
/* As model.tokenizer says. source: "gguf", from g; "hf-json", from the file tokenizer.json
 * in the model's folder; "auto", from g, or from that file where g has no vocabulary that
 * is supported. */
int tokenizer_open(struct tokenizer **out, const struct gguf *g, const char *model_path, const char *source,
    struct orcd_error *err);
/* 256 byte tokens with ids 0..255, BOS 256, EOS 257; for plugins without a model.
 * TOKENIZE_ADD_SPECIAL adds the BOS. */
int tokenizer_new_bytes(struct tokenizer **out, struct orcd_error *err);
void tokenizer_free(struct tokenizer *t);

enum tokenizer_flags {
    TOKENIZE_ADD_SPECIAL = 1,   /* BOS/EOS as the vocabulary says; a BOS is never doubled */
    TOKENIZE_PARSE_SPECIAL = 2, /* control tokens in the text are tokens, not text */
    TOKENIZE_NO_EOS = 4,        /* never an EOS at the end */
};

/* Encodes text[0..n), valid UTF-8 (other bytes are safe, the ids then arbitrary). On
 * success *ids is malloc'ed, also when *n_ids is 0; the caller frees it. Time is
 * O(n log n) at worst, whatever the text. ORCD_E_NOMEM; ORCD_E_INVALID beyond 1 GiB.
 *
 * tokenizer_decode gives the text back, byte by byte, with two exceptions: in gguf-spm
 * vocabularies U+2581 is the space, and Phi-3's special tokens swallow the white space
 * that follows them. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags, int32_t **ids,
    size_t *n_ids, struct orcd_error *err);

struct tokenizer_range {
    size_t at, n; /* bytes */
};

/* Encodes a text that is ours with parts in it that are others': `plain`, in order and not
 * overlapping. Outside of them control tokens are tokens. Within them none is, nor is a
 * user-defined token in <> or [], and no special token reaches from one into the other.
 * Otherwise as tokenizer_encode of the whole, with a BOS if the vocabulary says so. */
int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t n,
    const struct tokenizer_range *plain, size_t n_plain, int32_t **ids, size_t *n_ids,
    struct orcd_error *err);
/* The id of a control or user-defined token by its text; -1: there is none. */
int32_t tokenizer_special_id(const struct tokenizer *t, const char *text);

/* The bytes that a token stands for in running text (control tokens: none unless
 * special is set). Spaces are spaces, byte tokens are bytes. Points into the
 * tokenizer; *n is 0 for an id out of range. */
const char *tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, size_t *n);
/* No token stands for more bytes of a text than this (at least 4). */
size_t tokenizer_max_piece_bytes(const struct tokenizer *t);

int32_t tokenizer_n_vocab(const struct tokenizer *t);
const char *tokenizer_kind(const struct tokenizer *t); /* "gguf-bpe", "gguf-spm", "hf-json", "bytes" */
const char *tokenizer_pre(const struct tokenizer *t);  /* pre-tokenizer's name, "" if none */
int32_t tokenizer_bos(const struct tokenizer *t);      /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id); /* ends a generation */
bool tokenizer_is_control(const struct tokenizer *t, int32_t id);

/*
 * Incremental decoding of a generation: bytes in, whole UTF-8 characters out. An
 * incomplete character is held; a byte that can't begin or continue one comes out
 * as U+FFFD (one per maximal invalid part). No allocation.
 */
struct detokenizer {
    const struct tokenizer *tokenizer;
    unsigned char held[4];
    unsigned n_held;
    bool strip_space; /* the next piece loses the space that encoding had added: at the
                       * start of a text and after special tokens, in SPM vocabularies */
};

/* at_start: the generation starts a text of its own (no prompt before it). */
void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool at_start);
/* Bytes written to out. cap = 3 * (tokenizer_max_piece_bytes + 4) is always enough; what
 * does not fit is dropped. */
size_t detokenizer_push(struct detokenizer *d, int32_t id, char *out, size_t cap);
/* What is held, as U+FFFD (3 bytes), at the end of a text. */
size_t detokenizer_flush(struct detokenizer *d, char *out, size_t cap);

/* A whole sequence at once; *text is malloc'ed and NUL-terminated. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids, bool special, char **text,
    size_t *n, struct orcd_error *err);

#endif
