/*
 * Chat: a conversation in, token ids out; a generation in, reasoning and content out.
 *
 * A model file has a template, a program in the language of jinja. orcd never runs it: its text shows
 * which of the known families the model was trained for, and core/chat renders that family. If the text is
 * not recognized, conversations are refused with a message that says what to set.
 *
 * The marks of a family become their tokens; contents are text and nothing else. Nothing that a user
 * writes becomes a control token.
 *
 * Life cycle: a chat_template lives from chat_template_new() to chat_template_free(), and the tokenizer
 * must outlive it. A chat_split is plain data without an end.
 *
 * Threads: a chat_template is immutable, and any thread may use it. A chat_split belongs to the thread
 * that takes the generation apart.
 *
 * Order of calls: chat_template_new(); chat_render() for each conversation; for its answer
 * chat_split_init(), chat_split_push() for each token, chat_split_finish(); chat_template_free().
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

/* Never fails because of the contents of a file: if the template is unknown, missing or turned off, the
 * object refuses to render. g may be NULL (a model without a file) and may be closed afterwards; tok must
 * outlive the object. setting: "auto" or NULL, "none", or one of chat_family_names(). Errors: INVALID
 * (setting), NOMEM. */
int chat_template_new(struct chat_template **out, const struct gguf *g, const struct tokenizer *tok,
    const char *setting, struct orcd_error *err);
/* The same from the text of a template (n bytes; NULL: none). */
int chat_template_from_text(struct chat_template **out, const char *text, size_t n,
    const struct tokenizer *tok, const char *setting, struct orcd_error *err);
void chat_template_free(struct chat_template *t); /* accepts NULL */

/* The family's name, "qwen3"; "none" if conversations cannot be rendered. */
const char *chat_family(const struct chat_template *t);
/* Why they cannot be rendered, and what to set; "" if they can. */
const char *chat_why_not(const struct chat_template *t);
/* The names that model.chat_template accepts beside auto and none, NULL-terminated. */
const char *const *chat_family_names(void);
/* The family of a template's text. NULL: not recognized. */
const char *chat_family_of_text(const char *text, size_t n);

/* --- rendering --------------------------------------------------------------------- */

enum chat_role { CHAT_SYSTEM, CHAT_DEVELOPER, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };
/* The role with this name ("system" ...); -1: there is none. */
int chat_role_find(const char *name);
extern const char *const chat_role_names[]; /* by role, NULL-terminated */

struct chat_message {
    enum chat_role role;
    const char *content; /* UTF-8, any bytes are safe; not NULL */
    size_t n_content;
    const char *reasoning; /* for the assistant: its reasoning in that turn; NULL: none */
    size_t n_reasoning;
};

struct chat_options {
    /* chat_template_kwargs.enable_thinking: 0, 1, or -1 if it is not given. Families without thinking
     * ignore it. */
    int enable_thinking;
    /* For gpt-oss: "low", "medium", "high"; NULL: medium. Other families ignore it. */
    const char *reasoning_effort;
    /* For families whose system text has a date (llama3.2, gpt-oss): UTC, seconds since the epoch. 0: now. */
    int64_t date;
    /* The last message, which must be the assistant's and have content, is not ended: the answer goes on
     * where it stops (without white space at its end, if the template cuts that). */
    bool continue_final;
    /* The prompt ends behind the last message; the model itself writes the start of its answer. Text of that
     * which is not a control token becomes content. */
    bool no_answer_start;
};
#define CHAT_OPTIONS_INIT                                                                                    \
    {                                                                                                        \
        .enable_thinking = -1                                                                                \
    }

#define CHAT_MAX_MESSAGES 4096

/* Renders a conversation, followed by the start of the assistant's answer (unless the options say otherwise).
 * On success *ids is malloc'ed and the caller frees it. The ids include the BOS if the family has one; the
 * caller must add nothing. Time is O(n log n) in the bytes of the contents. Errors, each with a message for
 * the client: UNSUPPORTED (chat_why_not), INVALID (the family does not allow this conversation: no message,
 * an unsupported role, turns that do not alternate; too long), NOMEM. */
int chat_render(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, int32_t **ids, size_t *n_ids, struct orcd_error *err);
/* The same as text, malloc'ed and NUL-terminated: exactly the output of the published templates. */
int chat_render_text(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, char **text, size_t *n_text, struct orcd_error *err);

/* A generation ends at the tokens for which tokenizer_is_eog() is true. If the vocabulary has no token for
 * the family's end mark, the mark is a stop string. Returns these stop strings for the job, NULL-
 * terminated, at most CHAT_MAX_STOPS, each at most 32 bytes. */
#define CHAT_MAX_STOPS 2
const char *const *chat_stops(const struct chat_template *t);

/* --- the answer -------------------------------------------------------------------- */

enum chat_channel { CHAT_CONTENT, CHAT_REASONING };

/*
 * Splits a generation into reasoning and content, token by token as it streams: by the channels of
 * harmony, or by <think> and </think>. Marks are never part of the output, even if they are cut by
 * tokens, nor are line breaks around </think>. A chat_split is plain data without allocations: to try a
 * token, copy it and throw the copy away. If the family has neither channels nor <think>, all text is
 * content.
 */
struct chat_split {
    const struct chat_template *t;
    uint8_t kind, state, channel;
    uint8_t n_held, n_header; /* bytes of held, of header */
    bool begun;               /* some text of this message was passed to the sink */
    uint32_t newlines;        /* held-back line breaks; </think> may follow them */
    char held[32];            /* held-back text that may become a mark */
    char header[32];          /* the header of a harmony message, which has its channel */
};

/* Receives one piece of text; p[0..n) is valid during the call only, n > 0. Pieces come in order. They are
 * whole characters if the pushed texts were. */
typedef void (*chat_sink)(void *arg, enum chat_channel channel, const char *p, size_t n);

/* o: the options that the prompt was rendered with. */
void chat_split_init(struct chat_split *s, const struct chat_template *t, const struct chat_options *o);
/* Pushes a token and the text that may be shown after it (job->tokens[i].id and its text; id -1: text
 * without a token). The text is handled before the token itself. */
void chat_split_push(struct chat_split *s, int32_t id, const char *text, size_t n, chat_sink sink, void *arg);
/* At the end of the generation: held-back text is text. */
void chat_split_finish(struct chat_split *s, chat_sink sink, void *arg);
/* How many of the last bytes pushed may still turn out to be content, or not. */
size_t chat_split_undecided(const struct chat_split *s);

#endif
