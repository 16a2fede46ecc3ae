/* What the parts of the tokenizer.json loader share. Nothing outside tokenizer*.c
 * includes this. */
#ifndef ORCD_MODEL_TOKENIZER_JSON_H
#define ORCD_MODEL_TOKENIZER_JSON_H

#include "json/read.h"
#include "model/tokenizer-internal.h"

/* The parts of a file: where their values begin (NULL: absent or null), and the small
 * members of "model". The text is overwritten while it is read. */
struct json_file {
    char *start, *end;
    char *added_tokens, *normalizer, *pre_tokenizer, *post_processor, *vocab, *merges;
    struct json_text type, unk_token, prefix, suffix;
    bool has_type, has_unk, has_model, fuse_unk, byte_fallback, ignore_merges;

    /* What the post-processor puts around a text; n 0: nothing. */
    struct json_text before, after;
};

static inline struct json_reader json_file_at(const struct json_file *f, char *p)
{
    return (struct json_reader){.p = p, .end = f->end};
}

/* INVALID with the place and the reader's reason. */
int json_file_error(const struct json_file *f, const struct json_reader *r, struct orcd_error *err);

/* tokenizer-json-pre.c: kind, pre-tokenizer, normalization and f->before, after. */
int json_load_pipeline(struct tokenizer *t, struct json_file *f, struct orcd_error *err);
/* tokenizer-json-vocab.c: tokens and merges, as many as g (may be NULL) has rows. */
int json_load_vocab(struct tokenizer *t, struct json_file *f, const struct gguf *g, struct orcd_error *err);

#endif
