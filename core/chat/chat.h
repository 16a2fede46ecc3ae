/*
 * Chat: a conversation in, token ids out; a generation in, reasoning and answer out.
 *
 * A model file carries a template, a program in a language of its own. It is never run:
 * its text tells which of the known families the model was made for, and the family is
 * rendered here. What can't be told is refused with a text that says what to set.
 *
 * Marks of a family become their tokens; contents are text and nothing else. Whatever a
 * user writes, it never becomes a control token.
 *
 * A chat_template is immutable after it was made: any thread may use it.
 */
#ifndef ORCD_CHAT_CHAT_H
#define ORCD_CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

struct chat_template;

/* Never fails because of what a file holds: a template that is unknown, absent or none
 * gives an object that refuses to render. g may be NULL (a model without a file) and may
 * be closed afterwards; tok must outlive the object. setting: "auto" or NULL, "none", or
 * a name of chat_family_names(). Errors: INVALID (setting), NOMEM. */
int chat_template_new(struct chat_template **out, const struct gguf *g, const struct tokenizer *tok,
    const char *setting, struct orcd_error *err);
/* The same from a template's text (n bytes; NULL: none). */
int chat_template_from_text(struct chat_template **out, const char *text, size_t n,
    const struct tokenizer *tok, const char *setting, struct orcd_error *err);
void chat_template_free(struct chat_template *t); /* takes NULL */

/* "qwen3"; "none" when conversations can't be rendered. */
const char *chat_family(const struct chat_template *t);
/* Why not, and what to set; "" when they can. */
const char *chat_why_not(const struct chat_template *t);
/* The names that model.chat_template takes beside auto and none, NULL-terminated. */
const char *const *chat_family_names(void);
/* The family of a template's text, NULL: none of them. */
const char *chat_family_of_text(const char *text, size_t n);

/* --- rendering --------------------------------------------------------------------- */

enum chat_role { CHAT_SYSTEM, CHAT_DEVELOPER, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };
/* By name ("system" ...); -1: none. */
int chat_role_find(const char *name);
extern const char *const chat_role_names[]; /* by role, NULL-terminated */

struct chat_message {
    enum chat_role role;
    const char *content; /* UTF-8, any bytes are safe; not NULL */
    size_t n_content;
    const char *reasoning; /* assistant: what it thought in that turn; NULL: none */
    size_t n_reasoning;
};

struct chat_options {
    /* chat_template_kwargs.enable_thinking: -1 not given, 0, 1. Families without thinking
     * ignore it. */
    int enable_thinking;
    /* gpt-oss: "low", "medium", "high"; NULL: medium. Others ignore it. */
    const char *reasoning_effort;
    /* Families whose system text is dated (llama3.2, gpt-oss): UTC, seconds since the
     * epoch. 0: now. */
    int64_t date;
};
#define CHAT_OPTIONS_INIT                                                                                    \
    {                                                                                                        \
        .enable_thinking = -1                                                                                \
    }

#define CHAT_MAX_MESSAGES 4096

/* A conversation with the start of the assistant's answer behind it. On success *ids is
 * malloc'ed, the caller frees it. BOS included where the family has one: tokens are not
 * to be encoded again. Time is O(n log n) in the bytes of the contents.
 * Errors, each with a text for the client:
 * UNSUPPORTED (chat_why_not), INVALID (the family has no such conversation: no message,
 * a role that it doesn't know, turns that don't alternate; too long), NOMEM. */
int chat_render(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, int32_t **ids, size_t *n_ids, struct orcd_error *err);
/* The same as text, malloc'ed and NUL-terminated: what the published templates give. */
int chat_render_text(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, char **text, size_t *n_text, struct orcd_error *err);

/* A generation ends at the tokens that tokenizer_is_eog names. Where the vocabulary has
 * the family's end mark not as a token, it is a string: stop strings for the job, NULL-
 * terminated, at most CHAT_MAX_STOPS, each at most 32 bytes. */
#define CHAT_MAX_STOPS 2
const char *const *chat_stops(const struct chat_template *t);

/* --- the answer -------------------------------------------------------------------- */

enum chat_channel { CHAT_CONTENT, CHAT_REASONING };

/*
 * Takes a generation apart, token by token as it streams: harmony's channels, <think> and
 * </think>. Marks are never given out, wherever they are cut. Line breaks around
 * </think> are neither. Plain data: copy it to try a token and throw the copy away. No
 * allocation. A family without either gives all of the text as content.
 */
struct chat_split {
    const struct chat_template *t;
    uint8_t kind, state, channel;
    uint8_t n_held, n_header; /* of held, header */
    bool begun;               /* something of this message was given out */
    uint32_t newlines;        /* held back: they may stand before </think> */
    char held[32];            /* what may yet become a mark */
    char header[32];          /* of a harmony message: its channel */
};

/* One piece of text; p[0..n) is valid during the call only, n > 0. Pieces come in order,
 * in whole characters if the text came so. */
typedef void (*chat_sink)(void *arg, enum chat_channel channel, const char *p, size_t n);

/* o: the options that the prompt was rendered with. */
void chat_split_init(struct chat_split *s, const struct chat_template *t, const struct chat_options *o);
/* A token and the text that it made showable (job->tokens[i].id and its text; id -1: text
 * of no token). Text comes before what the token itself means. */
void chat_split_push(struct chat_split *s, int32_t id, const char *text, size_t n, chat_sink sink, void *arg);
/* At the end of the generation: what is still held is text. */
void chat_split_finish(struct chat_split *s, chat_sink sink, void *arg);
/* Of what was pushed last, so many bytes may yet turn out to be content, or not. */
size_t chat_split_undecided(const struct chat_split *s);

#endif
