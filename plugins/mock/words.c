/*
 * What the mock says. The logits are a function of the seed and of the tokens of the
 * sequence alone, so no order and no mixture of steps can change them. The likeliest
 * continuation is a word of the list below, then a space, and so on; at temperature 1
 * other words of the list are drawn now and then.
 */
#include <string.h>

#include "mock.h"

#define WORD_BYTES (sizeof(((struct mock_words *)0)->word))
#define CERTAIN 24.0f

static const char *const list[] = {"above", "answer", "autumn", "below", "bridge", "bright", "candle",
    "carry", "clear", "cloud", "common", "copper", "dance", "distant", "early", "earth", "evening", "every",
    "field", "follow", "forest", "garden", "gentle", "green", "harbor", "hidden", "honest", "island",
    "journey", "kind", "ladder", "lantern", "letter", "little", "measure", "meadow", "morning", "mountain",
    "narrow", "never", "night", "ocean", "often", "open", "paper", "patient", "quiet", "rain", "river",
    "road", "season", "silver", "simple", "small", "stone", "story", "summer", "thread", "under", "valley",
    "water", "whisper", "window", "winter"};
#define N_WORDS (sizeof(list) / sizeof(list[0]))

/* A bijective mixer (the finalizer of splitmix64). */
uint64_t mock_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* 0 .. 1 */
static float fraction(uint64_t x)
{
    return (float)(mock_mix(x) >> 40) * 0x1p-24f;
}

void mock_words_init(struct mock_words *w)
{
    memset(w, 0, sizeof(*w));
    w->hash = w->word_hash = mock_mix(mock_options.seed);
}

void mock_words_push(struct mock_words *w, int32_t token)
{
    w->hash = mock_mix(w->hash ^ (uint64_t)(uint32_t)token);
    w->n++;
    if (token >= 'a' && token <= 'z') {
        if (w->n_word < WORD_BYTES)
            w->word[w->n_word] = (char)token;
        w->n_word++;
    } else {
        w->n_word = 0;
        w->word_hash = w->hash;
    }
}

static void say_words(const struct mock_words *w, float *logits)
{
    bool any = false;
    for (size_t i = 0; i < N_WORDS && w->n_word < WORD_BYTES; i++) {
        if (strncmp(list[i], w->word, w->n_word))
            continue;
        char next = list[i][w->n_word];
        float score = 8.0f + 8.0f * fraction(w->word_hash ^ i);
        float *l = &logits[next ? next : ' '];
        *l = score > *l ? score : *l;
        any = true;
    }
    if (!any)
        logits[' '] = CERTAIN;
}

void mock_words_logits(const struct mock_words *w, uint32_t generated, float *logits)
{
    const struct mock_options *o = &mock_options;
    for (uint32_t i = 0; i < MOCK_N_VOCAB; i++)
        logits[i] = -8.0f + 2.0f * fraction(w->hash ^ i);
    logits[MOCK_BOS] = logits[MOCK_EOS] = -30.0f;
    size_t n_text = strlen(o->text);
    if ((o->length && generated >= o->length) || (n_text && generated % (n_text + 1) == n_text))
        logits[MOCK_EOS] = CERTAIN;
    else if (n_text)
        logits[(unsigned char)o->text[generated % (n_text + 1)]] = CERTAIN;
    else
        say_words(w, logits);
}
