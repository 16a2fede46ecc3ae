/* libFuzzer target: a model file, read whole. Build with CC=clang --enable-fuzzing, then
 *   tests/fuzz/make-corpus DIR && tests/fuzz/fuzz-gguf -max_len=160000 DIR */
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/consume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    consume_model(data, size);
    return 0;
}
