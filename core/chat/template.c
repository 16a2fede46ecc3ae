/* Makes a chat_template of a model's template and vocabulary, and of the setting. */
#include "chat/chat-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

#define QWEN_SYSTEM "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

/* The traits of the newest published template of this family. */
static void traits_of_name(struct chat_traits *traits, const struct chat_family *f)
{
    *traits = (struct chat_traits){.family = f, .with_bos = f->with_bos};
    traits->today = strcmp(f->name, "llama3.2") == 0;
    if (strcmp(f->name, "qwen2.5") == 0) {
        traits->tool_turns = true;
        snprintf(traits->default_system, sizeof(traits->default_system), QWEN_SYSTEM);
    }
}

static char *token_text(const struct tokenizer *tok, int32_t id)
{
    size_t n = 0;
    const char *p = tokenizer_piece(tok, id, true, &n);
    return strndup(id >= 0 ? p : "", n);
}

static void find_marks(struct chat_template *t)
{
    static const struct {
        const char *text;
        size_t at;
    } marks[] = {
        {"<|start|>", offsetof(struct chat_template, start_id)},
        {"<|channel|>", offsetof(struct chat_template, channel_id)},
        {"<|message|>", offsetof(struct chat_template, message_id)},
        {"<|end|>", offsetof(struct chat_template, end_id)},
        {"<|return|>", offsetof(struct chat_template, return_id)},
        {"<|call|>", offsetof(struct chat_template, call_id)},
        {"<think>", offsetof(struct chat_template, think_id)},
        {"</think>", offsetof(struct chat_template, end_think_id)},
    };
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        int32_t id = tokenizer_special_id(t->tokenizer, marks[i].text);
        memcpy((char *)t + marks[i].at, &id, sizeof(id));
    }
}

/* Marks that are not tokens of the vocabulary are written as text. This does not work for harmony, whose
 * marks could not be told apart from the answer's text. */
static void check_marks(struct chat_template *t)
{
    const char *end = t->family->end;
    if (t->family->split == SPLIT_HARMONY &&
        (t->start_id < 0 || t->channel_id < 0 || t->message_id < 0 || t->end_id < 0)) {
        snprintf(t->why_not, sizeof(t->why_not),
            "the chat template %s needs tokens that the vocabulary lacks: <|start|>, <|channel|>, "
            "<|message|>, <|end|>",
            t->name);
        t->family = NULL;
        t->name = "none";
        return;
    }
    if (!end || tokenizer_special_id(t->tokenizer, end) >= 0)
        return;
    t->stops[0] = end;
    log_warn(
        "chat template %s: the vocabulary has no token %s, so the marks of roles are plain text, which users "
        "can imitate",
        t->name, end);
}

static int fill(struct chat_template *t, const struct chat_traits *traits, struct orcd_error *err)
{
    const struct tokenizer *tok = t->tokenizer;
    t->bos = token_text(tok, tokenizer_bos(tok));
    t->eos = token_text(tok, tokenizer_eos(tok));
    if (*traits->default_system)
        t->default_system = strdup(traits->default_system);
    if (!t->bos || !t->eos || (*traits->default_system && !t->default_system))
        return error_set(err, ORCD_E_NOMEM, "out of memory for the chat template");
    t->family = traits->family;
    t->name = traits->family->name;
    t->with_bos = traits->with_bos;
    t->tool_turns = traits->tool_turns;
    t->dated = strncmp(t->name, "llama3.", 7) == 0;
    t->today = traits->today;
    find_marks(t);
    check_marks(t);
    return 0;
}

static void refuse(struct chat_template *t, const char *what)
{
    snprintf(
        t->why_not, sizeof(t->why_not), "%s; set model.chat_template (orcd.yaml(5) lists the names)", what);
}

int chat_template_from_text(struct chat_template **out, const char *text, size_t n,
    const struct tokenizer *tok, const char *setting, struct orcd_error *err)
{
    struct chat_template *t = calloc(1, sizeof(*t));
    struct chat_traits traits;
    const struct chat_family *named = NULL;
    int rc = 0;
    if (!t)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the chat template");
    t->tokenizer = tok;
    t->name = "none";
    bool by_file = !setting || strcmp(setting, "auto") == 0;
    if (!by_file && strcmp(setting, "none") != 0 && !(named = chat_family_find(setting)))
        rc = error_set(
            err, ORCD_E_INVALID, "unknown chat template '%.40s'; orcd.yaml(5) lists the names", setting);
    else if (named)
        traits_of_name(&traits, named), rc = fill(t, &traits, err);
    else if (!by_file)
        snprintf(t->why_not, sizeof(t->why_not), "conversations are turned off (model.chat_template: none)");
    else if (!text || !n)
        refuse(t, "the model file has no chat template");
    else if (chat_recognize(text, n, &traits))
        rc = fill(t, &traits, err);
    else
        refuse(t, "the chat template of the model file is not supported");
    if (rc) {
        chat_template_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

int chat_template_new(struct chat_template **out, const struct gguf *g, const struct tokenizer *tok,
    const char *setting, struct orcd_error *err)
{
    struct gguf_str s = {NULL, 0};
    if (g && gguf_get_str(g, "tokenizer.chat_template", &s, NULL))
        s = (struct gguf_str){NULL, 0};
    return chat_template_from_text(out, s.p, s.n, tok, setting, err);
}

void chat_template_free(struct chat_template *t)
{
    if (!t)
        return;
    free(t->bos);
    free(t->eos);
    free(t->default_system);
    free(t);
}

const char *chat_family(const struct chat_template *t)
{
    return t->name;
}

const char *chat_why_not(const struct chat_template *t)
{
    return t->why_not;
}

const char *const *chat_stops(const struct chat_template *t)
{
    return t->stops;
}
