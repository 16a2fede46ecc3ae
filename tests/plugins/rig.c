#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int rig_start(struct rig *r, const char *dir, const char *name, const char *const *settings)
{
    memset(r, 0, sizeof(*r));
    r->err.size = sizeof(r->err);
    int rc = plugin_open(&r->plugin, dir, name, false, &r->err);
    if (rc)
        return rc;
    struct plugin_setting set[16];
    char text[16][256];
    size_t n = 0;
    for (; settings && settings[n] && n < 16; n++) {
        snprintf(text[n], sizeof(text[n]), "%s", settings[n]);
        char *value = strchr(text[n], '=');
        *value++ = 0;
        set[n] = (struct plugin_setting){text[n], value};
    }
    rc = plugin_start(r->plugin, set, n, &r->err);
    if (rc == 0)
        rc = backend_open_device(&r->backend, r->plugin, 0, &r->err);
    if (rc == 0)
        rc = backend_load(r->backend, NULL, &r->err);
    return rc;
}

int rig_context(struct rig *r, uint32_t n_sequences, uint32_t n_ctx, uint64_t kv_tokens)
{
    struct orcd_ctx_params p = {
        .size = sizeof(p),
        .n_sequences = n_sequences,
        .n_ctx = n_ctx,
        .max_batch_tokens = RIG_TOKENS,
        .kv_tokens = kv_tokens,
        .max_batch_rows = n_sequences < RIG_ROWS ? n_sequences : RIG_ROWS,
        .max_logits = 256,
    };
    return backend_new_context(r->backend, &p, &r->err);
}

void rig_end(struct rig *r)
{
    backend_close(r->backend);
    plugin_stop(r->plugin);
    r->backend = NULL;
    r->plugin = NULL;
}

void rig_row(struct rig *r, uint32_t seq, uint32_t first_pos, const int32_t *tokens, uint32_t n,
    uint32_t want, uint32_t kind)
{
    uint32_t i = r->n_rows++;
    r->seq[i] = seq;
    r->first_pos[i] = first_pos;
    r->row_tokens[i] = n;
    r->start[i] = r->n_tokens;
    r->want[i] = want;
    r->kind[i] = kind;
    if (n)
        memcpy(r->tokens + r->n_tokens, tokens, n * sizeof(*tokens));
    r->n_tokens += n;
}

void rig_text(struct rig *r, uint32_t seq, uint32_t first_pos, const char *text, uint32_t want)
{
    int32_t tokens[RIG_TOKENS];
    uint32_t n = 0;
    for (const char *c = text; *c; c++)
        tokens[n++] = (unsigned char)*c;
    rig_row(r, seq, first_pos, tokens, n, want, ORCD_KIND_LOGITS);
}

int rig_submit(struct rig *r)
{
    struct orcd_batch b = {
        .size = sizeof(b),
        .n_rows = r->n_rows,
        .ticket = ++r->ticket,
        .seq = r->seq,
        .first_pos = r->first_pos,
        .n_tokens = r->row_tokens,
        .token_start = r->start,
        .tokens = r->tokens,
        .want = r->want,
        .kind = r->kind,
        .top_n = r->top_n,
    };
    int rc = backend_submit(r->backend, &b, &r->err);
    r->n_rows = r->n_tokens = 0;
    return rc;
}

int rig_wait(struct rig *r)
{
    r->result = (struct orcd_result){
        .size = sizeof(r->result),
        .row_capacity = RIG_ROWS,
        .status = r->status,
        .kept = r->kept,
        .logits = r->logits,
        .n_logits = r->n_logits,
        .token = r->token,
        .top_ids = r->top_ids,
        .top_logprobs = r->top_logprobs,
    };
    return backend_wait(r->backend, &r->result, &r->err);
}

int rig_step(struct rig *r)
{
    int rc = rig_submit(r);
    return rc ? rc : rig_wait(r);
}

int32_t rig_best(const float *logits)
{
    int32_t best = 0;
    for (int32_t i = 1; i < RIG_VOCAB; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

int rig_say(struct rig *r, uint32_t seq, const char *prompt, uint32_t n, char *out)
{
    uint32_t at = (uint32_t)strlen(prompt), said = 0;
    rig_text(r, seq, 0, prompt, ORCD_WANT_LAST);
    int rc = rig_step(r);
    while (rc == 0) {
        if (r->status[0])
            return r->status[0];
        int32_t token = rig_best(r->logits[0]);
        if (token > 255 || said == n)
            break;
        out[said++] = (char)token;
        rig_row(r, seq, at++, &token, 1, ORCD_WANT_LAST, ORCD_KIND_LOGITS);
        rc = rig_step(r);
    }
    out[said] = 0;
    return rc;
}

const char *rig_copy(const char *built, const char *name)
{
    static char dir[256];
    if (!dir[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(dir, sizeof(dir), "%s/orcd-plugins-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(dir))
            return NULL;
    }
    char to[512];
    snprintf(to, sizeof(to), "%s/%s.so", dir, name);
    unlink(to);
    FILE *in = fopen(built, "rb"), *out = fopen(to, "wb");
    char buf[65536];
    size_t n;
    while (in && out && (n = fread(buf, 1, sizeof(buf), in)) > 0)
        fwrite(buf, 1, n, out);
    bool ok = in && out;
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    return ok && chmod(to, 0755) == 0 ? dir : NULL;
}
