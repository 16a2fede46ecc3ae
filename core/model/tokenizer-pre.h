/*
 * Pre-tokenizers: they cut a text into words before byte-level BPE merges each word. A pre-tokenizer is a
 * list of regular expressions as its models were published with. Each one cuts the parts that the ones
 * before it left, into its matches and the texts between them; for a lookahead the end of a part is the end
 * of the text. tokenizer-pre-table.c has the lists, a row each. PCRE2 runs them (tokenizer-regex.h), or a
 * hand-written scanner (tokenizer-scan.h) where there is one.
 *
 * Bytes that are not UTF-8 belong to no match: a run of them is a word, and the text before and after it is
 * cut as two texts.
 *
 * Life cycle: pretokenizer_new() compiles a list, pretokenizer_free() frees it. A pre_cut starts with
 * pre_cut_init() and has no end; it borrows the text, the pre-tokenizer and a room (tokenizer-regex.h).
 * Threads: rows are constant and a pre-tokenizer is immutable: any thread may use them. A pre_cut and its
 * room belong to one thread.
 * Order of calls: pre_row_find(), pretokenizer_new(), then for each text pre_cut_init() and pre_cut_next()
 * until it does not return 1.
 */
#ifndef ORCD_MODEL_TOKENIZER_PRE_H
#define ORCD_MODEL_TOKENIZER_PRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "model/tokenizer-scan.h"

#define PRE_EXPRESSIONS 6 /* of one pre-tokenizer, at most */
#define PRE_NAMES 20

/* That of gpt-2, which is part of many. */
#define PRE_GPT2_EXPRESSION                                                                                  \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* A list ends with NULL, or is full. */
struct pre_list {
    const char *expression[PRE_EXPRESSIONS];
};

struct pre_row {
    const char *names[PRE_NAMES]; /* in tokenizer.ggml.pre; ends with NULL. The first is used in messages. */
    struct pre_list list;
    bool whole_words; /* a word that is in the vocabulary becomes its token without merging */
    bool add_bos;     /* unless the file says otherwise */
};

/* The row of a name; *own is set to the table's copy of it. NULL: unknown. */
const struct pre_row *pre_row_find(const char *name, size_t n, const char **own);
/* Row i, for lists; NULL: there are no more. */
const struct pre_row *pre_row_at(size_t i);
/* The row with exactly these expressions; NULL: there is none. */
const struct pre_row *pre_row_of(const struct pre_list *list);
/* The table's copy of an expression that some row has; NULL: there is none. In a file a line end in a class
 * may be that character in place of \r or \n. */
const char *pre_expression_find(const char *text, size_t n);
/* Writes "default, gpt-2, ...", NUL-terminated: the rows' first names, for messages. Returns out. */
#define PRE_ROW_NAMES_BYTES 512
const char *pre_row_names(char *out, size_t cap);
/* An expression that cuts as this one and costs O(n) for any text of n bytes; most are their own. */
const char *pre_expression_linear(const char *expression);
/* The scanner of a whole list; NULL: there is none. */
pre_scanner *pre_list_scanner(const struct pre_list *list);

struct pretokenizer;
struct regex_room;

/* with_scanners: expressions that have a scanner are not compiled. Errors: those of regex_new(). */
int pretokenizer_new(
    struct pretokenizer **out, const struct pre_list *list, bool with_scanners, struct orcd_error *err);
void pretokenizer_free(struct pretokenizer *p); /* accepts NULL */
/* The scanner that does the whole work of this pre-tokenizer; NULL: a pre_cut is needed. */
pre_scanner *pretokenizer_scanner(const struct pretokenizer *p);

struct pre_cut {
    const struct pretokenizer *pre;
    struct regex_room **room;
    const char *text;
    size_t n, at;
    /* part[i] is being cut by expression i, part[i + 1] is the piece of it that contains `at`; the last one
     * is a word. */
    struct pre_part {
        size_t from, to;
        size_t match, match_end; /* the next match, at or after `at`; both are `to` if there is none */
    } part[PRE_EXPRESSIONS + 1];
};

/* *room is NULL, or was used before. */
void pre_cut_init(
    struct pre_cut *c, const struct pretokenizer *pre, struct regex_room **room, const char *text, size_t n);
/* The bytes of the next word. 1: a word; 0: the end. Errors: those of regex_find(). */
int pre_cut_next(struct pre_cut *c, size_t *n_word, struct orcd_error *err);

#endif
