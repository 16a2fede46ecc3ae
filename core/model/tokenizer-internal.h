/*
 * What the files of the tokenizer share; all other code includes tokenizer.h.
 *
 * Life cycle: a loader (tokenizer.c, tokenizer-json.c) allocates a struct tokenizer of zeros and fills it
 * in; tokenizer_free() frees it, also after a failure of a loader. An id_list and a merge_room start as
 * zeros; merge_room_clear() frees a merge_room.
 * Threads: the loading thread writes a tokenizer; afterwards it is immutable. Each call of
 * tokenizer_encode() has its own id_list and merge_room.
 * Order of calls in a loader: kind, n_vocab, type and flags are set; tokenizer_load_pieces();
 * tokenizer_mark_tokens(); tokenizer_index_words(); the merges; tokenizer_load_special_ids();
 * tokenizer_special_init().
 */
#ifndef ORCD_MODEL_TOKENIZER_INTERNAL_H
#define ORCD_MODEL_TOKENIZER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/tokenizer.h"
#include "model/tokenizer-map.h"
#include "model/tokenizer-pre.h"

enum tokenizer_kind { KIND_BYTES, KIND_SPM, KIND_BPE };

/* The values of tokenizer.ggml.token_type; any other value counts as normal. */
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
    TOKEN_LSTRIP = 2, /* removes the white space before it */
    TOKEN_RSTRIP = 4, /* removes the white space after it */
    TOKEN_WORD = 8,   /* it is in `words` under its bytes */
};

/* A longer text is refused, so that positions fit into 32 bits. */
#define TOKENIZER_MAX_TEXT ((size_t)1 << 30)

struct tokenizer {
    enum tokenizer_kind kind;
    struct pretokenizer *pre; /* BPE */
    const char *pre_name;
    int32_t n_vocab;

    /* The bytes of token i are piece_bytes[piece_off[i] .. piece_off[i + 1]): its text in running text or,
     * for a special token, the raw text. */
    char *piece_bytes;
    size_t *piece_off;
    uint8_t *type;
    uint8_t *flags;
    uint32_t *rank; /* SPM: the score as a rank; a lower rank is better */
    size_t max_piece;

    struct word_map words;  /* bytes -> id, for the tokens that plain text can become */
    struct pair_map merges; /* BPE: (left id, right id) -> rank, id */
    int32_t byte_id[256];   /* the token of a byte; -1: the vocabulary has none */

    struct pair_map trie; /* special tokens: (node, byte) -> node */
    int32_t *trie_id;     /* per node: the token that ends here; -1: none */
    bool starts[2][256];  /* [parse_special][first byte of a special token] */
    bool has_special[2];

    int32_t bos, eos, unk; /* -1: none */
    bool add_bos, add_space_prefix;
    bool ignore_merges; /* a word that is in the vocabulary becomes its token without merging */
    bool split_words;   /* SPM: no token has a space after another character */
    bool by_merges;     /* merging follows the list of merges, else the scores */

    /* Set only by a tokenizer.json. */
    bool from_json;
    bool nfc;          /* text is normalized to NFC first */
    bool prefix_first; /* a space is added before the first fragment of a text only */
    bool prefix_once;  /* no space is added before a fragment that begins with one */
    bool fuse_unk;     /* consecutive unknown characters are one unknown token */
};

static inline const char *token_bytes(const struct tokenizer *t, int32_t id, size_t *n)
{
    *n = t->piece_off[id + 1] - t->piece_off[id];
    return t->piece_bytes + t->piece_off[id];
}

/* A growing list of token ids. The functions return false when out of memory. */
struct id_list {
    int32_t *v;
    size_t n, cap;
};
bool id_list_push(struct id_list *l, int32_t id);
bool id_list_push_n(struct id_list *l, size_t from, size_t n); /* appends a copy of [from, from + n) */

/* One symbol of a word that is being merged; indexed by the position of its first byte. */
struct symbol {
    uint32_t prev, next; /* positions of the neighbours; NO_SYMBOL before the first symbol, the
                          * word's length after the last */
    int32_t id;          /* -1: not in the vocabulary */
    int32_t merged;      /* the token that this and the next symbol merge into */
    uint32_t rank;       /* of that merge; lower ranks merge first; NO_RANK: no merge */
    uint32_t queued;     /* the rank of its entry in the heap; NO_RANK: it has none */
};
#define NO_SYMBOL UINT32_MAX
#define NO_RANK UINT32_MAX

/* The memory for merging, reused for all words of a text. */
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

/* tokenizer-special.c: the longest special token at the start of text; -1: none. */
int32_t tokenizer_special_at(
    const struct tokenizer *t, const char *text, size_t n, bool parse_special, size_t *bytes);
bool tokenizer_special_init(struct tokenizer *t); /* false: out of memory */

/* The texts of a vocabulary in the order of their ids: the strings of a model file, or a list. */
struct token_source {
    struct gguf_array_cursor strings;
    const struct gguf_str *list; /* NULL: strings is used */
    size_t left;                 /* of the list */
};

/* tokenizer-load.c. n_vocab, kind, type and flags of t must be set. Fills in the pieces from the source,
 * which has n_vocab texts. by_pattern: SPM tokens that look like a byte token are byte tokens. */
int tokenizer_load_pieces(
    struct tokenizer *t, struct token_source source, bool by_pattern, struct orcd_error *err);
/* After the types are final: builds the index of the tokens that plain text can become. */
int tokenizer_index_words(struct tokenizer *t, struct orcd_error *err);
/* The part of tokenizer_from_gguf() for the vocabulary. Only the kind of t is set. */
int tokenizer_load_vocab(struct tokenizer *t, const struct gguf *g, struct orcd_error *err);
/* Decodes a text in the alphabet of byte-level BPE to its bytes; out has room for n. False: the text has
 * other characters. */
bool tokenizer_alphabet_decode(const char *p, size_t n, char *out, size_t *n_out);
/* tokenizer-merges.c, after the vocabulary. Merges are put in the order of their ranks. Out of memory:
 * merge_loader_new() returns NULL, the others return false. merge_loader_end() frees; it accepts NULL. */
struct merge_loader;
struct merge_loader *merge_loader_new(struct tokenizer *t, size_t expected);
/* A merge whose texts are not tokens is ignored. The texts need not outlive the call. */
bool merge_loader_put(struct merge_loader *l, struct gguf_str left, struct gguf_str right, uint32_t rank);
bool merge_loader_end(struct merge_loader *l);
/* Cuts "left right" at the first space, not counting one at the start. False: there is none. */
bool tokenizer_merge_split(struct gguf_str merge, struct gguf_str *left, struct gguf_str *right);
int tokenizer_load_merges(struct tokenizer *t, const struct gguf *g, struct orcd_error *err);
/* Sets the flags that depend on the texts of tokens and, unless g is NULL, on the model's name. */
void tokenizer_mark_tokens(struct tokenizer *t, const struct gguf *g);
/* tokenizer.c: reads the special ids and flags that tokenizer.ggml.* has; the others keep their defaults. */
int tokenizer_load_special_ids(struct tokenizer *t, const struct gguf *g, struct orcd_error *err);
/* The id of a token by its raw text, including special tokens; -1: there is none. */
int32_t tokenizer_find_raw(const struct tokenizer *t, const char *text);

#endif
