#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "plugin/host.h"

#define TEXT_MAX (64u << 20)
#define IDS_MAX (1u << 20)
#define BATCH_MAX 512

struct eval {
    struct plugin *plugin;
    struct model *model;
    struct tokenizer *tokenizer;
    struct backend *backend;
    uint32_t window, batch, n_vocab;
    int32_t *ids;
    size_t n_ids;
    FILE *logits;
    uint64_t ticket;
    double nll; /* sum over the scored tokens, natural logarithm */
    uint64_t scored;
};

static int failed(int rc, const struct orcd_error *err)
{
    return cli_fail(error_exit_status(rc), "%s", err->msg);
}

static int parse_ids(struct eval *e, const char *text)
{
    e->ids = malloc(IDS_MAX * sizeof(*e->ids));
    if (!e->ids)
        return cli_fail(EX_OSERR, "out of memory");
    for (const char *p = text;; p++) {
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (errno || end == p || v < 0 || v > INT32_MAX || (*end && *end != ',') || e->n_ids == IDS_MAX)
            return cli_fail(
                EX_USAGE, "--tokens: must be a list of at most %u token ids, separated by commas", IDS_MAX);
        e->ids[e->n_ids++] = (int32_t)v;
        if (!*end)
            return 0;
        p = end;
    }
}

static int read_text(struct eval *e, const char *path)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *text = malloc(TEXT_MAX + 1);
    if (!f || !text) {
        if (f && f != stdin)
            fclose(f);
        free(text);
        return cli_fail(f ? EX_OSERR : EX_NOINPUT, "%s: %s", path, strerror(errno));
    }
    size_t n = fread(text, 1, TEXT_MAX + 1, f);
    bool bad = ferror(f) || n > TEXT_MAX;
    if (f != stdin)
        fclose(f);
    int rc =
        bad ? cli_fail(EX_DATAERR, "%s: cannot be read, or exceeds the limit of %u bytes", path, TEXT_MAX)
            : 0;
    if (rc == 0) {
        rc = tokenizer_encode(e->tokenizer, text, n, TOKENIZE_ADD_SPECIAL, &e->ids, &e->n_ids, &err);
        rc = rc ? failed(rc, &err) : 0;
    }
    free(text);
    return rc;
}

static int open_backend(struct eval *e, const struct config *c)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *dir = c->plugin.dir ? c->plugin.dir : plugin_default_dir(), *name = c->plugin.name;
    bool any = strcmp(name, "auto") == 0;
    uint32_t device = 0;
    for (size_t i = 0; i < c->plugin.n_options; i++)
        if (strcmp(c->plugin.options[i].key, "device") == 0)
            device = (uint32_t)strtoul(c->plugin.options[i].value, NULL, 10);
    int rc = plugin_open(&e->plugin, dir, any ? "cuda" : name, false, &err);
    rc = rc ? rc : plugin_start(e->plugin, c->plugin.options, c->plugin.n_options, &err);
    rc = rc ? rc : backend_open_device(&e->backend, e->plugin, device, &err);
    if (rc && any) {
        plugin_stop(e->plugin);
        e->plugin = NULL;
        rc = plugin_open(&e->plugin, dir, "cpu", false, &err);
        rc = rc ? rc : plugin_start(e->plugin, c->plugin.options, c->plugin.n_options, &err);
        rc = rc ? rc : backend_open_device(&e->backend, e->plugin, device, &err);
    }
    bool needs = rc == 0 && plugin_table(e->plugin)->flags & ORCD_PLUGIN_NEEDS_MODEL;
    if (needs && !c->model.path)
        return cli_fail(EX_USAGE,
            "no model: plugin %s needs a GGUF file; name it on the command line or in model.path",
            plugin_table(e->plugin)->name);
    if (needs)
        rc = model_open(&e->model, c->model.path, &err);
    if (rc == 0)
        rc = needs ? tokenizer_open(
                         &e->tokenizer, model_gguf(e->model), c->model.path, c->model.tokenizer, &err)
                   : tokenizer_new_bytes(&e->tokenizer, &err);
    rc = rc ? rc : backend_load(e->backend, needs ? model_source(e->model) : NULL, &err);
    return rc ? failed(rc, &err) : 0;
}

static int open_context(struct eval *e)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct orcd_model_info *info = backend_model(e->backend);
    e->n_vocab = info->n_vocab;
    if (info->n_ctx && e->window > info->n_ctx)
        return cli_fail(EX_USAGE, "--context: a window of %u tokens exceeds the %u tokens of the model",
            e->window, info->n_ctx);
    e->batch = info->max_batch_tokens < BATCH_MAX ? info->max_batch_tokens : BATCH_MAX;
    e->batch = e->window < e->batch ? e->window : e->batch;
    struct orcd_ctx_params params = {
        .size = sizeof(params),
        .n_sequences = 1,
        .n_ctx = e->window,
        .max_batch_tokens = e->batch,
        .kv_tokens = e->window,
        .max_batch_rows = 1,
        .max_logits = e->batch,
    };
    int rc = backend_new_context(e->backend, &params, &err);
    return rc ? failed(rc, &err) : 0;
}

/* Whether the logits have a softmax: no NaN or infinity among them, but for tokens that are never sampled. */
static bool are_numbers(const float *logits, uint32_t n)
{
    bool some = false;
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return false;
        some |= logits[i] != -INFINITY;
    }
    return some;
}

/* -log softmax(logits)[id], in double. */
static double nll_of(const float *logits, uint32_t n, int32_t id)
{
    double max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum) - logits[id];
}

/* Runs one step: the positions [at, at + n) of the window that starts at ids[base]. Scores them. */
static int step(struct eval *e, size_t base, uint32_t at, uint32_t n, size_t window_n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t seq = 0, start = 0, want = ORCD_WANT_ALL, kind = ORCD_KIND_LOGITS, kept, n_logits = 0;
    int32_t status = 0, token;
    const float *logits = NULL;
    const int32_t *top_ids;
    const float *top_logprobs;
    struct orcd_batch batch = {.size = sizeof(batch),
        .n_rows = 1,
        .ticket = ++e->ticket,
        .seq = &seq,
        .first_pos = &at,
        .n_tokens = &n,
        .token_start = &start,
        .tokens = e->ids + base + at,
        .want = &want,
        .kind = &kind};
    struct orcd_result result = {.size = sizeof(result),
        .row_capacity = 1,
        .status = &status,
        .kept = &kept,
        .logits = &logits,
        .n_logits = &n_logits,
        .token = &token,
        .top_ids = &top_ids,
        .top_logprobs = &top_logprobs};
    int rc = backend_submit(e->backend, &batch, &err);
    rc = rc ? rc : backend_wait(e->backend, &result, &err);
    if (rc)
        return failed(rc, &err);
    if (status || !logits || n_logits != n)
        return cli_fail(EX_SOFTWARE, "the plugin returned no logits (%s)", error_name(status));
    for (uint32_t i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * e->n_vocab;
        if (e->logits && fwrite(row, sizeof(*row), e->n_vocab, e->logits) != e->n_vocab)
            return cli_fail(EX_IOERR, "--logits: %s", strerror(errno));
        if (!are_numbers(row, e->n_vocab))
            return cli_fail(EX_SOFTWARE,
                "the logits after token %zu are not numbers: the model or the plugin is faulty",
                base + at + i);
        if (at + i + 1 < window_n) {
            e->nll += nll_of(row, e->n_vocab, e->ids[base + at + i + 1]);
            e->scored++;
        }
    }
    return 0;
}

static int window(struct eval *e, size_t base, size_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    int rc = backend_seq_open(e->backend, 0, (uint32_t)n, &err);
    if (rc)
        return failed(rc, &err);
    for (uint32_t at = 0; rc == 0 && at < n; at += e->batch)
        rc = step(e, base, at, n - at < e->batch ? (uint32_t)(n - at) : e->batch, n);
    if (rc == 0 && backend_seq_close(e->backend, 0, &err))
        rc = failed(err.code, &err);
    return rc;
}

static int evaluate(struct eval *e)
{
    for (size_t i = 0; i < e->n_ids; i++)
        if ((uint32_t)e->ids[i] >= e->n_vocab)
            return cli_fail(
                EX_DATAERR, "token id %d is not in the vocabulary: must be below %u", e->ids[i], e->n_vocab);
    bool bar = progress_wanted() && e->n_ids > e->window;
    int rc = 0;
    for (size_t base = 0; rc == 0 && base < e->n_ids; base += e->window) {
        size_t n = e->n_ids - base < e->window ? e->n_ids - base : e->window;
        rc = window(e, base, n);
        if (bar)
            progress_show("evaluating", (double)(base + n) / (double)e->n_ids);
    }
    if (bar)
        progress_clear();
    if (rc == 0 && e->scored) {
        double mean = e->nll / (double)e->scored;
        printf("tokens %llu\nnll %.6f\nperplexity %.4f\n", (unsigned long long)e->scored, mean, exp(mean));
    }
    return rc;
}

static int run(struct eval *e, const struct cli_args *a, const struct config *c)
{
    const char *text = cli_value(a, "text"), *tokens = cli_value(a, "tokens"), *out = cli_value(a, "logits");
    double context = 0;
    int rc = cli_number(a, "context", 1, 1 << 20, &context);
    if (rc == 0 && !text == !tokens)
        rc = cli_fail(EX_USAGE, "either --text or --tokens is required");
    rc = rc || !tokens ? rc : parse_ids(e, tokens);
    rc = rc ? rc : open_backend(e, c);
    rc = rc || !text ? rc : read_text(e, text);
    if (rc)
        return rc;
    if (e->n_ids == 0)
        return cli_fail(EX_DATAERR, "the input has no tokens");
    e->window = context > 0 ? (uint32_t)context : tokens ? (uint32_t)e->n_ids : 512;
    if (e->window > e->n_ids)
        e->window = (uint32_t)e->n_ids;
    if (out && !(e->logits = fopen(out, "w")))
        return cli_fail(EX_CANTCREAT, "%s: %s", out, strerror(errno));
    rc = open_context(e);
    rc = rc ? rc : evaluate(e);
    if (e->logits && fclose(e->logits) && rc == 0)
        rc = cli_fail(EX_IOERR, "%s: %s", out, strerror(errno));
    e->logits = NULL;
    return rc;
}

int verb_eval(const struct cli_args *a)
{
    struct config c;
    struct eval e = {0};
    int rc = cli_config(a, cli_positional(a, 0), &c);
    if (rc)
        return rc;
    rc = run(&e, a, &c);
    backend_close(e.backend);
    plugin_stop(e.plugin);
    model_close(e.model);
    tokenizer_free(e.tokenizer);
    free(e.ids);
    config_release(&c.head);
    return rc;
}
