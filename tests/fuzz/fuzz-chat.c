/* Fuzz target: chat. The input is the text of a template, whose family is recognized or not; and an answer,
 * of which the same parts are reasoning and content wherever it is cut, for each family. */
#include "tests/fuzz/fuzz.h"

#include "chat/chat.h"

#define HASH_PRIME 0x100000001b3

struct heard {
    uint64_t hash[2];
    size_t n;
};

static void hear(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct heard *h = arg;
    PROMISE(n > 0);
    h->n += n;
    for (size_t i = 0; i < n; i++)
        h->hash[channel] = (h->hash[channel] ^ (unsigned char)p[i]) * HASH_PRIME;
}

static struct heard split(const struct chat_template *t, const char *text, size_t n, size_t n_piece)
{
    static const struct chat_options options = CHAT_OPTIONS_INIT;
    struct heard h = {0};
    struct chat_split s;
    chat_split_init(&s, t, &options);
    for (size_t i = 0; i < n; i += n_piece) {
        size_t have = n - i < n_piece ? n - i : n_piece;
        chat_split_push(&s, -1, text + i, have, hear, &h);
        PROMISE(chat_split_undecided(&s) <= i + have);
    }
    chat_split_finish(&s, hear, &h);
    PROMISE(h.n <= n);
    return h;
}

static void try_family(const struct tokenizer *tok, const char *name, const char *text, size_t n)
{
    static const size_t pieces[] = {1, 3};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct chat_template *t;
    if (chat_template_from_text(&t, NULL, 0, tok, name, &err))
        return;
    struct heard whole = split(t, text, n, n ? n : 1);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct heard cut = split(t, text, n, pieces[i]);
        PROMISE(memcmp(&whole, &cut, sizeof(cut)) == 0);
    }
    chat_template_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *tok; /* lives as long as the process */
    struct orcd_error err = ORCD_ERROR_INIT;
    struct chat_template *t;
    char *text = fuzz_copy(data, size);
    PROMISE(tok || tokenizer_new_bytes(&tok, &err) == 0);
    const char *family = chat_family_of_text(text, size);
    PROMISE(chat_template_from_text(&t, text, size, tok, "auto", &err) == 0);
    PROMISE(family || chat_why_not(t)[0]);
    chat_template_free(t);
    for (const char *const *name = chat_family_names(); *name; name++)
        try_family(tok, *name, text, size);
    free(text);
    return 0;
}
