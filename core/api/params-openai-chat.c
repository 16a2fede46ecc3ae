/* The JSON of /v1/chat/completions. */
#include <string.h>

#include "api/params-chat.h"
#include "api/params-openai.h"

struct chat_request {
    struct openai_request q;
    struct chat_options options;
    json_object *messages, *max_tokens, *max_completion_tokens;
    bool logprobs, has_top;
    int generation_prompt; /* -1: not said */
    uint64_t n_top;
};

static void read_field(struct json_in *in, struct chat_request *d, const char *name, json_object *v)
{
    bool add;
    if (strcmp(name, "messages") == 0)
        d->messages = v;
    else if (strcmp(name, "max_tokens") == 0)
        d->max_tokens = v;
    else if (strcmp(name, "max_completion_tokens") == 0)
        d->max_completion_tokens = v;
    else if (strcmp(name, "logprobs") == 0)
        json_in_bool(in, name, v, &d->logprobs);
    else if (strcmp(name, "top_logprobs") == 0)
        d->has_top = json_in_u64(in, name, v, 0, SAMPLE_MAX_LOGPROBS, &d->n_top);
    else if (strcmp(name, "reasoning_effort") == 0)
        params_reasoning_effort(in, &d->options, v);
    else if (strcmp(name, "chat_template_kwargs") == 0)
        params_template_kwargs(in, &d->options, v);
    else if (strcmp(name, "continue_final_message") == 0)
        json_in_bool(in, name, v, &d->options.continue_final);
    else if (strcmp(name, "add_generation_prompt") == 0)
        d->generation_prompt = json_in_bool(in, name, v, &add) ? add ? 1 : 0 : -1;
    else
        openai_read_common(in, &d->q, name, v);
}

/* To add the start of an answer, and to continue the last message, exclude each other. */
static void read_continuation(struct json_in *in, struct chat_request *d)
{
    d->options.no_answer_start = d->generation_prompt == 0;
    if (d->options.continue_final && d->generation_prompt == 1)
        json_in_fail(in, "continue_final_message", "must not be combined with add_generation_prompt: true");
}

static void read_limits(struct json_in *in, struct chat_request *d)
{
    if (d->max_tokens)
        openai_read_max_tokens(in, &d->q, "max_tokens", d->max_tokens);
    if (d->max_completion_tokens) /* the newer name has precedence */
        openai_read_max_tokens(in, &d->q, "max_completion_tokens", d->max_completion_tokens);
    if (d->has_top && !d->logprobs)
        json_in_fail(in, "top_logprobs", "requires logprobs: true");
    d->q.r.sampling.want_logprob = d->logprobs;
    d->q.r.sampling.n_logprobs = (uint32_t)d->n_top;
    if (!d->messages)
        json_in_fail(in, "messages", "is required");
}

/* The prompt of the first choice; the others get copies. */
static void read_conversation(struct json_in *in, struct chat_request *d)
{
    struct generation *g = d->q.g;
    struct request *r = &g->choices[0].request;
    memcpy(r->stop, d->q.r.stop, sizeof(r->stop));
    r->n_stop = d->q.r.n_stop;
    params_messages(in, d->q.model, r, &d->options, d->messages);
    if (in->error->code)
        return;
    memcpy(d->q.r.stop, r->stop, sizeof(r->stop));
    d->q.r.n_stop = r->n_stop;
    d->q.r.n_marks = r->n_marks;
    chat_split_init(&d->q.r.answer, d->q.model->chat, &d->options);
    if (openai_fit(in->error, &d->q, r))
        openai_finish(&d->q, "chatcmpl-");
    for (uint32_t i = 0; i < g->n_choices; i++)
        g->choices[i].cursor.split = d->q.r.answer;
}

bool params_read_chat(struct generation *g, const struct api_model *model)
{
    struct exchange *x = g->x;
    struct json_in in = {&x->error, ""};
    struct chat_request d = {.options = CHAT_OPTIONS_INIT, .generation_prompt = -1};
    if (openai_begin(&d.q, g, model)) {
        json_object_object_foreach(d.q.root, name, v)
        {
            if (v && !x->error.code) /* null is the same as not given */
                read_field(&in, &d, name, v);
        }
    }
    if (!x->error.code)
        read_limits(&in, &d);
    if (!x->error.code)
        read_continuation(&in, &d);
    if (!x->error.code && choices_new(g, d.q.n))
        read_conversation(&in, &d);
    openai_end(&d.q);
    return !x->error.code;
}
