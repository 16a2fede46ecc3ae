#include <config.h>

#include "api/compat.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/params-chat.h"
#include "base/util.h"
#include "http/exchange.h"
#include "http/json-in.h"

static void answer(struct exchange *x, struct json_out *o)
{
    json_out_close(o, '}');
    exchange_answer_json(x, 200, o);
}

static void begin(struct json_out *o)
{
    json_out_growing(o);
    json_out_open(o, NULL, '{');
}

void compat_version(struct exchange *x)
{
    struct json_out o;
    begin(&o);
    json_out_text(&o, "version", PACKAGE_VERSION);
    answer(x, &o);
}

void compat_props(struct exchange *x)
{
    const struct api_model *m = api_model(x);
    struct engine_state e;
    struct json_out o;
    if (!m)
        return;
    engine_state(api_of(x)->params.engine, &e);
    begin(&o);
    json_out_open(&o, "default_generation_settings", '{');
    json_out_u64(&o, "n_ctx", m->n_ctx);
    json_out_close(&o, '}');
    json_out_u64(&o, "total_slots", e.slots_total);
    json_out_text(&o, "model_alias", m->ref);
    json_out_text(&o, "model_path", m->name);
    json_out_open(&o, "modalities", '{');
    json_out_bool(&o, "vision", false);
    json_out_bool(&o, "audio", false);
    json_out_close(&o, '}');
    json_out_text(&o, "build_info", "orcd " PACKAGE_VERSION);
    answer(x, &o);
}

/* --- tokens ------------------------------------------------------------------------------- */

struct text_request {
    json_object *content, *prompt, *messages, *tokens;
    bool add_special, parse_special, with_pieces, starts_answer, continue_final;
};

/* The body; NULL: x->error is set. add_special: the default. */
static json_object *read_body(struct exchange *x, struct text_request *t)
{
    static const struct {
        const char *name;
        size_t at;
    } values[] = {{"content", offsetof(struct text_request, content)},
        {"prompt", offsetof(struct text_request, prompt)},
        {"messages", offsetof(struct text_request, messages)},
        {"tokens", offsetof(struct text_request, tokens)}},
      flags[] = {{"add_special", offsetof(struct text_request, add_special)},
          {"add_special_tokens", offsetof(struct text_request, add_special)},
          {"parse_special", offsetof(struct text_request, parse_special)},
          {"with_pieces", offsetof(struct text_request, with_pieces)},
          {"add_generation_prompt", offsetof(struct text_request, starts_answer)},
          {"continue_final_message", offsetof(struct text_request, continue_final)}};
    struct json_in in = {&x->error, ""};
    json_object *v, *root = api_model(x) ? json_in_parse(x->body.text, x->body.n, &x->error) : NULL;
    if (!root || !json_in_type(&in, "body", root, json_type_object, "an object")) {
        json_object_put(root);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        json_object_object_get_ex(root, values[i].name, (json_object **)(void *)((char *)t + values[i].at));
    t->parse_special = t->starts_answer = true;
    t->add_special = !t->content; /* as the one and the other have it */
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (json_object_object_get_ex(root, flags[i].name, &v) && v)
            json_in_bool(&in, flags[i].name, v, (bool *)t + flags[i].at);
    return root;
}

static struct chat_options chat_options_of(const struct text_request *t)
{
    struct chat_options o = CHAT_OPTIONS_INIT;
    o.no_answer_start = !t->starts_answer;
    o.continue_final = t->continue_final;
    return o;
}

/* The ids of what was asked for, malloc'ed. */
static int32_t *read_ids(struct exchange *x, const struct text_request *t, size_t *n)
{
    const struct api_model *m = api_model(x);
    struct json_in in = {&x->error, ""};
    struct request r = {0};
    const struct chat_options options = chat_options_of(t);
    const char *text;
    size_t n_text;
    int32_t *ids = NULL;
    if (t->messages) {
        params_messages(&in, m, &r, &options, t->messages);
        ids = r.tokens;
        *n = r.n_tokens;
        r.tokens = NULL;
        request_release(&r);
        return ids;
    }
    const char *field = t->content ? "content" : "prompt";
    unsigned flags =
        (t->add_special ? TOKENIZE_ADD_SPECIAL : 0u) | (t->parse_special ? TOKENIZE_PARSE_SPECIAL : 0u);
    if (!t->content && !t->prompt)
        json_in_fail(&in, "content", "is required (or prompt, or messages)");
    else if (json_in_text(&in, field, t->content ? t->content : t->prompt, &text, &n_text) &&
             tokenizer_encode(m->tokenizer, text, n_text, flags, &ids, n, NULL))
        http_error_set(&x->error, API_INTERNAL, "the text could not be tokenized");
    return ids;
}

/* A piece that is not UTF-8 by itself is an array of its bytes. */
static void put_piece(struct json_out *o, const struct api_model *m, int32_t id)
{
    size_t n, at = 0, k = 1;
    const char *piece = tokenizer_piece(m->tokenizer, id, true, &n);
    while (at < n && (k = utf8_char_len(piece + at, n - at)))
        at += k;
    json_out_open(o, NULL, '{');
    json_out_i64(o, "id", id);
    if (at == n) {
        json_out_text_n(o, "piece", piece, n);
    } else {
        json_out_open(o, "piece", '[');
        for (size_t i = 0; i < n; i++)
            json_out_u64(o, NULL, (unsigned char)piece[i]);
        json_out_close(o, ']');
    }
    json_out_close(o, '}');
}

void compat_tokenize(struct exchange *x)
{
    struct text_request t = {0};
    json_object *root = read_body(x, &t);
    size_t n = 0;
    int32_t *ids = root && !x->error.code ? read_ids(x, &t, &n) : NULL;
    if (!x->error.code) {
        const struct api_model *m = api_model(x);
        struct json_out o;
        begin(&o);
        if (!t.content) {
            json_out_u64(&o, "count", n);
            json_out_u64(&o, "max_model_len", m->n_ctx);
        }
        json_out_open(&o, "tokens", '[');
        for (size_t i = 0; i < n; i++)
            if (t.with_pieces)
                put_piece(&o, m, ids[i]);
            else
                json_out_i64(&o, NULL, ids[i]);
        json_out_close(&o, ']');
        if (!t.content)
            json_out_null(&o, "token_strs");
        answer(x, &o);
    }
    free(ids);
    json_object_put(root);
}

void compat_detokenize(struct exchange *x)
{
    struct text_request t = {0};
    struct request r = {0};
    json_object *root = read_body(x, &t);
    const struct api_model *m = root ? api_model(x) : NULL;
    struct json_in in = {&x->error, ""};
    char *text = NULL;
    size_t n = 0;
    if (root && !x->error.code)
        params_tokens(&in, m, &r, "tokens", t.tokens);
    if (root && !x->error.code && tokenizer_decode(m->tokenizer, r.tokens, r.n_tokens, true, &text, &n, NULL))
        http_error_set(&x->error, API_INTERNAL, "the tokens could not be decoded");
    if (!x->error.code) {
        struct json_out o;
        begin(&o);
        json_out_text_n(&o, "content", text, n);
        json_out_text_n(&o, "prompt", text, n);
        answer(x, &o);
    }
    free(text);
    request_release(&r);
    json_object_put(root);
}

void compat_apply_template(struct exchange *x)
{
    struct text_request t = {0};
    json_object *root = read_body(x, &t);
    struct json_in in = {&x->error, ""};
    const struct chat_options options = chat_options_of(&t);
    size_t n = 0;
    char *text =
        root && !x->error.code ? params_messages_text(&in, api_model(x), &options, t.messages, &n) : NULL;
    if (text) {
        struct json_out o;
        begin(&o);
        json_out_text_n(&o, "prompt", text, n);
        answer(x, &o);
    }
    free(text);
    json_object_put(root);
}
