#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"

uint64_t random_u64(void)
{
    static _Thread_local uint64_t pool[32];
    static _Thread_local unsigned left;
    if (!left) {
        ssize_t n;
        do
            n = getrandom(pool, sizeof(pool), 0);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof(pool)) /* does not happen on Linux with 256 bytes or less */
            pool[0] = clock_mono_ns() * UINT64_C(0x9e3779b97f4a7c15);
        left = sizeof(pool) / sizeof(pool[0]);
    }
    return pool[--left];
}

void random_uuid(char out[37])
{
    uint64_t a = random_u64(), b = random_u64();
    a = (a & ~UINT64_C(0xf000)) | 0x4000;               /* version 4 */
    b = (b & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62; /* variant 10 */
    snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffff,
        (unsigned)a & 0xffff, (unsigned)(b >> 48), (unsigned long long)(b & UINT64_C(0xffffffffffff)));
}
