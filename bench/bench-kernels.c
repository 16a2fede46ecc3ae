/*
 * Measures the kernels of the cpu plugin, and the memory bandwidth of the machine beside them.
 *
 *   bench-kernels [-i SET] [-t TYPE] [-r ROWS] [-c COLS] [-n TOKENS] [-s SECONDS]
 *
 * Prints, for 1 and 2 threads: the read and copy bandwidth of the memory; for each type the speed of
 * packing, of one token (GB/s of weights) and of TOKENS tokens (GOPS; a multiply and add counts as
 * two). The weights are larger than the caches. Figures are medians of repetitions that fill SECONDS.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/util.h"
#include "model/quant-types.h"
#include "plugins/cpu/kernels.h"

#define MAX_THREADS 64

static const uint32_t all_types[] = {ORCD_TYPE_F32, ORCD_TYPE_F16, ORCD_TYPE_BF16, ORCD_TYPE_Q4_0,
    ORCD_TYPE_Q4_1, ORCD_TYPE_Q5_0, ORCD_TYPE_Q5_1, ORCD_TYPE_Q8_0, ORCD_TYPE_IQ4_NL, ORCD_TYPE_MXFP4,
    ORCD_TYPE_Q2_K, ORCD_TYPE_Q3_K, ORCD_TYPE_Q4_K, ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K, ORCD_TYPE_IQ4_XS};

/* Work that is divided among the threads. */
struct work {
    void (*run)(struct work *w, unsigned part, unsigned parts);
    const struct cpu_kernels *k;
    struct cpu_matrix matrix;
    const void *file;
    void *packed;
    const void *x;
    size_t x_stride;
    uint32_t tokens;
    float *y;
    char *memory, *memory2;
    size_t memory_bytes;
    volatile uint64_t sink;
};

struct thread_arg {
    struct work *work;
    pthread_barrier_t *barrier;
    unsigned part, parts;
    size_t rounds;
    bool warm;
    uint64_t *ns;
};

static void *thread_main(void *arg)
{
    struct thread_arg *a = arg;
    for (size_t i = 0; i < a->rounds; i++) {
        pthread_barrier_wait(a->barrier);
        const uint64_t t = clock_mono_ns();
        a->work->run(a->work, a->part, a->parts);
        pthread_barrier_wait(a->barrier);
        if (a->part == 0)
            a->ns[i] = clock_mono_ns() - t;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void rounds_run(struct work *w, unsigned threads, size_t rounds, uint64_t *ns)
{
    pthread_barrier_t barrier;
    pthread_t id[MAX_THREADS];
    struct thread_arg arg[MAX_THREADS];
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        arg[i] = (struct thread_arg){w, &barrier, i, threads, rounds, false, ns};
        if (i && pthread_create(&id[i], NULL, thread_main, &arg[i]))
            abort();
    }
    thread_main(&arg[0]);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(id[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/* Median seconds of one round, warmed up. */
static double median_s(struct work *w, unsigned threads, double seconds)
{
    uint64_t ns[1000];
    rounds_run(w, threads, 1, ns);
    size_t rounds = (size_t)(seconds * 1e9 / (double)(ns[0] + 1)) + 3;
    if (rounds > ARRAY_LEN(ns))
        rounds = ARRAY_LEN(ns);
    rounds_run(w, threads, rounds, ns);
    qsort(ns, rounds, sizeof(ns[0]), compare);
    return (double)ns[rounds / 2] * 1e-9;
}

static void part_of(uint64_t n, unsigned part, unsigned parts, uint64_t *from, uint64_t *to)
{
    *from = n * part / parts;
    *to = n * (part + 1) / parts;
}

static void run_read(struct work *w, unsigned part, unsigned parts)
{
    uint64_t from, to, s[8] = {0};
    part_of(w->memory_bytes / 64, part, parts, &from, &to);
    const uint64_t *p = (const uint64_t *)(const void *)w->memory;
    for (uint64_t i = from * 8; i < to * 8; i += 8)
        for (int j = 0; j < 8; j++)
            s[j] += p[i + (uint64_t)j];
    w->sink = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

static void run_copy(struct work *w, unsigned part, unsigned parts)
{
    uint64_t from, to;
    part_of(w->memory_bytes, part, parts, &from, &to);
    memcpy(w->memory2 + from, w->memory + from, to - from);
}

static void run_pack(struct work *w, unsigned part, unsigned parts)
{
    uint64_t from, to;
    part_of(cpu_matrix_panels(w->matrix.n_rows), part, parts, &from, &to);
    w->k->pack(
        w->matrix.type, w->file, w->matrix.n_rows, w->matrix.n_cols, (uint32_t)from, (uint32_t)to, w->packed);
}

static void run_matmul(struct work *w, unsigned part, unsigned parts)
{
    uint64_t from, to;
    part_of(cpu_matrix_panels(w->matrix.n_rows), part, parts, &from, &to);
    w->k->matmul(
        &w->matrix, (uint32_t)from, (uint32_t)to, w->x, w->x_stride, w->tokens, w->y, w->matrix.n_rows);
}

static void *pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 1, bytes);
    return p;
}

static void bench_type(
    const struct cpu_kernels *k, uint32_t type, uint32_t rows, uint32_t cols, uint32_t tokens, double seconds)
{
    const struct quant_type *t = quant_type_find(type);
    const size_t file_bytes = (size_t)quant_type_bytes(t, (uint64_t)rows * cols);
    const size_t packed_bytes = cpu_matrix_bytes(type, rows, cols);
    if (!packed_bytes || file_bytes == SIZE_MAX)
        return;
    uint8_t *file = pages(file_bytes);
    void *packed = pages(packed_bytes);
    float *row = malloc(cols * sizeof(float));
    for (uint32_t i = 0; i < cols; i++)
        row[i] = (float)(i * 2654435761u >> 8) / (float)(1 << 23) - 1.0f;
    const size_t row_bytes = file_bytes / rows;
    t->quantize(row, file, cols);
    for (uint32_t r = 1; r < rows; r++)
        memcpy(file + r * row_bytes, file, row_bytes);
    const bool q8 = cpu_type_act(type) == CPU_ACT_Q8;
    const size_t stride = q8 ? cpu_act_bytes(cols) : cols * sizeof(float);
    char *x = pages(stride * tokens);
    for (uint32_t i = 0; i < tokens; i++) {
        if (q8)
            k->act_quantize(row, cols, x + i * stride);
        else
            memcpy(x + i * stride, row, stride);
    }
    struct work w = {.k = k,
        .matrix = {type, rows, cols, packed},
        .file = file,
        .packed = packed,
        .x = x,
        .x_stride = stride,
        .y = pages((size_t)rows * tokens * sizeof(float))};
    for (unsigned threads = 1; threads <= 2; threads++) {
        w.run = run_pack;
        const double pack = median_s(&w, threads, seconds);
        w.run = run_matmul;
        w.tokens = 1;
        const double one = median_s(&w, threads, seconds);
        w.tokens = tokens;
        w.matrix.n_rows = rows < 4096 ? rows : 4096;
        const double many = median_s(&w, threads, seconds);
        const double ops = 2.0 * w.matrix.n_rows * cols * tokens;
        w.matrix.n_rows = rows;
        printf("%-6s %-5s %2u  pack %6.2f GB/s   1 token %6.2f GB/s %7.1f GOPS   %u tokens %7.1f GOPS\n",
            k->name, t->name, threads, (double)file_bytes / pack * 1e-9, (double)packed_bytes / one * 1e-9,
            2e-9 * rows * cols / one, tokens, ops / many * 1e-9);
        fflush(stdout);
    }
    munmap(w.y, (size_t)rows * tokens * sizeof(float));
    munmap(x, stride * tokens);
    munmap(packed, packed_bytes);
    munmap(file, file_bytes);
    free(row);
}

int main(int argc, char **argv)
{
    const char *set = NULL, *type = NULL;
    uint32_t rows = 65536, cols = 896, tokens = 512;
    double seconds = 0.3;
    for (int c; (c = getopt(argc, argv, "i:t:r:c:n:s:")) != -1;) {
        if (c == 'i')
            set = optarg;
        else if (c == 't')
            type = optarg;
        else if (c == 'r')
            rows = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 'c')
            cols = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 'n')
            tokens = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c == 's')
            seconds = strtod(optarg, NULL);
        else
            return 64;
    }
    const struct cpu_kernels *k = cpu_kernels_select(set);
    if (!k || !rows || !cols || !tokens) {
        fputs("bench-kernels: the instruction set is not supported here, or a size is 0\n", stderr);
        return 64;
    }
    struct work w = {.memory_bytes = (size_t)256 << 20};
    w.memory = pages(w.memory_bytes);
    w.memory2 = pages(w.memory_bytes);
    for (unsigned threads = 1; threads <= 2; threads++) {
        w.run = run_read;
        const double read = median_s(&w, threads, seconds);
        w.run = run_copy;
        const double copy = median_s(&w, threads, seconds);
        printf("memory %u threads: read %.2f GB/s, copy %.2f GB/s\n", threads,
            (double)w.memory_bytes / read * 1e-9, (double)w.memory_bytes / copy * 1e-9);
    }
    munmap(w.memory, w.memory_bytes);
    munmap(w.memory2, w.memory_bytes);
    for (size_t i = 0; i < ARRAY_LEN(all_types); i++)
        if (!type || !strcmp(quant_type_find(all_types[i])->name, type))
            bench_type(k, all_types[i], rows, cols, tokens, seconds);
    return 0;
}
