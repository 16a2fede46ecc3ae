/* What the parts of the tokenizer share. Nothing outside tokenizer*.c includes this. */
#ifndef ORCD_MODEL_TOKENIZER_INTERNAL_H
#define ORCD_MODEL_TOKENIZER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/tokenizer.h"
#include "model/tokenizer-map.h"
#include "model/tokenizer-pre.h"

enum tokenizer_kind { KIND_BYTES, KIND_SPM, KIND_BPE };

/* tokenizer.ggml.token_type; any other value counts as normal. */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

enum token_flag {
    TOKEN_EOG = 1,
    TOKEN_LSTRIP = 2, /* takes the white space before it along */
    TOKEN_RSTRIP = 4, /* takes the white space after it along */
    TOKEN_WORD = 8,   /* `words` finds it by its bytes */
};

/* A text longer than this is refused, so that positions fit into 32 bits. */
#define TOKENIZER_MAX_TEXT ((size_t)1 << 30)

struct tokenizer {
    enum tokenizer_kind kind;
    enum pretokenizer pre;
    const char *pre_name;
    int32_t n_vocab;

    /* Token i's bytes are piece_bytes[piece_off[i] .. piece_off[i + 1]): in running
     * text for what plain text can become, the raw text for special ones. */
    char *piece_bytes;
    size_t *piece_off;
    uint8_t *type;
    uint8_t *flags;
    uint32_t *rank; /* SPM: a score as a rank, the lower the better */
    size_t max_piece;

    struct word_map words;  /* bytes -> id, of the tokens that plain text can become */
    struct pair_map merges; /* BPE: (left id, right id) -> rank, id */
    int32_t byte_id[256];   /* -1: the vocabulary has none */

    struct pair_map trie; /* special tokens: (node, byte) -> node */
    int32_t *trie_id;     /* per node; -1: no token ends here */
    bool starts[2][256];  /* [parse_special][first byte of a special token] */
    bool has_special[2];

    int32_t bos, eos, unk; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
    bool ignore_merges; /* a whole word of the vocabulary is taken without merging */
    bool split_words;   /* SPM: no token has a space after another character */
    bool by_merges;     /* merging follows the list of merges, else the scores */

    /* What only a tokenizer.json asks for. */
    bool from_json;
    bool nfc;          /* text is put into Unicode's form NFC first */
    bool prefix_first; /* the added space goes before the text's first fragment only */
    bool prefix_once;  /* and not before a fragment that begins with a space */
    bool fuse_unk;     /* neighbouring unknown characters are one unknown token */
};

static inline const char *token_bytes(const struct tokenizer *t, int32_t id, size_t *n)
{
    *n = t->piece_off[id + 1] - t->piece_off[id];
    return t->piece_bytes + t->piece_off[id];
}

/* Token ids that grow. */
struct id_list {
    int32_t *v;
    size_t n, cap;
};
bool id_list_push(struct id_list *l, int32_t id);
bool id_list_push_n(struct id_list *l, size_t from, size_t n); /* a copy of [from, from + n) */

/* One symbol of a word under merging; indexed by the position of its first byte. */
struct symbol {
    uint32_t prev, next; /* positions of the neighbours; NO_SYMBOL before the first, the
                          * word's length after the last */
    int32_t id;          /* -1: not in the vocabulary */
    int32_t merged;      /* what this and the next symbol merge into */
    uint32_t rank;       /* of that merge, the lower the earlier; NO_RANK: none */
    uint32_t queued;     /* the rank that it waits in the heap with; NO_RANK: not at all */
};
#define NO_SYMBOL UINT32_MAX
#define NO_RANK UINT32_MAX

/* The room that merging needs, reused for all words of a text. */
struct merge_room {
    struct symbol *symbols;
    size_t symbols_cap;
    uint64_t *heap;
    size_t heap_cap;
};
void merge_room_clear(struct merge_room *room);

/* Appends the ids of one word (n > 0 bytes). False: out of memory. */
bool tokenizer_merge_word(
    const struct tokenizer *t, struct merge_room *room, const char *word, size_t n, struct id_list *out);

/* tokenizer-special.c: the longest special token at text, -1: none. */
int32_t tokenizer_special_at(
    const struct tokenizer *t, const char *text, size_t n, bool parse_special, size_t *bytes);
bool tokenizer_special_init(struct tokenizer *t);

/* The texts of a vocabulary in order of their ids: the strings of a model file, or a list. */
struct token_source {
    struct gguf_array_cursor strings;
    const struct gguf_str *list; /* NULL: strings */
    size_t left;                 /* of the list */
};

/* tokenizer-load.c. n_vocab, kind, type and flags of t are set: fills pieces from the
 * source, which has n_vocab texts. by_pattern: SPM tokens that look like a byte are one. */
int tokenizer_load_pieces(
    struct tokenizer *t, struct token_source source, bool by_pattern, struct orcd_error *err);
/* After the types are final: which token plain text becomes. */
int tokenizer_index_words(struct tokenizer *t, struct orcd_error *err);
/* The vocabulary's side of tokenizer_from_gguf. t is zeroed. */
int tokenizer_load_vocab(struct tokenizer *t, const struct gguf *g, struct orcd_error *err);
/* The bytes that a token of byte-level BPE's alphabet stands for; out has room for n.
 * False: it has other characters. */
bool tokenizer_alphabet_decode(const char *p, size_t n, char *out, size_t *n_out);
/* tokenizer-merges.c: after the vocabulary. A loader takes merges in the order of their
 * ranks. new: NULL is out of memory; put, end: false is. end frees it, and takes NULL. */
struct merge_loader;
struct merge_loader *merge_loader_new(struct tokenizer *t, size_t expected);
/* What names no tokens is ignored. The texts need not outlive the call. */
bool merge_loader_put(struct merge_loader *l, struct gguf_str left, struct gguf_str right, uint32_t rank);
bool merge_loader_end(struct merge_loader *l);
/* Cuts "left right" at the first space, but for one at the start. False: there is none. */
bool tokenizer_merge_split(struct gguf_str merge, struct gguf_str *left, struct gguf_str *right);
int tokenizer_load_merges(struct tokenizer *t, const struct gguf *g, struct orcd_error *err);
/* Flags that depend on tokens' texts and, unless g is NULL, on the model's name. */
void tokenizer_mark_tokens(struct tokenizer *t, const struct gguf *g);
/* tokenizer.c: the ids and flags of tokenizer.ggml.* that the file has; t has defaults. */
int tokenizer_load_special_ids(struct tokenizer *t, const struct gguf *g, struct orcd_error *err);
/* The id of a token by its raw text, special ones included; -1: none. */
int32_t tokenizer_find_raw(const struct tokenizer *t, const char *text);

#endif
