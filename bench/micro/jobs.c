#include "bench/micro/jobs.h"

#include <stdlib.h>

struct tokenizer *micro_bytes(struct orcd_error *err)
{
    static struct tokenizer *bytes;
    return bytes || !tokenizer_new_bytes(&bytes, err) ? bytes : NULL;
}

int micro_job(struct job **out, uint32_t n_tokens, uint32_t max_tokens, struct orcd_error *err)
{
    struct request r = {.max_tokens = max_tokens, .n_tokens = n_tokens, .stream = true};
    const struct tokenizer *t = micro_bytes(err);
    if (!t)
        return err->code;
    sample_params_default(&r.sampling);
    r.sampling.temperature = 0;
    r.tokens = malloc(n_tokens * sizeof(*r.tokens));
    if (!r.tokens)
        return micro_no_memory(err);
    for (uint32_t i = 0; i < n_tokens; i++)
        r.tokens[i] = 'a';
    return job_new(out, &r, t, err);
}
