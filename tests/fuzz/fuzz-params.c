/* Fuzz target: the body of a request, as the native API and both of OpenAI's routes read it. A refusal has a
 * message; a request that is accepted has a prompt within the model's limits. */
#include "tests/fuzz/fuzz.h"

#include "api/params-openai.h"
#include "api/params.h"
#include "http/json-in.h"
#include "json/scan.h"

static struct api_model model = {.name = "fuzz",
    .ref = "fuzz",
    .quant_kind = "none",
    .arch = "llama",
    .n_ctx = 512,
    .n_vocab = 258,
    .plugin = "mock",
    .fingerprint = "fuzz"};

static void make_model(void)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct tokenizer *tokenizer; /* lives as long as the process, as does chat */
    struct chat_template *chat;
    PROMISE(tokenizer_new_bytes(&tokenizer, &err) == 0);
    PROMISE(chat_template_from_text(&chat, NULL, 0, tokenizer, "chatml", &err) == 0);
    model.tokenizer = tokenizer;
    model.chat = chat;
}

static void check_request(const struct request *r)
{
    PROMISE(r->n_tokens > 0 && r->n_tokens <= model.n_ctx);
    PROMISE(r->max_tokens > 0 && r->n_tokens + r->max_tokens <= model.n_ctx + 1);
    PROMISE(r->n_stop <= JOB_STOP_MAX + JOB_STOP_CHAT && r->n_stop_ids <= JOB_STOP_MAX);
    for (uint32_t i = 0; i < r->n_tokens; i++)
        PROMISE(r->tokens[i] >= 0 && (uint32_t)r->tokens[i] < model.n_vocab);
    for (uint32_t i = 0; i < r->n_stop; i++)
        PROMISE(r->stop[i].n > 0 && r->stop[i].n <= JOB_STOP_BYTES);
}

static void check_error(const struct http_error *e)
{
    PROMISE(e->code && e->message[0]);
    PROMISE(memchr(e->message, 0, sizeof(e->message)) && memchr(e->details, 0, sizeof(e->details)));
}

static void try_native(const char *body, size_t n)
{
    struct request r = {0};
    struct http_error error = {.code = API_OK};
    char id[JOB_ID_MAX + 1];
    if (params_read_job(&r, &model, body, n, &error))
        check_request(&r);
    else
        check_error(&error);
    request_release(&r);
    error = (struct http_error){.code = API_OK};
    if (params_read_job_id(id, body, n, &error))
        PROMISE(params_job_id_ok(id, strlen(id)));
    else
        check_error(&error);
}

static void try_openai(
    bool (*read)(struct generation *g, const struct api_model *m), const char *body, size_t n)
{
    struct exchange x = {.body = {.text = (char *)body, .n = n}};
    struct generation g = {.x = &x};
    if (read(&g, &model))
        for (uint32_t i = 0; i < g.n_choices; i++)
            check_request(&g.choices[i].request);
    else
        check_error(&x.error);
    if (g.choices)
        choices_free(&g);
    free(g.head);
}

/* As the server does before anything else reads a body. */
static bool scan(const char *body, size_t n)
{
    static const struct json_scan_limits limits = {
        .max_values = 1000, .max_containers = 100, .max_keys = 100};
    static const uint64_t seed[2] = {1, 2};
    struct json_scan s;
    json_scan_init(&s, &limits, seed);
    bool ok = json_scan_push(&s, body, n);
    ok = json_scan_finish(&s) && ok;
    json_scan_release(&s);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!model.tokenizer)
        make_model();
    char *body = fuzz_copy(data, size);
    if (scan(body, size)) {
        try_native(body, size);
        try_openai(params_read_completion, body, size);
        try_openai(params_read_chat, body, size);
    }
    free(body);
    return 0;
}
