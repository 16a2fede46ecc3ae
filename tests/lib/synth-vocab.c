#include "tests/lib/synth-vocab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOKEN 32 /* bytes, with the NUL */

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_UNUSED = 5, TYPE_BYTE = 6 };

static const char *const words[] = {"the", "of", "and", "to", "in", "is", "that", "was", "for", "it", "with",
    "as", "his", "he", "on", "be", "at", "by", "had", "not", "are", "but", "from", "or", "have", "an", "they",
    "which", "one", "you", "were", "her", "all", "she", "there", "would", "their", "we", "him", "been", "has",
    "when", "who", "will", "more", "no", "if", "out", "so", "said", "what", "up", "its", "about", "into",
    "than", "them", "can", "only", "other", "new", "some", "could", "time", "these", "two", "may", "then",
    "do", "first", "any", "my", "now", "such", "like", "our", "over", "man", "me", "even", "most", "made",
    "after", "also", "did", "many", "before", "must", "through", "back", "years", "where", "much", "your",
    "way", "well", "down", "should", "because", "each", "just", "those", "people", "how", "too", "little",
    "state", "good", "very", "make", "world", "still", "own", "see", "men", "work", "long", "get", "here",
    "between", "both", "life", "being", "under", "never", "day", "same", "another", "know", "while", "last",
    "might", "us", "great", "old", "year", "off", "come", "since", "against", "go", "came", "right", "used",
    "take", "three", "prince", "princess", "once", "upon", "story", "tell", "write", "king", "house",
    "without", "again", "place", "around", "however", "home", "small", "found", "thought", "went", "say",
    "part", "general", "high", "every", "does", "got", "united", "left", "number", "course", "war", "until",
    "always", "away", "something", "fact", "though", "water", "less", "public", "put", "think", "almost",
    "hand", "enough", "far", "took", "head", "yet", "government", "system", "better", "set", "told",
    "nothing", "night", "end", "why", "called", "eyes", "find", "going", "look", "asked", "later", "knew",
    "point", "next", "program", "city", "business", "give", "group", "toward", "young", "days", "let", "room",
    "word", "computer", "language", "model", "number"};

static const char *const qwen_specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
static const char *const llama_specials[] = {
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};

/* Readers look for the first of these in every model that is called phi-3. */
static const char *const phi3_specials[] = {
    "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"};
static const char *const gemma_specials[] = {"<start_of_turn>", "<end_of_turn>"};

static const char qwen_template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
static const char llama_template[] =
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";
static const char spm_template[] =
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + "
    "'\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
static const char phi3_template[] =
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\\n' + message['content'] + "
    "'<|end|>\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";
static const char gemma_template[] =
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') "
    "}}"
    "{% endif %}{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + "
    "message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{'<start_of_turn>model\\n'}}{% endif %}";

static const struct kind {
    const char *name;
    bool spm;
    const char *const *specials;
    uint32_t n_specials;
    const char *bos, *eos;
    bool add_bos, space_prefix;
    const char *template;
} kinds[] = {
    {"qwen2", false, qwen_specials, 3, "<|endoftext|>", "<|im_end|>", false, false, qwen_template},
    {"llama-bpe", false, llama_specials, 5, "<|begin_of_text|>", "<|eot_id|>", true, false, llama_template},
    {"spm", true, NULL, 0, "<s>", "</s>", true, true, spm_template},
    {"phi3", true, phi3_specials, 5, "<s>", "<|endoftext|>", true, true, phi3_template},
    {"gemma", true, gemma_specials, 2, "<bos>", "<eos>", true, false, gemma_template},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

struct vocab {
    bool spm;
    uint32_t n, room; /* tokens so far, and at most */
    uint32_t n_merges;
    struct gw_buf tokens, merges; /* as string arrays */
    int32_t *types;
    float *scores;
    char (*text)[MAX_TOKEN]; /* by id, to find duplicates */
    uint32_t *slots, mask;
};

static bool known(struct vocab *v, const char *text)
{
    uint32_t h = 2166136261u;
    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    for (h &= v->mask; v->slots[h]; h = (h + 1) & v->mask)
        if (strcmp(v->text[v->slots[h] - 1], text) == 0)
            return true;
    v->slots[h] = v->n + 1;
    return false;
}

/* False when it is there already. */
static bool add(struct vocab *v, const char *text, int32_t type)
{
    if (known(v, text))
        return false;
    snprintf(v->text[v->n], MAX_TOKEN, "%s", text);
    v->types[v->n] = type;
    /* Earlier pieces merge first, as with ranks. */
    v->scores[v->n] = type == TYPE_NORMAL ? -(float)v->n : 0;
    gw_put_str(&v->tokens, text);
    v->n++;
    return true;
}

/* left + right as one token, and the merge that makes it. */
static void add_merged(struct vocab *v, const char *left, const char *right)
{
    char text[MAX_TOKEN], merge[2 * MAX_TOKEN];
    if (v->n >= v->room || (size_t)snprintf(text, sizeof(text), "%s%s", left, right) >= sizeof(text))
        return;
    if (!add(v, text, TYPE_NORMAL) || v->spm)
        return;
    snprintf(merge, sizeof(merge), "%s %s", left, right);
    gw_put_str(&v->merges, merge);
    v->n_merges++;
}

/* start and every longer beginning of start + word, letter by letter. */
static void add_word(struct vocab *v, const char *start, const char *word)
{
    char left[MAX_TOKEN];
    size_t n = (size_t)snprintf(left, sizeof(left), "%s", start);
    if (n == 0) {
        left[n++] = *word++;
        left[n] = 0;
    }
    for (; *word; word++) {
        char letter[2] = {*word, 0};
        add_merged(v, left, letter);
        left[n++] = *word;
        left[n] = 0;
    }
}

/* All strings of n letters over what has n - 1. */
static void add_strings(struct vocab *v, int n)
{
    char text[8] = "aaaa";
    text[n] = 0;
    for (;;) {
        char left[8], right[2] = {text[n - 1], 0};
        snprintf(left, sizeof(left), "%.*s", n - 1, text);
        add_merged(v, left, right);
        int i = n - 1;
        while (i >= 0 && text[i] == 'z')
            text[i--] = 'a';
        if (i < 0 || v->n >= v->room)
            return;
        text[i]++;
    }
}

static void put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        out[1] = 0;
    } else {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        out[2] = 0;
    }
}

/* Byte-level BPE's letter for a byte: itself where printable, else from U+0100 in order. */
static void add_byte_letters(struct vocab *v)
{
    unsigned other = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        char text[4];
        put_utf8(text, plain ? b : other++);
        add(v, text, TYPE_NORMAL);
    }
}

static void add_spm_start(struct vocab *v, const struct kind *k)
{
    add(v, "<unk>", TYPE_UNKNOWN);
    add(v, strcmp(k->name, "gemma") ? "<s>" : "<bos>", TYPE_CONTROL);
    add(v, strcmp(k->name, "gemma") ? "</s>" : "<eos>", TYPE_CONTROL);
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", b);
        add(v, text, TYPE_BYTE);
    }
    add(v, "\xe2\x96\x81", TYPE_NORMAL);
    for (char c = 33; c < 127; c++) {
        char text[2] = {c, 0};
        add(v, text, TYPE_NORMAL);
    }
}

const char *synth_vocab_check(const char *kind, uint32_t n_vocab)
{
    if (kind && strcmp(kind, "none") == 0)
        return NULL;
    const struct kind *k = kind ? find_kind(kind) : NULL;
    if (!k)
        return "unknown tokenizer";
    if (n_vocab < (k->spm ? 3u + 256 + 1 + 94 : 256u + 3) + k->n_specials)
        return "the vocabulary is too small for its tokenizer";
    return NULL;
}

static void fill(struct vocab *v)
{
    /* space + letter first, so that words with their space win over bare strings */
    const char *space = v->spm ? "\xe2\x96\x81" : "\xc4\xa0";
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        add_word(v, space, words[i]);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        add_word(v, "", words[i]);
    for (int n = 2; n <= 4; n++)
        add_strings(v, n);
    for (unsigned i = 0; v->n < v->room; i++) {
        char text[MAX_TOKEN];
        snprintf(text, sizeof(text), "[PAD%u]", i);
        add(v, text, TYPE_UNUSED);
    }
}

static uint32_t id_of(const struct vocab *v, const char *text)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (strcmp(v->text[i], text) == 0)
            return i;
    abort();
}

static void write_ids(struct gguf_writer *w, const struct vocab *v, const struct kind *k)
{
    if (k->spm)
        gw_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    gw_u32(w, "tokenizer.ggml.bos_token_id", id_of(v, k->bos));
    gw_u32(w, "tokenizer.ggml.eos_token_id", id_of(v, k->eos));
    gw_bool(w, "tokenizer.ggml.add_bos_token", k->add_bos);
    if (k->spm && !k->space_prefix)
        gw_bool(w, "tokenizer.ggml.add_space_prefix", false);
}

void synth_vocab_write(struct gguf_writer *w, const char *kind, uint32_t n_vocab)
{
    if (strcmp(kind, "none") == 0) {
        gw_str(w, "tokenizer.ggml.model", "no_vocab");
        return;
    }
    const struct kind *k = find_kind(kind);
    struct vocab v = {.spm = k->spm};
    v.mask = 1;
    while (v.mask < 2 * n_vocab)
        v.mask *= 2;
    v.slots = calloc(v.mask--, sizeof(*v.slots));
    v.types = calloc(n_vocab, sizeof(*v.types));
    v.scores = calloc(n_vocab, sizeof(*v.scores));
    v.text = calloc(n_vocab, sizeof(*v.text));
    if (!v.slots || !v.types || !v.scores || !v.text)
        abort();
    v.room = n_vocab - k->n_specials;
    if (v.spm)
        add_spm_start(&v, k);
    else
        add_byte_letters(&v);
    fill(&v);
    for (uint32_t i = 0; i < k->n_specials; i++)
        add(&v, k->specials[i], TYPE_CONTROL);

    gw_str(w, "tokenizer.ggml.model", v.spm ? "llama" : "gpt2");
    if (!v.spm)
        gw_str(w, "tokenizer.ggml.pre", kind);
    gw_array_strings(w, "tokenizer.ggml.tokens", &v.tokens, v.n);
    gw_array(w, "tokenizer.ggml.token_type", GGUF_I32, v.types, v.n, sizeof(*v.types));
    if (v.spm)
        gw_array(w, "tokenizer.ggml.scores", GGUF_F32, v.scores, v.n, sizeof(*v.scores));
    else
        gw_array_strings(w, "tokenizer.ggml.merges", &v.merges, v.n_merges);
    write_ids(w, &v, k);
    gw_str(w, "tokenizer.chat_template", k->template);
    gw_buf_free(&v.tokens);
    gw_buf_free(&v.merges);
    free(v.slots);
    free(v.types);
    free(v.scores);
    free(v.text);
}
