/*
 * What the files of the tokenizer.json loader share; no other code includes this.
 *
 * Life cycle: a json_file lives within one call of tokenizer_from_json_text() and points into its text.
 * Threads: only the loading thread uses it.
 * Order of calls: the text is read once, which fills in the json_file; json_load_pipeline();
 * json_load_vocab().
 */
#ifndef ORCD_MODEL_TOKENIZER_JSON_H
#define ORCD_MODEL_TOKENIZER_JSON_H

#include "json/read.h"
#include "model/tokenizer-internal.h"

/* The parts of a file: where their values begin (NULL: missing or null), and the small members of "model".
 * The text is overwritten while it is read. */
struct json_file {
    char *start, *end;
    char *added_tokens, *normalizer, *pre_tokenizer, *post_processor, *vocab, *merges;
    struct json_text type, unk_token, prefix, suffix;
    bool has_type, has_unk, has_model, fuse_unk, byte_fallback, ignore_merges;

    /* The tokens that the post-processor puts before and after a text; n 0: none. */
    struct json_text before, after;
};

static inline struct json_reader json_file_at(const struct json_file *f, char *p)
{
    return (struct json_reader){.p = p, .end = f->end};
}

/* Sets INVALID with the reader's reason and the position. */
int json_file_error(const struct json_file *f, const struct json_reader *r, struct orcd_error *err);

/* tokenizer-json-pre.c: loads the kind, the pre-tokenizer, the normalization, f->before and f->after. */
int json_load_pipeline(struct tokenizer *t, struct json_file *f, struct orcd_error *err);
/* tokenizer-json-vocab.c: loads the merges, and as many tokens as the token table of g has rows; g may be
 * NULL. */
int json_load_vocab(struct tokenizer *t, struct json_file *f, const struct gguf *g, struct orcd_error *err);

#endif
