#include <stdlib.h>
#include <string.h>

#include "chat/chat.h"
#include "cli.h"
#include "model/model.h"
#include "model/quant-types.h"
#include "model/tokenizer.h"

#define MAX_TYPE_ID 64

static double mib(uint64_t bytes)
{
    return (double)bytes / (1u << 20);
}

static void print_mix(const struct gguf *g)
{
    uint64_t bytes[MAX_TYPE_ID] = {0}, count[MAX_TYPE_ID] = {0}, total = 0;
    for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->type >= MAX_TYPE_ID)
            continue;
        bytes[t->type] += t->bytes;
        count[t->type]++;
        total += t->bytes;
    }
    printf("tensors        %llu, %.1f MiB\n", (unsigned long long)gguf_n_tensors(g), mib(total));
    for (uint32_t id = 0; id < MAX_TYPE_ID; id++) {
        const struct quant_type *q = quant_type_find(id);
        if (count[id])
            printf("  %-12s %6llu tensors %10.1f MiB %5.1f %%\n", q ? q->name : "?",
                (unsigned long long)count[id], mib(bytes[id]),
                total ? 100.0 * (double)bytes[id] / (double)total : 0);
    }
}

static void print_text(const struct gguf *g, const char *label, const char *key)
{
    struct gguf_str s;
    if (gguf_get_str(g, key, &s, NULL))
        return;
    printf("%-14s ", label);
    for (size_t i = 0; i < s.n && i < 200; i++)
        putchar((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i]);
    putchar('\n');
}

static void print_windows(const struct model *m)
{
    const struct orcd_model_source *s = model_source(m);
    uint32_t n = 0, window = 0;
    for (uint32_t i = 0; i < s->n_layers; i++)
        if (s->layers[i].window) {
            window = s->layers[i].window;
            n++;
        }
    if (n)
        printf("window         %u tokens in %u of %u layers\n", window, n, s->n_layers);
}

static void print_model(const struct model *m, uint64_t slots, uint64_t context)
{
    const struct orcd_hparams *h = model_source(m)->hparams;
    uint64_t own = h->n_ctx_train, n_ctx = context < own ? context : own;
    uint64_t kv = model_kv_bytes_per_token(m) * slots * n_ctx;
    printf("quantization   %s\nparameters     %.2f M\n", model_quant_kind(m),
        (double)model_n_parameters(m) / 1e6);
    printf("shape          %u layers, width %u, vocabulary %u, heads %u of %u (%u for keys)\n", h->n_layers,
        h->n_embd, h->n_vocab, model_source(m)->layers[0].n_heads, h->head_dim_k,
        model_source(m)->layers[0].n_kv_heads);
    if (h->n_experts)
        printf("experts        %u, %u used per token%s\n", h->n_experts, h->n_experts_used,
            h->n_ff_shared ? ", and one shared by all tokens" : "");
    print_windows(m);
    printf("context        %u tokens\n", h->n_ctx_train);
    printf("memory         %.1f MiB weights + %.1f MiB KV (%llu slots of %llu tokens, 16 bit) = %.1f MiB, "
           "and scratch memory\n",
        mib(model_tensor_bytes(m)), mib(kv), (unsigned long long)slots, (unsigned long long)n_ctx,
        mib(model_tensor_bytes(m) + kv));
}

static void print_chat(const struct gguf *g, const struct tokenizer *t)
{
    struct chat_template *chat;
    struct orcd_error err = ORCD_ERROR_INIT;
    if (chat_template_new(&chat, g, t, NULL, &err))
        return;
    printf("chat template  %s%s%s\n", chat_family(chat), *chat_why_not(chat) ? ": " : "", chat_why_not(chat));
    chat_template_free(chat);
}

/* Prints what the file contains, as far as it can be read. Returns whether the model is supported. */
static bool inspect(struct gguf *g, const char *path, const char *tokenizer, uint64_t slots, uint64_t context)
{
    struct orcd_error err = ORCD_ERROR_INIT, terr = ORCD_ERROR_INIT;
    struct tokenizer *t = NULL;
    struct model *m = NULL;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < gguf_n_files(g); i++)
        bytes += gguf_bytes(gguf_file(g, i));
    printf("file           GGUF version %u, %.1f MiB", gguf_version(g), mib(bytes));
    printf(gguf_n_files(g) > 1 ? " in %u files\n" : "\n", gguf_n_files(g));
    print_text(g, "name", "general.name");
    print_text(g, "family", "general.architecture");
    print_mix(g);
    int trc = tokenizer_open(&t, g, path, tokenizer, &terr);
    if (trc == 0)
        printf("tokenizer      %s%s%s, %d tokens, BOS %d, EOS %d\n", tokenizer_kind(t),
            *tokenizer_pre(t) ? ", " : "", tokenizer_pre(t), tokenizer_n_vocab(t), tokenizer_bos(t),
            tokenizer_eos(t));
    if (trc == 0)
        print_chat(g, t);
    tokenizer_free(t);
    int rc = model_from_gguf(&m, g, &err); /* owns g from here */
    if (rc == 0)
        print_model(m, slots, context);
    model_close(m);
    if (rc)
        printf("unsupported    %s\n", err.msg);
    if (trc)
        printf("unsupported    tokenizer: %s\n", terr.msg);
    if (!rc && !trc)
        printf("supported      yes\n");
    return !rc && !trc;
}

int verb_inspect(const struct cli_args *a)
{
    double slots = 4, context = 4096;
    int rc = cli_number(a, "slots", 1, 256, &slots);
    rc = rc ? rc : cli_number(a, "context", 1, 1 << 20, &context);
    if (rc)
        return rc;
    const char *tokenizer = cli_value(a, "tokenizer");
    if (!tokenizer)
        tokenizer = "auto";
    if (strcmp(tokenizer, "auto") != 0 && strcmp(tokenizer, "gguf") != 0 && strcmp(tokenizer, "hf-json") != 0)
        return cli_fail(EX_USAGE, "--tokenizer: '%s': must be auto, gguf or hf-json", tokenizer);
    struct orcd_error err = ORCD_ERROR_INIT;
    struct gguf *g;
    rc = gguf_open(&g, cli_positional(a, 0), &err);
    if (rc)
        return cli_fail(error_exit_status(rc), "%s", err.msg);
    return inspect(g, cli_positional(a, 0), tokenizer, (uint64_t)slots, (uint64_t)context) ? EX_OK
                                                                                           : EX_UNAVAILABLE;
}
