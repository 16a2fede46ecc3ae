/*
 * Loads a model with the cpu plugin and prints the speeds of load, prefill and decode, with the
 * memory bandwidth of this machine in the same run.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "model/model.h"
#include "plugin/host.h"

#define COPY_BYTES (UINT64_C(256) << 20)
#define PROMPT 512
#define DECODED 64

static void die(const char *what, const struct orcd_error *err)
{
    fprintf(stderr, "bench-cpu: %s: %s\n", what, err->msg);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Processor seconds of all threads of this process. Other load on the machine is not in it. */
static double processor_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), compare);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* The bandwidth, GB/s, with which n threads together copy or read memory that is not in a cache. */
struct mover {
    pthread_t id;
    char *from, *to;
    uint64_t bytes;
    uint64_t sum;
    pthread_barrier_t *start;
};

static void *move(void *arg)
{
    struct mover *m = arg;
    pthread_barrier_wait(m->start);
    if (m->to) {
        memcpy(m->to, m->from, m->bytes);
    } else {
        uint64_t sum[8] = {0};
        const uint64_t *p = (const void *)m->from;
        for (uint64_t i = 0; i + 8 <= m->bytes / 8; i += 8)
            for (int j = 0; j < 8; j++)
                sum[j] ^= p[i + j];
        for (int j = 0; j < 8; j++)
            m->sum ^= sum[j];
    }
    pthread_barrier_wait(m->start);
    return NULL;
}

/* One pass of all threads over `bytes`; GB/s. to NULL: they only read. */
static double memory_pass(uint32_t n_threads, char *from, char *to, uint64_t bytes)
{
    struct mover *movers = calloc(n_threads, sizeof(*movers));
    const uint64_t each = bytes / n_threads / 64 * 64;
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, n_threads + 1);
    for (uint32_t i = 0; i < n_threads; i++) {
        movers[i] = (struct mover){
            .from = from + i * each, .to = to ? to + i * each : NULL, .bytes = each, .start = &start};
        if (pthread_create(&movers[i].id, NULL, move, &movers[i]))
            exit(1);
    }
    pthread_barrier_wait(&start);
    const uint64_t t0 = clock_mono_ns();
    pthread_barrier_wait(&start);
    const uint64_t ns = clock_mono_ns() - t0;
    for (uint32_t i = 0; i < n_threads; i++)
        pthread_join(movers[i].id, NULL);
    pthread_barrier_destroy(&start);
    free(movers);
    return (double)(each * n_threads) / (double)ns;
}

static double memory_speed(uint32_t n_threads, int copies)
{
    char *from = malloc(COPY_BYTES), *to = malloc(COPY_BYTES);
    double best = 0;
    if (!from || !to)
        exit(1);
    memset(from, 1, COPY_BYTES);
    memset(to, 2, COPY_BYTES);
    for (int round = 0; round < 5; round++) {
        const double speed = memory_pass(n_threads, from, copies ? to : NULL, COPY_BYTES);
        best = speed > best ? speed : best;
    }
    free(from);
    free(to);
    return best;
}

/* The speed of copying the mapped, cached file into memory that is new to the process, in huge pages
 * if the system has them: the speed of a loader that does nothing else. */
static double fresh_copy_speed(uint32_t n_threads, const struct gguf *g)
{
    double best = 0;
    const uint64_t bytes = gguf_bytes(g);
    for (int round = 0; round < 3; round++) {
        char *to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *from = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, gguf_fd(g), 0);
        if (to == MAP_FAILED || from == MAP_FAILED)
            exit(1);
        madvise(to, bytes, MADV_HUGEPAGE);
        const double speed = memory_pass(n_threads, from, to, bytes);
        best = speed > best ? speed : best;
        munmap(to, bytes);
        munmap(from, bytes);
    }
    return best;
}

struct bench {
    struct backend *backend;
    uint64_t ticket;
    uint32_t n_vocab;
    int32_t tokens[PROMPT];
};

/* Runs one step of n tokens in sequence 0; seconds. */
static double step(struct bench *b, uint32_t first, uint32_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const uint32_t seq = 0, start = 0, want = ORCD_WANT_LAST, kind = ORCD_KIND_LOGITS, top_n = 0;
    const struct orcd_batch batch = {.size = sizeof(batch),
        .n_rows = 1,
        .ticket = ++b->ticket,
        .seq = &seq,
        .first_pos = &first,
        .n_tokens = &n,
        .token_start = &start,
        .tokens = b->tokens,
        .want = &want,
        .kind = &kind,
        .top_n = &top_n};
    int32_t status, token;
    uint32_t kept, n_logits;
    const float *logits, *top_logprobs;
    const int32_t *top_ids;
    struct orcd_result result = {.size = sizeof(result),
        .row_capacity = 1,
        .status = &status,
        .kept = &kept,
        .logits = &logits,
        .n_logits = &n_logits,
        .token = &token,
        .top_ids = &top_ids,
        .top_logprobs = &top_logprobs};
    const uint64_t t0 = clock_mono_ns();
    if (backend_submit(b->backend, &batch, &err))
        die("submit", &err);
    if (backend_wait(b->backend, &result, &err))
        die("wait", &err);
    if (status)
        exit(1);
    return (double)(clock_mono_ns() - t0) * 1e-9;
}

static void open_sequence(struct bench *b)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (backend_seq_open(b->backend, 0, PROMPT + DECODED, &err))
        die("seq_open", &err);
}

static void close_sequence(struct bench *b)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (backend_seq_close(b->backend, 0, &err))
        die("seq_close", &err);
}

/* Median seconds of a decode step after a prompt of n tokens (0: the first token alone). */
static double decode(struct bench *b, uint32_t n, double *processor)
{
    double t[DECODED];
    open_sequence(b);
    uint32_t at = n ? n : 1;
    step(b, 0, at);
    const double start = processor_s();
    for (int i = 0; i < DECODED; i++)
        t[i] = step(b, at++, 1);
    *processor = (processor_s() - start) / DECODED;
    close_sequence(b);
    return median(t, DECODED);
}

static double prefill(struct bench *b, int rounds, double *processor)
{
    double t[16];
    const double start = processor_s();
    for (int i = 0; i < rounds; i++) {
        open_sequence(b);
        t[i] = step(b, 0, PROMPT);
        close_sequence(b);
    }
    *processor = (processor_s() - start) / rounds;
    return median(t, (size_t)rounds);
}

static uint64_t load(struct bench *b, const struct model *m, struct plugin *p)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (backend_open_device(&b->backend, p, 0, &err))
        die("device", &err);
    const uint64_t t0 = clock_mono_ns();
    if (backend_load(b->backend, model_source(m), &err))
        die("load", &err);
    return clock_mono_ns() - t0;
}

static void usage(void)
{
    puts("Usage: bench-cpu MODEL.gguf [--threads N] [--isa NAME] [--sub-batch N] [--rounds N] [--load-only]\n"
         "Loads MODEL with the cpu plugin (in --plugin-dir, else beside the program) and prints the speeds\n"
         "of load, prefill and decode, with the memory bandwidth of this machine in the same run.");
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"threads", 1, NULL, 't'}, {"isa", 1, NULL, 'i'},
        {"sub-batch", 1, NULL, 's'}, {"rounds", 1, NULL, 'r'}, {"plugin-dir", 1, NULL, 'd'},
        {"load-only", 0, NULL, 'l'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *threads = "1", *isa = "auto", *sub_batch = "128", *dir = plugin_default_dir();
    int rounds = 5, c;
    bool load_only = false;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
        switch (c) {
        case 't':
            threads = optarg;
            break;
        case 'i':
            isa = optarg;
            break;
        case 's':
            sub_batch = optarg;
            break;
        case 'r':
            rounds = atoi(optarg) < 1 ? 1 : atoi(optarg) > 16 ? 16 : atoi(optarg);
            break;
        case 'd':
            dir = optarg;
            break;
        case 'l':
            load_only = true;
            break;
        default:
            usage();
            return c == 'h' ? 0 : 64;
        }
    if (optind + 1 != argc) {
        usage();
        return 64;
    }
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m;
    struct plugin *p;
    static struct bench b;
    const struct plugin_setting settings[] = {{"threads", threads}, {"isa", isa}, {"sub_batch", sub_batch}};
    if (model_open(&m, argv[optind], &err))
        die("model", &err);
    if (plugin_open(&p, dir, "cpu", false, &err) || plugin_start(p, settings, 3, &err))
        die("plugin", &err);
    const uint32_t n_threads = (uint32_t)atoi(threads) ? (uint32_t)atoi(threads) : 1;
    const double copy = memory_speed(n_threads, 1), read = memory_speed(n_threads, 0);
    printf("memory, %u threads: copy %.2f GB/s, read %.2f GB/s\n", (unsigned)n_threads, copy, read);

    load(&b, m, p); /* brings the file into the page cache */
    backend_close(b.backend);
    double s[3], processor = processor_s();
    for (int i = 0; i < 3; i++) {
        if (i)
            backend_close(b.backend);
        s[i] = (double)load(&b, m, p) * 1e-9;
    }
    const double bytes = (double)gguf_bytes(model_gguf(m)), loads = median(s, 3);
    printf("device: %s, %s\n", backend_device(b.backend)->name, backend_device(b.backend)->runtime);
    processor = (processor_s() - processor) / 3;
    const double speed = bytes * 1e-9 / loads, fresh = fresh_copy_speed(n_threads, model_gguf(m));
    printf("load: %.3f s, %.2f GB/s = %.0f %% of copying within touched memory, %.0f %% of copying the file\n"
           "      into fresh memory (%.2f GB/s); processor time %.3f s\n",
        loads, speed, speed / copy * 100, speed / fresh * 100, fresh, processor);

    if (load_only)
        return 0;
    const struct orcd_ctx_params params = {.size = sizeof(params),
        .n_sequences = 1,
        .n_ctx = PROMPT + DECODED,
        .max_batch_tokens = PROMPT,
        .kv_tokens = PROMPT + DECODED,
        .max_batch_rows = 1,
        .max_logits = 1};
    if (backend_new_context(b.backend, &params, &err))
        die("context", &err);
    b.n_vocab = backend_model(b.backend)->n_vocab;
    for (uint32_t i = 0; i < PROMPT; i++)
        b.tokens[i] = (int32_t)((i * UINT32_C(2654435761) >> 7) % b.n_vocab);
    const double pp = prefill(&b, rounds, &processor);
    printf("prefill %d: %.1f tok/s (%.1f ms, n=%d, median); processor time %.1f ms\n", PROMPT, PROMPT / pp,
        pp * 1e3, rounds, processor * 1e3);
    const double weights = (double)backend_model(b.backend)->weight_bytes;
    for (uint32_t n = 0; n <= PROMPT; n += PROMPT) {
        const double t = decode(&b, n, &processor);
        const double floor_s =
            (weights + n * (double)backend_model(b.backend)->kv_bytes_per_token) * 1e-9 / read;
        printf("decode at %u: %.1f tok/s (%.2f ms, n=%d, median); processor time %.2f ms; floor by memory "
               "%.2f ms\n",
            (unsigned)n, 1 / t, t * 1e3, DECODED, processor * 1e3, floor_s * 1e3);
    }
    backend_close(b.backend);
    plugin_stop(p);
    model_close(m);
    return 0;
}
