/* make-corpus DIR: small valid model files to start fuzzing from, one a family and block type. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/model-plan.h"

int main(int argc, char **argv)
{
    static const struct model_spec base = {.layers = 1,
        .embd = 32,
        .heads = 2,
        .kv_heads = 1,
        .ff = 32,
        .vocab = 40,
        .ctx = 64,
        .rope_base = 1e4f,
        .eps = 1e-5f,
        .tied = true};
    static const struct {
        const char *family, *quant, *tokenizer;
        uint32_t embd, vocab;
    } seeds[] = {{"llama", "Q4_0", "none", 32, 40}, {"llama", "Q8_0", "llama-bpe", 32, 264},
        {"llama", "F16", "spm", 32, 360}, {"llama", "Q4_K_M", "none", 256, 8},
        {"llama", "Q2_K", "none", 256, 8}, {"llama", "Q3_K_M", "none", 256, 8},
        {"llama", "IQ4_XS", "none", 256, 8}, {"qwen2", "Q5_0", "none", 32, 40},
        {"qwen2", "IQ4_NL", "qwen2", 32, 264}, {"qwen3", "MXFP4", "none", 32, 40},
        {"qwen3", "BF16", "none", 32, 8}, {"phi3", "Q8_0", "none", 32, 40}, {"gpt2", "F32", "none", 32, 8},
        {"gpt-oss", "MXFP4_MOE", "none", 32, 40}, {"qwen3moe", "F16", "none", 32, 8},
        {"qwen2moe", "Q8_0", "none", 32, 8}, {"gemma", "F16", "gemma", 32, 360},
        {"gemma2", "Q4_0", "none", 32, 8}, {"gemma3", "Q8_0", "none", 32, 8}};
    if (argc != 2) {
        fputs("Usage: make-corpus DIR\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        struct model_spec s = base;
        char path[4096];
        s.family = seeds[i].family;
        s.quant = seeds[i].quant;
        s.tokenizer = seeds[i].tokenizer;
        s.embd = seeds[i].embd;
        s.vocab = seeds[i].vocab;
        s.rope_freqs = i == 0 ? 8 : 0;
        s.rope_factor = i == 1 ? 2 : 0;
        s.biases = i == 2;
        s.experts = model_has_experts(s.family) ? 3 : 0;
        s.experts_used = s.experts ? 2 : 0;
        s.window = s.experts || i % 2 ? 8 : 0;
        s.tied = i != 3;
        snprintf(path, sizeof(path), "%s/%s-%s.gguf", argv[1], s.family, s.quant);
        const char *wrong = model_spec_write(&s, i, path);
        if (wrong) {
            fprintf(stderr, "make-corpus: %s: %s\n", path, wrong);
            return 1;
        }
    }
    return 0;
}
