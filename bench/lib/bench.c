#include "lib/bench.h"

#include <stdio.h>
#include <unistd.h>

size_t bench_count(const struct bench_run *b, size_t quick, size_t full)
{
    double n = (double)(b->quick ? quick : full) * b->scale;
    return n < 1 ? 1 : n > 1e9 ? 1000000000 : (size_t)n;
}

void bench_progress(const struct bench_run *b, const char *what, double fraction)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (!what) {
        fputs("\r\033[K", stderr);
        return;
    }
    fprintf(stderr, "\r\033[K%s", b->target ? b->target->name : "");
    fprintf(stderr, "%s%s", b->target ? ": " : "", what);
    if (fraction >= 0 && fraction <= 1)
        fprintf(stderr, " %3.0f %%", fraction * 100);
    fflush(stderr);
}
