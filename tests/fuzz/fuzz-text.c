/* Fuzz target: text through tokenizers with words and special tokens. Valid UTF-8 comes back as it went
 * in, and no other bytes do harm. */
#include "tests/fuzz/fuzz.h"

#include "base/util.h"
#include "model/tokenizer.h"
#include "tests/lib/vocab-writer.h"

static const char *const pres[] = {"gpt-2", "qwen2", "llama-bpe", "tekken"};
#define N_PRES (sizeof(pres) / sizeof(pres[0]))

static struct tokenizer *make_tokenizer(const char *pre)
{
    static const char *const merges[] = {
        "a b", "t h", "th e", "\xc4\xa0 t", "\xc4\xa0t he", "1 2", "\xc3\x83 \xc2\xa9"};
    static const char *const words[] = {
        "ab", "th", "the", "\xc4\xa0t", "\xc4\xa0the", "12", "\xc3\x83\xc2\xa9"};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct vocab_writer w;
    struct tokenizer *t;
    vw_init(&w, "gpt2", pre);
    vw_alphabet(&w);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        vw_token(&w, words[i], 1, 0);
        vw_merge(&w, merges[i]);
    }
    int32_t eos = vw_token(&w, "</s>", 3, 0);
    vw_token(&w, "<|im_end|>", 3, 0);
    vw_token(&w, "<tool>", 4, 0);
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    PROMISE(vw_finish(&w, &t, &err) == 0);
    return t;
}

static void there_and_back(const struct tokenizer *t, const char *text, size_t n, unsigned flags)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    int32_t *ids;
    size_t n_ids, n_back;
    char *back;
    PROMISE(tokenizer_encode(t, text, n, flags, &ids, &n_ids, &err) == 0);
    for (size_t i = 0; i < n_ids; i++)
        PROMISE(ids[i] >= 0 && ids[i] < tokenizer_n_vocab(t));
    PROMISE(tokenizer_decode(t, ids, n_ids, true, &back, &n_back, &err) == 0);
    PROMISE(!utf8_valid(text, n) || (n_back == n && memcmp(back, text, n) == 0));
    free(back);
    free(ids);
}

static void in_parts(const struct tokenizer *t, const char *text, size_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct tokenizer_range plain = {n / 4, n / 2};
    int32_t *ids;
    size_t n_ids;
    PROMISE(tokenizer_encode_marked(t, text, n, &plain, 1, &ids, &n_ids, &err) == 0);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *tokenizers[N_PRES]; /* live as long as the process */
    char *text = fuzz_copy(data, size);
    for (size_t i = 0; i < N_PRES; i++) {
        if (!tokenizers[i])
            tokenizers[i] = make_tokenizer(pres[i]);
        there_and_back(tokenizers[i], text, size, 0);
        there_and_back(tokenizers[i], text, size, TOKENIZE_PARSE_SPECIAL);
        in_parts(tokenizers[i], text, size);
    }
    free(text);
    return 0;
}
