/* Tokens on their way out: to text, to events. */
#include <stdlib.h>
#include <string.h>

#include "bench/micro/jobs.h"
#include "engine/outtext.h"
#include "api/sse.h"

/* --- outtext ------------------------------------------------------------------------- */

static struct outtext out_text;
static struct request stopping = {.n_stop = 2, .stop = {{5, "\n\nEnd"}, {9, "</answer>"}}};

MICRO_SETUP(outtext)
{
    (void)model;
    const struct tokenizer *t = micro_bytes(err);
    int rc = t ? outtext_init(&out_text, t, err) : err->code;
    if (!rc)
        outtext_begin(&out_text, t, &stopping);
    return rc;
}

MICRO_RUN(outtext)
{
    static const char answer[] = "It is <b>late</b>.\n\nCaf\xc3\xa9s end at \xe2\x82\xac 7, </and so on.\n";
    static _Alignas(64) char out[512];
    bool stopped = false;
    size_t at = 0, total = 0;
    for (uint64_t i = 0; i < n; i++) {
        total += outtext_push(&out_text, (unsigned char)answer[at], out, &stopped);
        at = at + 2 < sizeof(answer) ? at + 1 : 0;
    }
    if (stopped)
        abort(); /* no stop string is in there */
    micro_sink = total;
}

/* --- sse_token ----------------------------------------------------------------------- */

#define LOGPROBS 5
static struct job *event_job;

static int setup_event(const char *text, bool logprobs, struct orcd_error *err)
{
    int rc = micro_job(&event_job, 1, 1, err);
    if (rc)
        return rc;
    struct job *j = event_job;
    j->request.sampling.want_logprob = logprobs;
    j->tokens[0] = (struct job_token){.id = 31337, .n_text = (uint32_t)strlen(text), .logprob = -0.28768f};
    memcpy(j->text, text, strlen(text));
    if (!logprobs)
        return 0;
    struct job_top *top = realloc(j->top, LOGPROBS * sizeof(*top));
    if (!top)
        return micro_no_memory(err);
    j->top = top;
    j->tokens[0].n_top = LOGPROBS;
    for (int i = 0; i < LOGPROBS; i++)
        top[i] = (struct job_top){31337 + i * 77, -0.28768f * (float)(i * i + 1)};
    return 0;
}

static void run_event(uint64_t n)
{
    static _Alignas(64) char buf[4096];
    size_t total = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct json_out o;
        json_out_fixed(&o, buf, sizeof(buf));
        sse_token(&o, event_job, 0);
        total += o.n;
    }
    micro_sink = total;
}

MICRO_SETUP(sse_token)
{
    (void)model;
    return setup_event(" deadline", false, err);
}

MICRO_RUN(sse_token)
{
    run_event(n);
}

MICRO_SETUP(sse_token_escapes)
{
    (void)model;
    return setup_event("\"\n\t\\\x01", false, err);
}

MICRO_RUN(sse_token_escapes)
{
    run_event(n);
}

MICRO_SETUP(sse_token_logprobs)
{
    (void)model;
    return setup_event(" deadline", true, err);
}

MICRO_RUN(sse_token_logprobs)
{
    run_event(n);
}
