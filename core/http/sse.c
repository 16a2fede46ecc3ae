#include "http/sse.h"

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

/* Strings are escaped, so a newline never gets into the data line. */
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

void sse_token(struct json_out *o, const struct job *j, uint32_t index)
{
    const struct job_token *t = &j->tokens[index];
    bool flush = t->id < 0; /* text that was held back, of no token of its own */
    begin(o, "token");
    if (!flush)
        id(o, index + 1);
    data(o);
    json_out_text_n(o, "t", j->text + t->text_at, t->n_text);
    if (!flush) {
        json_out_u64(o, "i", index);
        json_out_i64(o, "id", t->id);
        if (j->request.sampling.want_logprob)
            sse_logprob_fields(o, j, t);
        if (j->request.timestamps)
            json_out_u64(o, "at_us", (t->sampled_ns + (uint64_t)clock_real_offset_ns()) / 1000);
    }
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
