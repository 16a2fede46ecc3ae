#include "model/tokenizer-scan.h"

#include <stdbool.h>
#include <string.h>

#include "model/unicode.h"

typedef const unsigned char *text_ptr;

static unsigned class_at(text_ptr p, text_ptr end)
{
    size_t n;
    return p < end ? unicode_class_at(p, end, &n) : 0;
}

static text_ptr skip(text_ptr p, text_ptr end, unsigned classes)
{
    size_t n;
    while (p < end && (unicode_class_at(p, end, &n) & classes))
        p += n;
    return p;
}

/* The end of 's 't 're 've 'm 'll 'd at p, or p. fold: as (?i:...) in Unicode mode, where the long s U+017F
 * is the only other character that equals one of these letters. */
static text_ptr contraction(text_ptr p, text_ptr end, bool fold)
{
    if (end - p < 2 || p[0] != '\'')
        return p;
    unsigned a = p[1], b = end - p > 2 ? p[2] : 0;
    if (fold) {
        if (a == 0xc5 && b == 0xbf)
            return p + 3;
        if (a >= 'A' && a <= 'Z')
            a += 'a' - 'A';
        if (b >= 'A' && b <= 'Z')
            b += 'a' - 'A';
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return p + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return p + 3;
    return p;
}

/* The end of \s+(?!\S)|\s+ at a white space; lines: of \s*[\r\n]+|\s+(?!\S)|\s+. */
static text_ptr space_run(text_ptr p, text_ptr end, bool lines)
{
    text_ptr q = p, last = p, after_newline = NULL;
    size_t n;
    while (q < end && (unicode_class_at(q, end, &n) & UC_SPACE)) {
        if (*q == '\r' || *q == '\n')
            after_newline = q + 1;
        last = q;
        q += n;
    }
    if (lines && after_newline)
        return after_newline;
    /* The lookahead leaves the last white space to the next word, if it is not the only one. */
    return q == end || last == p ? q : last;
}

static text_ptr digits(text_ptr p, text_ptr end, unsigned limit)
{
    size_t n;
    while (limit-- && p < end && (unicode_class_at(p, end, &n) & UC_N))
        p += n;
    return p;
}

/*
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 */
static text_ptr next_gpt2(text_ptr p, text_ptr end)
{
    text_ptr q = contraction(p, end, false);
    if (q != p)
        return q;
    q = p + (*p == ' ');
    unsigned c = class_at(q, end);
    if (c & UC_L)
        return skip(q, end, UC_L);
    if (c & UC_N)
        return skip(q, end, UC_N);
    if (c && !(c & UC_SPACE))
        return skip(q, end, ~(unsigned)(UC_SPACE | UC_L | UC_N));
    return space_run(p, end, false);
}

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * (the space before the ? is part of it); Qwen2 has \p{N} in place of \p{N}{1,3}.
 */
static inline __attribute__((always_inline)) text_ptr next_llama3(
    text_ptr p, text_ptr end, unsigned max_digits)
{
    text_ptr q = contraction(p, end, true);
    if (q != p)
        return q;
    size_t n;
    unsigned c = unicode_class_at(p, end, &n);
    if (c & UC_L)
        return skip(p, end, UC_L);
    if (c & UC_N)
        return digits(p, end, max_digits);
    if (*p != '\r' && *p != '\n' && (class_at(p + n, end) & UC_L))
        return skip(p + n, end, UC_L);
    q = p + (*p == ' ');
    c = class_at(q, end);
    if (c && !(c & (UC_SPACE | UC_L | UC_N))) {
        q = skip(q, end, ~(unsigned)(UC_SPACE | UC_L | UC_N));
        while (q < end && (*q == '\r' || *q == '\n'))
            q++;
        return q;
    }
    return space_run(p, end, true);
}

#define UPPER (UC_LU | UC_LT | UC_LM | UC_LO | UC_M)
#define LOWER (UC_LL | UC_LM | UC_LO | UC_M)

/* The end of UPPER*LOWER+ at p, or NULL. The classes overlap: if no lower-case letter follows the first run,
 * the run is shortened to its last character that is in LOWER. */
static text_ptr upper_lower(text_ptr p, text_ptr end)
{
    text_ptr after_both = NULL;
    size_t n;
    for (; p < end; p += n) {
        unsigned c = unicode_class_at(p, end, &n);
        if (!(c & UPPER)) {
            if (c & LOWER)
                return skip(p, end, LOWER);
            break;
        }
        if (c & LOWER)
            after_both = p + n;
    }
    return after_both;
}

/*
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
 * \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static text_ptr next_gpt4o(text_ptr p, text_ptr end)
{
    size_t n;
    unsigned c = unicode_class_at(p, end, &n);
    if (c & UC_N)
        return digits(p, end, 3);
    /* A mark may be the optional first character as well as a part of the word. */
    bool may_prefix = !(c & UC_L) && *p != '\r' && *p != '\n';
    text_ptr q = may_prefix ? upper_lower(p + n, end) : NULL;
    if (!q && (c & (UC_L | UC_M)))
        q = upper_lower(p, end);
    if (q)
        return contraction(q, end, true);
    /* There was no LOWER, so LOWER* in the second line matches nothing. */
    if (may_prefix && (class_at(p + n, end) & UPPER))
        return contraction(skip(p + n, end, UPPER), end, true);
    if (c & UPPER)
        return contraction(skip(p, end, UPPER), end, true);
    q = p + (*p == ' ');
    c = class_at(q, end);
    if (c && !(c & (UC_SPACE | UC_L | UC_N))) {
        q = skip(q, end, ~(unsigned)(UC_SPACE | UC_L | UC_N));
        while (q < end && (*q == '\r' || *q == '\n' || *q == '/'))
            q++;
        return q;
    }
    return space_run(p, end, true);
}

/* [\p{P}\$\+<=>\^~\|] */
static bool is_mark(text_ptr p, unsigned c)
{
    return (c & UC_P) || (*p < 0x80 && *p && strchr("$+<=>^~|", *p));
}

static text_ptr skip_unmarked(text_ptr p, text_ptr end, unsigned classes)
{
    size_t n;
    while (p < end) {
        unsigned c = unicode_class_at(p, end, &n);
        if (!(c & classes) || is_mark(p, c))
            break;
        p += n;
    }
    return p;
}

/* In a run of numbers: the end of [0-9][0-9][0-9] at p, or of the numbers before the next such group. */
static text_ptr number_part(text_ptr p, text_ptr end)
{
    text_ptr start = p;
    size_t n;
    while (p < end && (unicode_class_at(p, end, &n) & UC_N)) {
        if (end - p >= 3 && p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' &&
            p[2] <= '9')
            return p == start ? p + 3 : p;
        p += n;
    }
    return p;
}

/*
 * Successive splits: by [\p{P}\$\+<=>\^~\|]+, by the expression of gpt-2, by \p{N}+, by [0-9][0-9][0-9].
 * Each one splits the parts that the splits before it left, so for a lookahead the end of a part is the end
 * of the text.
 */
static text_ptr next_default(text_ptr p, text_ptr end)
{
    size_t n;
    unsigned c = unicode_class_at(p, end, &n);
    if (is_mark(p, c)) {
        do
            p += n;
        while (p < end && is_mark(p, unicode_class_at(p, end, &n)));
        return p;
    }
    if (c & UC_N)
        return number_part(p, end);
    text_ptr q = p + (*p == ' ');
    c = class_at(q, end);
    if (c && !is_mark(q, c)) {
        if (c & UC_L)
            return skip(q, end, UC_L);
        if (c & UC_N)
            return q;
        if (!(c & UC_SPACE))
            return skip_unmarked(q, end, ~(unsigned)(UC_SPACE | UC_L | UC_N));
    }
    q = skip(p, end, UC_SPACE);
    return q < end && is_mark(q, class_at(q, end)) ? q : space_run(p, end, false);
}

size_t scan_gpt2(const char *text, size_t n)
{
    text_ptr p = (text_ptr)text;
    return (size_t)(next_gpt2(p, p + n) - p);
}

size_t scan_llama3(const char *text, size_t n)
{
    text_ptr p = (text_ptr)text;
    return (size_t)(next_llama3(p, p + n, 3) - p);
}

size_t scan_qwen2(const char *text, size_t n)
{
    text_ptr p = (text_ptr)text;
    return (size_t)(next_llama3(p, p + n, 1) - p);
}

size_t scan_gpt4o(const char *text, size_t n)
{
    text_ptr p = (text_ptr)text;
    return (size_t)(next_gpt4o(p, p + n) - p);
}

size_t scan_default(const char *text, size_t n)
{
    text_ptr p = (text_ptr)text;
    return (size_t)(next_default(p, p + n) - p);
}
