/* libFuzzer target: a tokenizer.json, and a text through what it makes. Build with
 * CC=clang --enable-fuzzing, then tests/fuzz/fuzz-tokenizer-json DIR; DIR may hold small
 * tokenizer.json files to begin with. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "<s> The 1st caf\xc3\xa9, e\xcc\x81\xcc\xa3 \xe1\x84\x92\xe1\x85\xa1 ab  abc\r\n";
    struct orcd_error err = ORCD_ERROR_INIT;
    struct tokenizer *t = NULL;
    char *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    if (tokenizer_from_json_text(&t, copy, size, NULL, &err) == 0) {
        int32_t *ids;
        size_t n, n_back;
        char *back;
        if (tokenizer_encode(t, text, sizeof(text) - 1, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL, &ids,
                &n, &err) == 0) {
            if (tokenizer_decode(t, ids, n, true, &back, &n_back, &err) == 0)
                free(back);
            free(ids);
        }
        tokenizer_free(t);
    }
    free(copy);
    return 0;
}
