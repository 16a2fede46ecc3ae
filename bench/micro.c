#include "bench/micro.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

volatile uint64_t micro_sink;

uint32_t micro_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

int micro_no_memory(struct orcd_error *err)
{
    return error_set(err, ORCD_E_NOMEM, "out of memory");
}

/* Writes the word of a rank: real words first, then words made of syllables. At most 16 bytes. */
static size_t word_of(uint32_t rank, bool odd, char *out)
{
    static const char *const words[] = {"the", "of", "a", "and", "is", "in", "that", "to", "deadline", "for",
        "request", "checked", "before", "every", "step", "nobody", "waits", "tokens", "42", "server's",
        "late", "flight", "Cancelled", "streams", "end", "once", "with", "their", "slots"};
    static const char *const strange[] = {
        "\"so\"", "caf\xc3\xa9", "\n", "na\xc3\xafve", "\t", "\xe2\x82\xac 7", "[{}]", "\n\n  "};
    static const char *const syllables[] = {
        "pre", "fill", "dec", "ode", "ti", "me", "ser", "ver", "que", "ue", "lo", "ad", "can", "cel", "er"};
    uint64_t state = rank;
    if (odd && rank % 7 == 3)
        return (size_t)(stpcpy(out, strange[rank / 7 % ARRAY_LEN(strange)]) - out);
    if (rank < ARRAY_LEN(words))
        return (size_t)(stpcpy(out, words[rank]) - out);
    char *end = out;
    for (uint32_t n = 2 + micro_random(&state) % 4; n; n--)
        end = stpcpy(end, syllables[micro_random(&state) % ARRAY_LEN(syllables)]);
    return (size_t)(end - out);
}

char *micro_text(size_t n, bool odd)
{
    char *text = malloc(n + 1), word[32];
    uint64_t state = 1;
    size_t at = 0;
    while (text && at < n) {
        /* As in a language, a word's frequency is about 1 / rank, for 4096 ranks. */
        uint32_t r = micro_random(&state), octave = r % 12;
        size_t len = word_of((UINT32_C(1) << octave) - 1 + (r / 12 % (UINT32_C(1) << octave)), odd, word);
        if (len >= n - at)
            break;
        memcpy(text + at, word, len);
        at += len;
        text[at++] = r % 13 == 0 ? '.' : ' ';
    }
    if (text) {
        memset(text + at, 'x', n - at);
        text[n] = 0;
    }
    return text;
}

static void calibrate(uint64_t n)
{
    volatile uint32_t x = 1;
    for (uint64_t i = 0; i < n; i++)
        x = x * 1664525 + 1013904223;
    micro_sink = x;
}
const struct micro_case micro_calibration = {
    "calibration", "one iteration of a loop over a volatile number", 1000000, NULL, calibrate};

#define ROW(name, runs, title) {#name, title, runs, micro_setup_##name, micro_run_##name},
const struct micro_case micro_cases[] = {MICRO_CASES(ROW){NULL, NULL, 0, NULL, NULL}};

const struct micro_case *micro_find(const char *name)
{
    if (strcmp(name, micro_calibration.name) == 0)
        return &micro_calibration;
    for (const struct micro_case *c = micro_cases; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}
