/* Fuzz target: RFC 3339. A time that is accepted comes back from its own text, to the millisecond. */
#include "tests/fuzz/fuzz.h"

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size), again[64];
    int64_t ns, back;
    if (clock_parse_rfc3339(text, size, &ns) == 0 && ns >= 0) {
        clock_format_rfc3339((uint64_t)ns, again, sizeof(again));
        PROMISE(clock_parse_rfc3339(again, strlen(again), &back) == 0);
        PROMISE(back <= ns && ns - back < 1000000);
    }
    free(text);
    return 0;
}
