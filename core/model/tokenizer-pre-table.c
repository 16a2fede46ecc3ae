/*
 * The expressions of the pre-tokenizers as they were published in the models' tokenizer.json files, and the
 * names that GGUF files have for lists of them. A new pre-tokenizer is one row.
 *
 * An expression must cost O(n) for any text of n bytes: the text comes from clients. One that does not is
 * spelt anew in `linear`; tests/tokenizer/test-pretokenizers.py tries texts that are expensive, and that
 * both spellings cut the same.
 */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "model/tokenizer-pre.h"

#define FOLDED "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define MARKS " ?[^\\s\\p{L}\\p{N}]+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define KIMI_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define KIMI_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
/* The same classes as the complement of the other categories, since PCRE2 has no &&;
 * its \p{Han} has characters that other scripts share with Han. */
#define NO_HAN_UPPER "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"
#define NO_HAN_LOWER "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"
#define CASED(upper, lower, end) LEAD upper "*" lower "+" end "|" LEAD upper "+" lower "*" end "|"
#define CJK "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
#define CJK_HANGUL "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
#define ASCII_MARK "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define MARKED_WORD ASCII_MARK "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"

#define DIGIT "\\p{N}"
#define DIGITS "\\p{N}+"
#define DIGITS_3 "\\p{N}{1,3}"
#define ASCII_3 "[0-9][0-9][0-9]"
#define LINE_END "[\\r\\n]"
#define GPT2 PRE_GPT2_EXPRESSION
#define WORDS(digits) LEAD "\\p{L}+|" digits "|" MARKS "[\\r\\n]*|" TAIL
#define LLAMA3 FOLDED "|" WORDS(DIGITS_3)
#define QWEN2 FOLDED "|" WORDS(DIGIT)
#define QWEN35 FOLDED "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" TAIL
#define O200K CASED(UPPER, LOWER, FOLDED "?") DIGITS_3 "|" MARKS "[\\r\\n/]*|" TAIL
#define O200K_DIGIT CASED(UPPER, LOWER, FOLDED "?") DIGIT "|" MARKS "[\\r\\n/]*|" TAIL
#define TEKKEN CASED(UPPER, LOWER, "") DIGIT "|" MARKS "[\\r\\n/]*|" TAIL
#define KIMI(han, upper, lower)                                                                              \
    "[" han "]+|" CASED(upper, lower, FOLDED "?") DIGITS_3 "|" MARKS "[\\r\\n]*|" TAIL
#define DEFAULT_MARKS "[\\p{P}\\$\\+<=>\\^~\\|]+"
#define FALCON_MARKS "[\\p{P}\\$\\+<=>\\^~\\|`]+"
#define DEEPSEEK3 MARKED_WORD "[\\r\\n]*|" TAIL
#define SPARK MARKED_WORD "|[\\r\\n]|\\s+(?!\\S)|\\s+"
#define BLOOM " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
#define YOUTU_SCRIPTS                                                                                        \
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-"     \
    "\u303f"                                                                                                 \
    "\ufe30-\ufe4f]+|[\u3105-\u312f]+|" CJK
#define BAILING                                                                                              \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"           \
    "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define SEED_CODER FOLDED "|" LEAD "\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" TAIL
#define EXAONE_MOE(letters)                                                                                  \
    FOLDED "|" LEAD letters "|\\p{N}|" MARKS "[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define HALVES                                                                                               \
    "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|"          \
    "\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"
#define JAIS2(lines) FOLDED "|" LEAD "\\p{L}+|\\p{N}{1,3}|" MARKS "[\\r\\n]*|" lines "|" HALVES
#define SPACE_AT_END "\\s+$"
/* \w of Oniguruma, which the package tokenizers has; PCRE2's is another. */
#define WORD                                                                                                 \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}"               \
    "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define DIGITS_FROM_RIGHT "\\d{1,3}(?=(?:\\d{3})*\\b)"
#define DEEPSEEK_MARKS "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
/* The letters with case of an older Unicode version. */
#define DEEPSEEK_LETTERS                                                                                     \
    "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-" \
    "\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481"  \
    "\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-"     \
    "\u1d2b"                                                                                                 \
    "\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-"                  \
    "\u1f57\u1f59\u1f5b"                                                                                     \
    "\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-"      \
    "\u1fdb"                                                                                                 \
    "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"  \
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4" \
    "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-"      \
    "\uabbf"                                                                                                 \
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"         \
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"                   \
    "\U0001e900-\U0001e943]+"

static const struct pre_row rows[] = {
    {{"default"}, {{DEFAULT_MARKS, GPT2, DIGITS, ASCII_3}}, false, false},
    {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "jina-es", "jina-de",
         "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe", "gigachat", "a.x-4.0",
         "exaone4", "mellum", "modern-bert"},
        {{GPT2}}, false, false},
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
         "jina-v5-nano"},
        {{LLAMA3}}, true, true},
    {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {{LLAMA3}}, false, false},
    {{"qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "solar-open", "grok-2", "kormo",
         "f2llmv2"},
        {{QWEN2}}, false, false},
    {{"qwen35"}, {{QWEN35}}, false, false},
    /* The encoder that was published with the o200k vocabulary also looks up whole words first. */
    {{"gpt-4o", "o200k", "o200k_base", "o200k_harmony", "llama4"}, {{O200K}}, true, false},
    {{"minimax-m2", "kanana2", "talkie"}, {{O200K}}, false, false},
    {{"tekken"}, {{TEKKEN}}, true, true},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
        {{DIGIT, GPT2}}, false, false},
    {{"falcon"}, {{FALCON_MARKS, GPT2, DIGITS, ASCII_3}}, false, false},
    {{"deepseek-llm"}, {{LINE_END, DEEPSEEK_LETTERS, DEEPSEEK_MARKS, SPACE_AT_END, CJK_HANGUL, DIGITS}},
        false, false},
    {{"deepseek-coder"}, {{LINE_END, "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_HANGUL, DIGIT}}, false, false},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"}, {{DIGITS_3, CJK, DEEPSEEK3}}, false, false},
    {{"spark2_5"}, {{DIGITS_3, CJK, SPARK, DIGIT}}, false, false},
    {{"youtu"}, {{YOUTU_SCRIPTS, O200K_DIGIT}}, true, false},
    {{"bloom", "poro-chat", "gpt3-finnish"}, {{BLOOM}}, false, false},
    {{"viking"}, {{BLOOM, DIGIT}}, false, false},
    {{"chameleon"},
        {{"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", DIGIT,
            "[\\p{P}!-/:-@\\[-`{-~]", GPT2}},
        false, true},
    {{"tiny_aya", "cohere2moe"}, {{DIGITS_FROM_RIGHT, O200K}}, false, false},
    /* As o200k's, its published encoder looks up whole words first. */
    {{"kimi-k2"}, {{KIMI("\\p{Han}", KIMI_UPPER, KIMI_LOWER)}}, true, false},
    {{"bailingmoe", "bailingmoe2", "llada-moe"}, {{BAILING}}, false, false},
    {{"seed-coder"}, {{SEED_CODER}}, false, false},
    {{"ufakzeka"}, {{WORDS(DIGIT)}}, false, false},
    {{"laguna"}, {{"[^\\n]+|[\\n]+", QWEN2}}, false, false},
    {{"exaone-moe"}, {{EXAONE_MOE("(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+")}}, false, false},
    {{"jais-2"}, {{JAIS2("\\s*[\\r\\n]+")}}, false, false},
    {{"minicpm5"}, {{DIGITS_3, FOLDED "|" WORDS(DIGITS)}}, true, false},
};

static const struct {
    const char *published, *ours;
} linear[] = {
    /* A run of spaces that is not at the end is tried once, not from each of its spaces. */
    {SPACE_AT_END, "(?<!\\s)\\s+\\z"},
    /* Only the first group of a run looks at the rest of it. */
    {DIGITS_FROM_RIGHT, "\\G(?<=\\d)\\d{3}|(?<!\\d)\\d{1,3}(?=(?:\\d{3})*+(?![" WORD "]))"},
    /* After a space that another alternative took, no line end follows in this run of spaces. */
    {JAIS2("\\s*[\\r\\n]+"), JAIS2("(?<![\\x09\\x0b\\x0c\\x{85}\\p{Z}])\\s*[\\r\\n]+")},
    /* The same language without a choice, so that nothing is kept for a step back. */
    {EXAONE_MOE("(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+"),
        EXAONE_MOE("\\p{L}[\\p{L}\\p{M}]*+(?: \\p{L}[\\p{L}\\p{M}]*+)*+")},
    {KIMI("\\p{Han}", KIMI_UPPER, KIMI_LOWER), KIMI("\\p{sc:Han}", NO_HAN_UPPER, NO_HAN_LOWER)},
};

static const struct {
    struct pre_list list;
    pre_scanner *scan;
} scanners[] = {
    {{{GPT2}}, scan_gpt2},
    {{{LLAMA3}}, scan_llama3},
    {{{QWEN2}}, scan_qwen2},
    {{{O200K}}, scan_gpt4o},
    {{{DEFAULT_MARKS, GPT2, DIGITS, ASCII_3}}, scan_default},
};

const struct pre_row *pre_row_find(const char *name, size_t n, const char **own)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (const char *const *p = rows[i].names; *p; p++)
            if (strlen(*p) == n && !memcmp(*p, name, n)) {
                *own = *p;
                return &rows[i];
            }
    return NULL;
}

const struct pre_row *pre_row_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

static bool same_list(const struct pre_list *a, const struct pre_list *b)
{
    for (size_t i = 0; i < PRE_EXPRESSIONS; i++) {
        const char *x = a->expression[i], *y = b->expression[i];
        if (!x || !y || strcmp(x, y) != 0)
            return x == y;
    }
    return true;
}

const struct pre_row *pre_row_of(const struct pre_list *list)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (same_list(list, &rows[i].list))
            return &rows[i];
    return NULL;
}

static bool same_expression(const char *ours, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool line_end = text[i] == '\r' || text[i] == '\n';
        if (line_end && *ours++ != '\\')
            return false;
        if (!*ours || *ours++ != (text[i] == '\r' ? 'r' : text[i] == '\n' ? 'n' : text[i]))
            return false;
    }
    return !*ours;
}

const char *pre_expression_find(const char *text, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < PRE_EXPRESSIONS && rows[i].list.expression[k]; k++)
            if (same_expression(rows[i].list.expression[k], text, n))
                return rows[i].list.expression[k];
    return NULL;
}

const char *pre_row_names(char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(rows) && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%s%s", i ? ", " : "", rows[i].names[0]);
    return out;
}

const char *pre_expression_linear(const char *expression)
{
    for (size_t i = 0; i < ARRAY_LEN(linear); i++)
        if (!strcmp(linear[i].published, expression))
            return linear[i].ours;
    return expression;
}

pre_scanner *pre_list_scanner(const struct pre_list *list)
{
    for (size_t i = 0; i < ARRAY_LEN(scanners); i++)
        if (same_list(list, &scanners[i].list))
            return scanners[i].scan;
    return NULL;
}
