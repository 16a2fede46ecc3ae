/* Marks tokens by their texts and by the model's name, because the token types are not enough. */
#include <ctype.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/util.h"

/* The texts of tokens that end a generation. */
static const char *const end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    ("<\xef\xbd\x9c"
     "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"),
    "<|fim_pad|>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<|file_sep|>",
};

static bool token_is(const struct tokenizer *t, int32_t id, const char *text)
{
    size_t n;
    const char *p = token_bytes(t, id, &n);
    return n == strlen(text) && !memcmp(p, text, n);
}

int32_t tokenizer_find_raw(const struct tokenizer *t, const char *text)
{
    for (int32_t id = 0; id < t->n_vocab; id++)
        if (token_is(t, id, text))
            return id;
    return -1;
}

static void mark_ends(struct tokenizer *t)
{
    bool present[ARRAY_LEN(end_texts)] = {false};
    for (int32_t id = 0; id < t->n_vocab; id++) {
        size_t n;
        const char *p = token_bytes(t, id, &n);
        if (n < 5 || (*p != '<' && *p != '_'))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(end_texts); i++) {
            if (present[i] || !token_is(t, id, end_texts[i]))
                continue;
            /* Some converters leave the type out, but the text of a user must not end a turn. */
            t->type[id] = TOKEN_CONTROL;
            t->flags[id] |= TOKEN_EOG;
            present[i] = true;
        }
    }
    /* In harmony <|end|> ends a message and the generation goes on. */
    int32_t end = tokenizer_find_raw(t, "<|end|>");
    if (end >= 0 && tokenizer_find_raw(t, "<|return|>") >= 0 && tokenizer_find_raw(t, "<|call|>") >= 0)
        t->flags[end] &= (uint8_t)~TOKEN_EOG;
}

static bool name_contains(struct gguf_str s, const char *lower)
{
    size_t n = strlen(lower);
    for (size_t i = 0; i + n <= s.n; i++) {
        size_t k = 0;
        while (k < n && tolower((unsigned char)s.p[i + k]) == lower[k])
            k++;
        if (k == n)
            return true;
    }
    return false;
}

/* Files do not have the strip attributes of special tokens; those of Phi-3 are known. */
static void mark_strips(struct tokenizer *t, const struct gguf *g)
{
    struct gguf_str name;
    if (gguf_get_str(g, "general.name", &name, NULL))
        return;
    if (!name_contains(name, "phi-3") && !name_contains(name, "phi3"))
        return;
    for (int32_t id = 0; id < t->n_vocab; id++) {
        if (t->type[id] != TOKEN_CONTROL && t->type[id] != TOKEN_UNKNOWN &&
            t->type[id] != TOKEN_USER_DEFINED && !token_is(t, id, "</s>"))
            continue;
        if (!token_is(t, id, "<unk>") && !token_is(t, id, "<s>") && !token_is(t, id, "<|endoftext|>"))
            t->flags[id] |= TOKEN_RSTRIP;
    }
}

void tokenizer_mark_tokens(struct tokenizer *t, const struct gguf *g)
{
    mark_ends(t);
    if (g)
        mark_strips(t, g);
}
