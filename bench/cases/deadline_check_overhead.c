/*
 * The cost of checking a job between two steps: the remaining time and the cancel flag, each alone;
 * both, as the engine checks them; and the engine's whole pass over the rows of a step, which share
 * one read of the clock. A sample is the mean of a batch, because one check takes less time than
 * reading the clock.
 */
#include <stdio.h>

#include "engine/check.h"
#include "lib/bench.h"

#define JOBS 64 /* checked in turn, like the slots of a worker */
#define BATCH 4096

static struct job jobs[JOBS];
static struct slot slots[JOBS];
static const struct engine_params params = {.check_every_tokens = 10, .check_every_ms = 20};

/* What came out is looked at, and what goes in may have changed. */
#define OPAQUE(x) __asm__ volatile("" : "+r"(x) : : "memory")

static uint64_t clock_reads(uint64_t n, uint64_t now)
{
    for (uint64_t i = 0; i < n; i++) {
        now = clock_mono_ns();
        OPAQUE(now);
    }
    return now;
}

static uint64_t remaining(uint64_t n, uint64_t now)
{
    uint64_t left = 0;
    for (uint64_t i = 0; i < n; i++) {
        left += job_remaining_ns(&jobs[i % JOBS], now);
        OPAQUE(left);
    }
    return left;
}

static uint64_t remaining_with_clock(uint64_t n, uint64_t now)
{
    uint64_t left = now;
    for (uint64_t i = 0; i < n; i++) {
        left += job_remaining_ns(&jobs[i % JOBS], clock_mono_ns());
        OPAQUE(left);
    }
    return left;
}

static uint64_t flags(uint64_t n, uint64_t now)
{
    uint64_t told = now;
    for (uint64_t i = 0; i < n; i++) {
        told += job_told_to_stop(&jobs[i % JOBS]);
        OPAQUE(told);
    }
    return told;
}

static uint64_t looks_at(uint64_t n, uint64_t now)
{
    uint32_t looks = 0;
    uint64_t late = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct slot *s = &slots[i % JOBS];
        s->unchecked = params.check_every_tokens; /* a look is due */
        late += slot_check(s, &params, now, &looks);
        OPAQUE(late);
    }
    return late + looks;
}

static const struct {
    const char *id;
    uint64_t (*batch)(uint64_t n, uint64_t now);
    bool held; /* to the bar; the clock is the system's */
} parts[] = {
    {"remaining_time", remaining, true},
    {"cancel_flag", flags, true},
    {"both_when_due", looks_at, true},
    {"clock_read", clock_reads, false},
    {"remaining_time_and_clock", remaining_with_clock, false},
};

static void measure(struct bench_result *r, size_t i, size_t n)
{
    struct bench_measure *m = bench_measure_new(r, "", parts[i].id, "", "ns");
    bench_bar(m, BENCH_P95, 1000, "specification");
    if (parts[i].held)
        bench_bar(m, BENCH_P95, 50, "bar");
    uint64_t now = clock_mono_ns(), out = parts[i].batch(BATCH, now); /* warm-up */
    for (size_t k = 0; k < n; k++) {
        now = clock_mono_ns();
        out += parts[i].batch(BATCH, now);
        bench_add(m, (double)(clock_mono_ns() - now) / BATCH);
    }
    OPAQUE(out);
}

/* A row's share of what the engine does: the metric orcd_deadline_check_duration_us. */
static void measure_pass(struct bench_result *r, uint32_t rows, size_t n)
{
    char variant[32];
    snprintf(variant, sizeof(variant), "%u row%s", rows, rows == 1 ? "" : "s");
    struct bench_measure *m = bench_measure_new(r, "", "share_of_pass", variant, "ns");
    bench_bar(m, BENCH_P95, 1000, "specification");
    if (rows >= 8) /* with fewer, the clock is most of it */
        bench_bar(m, BENCH_P95, 50, "bar");
    uint32_t looks = 0;
    uint64_t late = 0;
    for (size_t k = 0; k < n; k++) {
        uint64_t from = clock_mono_ns();
        for (uint32_t pass = 0; pass < BATCH / rows; pass++) {
            uint64_t now = clock_mono_ns();
            for (uint32_t i = 0; i < rows; i++) {
                slots[i].unchecked = params.check_every_tokens;
                late += slot_check(&slots[i], &params, now, &looks);
                OPAQUE(late);
            }
        }
        bench_add(m, (double)(clock_mono_ns() - from) / BATCH);
    }
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    (void)err;
    size_t n = bench_count(b, 300, 3000);
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i].request.deadline_ns = clock_mono_ns() + 3600 * NS_PER_S;
        slots[i] = (struct slot){.job = &jobs[i]};
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        measure(r, i, n);
    for (uint32_t rows = 1; rows <= JOBS; rows *= 8)
        measure_pass(r, rows, n);
    return 0;
}

const struct bench_case bench_deadline_check_overhead = {"deadline_check_overhead",
    "check of a job's remaining time and cancel flag", BENCH_LOCAL | BENCH_NAMED, run};
