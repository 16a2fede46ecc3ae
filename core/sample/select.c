#include "sample/select.h"

#include <string.h>

#include "base/util.h"

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

/* The digits of a 32-bit key, from the top. */
static const struct {
    unsigned shift;
    uint32_t mask;
} digits[] = {{21, DIGITS - 1}, {10, DIGITS - 1}, {0, DIGITS / 2 - 1}};

static inline bool reached(double sum, double target, bool strict)
{
    return strict ? sum > target : sum >= target;
}

/* Sums the weights for each value of one digit, over the keys that have the prefix so far. */
static void histogram(const uint32_t *keys, const float *weights, size_t n, uint32_t prefix_mask,
    uint32_t prefix, unsigned shift, uint32_t digit_mask, double sum[DIGITS], uint32_t count[DIGITS])
{
    memset(sum, 0, sizeof(double) * DIGITS);
    memset(count, 0, sizeof(uint32_t) * DIGITS);
    for (size_t i = 0; i < n; i++) {
        if ((keys[i] & prefix_mask) != prefix)
            continue;
        uint32_t d = keys[i] >> shift & digit_mask;
        sum[d] += weights ? (double)weights[i] : 1.0;
        count[d]++;
    }
}

struct select_cut select_prefix(
    const uint32_t *keys, const float *weights, size_t n, double target, bool strict)
{
    double sum[DIGITS], before = 0;
    uint32_t count[DIGITS], prefix = 0, mask = 0;
    for (size_t level = 0; level < ARRAY_LEN(digits); level++) {
        unsigned shift = digits[level].shift;
        uint32_t digit_mask = digits[level].mask;
        histogram(keys, weights, n, mask, prefix, shift, digit_mask, sum, count);
        /* Rounding may leave the target unreached: then the last digit in use is taken. */
        uint32_t at = 0;
        double before_at = before, running = before;
        for (uint32_t d = 0; d <= digit_mask; d++) {
            if (!count[d])
                continue;
            at = d;
            before_at = running;
            running += sum[d];
            if (reached(running, target, strict))
                break;
        }
        before = before_at;
        prefix |= at << shift;
        mask |= digit_mask << shift;
    }
    struct select_cut cut = {.key = prefix, .ties = 0};
    for (size_t i = 0; i < n; i++) {
        if (keys[i] != prefix)
            continue;
        cut.ties++;
        before += weights ? (double)weights[i] : 1.0;
        if (reached(before, target, strict))
            break;
    }
    return cut;
}
