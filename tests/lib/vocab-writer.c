#include "tests/lib/vocab-writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vw_init(struct vocab_writer *w, const char *model, const char *pre)
{
    memset(w, 0, sizeof(*w));
    gw_init(&w->file);
    gw_str(&w->file, "general.architecture", "llama");
    gw_str(&w->file, "tokenizer.ggml.model", model);
    if (pre)
        gw_str(&w->file, "tokenizer.ggml.pre", pre);
}

int32_t vw_token(struct vocab_writer *w, const char *text, int32_t type, float score)
{
    gw_put_str(&w->tokens, text);
    gw_put(&w->scores, &score, sizeof(score));
    gw_put(&w->types, &type, sizeof(type));
    return (int32_t)w->n++;
}

void vw_merge(struct vocab_writer *w, const char *merge)
{
    gw_put_str(&w->merges, merge);
    w->n_merges++;
}

void vw_byte_tokens(struct vocab_writer *w)
{
    for (int i = 0; i < 256; i++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", (unsigned)i & 255);
        vw_token(w, text, 6, 0);
    }
}

void vw_alphabet(struct vocab_writer *w)
{
    unsigned other = 256;
    for (unsigned b = 0; b < 256; b++) {
        unsigned c = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : other++;
        char text[3] = {(char)c, 0, 0};
        if (c >= 128) {
            text[0] = (char)(0xc0 | c >> 6);
            text[1] = (char)(0x80 | (c & 63));
        }
        vw_token(w, text, 1, 0);
    }
}

int vw_finish(struct vocab_writer *w, struct tokenizer **t, struct orcd_error *err)
{
    gw_array_strings(&w->file, "tokenizer.ggml.tokens", &w->tokens, w->n);
    if (w->scores.n)
        gw_array(&w->file, "tokenizer.ggml.scores", GGUF_F32, w->scores.p, w->scores.n / 4, 4);
    if (w->types.n)
        gw_array(&w->file, "tokenizer.ggml.token_type", GGUF_I32, w->types.p, w->types.n / 4, 4);
    if (w->n_merges)
        gw_array_strings(&w->file, "tokenizer.ggml.merges", &w->merges, w->n_merges);
    struct gw_buf file = gw_finish(&w->file);
    struct gguf *g;
    int rc = gguf_open_memory(&g, file.p, file.n, err);
    if (rc) {
        fprintf(stderr, "the test's own file is malformed: %s\n", err->msg);
        abort();
    }
    rc = tokenizer_from_gguf(t, g, err);
    gguf_close(g);
    gw_buf_free(&file);
    gw_buf_free(&w->tokens);
    gw_buf_free(&w->scores);
    gw_buf_free(&w->types);
    gw_buf_free(&w->merges);
    gw_free(&w->file);
    return rc;
}
