/* A request on its way in: the check of its bytes, and of its fields. */
#include <stdlib.h>
#include <string.h>

#include "json/out.h"
#include "bench/micro/jobs.h"
#include "json/scan.h"
#include "http/json-in.h"
#include "api/params.h"

#define PROMPT_BYTES (32u * 1024)

static struct api_model served = {
    .name = "m", .ref = "m", .quant_kind = "none", .arch = "bytes", .n_ctx = 65536, .n_vocab = 258};
static char *body;
static size_t n_body;

static int make_body(struct orcd_error *err)
{
    struct json_out o;
    char *prompt = micro_text(PROMPT_BYTES, true);
    if (!prompt)
        return micro_no_memory(err);
    /* json-c hashes keys with a seed of its own for each process; this hash has none. */
    json_global_set_string_hash(JSON_C_STR_HASH_PERLLIKE);
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "job_id", "4c1b7a4e-0d0f-4d1f-9b0a-0a9f7e1d2c3b");
    json_out_text(&o, "prompt", prompt);
    json_out_open(&o, "params", '{');
    json_out_u64(&o, "max_tokens", 256);
    json_out_f64(&o, "temperature", 0.7, 2);
    json_out_f64(&o, "top_p", 0.9, 2);
    json_out_u64(&o, "top_k", 40);
    json_out_u64(&o, "seed", 42);
    json_out_open(&o, "stop", '[');
    json_out_text(&o, NULL, "\n\n");
    json_out_close(&o, ']');
    json_out_close(&o, '}');
    json_out_bool(&o, "stream", true);
    json_out_close(&o, '}');
    body = json_out_take(&o, &n_body);
    free(prompt);
    return body ? 0 : micro_no_memory(err);
}

static bool scan(void)
{
    static const struct json_scan_limits limits = {
        .max_values = 256 * 1024, .max_containers = 1024, .max_keys = 4096};
    static const uint64_t seed[2] = {3, 5};
    struct json_scan s;
    json_scan_init(&s, &limits, seed);
    bool ok = json_scan_push(&s, body, n_body) && json_scan_finish(&s);
    json_scan_release(&s);
    return ok;
}

MICRO_SETUP(json_scan)
{
    (void)model;
    return make_body(err);
}

MICRO_RUN(json_scan)
{
    for (uint64_t i = 0; i < n; i++)
        if (!scan())
            abort();
}

MICRO_SETUP(execute_request)
{
    (void)model;
    served.tokenizer = micro_bytes(err);
    return served.tokenizer ? make_body(err) : err->code;
}

MICRO_RUN(execute_request)
{
    for (uint64_t i = 0; i < n; i++) {
        struct request r = {.n_tokens = 0};
        struct http_error error = {.code = API_OK};
        if (!scan() || !params_read_job(&r, &served, body, n_body, &error))
            abort();
        micro_sink = r.n_tokens;
        request_release(&r);
    }
}
