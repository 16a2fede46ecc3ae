/*
 * Text to token ids and back.
 *
 * Life cycle: one of the functions below creates a tokenizer, tokenizer_free() frees it. It does not need
 * the model file after that. A detokenizer is plain data without an end; it borrows the tokenizer.
 * Threads: a tokenizer is immutable, and any thread may encode and decode with it. A detokenizer belongs to
 * one thread at a time.
 * Order of calls: create, any other call, free. For a detokenizer: detokenizer_init(), detokenizer_push()
 * for each token, detokenizer_flush().
 */
#ifndef ORCD_MODEL_TOKENIZER_H
#define ORCD_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/gguf.h"

struct tokenizer;

/* Creates a tokenizer from tokenizer.ggml.* of a model file, which may be closed afterwards. Errors:
 * UNSUPPORTED names the tokenizer model or pre-tokenizer and lists the known ones; INVALID: arrays of
 * different lengths, or a BOS or EOS in use that is not a token. Other special ids that are out of range
 * are ignored with a warning in the log. */
int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct orcd_error *err);
/* Creates a tokenizer from a tokenizer.json, the file that models are published with: byte-level BPE with a
 * known expression, or BPE over characters with U+2581 for the space. It has as many tokens as the token
 * table of g has rows (g may be NULL). Special ids and flags of g replace those of the file. Errors:
 * NOT_FOUND, PERMISSION, IO; INVALID: malformed; UNSUPPORTED names the model type, normalizer,
 * pre-tokenizer or option. */
int tokenizer_from_json(
    struct tokenizer **out, const char *path, const struct gguf *g, struct orcd_error *err);
/* The same from text, which is overwritten and may be freed afterwards. */
int tokenizer_from_json_text(
    struct tokenizer **out, char *text, size_t n, const struct gguf *g, struct orcd_error *err);
/* Creates the tokenizer that the key model.tokenizer selects. source: "gguf", from g; "hf-json", from the
 * file tokenizer.json in the model's folder; "auto", from g or, if g has no supported vocabulary, from
 * that file. */
int tokenizer_open(struct tokenizer **out, const struct gguf *g, const char *model_path, const char *source,
    struct orcd_error *err);
/* 256 byte tokens with ids 0..255, BOS 256, EOS 257; for plugins without a model.
 * TOKENIZE_ADD_SPECIAL adds the BOS. */
int tokenizer_new_bytes(struct tokenizer **out, struct orcd_error *err);
void tokenizer_free(struct tokenizer *t);

enum tokenizer_flags {
    TOKENIZE_ADD_SPECIAL = 1,   /* adds a BOS if the vocabulary requires one, never a second one */
    TOKENIZE_PARSE_SPECIAL = 2, /* control tokens in the text become tokens, not text */
};

/* Encodes text[0..n), valid UTF-8 (other bytes are safe, but give arbitrary ids). An EOS is never added, even
 * if the vocabulary requires one: texts are prompts, and a model goes on after its end with another text. On
 * success *ids is malloc'ed, also if *n_ids is 0, and the caller frees it. Time is O(n log n) at worst, for
 * any text. Errors: NOMEM; INVALID for texts of more than 1 GiB, or where the search for words exceeds its
 * limits.
 *
 * tokenizer_decode() returns the same text, byte by byte, with two exceptions: in gguf-spm vocabularies
 * U+2581 becomes a space, and the special tokens of Phi-3 remove the white space that follows them. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags, int32_t **ids,
    size_t *n_ids, struct orcd_error *err);

struct tokenizer_range {
    size_t at, n; /* bytes */
};

/* Encodes a text in which the parts `plain` come from clients; they are in order and do not overlap.
 * Outside of them control tokens in the text become tokens. Inside they do not, nor do user-defined tokens
 * in <> or [], and no special token begins in a part and ends outside of it, or the other way round.
 * Otherwise it is tokenizer_encode() of the whole text, with a BOS if the vocabulary requires one. */
int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t n,
    const struct tokenizer_range *plain, size_t n_plain, int32_t **ids, size_t *n_ids,
    struct orcd_error *err);
/* The id of a control or user-defined token by its text; -1: there is none. */
int32_t tokenizer_special_id(const struct tokenizer *t, const char *text);

/* The bytes of a token in running text; a control token has none unless special is set. Spaces are spaces,
 * byte tokens are bytes. The pointer is into the tokenizer; *n is 0 for an id out of range. */
const char *tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, size_t *n);
/* The most bytes of text that a token can have (at least 4). */
size_t tokenizer_max_piece_bytes(const struct tokenizer *t);

int32_t tokenizer_n_vocab(const struct tokenizer *t);
const char *tokenizer_kind(const struct tokenizer *t); /* "gguf-bpe", "gguf-spm", "hf-json", "bytes" */
const char *tokenizer_pre(const struct tokenizer *t);  /* the pre-tokenizer's name, "" if it has none */
int32_t tokenizer_bos(const struct tokenizer *t);      /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id); /* ends a generation */
bool tokenizer_is_control(const struct tokenizer *t, int32_t id);

/*
 * Incremental decoding of a generation: tokens in, whole UTF-8 characters out. An incomplete character is
 * held back; bytes that cannot be part of a character become U+FFFD (one per maximal invalid part). No
 * allocations.
 */
struct detokenizer {
    const struct tokenizer *tokenizer;
    unsigned char held[4];
    unsigned n_held;
    bool strip_space; /* remove the space at the start of the next piece, which encoding had added: at the
                       * start of a text and after special tokens, in SPM vocabularies */
};

/* at_start: the generation is a text of its own, without a prompt before it. */
void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool at_start);
/* Returns the bytes written to out. cap = 3 * (tokenizer_max_piece_bytes + 4) is always enough; text that
 * does not fit is dropped. */
size_t detokenizer_push(struct detokenizer *d, int32_t id, char *out, size_t cap);
/* At the end of a text: writes U+FFFD (3 bytes) if an incomplete character is held back. */
size_t detokenizer_flush(struct detokenizer *d, char *out, size_t cap);

/* Decodes a whole sequence at once; *text is malloc'ed and NUL-terminated. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids, bool special, char **text,
    size_t *n, struct orcd_error *err);

#endif
