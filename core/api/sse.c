#include "api/sse.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void begin(struct json_out *o, const char *event)
{
    json_out_raw(o, "event: ", 7);
    json_out_raw(o, event, strlen(event));
    json_out_raw(o, "\n", 1);
}

static void id(struct json_out *o, uint32_t n)
{
    json_out_raw(o, "id: ", 4);
    json_out_digits(o, n);
    json_out_raw(o, "\n", 1);
}

/* Strings are escaped, so a data line never contains a newline. */
static void data(struct json_out *o)
{
    json_out_raw(o, "data: ", 6);
    o->comma = false;
    json_out_open(o, NULL, '{');
}

static void finish(struct json_out *o)
{
    json_out_close(o, '}');
    json_out_raw(o, "\n\n", 2);
}

void sse_started_fields(struct json_out *o, const struct job *j, const char *model)
{
    const struct request *r = &j->request;
    char time[32];
    clock_format_rfc3339(j->started.started_real_ns, time, sizeof(time));
    json_out_text(o, "job_id", r->job_id);
    json_out_text(o, "model", model);
    json_out_u64(o, "seed", r->sampling.seed);
    json_out_text(o, "started_at", time);
    json_out_f64(o, "queue_ms", j->started.queue_ms, 3);
    json_out_u64(o, "prompt_tokens", r->n_tokens);
    json_out_u64(o, "cached_tokens", j->started.cached_tokens);
    json_out_text(o, "correlation_id", r->correlation_id);
    if (r->deadline_clamped) {
        uint64_t mono = clock_mono_ns(), real = clock_real_ns();
        clock_format_rfc3339(real + r->deadline_ns - mono, time, sizeof(time));
        json_out_bool(o, "deadline_clamped", true);
        json_out_text(o, "deadline", time);
    }
}

void sse_started(struct json_out *o, const struct job *j, const char *model)
{
    begin(o, "started");
    id(o, 0);
    data(o);
    sse_started_fields(o, j, model);
    finish(o);
}

void sse_logprob_fields(struct json_out *o, const struct job *j, const struct job_token *t)
{
    json_out_f64(o, "logprob", (double)t->logprob, 6);
    json_out_open(o, "top", '[');
    for (uint32_t i = 0; i < t->n_top; i++) {
        const struct job_top *top = &j->top[t->top_at + i];
        json_out_open(o, NULL, '{');
        json_out_i64(o, "id", top->id);
        json_out_f64(o, "logprob", (double)top->logprob, 6);
        json_out_close(o, '}');
    }
    json_out_close(o, ']');
}

/* Up to its text. */
static void token_begin(struct json_out *o, const struct job_token *t, uint32_t index)
{
    begin(o, "token");
    if (t->id >= 0) /* else it is text that was held back, without a token of its own */
        id(o, index + 1);
    data(o);
}

static void token_finish(struct json_out *o, const struct job *j, const struct job_token *t, uint32_t index)
{
    if (t->id >= 0) {
        json_out_u64(o, "i", index);
        json_out_i64(o, "id", t->id);
        if (j->request.sampling.want_logprob)
            sse_logprob_fields(o, j, t);
        if (j->request.timestamps)
            json_out_u64(o, "at_us", (t->sampled_ns + (uint64_t)clock_real_offset_ns()) / 1000);
    }
    finish(o);
}

void sse_token(struct json_out *o, const struct job *j, uint32_t index)
{
    const struct job_token *t = &j->tokens[index];
    token_begin(o, t, index);
    json_out_text_n(o, "t", j->text + t->text_at, t->n_text);
    token_finish(o, j, t, index);
}

/* --- of a conversation: "t" is the answer, "r" the reasoning; "r" is left out if empty ----- */

struct piece_writer {
    struct json_out *o;
    enum chat_channel channel;
    bool open;
};

static void piece_open(struct piece_writer *w)
{
    static const char *const keys[] = {[CHAT_CONTENT] = "\"t\":\"", [CHAT_REASONING] = ",\"r\":\""};
    json_out_raw(w->o, keys[w->channel], strlen(keys[w->channel]));
    w->open = true;
}

static void write_piece(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct piece_writer *w = arg;
    if (channel != w->channel)
        return;
    if (!w->open)
        piece_open(w);
    json_out_escaped(w->o, p, n);
}

static void put_pieces(
    struct json_out *o, struct chat_split *split, int32_t id, const char *text, size_t n, bool finish)
{
    struct chat_split first = *split;
    struct piece_writer content = {o, CHAT_CONTENT, false}, reasoning = {o, CHAT_REASONING, false};
    piece_open(&content);
    chat_split_push(&first, id, text, n, write_piece, &content);
    if (finish)
        chat_split_finish(&first, write_piece, &content);
    json_out_raw(o, "\"", 1);
    chat_split_push(split, id, text, n, write_piece, &reasoning);
    if (finish)
        chat_split_finish(split, write_piece, &reasoning);
    if (reasoning.open)
        json_out_raw(o, "\"", 1);
    o->comma = true;
}

void sse_chat_token(struct json_out *o, const struct job *j, uint32_t index, struct chat_split *split)
{
    const struct job_token *t = &j->tokens[index];
    token_begin(o, t, index);
    put_pieces(o, split, t->id, j->text + t->text_at, t->n_text, false);
    token_finish(o, j, t, index);
}

void sse_chat_held(struct json_out *o, const struct job *j, struct chat_split *split)
{
    begin(o, "token");
    data(o);
    put_pieces(o, split, -1, j->end.held, j->end.n_held, false);
    finish(o);
}

static void count_piece(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    (void)channel, (void)p;
    *(size_t *)arg += n;
}

void sse_chat_rest(struct json_out *o, const struct chat_split *split)
{
    struct chat_split rest = *split;
    size_t n = 0;
    chat_split_finish(&rest, count_piece, &n);
    if (!n)
        return;
    rest = *split;
    begin(o, "token");
    data(o);
    put_pieces(o, &rest, -1, "", 0, true);
    finish(o);
}

void sse_held(struct json_out *o, const struct job *j)
{
    begin(o, "token");
    data(o);
    json_out_text_n(o, "t", j->end.held, j->end.n_held);
    finish(o);
}

void sse_metrics(struct json_out *o, uint32_t tokens_out, double decode_ms, uint64_t memory_bytes)
{
    begin(o, "metrics");
    data(o);
    json_out_u64(o, "tokens_out", tokens_out);
    json_out_f64(o, "tokens_per_s", decode_ms > 0 ? tokens_out * 1e3 / decode_ms : 0, 2);
    json_out_f64(o, "decode_time_ms", decode_ms, 3);
    json_out_u64(o, "vram_bytes", memory_bytes);
    finish(o);
}

void sse_end_fields(struct json_out *o, const struct job *j)
{
    static const char *const reasons[] = {"none", "stop", "length", "stop_sequence", "deadline"};
    json_out_u64(o, "tokens_out", j->end.tokens_out);
    json_out_u64(o, "tokens_in", j->request.n_tokens);
    json_out_text(o, "finish_reason", reasons[j->end.finish]);
    json_out_f64(o, "decode_time_ms", j->end.decode_ms, 3);
    json_out_f64(o, "ttft_ms", j->end.ttft_ms, 3);
}

void sse_end(struct json_out *o, const struct job *j)
{
    static const char *const phases[] = {"queue", "prefill", "decode", "done"};
    const struct job_end *e = &j->end;
    begin(o, e->code ? "error" : "end");
    id(o, e->tokens_out + 1);
    data(o);
    if (e->code) {
        json_out_text(o, "code", api_code_name(e->code));
        json_out_text(o, "message", e->message);
        json_out_bool(o, "retriable", api_code_retriable(e->code));
        json_out_i64(o, "http_status", api_code_status(e->code));
        json_out_text(o, "phase", phases[e->phase]);
        json_out_u64(o, "tokens_out", e->tokens_out);
        json_out_text(o, "correlation_id", j->request.correlation_id);
    } else {
        sse_end_fields(o, j);
        json_out_u64(o, "seed", j->request.sampling.seed);
    }
    finish(o);
}
