/* The table of families. */
#include "chat/chat-internal.h"

#include <string.h>

#include "base/util.h"

const struct chat_family chat_families[] = {
    {"chatml", chat_render_chatml, "<|im_end|>", false, SPLIT_NONE, 0, 0},
    {"qwen2.5", chat_render_chatml, "<|im_end|>", false, SPLIT_NONE, 0, 0},
    {"qwen3", chat_render_qwen3, "<|im_end|>", false, SPLIT_THINK, 0, 0},
    {"llama3", chat_render_llama3, "<|eot_id|>", true, SPLIT_NONE, 0, 0},
    {"llama3.1", chat_render_llama3, "<|eot_id|>", true, SPLIT_NONE, 0, 0},
    {"llama3.2", chat_render_llama3, "<|eot_id|>", true, SPLIT_NONE, 0, 0},
    {"llama2", chat_render_llama2, NULL, false, SPLIT_NONE, 0, 0},
    {"phi3", chat_render_phi3, "<|end|>", false, SPLIT_NONE, 0, 0},
    {"zephyr", chat_render_zephyr, NULL, false, SPLIT_NONE, 0, 0},
    {"gpt-oss", chat_render_harmony, NULL, false, SPLIT_HARMONY, 0, 0},
    {"mistral-v1", chat_render_mistral, NULL, true, SPLIT_NONE, SYSTEM_REFUSED, MISTRAL_V1},
    {"mistral-v1-system", chat_render_mistral, NULL, true, SPLIT_NONE, SYSTEM_FIRST_TURN, MISTRAL_V1_SYSTEM},
    {"mistral-v3", chat_render_mistral, NULL, true, SPLIT_NONE, SYSTEM_LAST_TURN, MISTRAL_V3},
    {"mistral-tekken", chat_render_mistral, NULL, true, SPLIT_NONE, SYSTEM_LAST_TURN, MISTRAL_TEKKEN},
    {"mistral-v7", chat_render_mistral, NULL, true, SPLIT_NONE, SYSTEM_OWN_MARK, MISTRAL_V7},
    {"gemma", chat_render_gemma, "<end_of_turn>", true, SPLIT_NONE, SYSTEM_REFUSED, 0},
    {"gemma3", chat_render_gemma, "<end_of_turn>", true, SPLIT_NONE, SYSTEM_FIRST_TURN, 0},
};
const size_t chat_n_families = ARRAY_LEN(chat_families);

static const char *const names[] = {CHAT_FAMILIES, NULL};
_Static_assert(ARRAY_LEN(names) == ARRAY_LEN(chat_families) + 1, "a name is missing");

const char *const *chat_family_names(void)
{
    return names;
}

const struct chat_family *chat_family_find(const char *name)
{
    for (size_t i = 0; i < chat_n_families; i++)
        if (strcmp(chat_families[i].name, name) == 0)
            return &chat_families[i];
    return NULL;
}
