/*
 * What the files of core/chat share; all other code includes chat.h.
 *
 * canonical.c rewrites a template's text, recognize.c finds its family in that, family.c and the
 * render-*.c files are the families, text.c writes the prompt, render.c and template.c use them all.
 *
 * Life cycle: a chat_text and a chat_canonical live within one call; chat_text_release() and
 * chat_canonical_free() free them, also after a failure. A chat_render borrows its arguments.
 * Threads: a chat_template is not written after chat_template_new(). All other structs here belong to the
 * calling thread.
 * Order of calls: chat_canonical_read() before the other chat_canonical_ functions; chat_mark() and
 * chat_content() in the order of the text.
 */
#ifndef ORCD_CHAT_INTERNAL_H
#define ORCD_CHAT_INTERNAL_H

#include "chat/chat.h"

/* A prompt that is being written: marks come from the family, contents come from clients. */
struct chat_text {
    char *s;
    size_t n, cap;
    struct tokenizer_range *plain; /* where the contents are */
    size_t n_plain, cap_plain;
    bool failed; /* out of memory */
};
void chat_text_release(struct chat_text *t);
void chat_mark(struct chat_text *t, const char *mark);
void chat_content(struct chat_text *t, const char *p, size_t n);

/* A piece of a content; the functions below cut white space as the templates do. */
struct chat_str {
    const char *p;
    size_t n;
};
struct chat_str chat_trim(struct chat_str s);      /* cuts Unicode white space at both ends */
struct chat_str chat_trim_end(struct chat_str s);  /* cuts it at the end */
struct chat_str chat_lstrip_nl(struct chat_str s); /* cuts line breaks at the start */
struct chat_str chat_rstrip_nl(struct chat_str s); /* cuts line breaks at the end */
bool chat_find(struct chat_str s, const char *what, size_t *at);
bool chat_find_last(struct chat_str s, const char *what, size_t *at);
struct chat_str chat_content_of(const struct chat_message *m);

enum chat_split_kind { SPLIT_NONE, SPLIT_THINK, SPLIT_HARMONY };
enum chat_system { SYSTEM_ANYWHERE, SYSTEM_FIRST_TURN, SYSTEM_LAST_TURN, SYSTEM_REFUSED, SYSTEM_OWN_MARK };

/* The names, in the order of chat_families[]. */
#define CHAT_FAMILIES                                                                                        \
    "chatml", "qwen2.5", "qwen3", "llama3", "llama3.1", "llama3.2", "llama2", "phi3", "zephyr", "gpt-oss",   \
        "mistral-v1", "mistral-v1-system", "mistral-v3", "mistral-tekken", "mistral-v7", "gemma", "gemma3"

struct chat_family;

struct chat_template {
    const struct tokenizer *tokenizer;
    const struct chat_family *family; /* NULL: conversations cannot be rendered, see why_not */
    const char *name;
    char why_not[320];
    const char *stops[CHAT_MAX_STOPS + 1];
    char *bos, *eos;      /* texts of the vocabulary's tokens, malloc'ed; "" if it has none */
    bool with_bos;        /* the prompt begins with the BOS */
    char *default_system; /* malloc'ed; NULL: none */
    bool tool_turns;      /* chatml: consecutive tool messages are one turn of the user */
    bool dated, today;    /* llama3: a header with a date; today's date, not the template's */
    int32_t start_id, channel_id, message_id, end_id, return_id, call_id; /* harmony's */
    int32_t think_id, end_think_id;                                       /* -1: none */
};

struct chat_render {
    const struct chat_template *t;
    const struct chat_message *m;
    size_t n;
    const struct chat_options *o;
    struct chat_text *out;
    struct orcd_error *err;
};

/* One row for each name that model.chat_template accepts. */
struct chat_family {
    const char *name;
    int (*render)(const struct chat_render *r); /* 0 or INVALID */
    const char *end;                            /* the mark that ends an answer; NULL: the EOS */
    bool with_bos;
    uint8_t split; /* enum chat_split_kind */
    uint8_t system, style;
};
extern const struct chat_family chat_families[];
extern const size_t chat_n_families;
const struct chat_family *chat_family_find(const char *name);

/* The family of a template's text, and other facts that the text shows. */
struct chat_traits {
    const struct chat_family *family;
    bool with_bos, tool_turns, today;
    char default_system[1024]; /* "": none */
};
/* A template's text in one canonical spelling; its literals are quoted with this byte. */
#define CHAT_QUOTE "\1"
struct chat_canonical {
    char *s;
    size_t n;
    bool writes_text; /* it writes text outside of its blocks, even if only white space */
};
/* False: the text has parts that are not understood, or out of memory. Must be freed in any case. */
bool chat_canonical_read(struct chat_canonical *c, const char *text, size_t n);
void chat_canonical_free(struct chat_canonical *c);
bool chat_canonical_has(const struct chat_canonical *c, const char *what);
/* True: it has no literals but these and empty ones. The list ends with NULL. */
bool chat_canonical_only(const struct chat_canonical *c, const char *const *literals);

/* False: the text is not of a known family. */
bool chat_recognize(const char *text, size_t n, struct chat_traits *out);

int chat_render_chatml(const struct chat_render *r);
int chat_render_qwen3(const struct chat_render *r);
int chat_render_llama3(const struct chat_render *r);
int chat_render_phi3(const struct chat_render *r);
int chat_render_zephyr(const struct chat_render *r);
int chat_render_gemma(const struct chat_render *r);
int chat_render_llama2(const struct chat_render *r);
int chat_render_mistral(const struct chat_render *r);
int chat_render_harmony(const struct chat_render *r);
enum mistral_style { MISTRAL_V1, MISTRAL_V1_SYSTEM, MISTRAL_V3, MISTRAL_TEKKEN, MISTRAL_V7 };

/* Checks that several families share. */
int chat_refuse_role(const struct chat_render *r, size_t i);
/* From message `from` on, user and assistant must alternate, starting with user. */
int chat_check_turns(const struct chat_render *r, size_t from);
bool chat_is_system(const struct chat_message *m); /* or developer */
/* Whether the start of an answer follows the messages. */
bool chat_starts_answer(const struct chat_render *r);
void chat_date(const struct chat_render *r, const char *format, char *buf, size_t size);

#endif
