/*
 * Measures any plugin without a server: load, prefill by prompt length, decode by number of
 * sequences, the time until an aborted prompt stops, and the cost of memory queries for the steps
 * that run meanwhile. Steps are like those of the engine: the plugin samples if it can, and two
 * steps are in flight if it supports two.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "json/out.h"
#include "base/util.h"
#include "model/model.h"
#include "plugin/host.h"

#define MAX_SEQS 256
#define MAX_LIST 16
#define MAX_TOKENS 16384
#define ROUNDS 5
#define WARM_STEPS 8
#define SHORT_PROMPT 16
#define ABORT_AFTER_NS (20 * NS_PER_MS)

struct list {
    unsigned x[MAX_LIST];
    unsigned n;
};

#define POLL_NS (5 * NS_PER_MS)

/* Limits for the figures. */
enum bar_name { BAR_LOAD, BAR_DECODE, BAR_PREFILL, BAR_FIRST, BAR_ABORT, BAR_POLL, BARS };
static const struct {
    const char *name, *what;
    bool at_most;
} bar_table[BARS] = {
    [BAR_LOAD] = {"load", "load, GB/s", false},
    [BAR_DECODE] = {"decode", "tokens/s of the first of --batches", false},
    [BAR_PREFILL] = {"prefill", "tokens/s of the last of --prompts", false},
    [BAR_FIRST] = {"first", "ms of the first of --prompts", true},
    [BAR_ABORT] = {"abort", "ms of an abort", true},
    [BAR_POLL] = {"poll", "step time while the memory is queried, relative to one without", true},
};

struct bar {
    bool asked, known;
    double limit, value;
};

struct options {
    const char *plugin, *dir, *json;
    struct plugin_setting settings[16];
    size_t n_settings;
    struct list prompts, batches;
    struct bar bars[BARS];
    unsigned steps;
    bool poll;
};

struct infer {
    struct options o;
    struct backend *backend;
    const struct orcd_plugin *table;
    uint64_t ticket;
    bool samples;       /* the plugin samples */
    double ceiling_gbs; /* the copy speed of its memory that the plugin measures; 0: it does not measure */
    struct json_out out;
    int32_t tokens[MAX_TOKENS];
    /* a step */
    uint32_t seq[MAX_SEQS], first[MAX_SEQS], count[MAX_SEQS], start[MAX_SEQS], want[MAX_SEQS], kind[MAX_SEQS],
        top[MAX_SEQS];
    int32_t last[MAX_SEQS];
    /* its result */
    int32_t status[MAX_SEQS], token[MAX_SEQS];
    uint32_t kept[MAX_SEQS], n_logits[MAX_SEQS];
    const float *logits[MAX_SEQS], *top_logprobs[MAX_SEQS];
    const int32_t *top_ids[MAX_SEQS];
};

static void die(const char *what, const struct orcd_error *err)
{
    fprintf(stderr, "bench-infer: %s: %s\n", what, err->msg);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void figure(struct infer *b, enum bar_name name, double value)
{
    b->o.bars[name].known = true;
    b->o.bars[name].value = value;
}

static double seconds_since(uint64_t ns)
{
    return (double)(clock_mono_ns() - ns) * 1e-9;
}

/* --- steps ------------------------------------------------------------------------------- */

static void row(struct infer *b, uint32_t r, uint32_t first, uint32_t n, uint32_t start)
{
    b->seq[r] = r;
    b->first[r] = first;
    b->count[r] = n;
    b->start[r] = start;
    b->want[r] = ORCD_WANT_LAST;
    b->kind[r] = b->samples ? ORCD_KIND_TOKEN : ORCD_KIND_LOGITS;
}

static void submit(struct infer *b, uint32_t n_rows, const int32_t *tokens)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct orcd_batch batch = {.size = sizeof(batch),
        .n_rows = n_rows,
        .ticket = ++b->ticket,
        .seq = b->seq,
        .first_pos = b->first,
        .n_tokens = b->count,
        .token_start = b->start,
        .tokens = tokens,
        .want = b->want,
        .kind = b->kind,
        .top_n = b->top};
    if (backend_submit(b->backend, &batch, &err))
        die("submit", &err);
}

/* False: a row was aborted. */
static bool collect(struct infer *b)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_result r = {.size = sizeof(r),
        .row_capacity = MAX_SEQS,
        .status = b->status,
        .kept = b->kept,
        .logits = b->logits,
        .n_logits = b->n_logits,
        .token = b->token,
        .top_ids = b->top_ids,
        .top_logprobs = b->top_logprobs};
    bool whole = true;
    if (backend_wait(b->backend, &r, &err))
        die("wait", &err);
    for (uint32_t i = 0; i < r.n_rows; i++) {
        if (b->status[i] && b->status[i] != ORCD_E_ABORTED) {
            fprintf(stderr, "bench-infer: a row failed with code %d\n", (int)b->status[i]);
            exit(1);
        }
        whole = whole && b->status[i] == 0;
        b->last[i] = b->samples && whole ? b->token[i] : (int32_t)(i + 1);
    }
    return whole;
}

static void open_sequences(struct infer *b, uint32_t n, uint32_t tokens)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct orcd_sampler greedy = {
        .size = sizeof(greedy), .seed = 1, .top_p = 1, .repetition_penalty = 1};
    for (uint32_t i = 0; i < n; i++) {
        if (backend_seq_open(b->backend, i, tokens, &err))
            die("seq_open", &err);
        b->samples = backend_seq_sampler(b->backend, i, &greedy, &err) == 0;
    }
}

static void close_sequences(struct infer *b, uint32_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    for (uint32_t i = 0; i < n; i++)
        if (backend_seq_close(b->backend, i, &err))
            die("seq_close", &err);
}

/* --- what is measured ---------------------------------------------------------------------- */

static void prefill(struct infer *b, uint32_t n)
{
    double t[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        open_sequences(b, 1, n + 1);
        row(b, 0, 0, n, 0);
        const uint64_t began = clock_mono_ns();
        submit(b, 1, b->tokens);
        collect(b);
        t[i] = seconds_since(began);
        close_sequences(b, 1);
    }
    const double s = median(t, ROUNDS);
    printf("prefill %5u: %9.1f tok/s, %8.2f ms to its token (n=%d)\n", n, n / s, s * 1e3, ROUNDS);
    json_out_open(&b->out, NULL, '{');
    json_out_u64(&b->out, "tokens", n);
    json_out_f64(&b->out, "ms", s * 1e3, 3);
    json_out_f64(&b->out, "tokens_per_s", n / s, 1);
    json_out_close(&b->out, '}');
    if (!b->o.bars[BAR_FIRST].known)
        figure(b, BAR_FIRST, s * 1e3);
    figure(b, BAR_PREFILL, n / s);
}

/* Submits one token for each of n sequences, which are `at` tokens long. ahead: the step before has not
 * been collected. */
static void decode_step(struct infer *b, uint32_t n, uint32_t at, bool ahead)
{
    int32_t tokens[MAX_SEQS];
    for (uint32_t i = 0; i < n; i++) {
        row(b, i, at, 1, i);
        tokens[i] = ahead ? ORCD_TOKEN_CHAINED : b->last[i];
    }
    submit(b, n, tokens);
}

/* The seconds of a step of n sequences. */
static double decode_time(struct infer *b, uint32_t n)
{
    const uint32_t steps = b->o.steps, all = SHORT_PROMPT + WARM_STEPS + steps + 2;
    open_sequences(b, n, all);
    for (uint32_t i = n; i-- > 0;) { /* the same prompt for each, alone in its step */
        row(b, 0, 0, SHORT_PROMPT, 0);
        b->seq[0] = i;
        submit(b, 1, b->tokens);
        collect(b);
        b->last[i] = b->last[0];
    }
    const bool two = b->samples && b->table->max_inflight > 1;
    uint32_t at = SHORT_PROMPT;
    uint64_t began = 0;
    decode_step(b, n, at++, false);
    for (uint32_t i = 0; i < WARM_STEPS + steps; i++) {
        if (i == WARM_STEPS)
            began = clock_mono_ns();
        if (two)
            decode_step(b, n, at++, true);
        collect(b);
        if (!two)
            decode_step(b, n, at++, false);
    }
    const double s = seconds_since(began) / steps;
    collect(b);
    close_sequences(b, n);
    return s;
}

static void decode(struct infer *b, uint32_t n)
{
    const double s = decode_time(b, n), gbs = (double)backend_model(b->backend)->weight_bytes * 1e-9 / s;
    printf("decode x%3u: %9.1f tok/s, %8.3f ms a step; all weights once a step are %.0f GB/s", n, n / s,
        s * 1e3, gbs);
    if (b->ceiling_gbs > 0)
        printf(" (%.0f %% of a copy)", gbs / b->ceiling_gbs * 100);
    putchar('\n');
    json_out_open(&b->out, NULL, '{');
    json_out_u64(&b->out, "sequences", n);
    json_out_f64(&b->out, "step_ms", s * 1e3, 4);
    json_out_f64(&b->out, "tokens_per_s", n / s, 1);
    json_out_f64(&b->out, "weights_gb_per_s", gbs, 1);
    json_out_close(&b->out, '}');
    if (!b->o.bars[BAR_DECODE].known)
        figure(b, BAR_DECODE, n / s);
}

/* --- the memory query of the health thread, 200 times a second ------------------------------- */

struct poller {
    struct backend *backend;
    atomic_bool stop;
    unsigned n;
};

static void *poll_main(void *arg)
{
    struct poller *p = arg;
    const struct timespec pause = {.tv_nsec = POLL_NS};
    while (!atomic_load(&p->stop)) {
        struct orcd_error err = ORCD_ERROR_INIT;
        struct orcd_memory memory = {.size = sizeof(memory)};
        if (backend_memory(p->backend, &memory, &err))
            die("memory", &err);
        p->n++;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Rounds with and without queries take turns. */
static void poll_memory(struct infer *b)
{
    double with[ROUNDS], without[ROUNDS];
    unsigned n = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct poller p = {.backend = b->backend};
        pthread_t thread;
        without[i] = decode_time(b, b->o.batches.x[0]);
        if (pthread_create(&thread, NULL, poll_main, &p))
            exit(1);
        with[i] = decode_time(b, b->o.batches.x[0]);
        atomic_store(&p.stop, true);
        pthread_join(thread, NULL);
        n += p.n;
    }
    const double ratio = median(with, ROUNDS) / median(without, ROUNDS);
    printf("step time while the memory is queried, relative to one without: %.3f (%u queries)\n", ratio, n);
    json_out_f64(&b->out, "step_while_polled", ratio, 4);
    figure(b, BAR_POLL, ratio);
}

/* --- abort, load ------------------------------------------------------------------------------ */

/* The time from abort() in the middle of a prompt until wait() returns its row. */
static void abort_prefill(struct infer *b, uint32_t n)
{
    double t[ROUNDS];
    unsigned got = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t seq = 0;
        open_sequences(b, 1, n + 1);
        row(b, 0, 0, n, 0);
        const uint64_t until = clock_mono_ns() + ABORT_AFTER_NS;
        submit(b, 1, b->tokens);
        while (clock_mono_ns() < until)
            ;
        const uint64_t began = clock_mono_ns();
        backend_abort(b->backend, b->ticket, &seq, 1);
        if (!collect(b))
            t[got++] = seconds_since(began);
        close_sequences(b, 1);
    }
    if (!got) {
        printf(
            "abort in a prompt of %u: the prompt was done within %.0f ms\n", n, (double)ABORT_AFTER_NS / 1e6);
        json_out_null(&b->out, "abort_ms");
        return;
    }
    const double s = median(t, got);
    printf("abort in a prompt of %u: %.2f ms (n=%u)\n", n, s * 1e3, got);
    json_out_f64(&b->out, "abort_ms", s * 1e3, 3);
    figure(b, BAR_ABORT, s * 1e3);
}

static void load(struct infer *b, const struct model *m, struct plugin *p)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    double t[3];
    const double bytes = (double)gguf_bytes(model_gguf(m));
    for (int i = -1; i < 3; i++) { /* the first brings the file into memory */
        backend_close(b->backend);
        b->backend = NULL;
        if (backend_open_device(&b->backend, p, 0, &err))
            die("device", &err);
        const uint64_t began = clock_mono_ns();
        if (backend_load(b->backend, model_source(m), &err))
            die("load", &err);
        if (i >= 0)
            t[i] = seconds_since(began);
    }
    const double s = median(t, 3);
    printf("device: %s, %s\n", backend_device(b->backend)->name, backend_device(b->backend)->runtime);
    printf("load: %.3f s, %.2f GB/s of file\n", s, bytes * 1e-9 / s);
    json_out_text(&b->out, "device", backend_device(b->backend)->name);
    json_out_text(&b->out, "runtime", backend_device(b->backend)->runtime);
    json_out_f64(&b->out, "load_s", s, 4);
    json_out_f64(&b->out, "load_gb_per_s", bytes * 1e-9 / s, 2);
    json_out_u64(&b->out, "weight_bytes", backend_model(b->backend)->weight_bytes);
    figure(b, BAR_LOAD, bytes * 1e-9 / s);
}

/* Measures copies inside the device's memory: GB/s, read and written together. */
static void ceiling(struct infer *b)
{
    union {
        void *p;
        double (*copy_gbs)(void);
    } x = {b->table->get_proc ? b->table->get_proc("x_copy_gbs") : NULL};
    if (!x.p)
        return;
    b->ceiling_gbs = x.copy_gbs();
    printf("copy inside the device's memory: %.0f GB/s\n", b->ceiling_gbs);
    json_out_f64(&b->out, "copy_gb_per_s", b->ceiling_gbs, 1);
}

/* --- main ------------------------------------------------------------------------------------ */

static unsigned most(const struct list *l)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->n; i++)
        n = l->x[i] > n ? l->x[i] : n;
    return n;
}

static bool parse_list(const char *text, unsigned limit, struct list *l)
{
    l->n = 0;
    for (;;) {
        char *end;
        errno = 0;
        unsigned long v = strtoul(text, &end, 10);
        if (end == text || errno || !v || v > limit || l->n == MAX_LIST || (*end && *end != ','))
            return false;
        l->x[l->n++] = (unsigned)v;
        if (!*end)
            return true;
        text = end + 1;
    }
}

static void usage(FILE *out)
{
    fputs(
        "Usage: bench-infer MODEL.gguf [--plugin NAME] [--plugin-dir DIR] [--set KEY=VALUE]...\n"
        "                   [--prompts 128,512] [--batches 1,8] [--steps 64] [--poll]\n"
        "                   [--bar NAME=LIMIT]... [--json FILE]\n"
        "Measures a plugin without a server: load, prefill, decode by number of sequences, abort; with\n"
        "--poll also how much queries of the device's memory slow a step.\n"
        "--set sets an option of the plugin ('orcd plugins NAME' lists them). Exit status 1: a bar (limit)\n"
        "was missed. Bars:\n",
        out);
    for (int i = 0; i < BARS; i++)
        fprintf(out, "  %-8s at %s: %s\n", bar_table[i].name, bar_table[i].at_most ? "most" : "least",
            bar_table[i].what);
}

static bool parse_bar(struct options *o, const char *name, const char *limit)
{
    char *end;
    for (int i = 0; i < BARS; i++)
        if (strcmp(name, bar_table[i].name) == 0) {
            o->bars[i].asked = true;
            o->bars[i].limit = strtod(limit, &end);
            return end != limit && !*end && o->bars[i].limit > 0;
        }
    return false;
}

static bool parse(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {{"plugin", 1, NULL, 'p'}, {"plugin-dir", 1, NULL, 'd'},
        {"set", 1, NULL, 's'}, {"prompts", 1, NULL, 'P'}, {"batches", 1, NULL, 'b'}, {"steps", 1, NULL, 'n'},
        {"json", 1, NULL, 'j'}, {"bar", 1, NULL, 'B'}, {"poll", 0, NULL, 'q'}, {"help", 0, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct list steps = {{64}, 1};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        char *equals = optarg ? strchr(optarg, '=') : NULL;
        bool ok = true;
        if (c == 'p')
            o->plugin = optarg;
        else if (c == 'd')
            o->dir = optarg;
        else if (c == 'j')
            o->json = optarg;
        else if (c == 'P')
            ok = parse_list(optarg, MAX_TOKENS, &o->prompts);
        else if (c == 'b')
            ok = parse_list(optarg, MAX_SEQS, &o->batches);
        else if (c == 'n')
            ok = parse_list(optarg, 4096, &steps);
        else if (c == 'q')
            o->poll = true;
        else if (c == 'B' && equals) {
            *equals = 0;
            ok = parse_bar(o, optarg, equals + 1);
        } else if (c == 's' && equals && o->n_settings < ARRAY_LEN(o->settings)) {
            *equals = 0;
            o->settings[o->n_settings++] = (struct plugin_setting){optarg, equals + 1};
        } else if (c == 'h') {
            usage(stdout);
            exit(0);
        } else
            ok = false;
        if (!ok)
            return false;
    }
    o->steps = steps.x[0];
    return optind + 1 == argc;
}

static void new_context(struct infer *b)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const uint32_t prompt = most(&b->o.prompts), seqs = most(&b->o.batches);
    const uint32_t one = SHORT_PROMPT + WARM_STEPS + b->o.steps + 2,
                   longest = prompt + 1 > one ? prompt + 1 : one;
    const struct orcd_ctx_params params = {.size = sizeof(params),
        .n_sequences = seqs,
        .n_ctx = longest,
        .max_batch_tokens = prompt > seqs ? prompt : seqs,
        .kv_tokens = (uint64_t)seqs * one + longest,
        .max_batch_rows = seqs,
        .max_logits = seqs};
    if (backend_new_context(b->backend, &params, &err))
        die("context", &err);
    const uint32_t n_vocab = backend_model(b->backend)->n_vocab;
    for (uint32_t i = 0; i < MAX_TOKENS; i++)
        b->tokens[i] = (int32_t)((i * UINT32_C(2654435761) >> 7) % n_vocab);
}

/* Prints the bars. Returns how many were missed; a bar that was not measured is missed too. */
static int judge(struct infer *b)
{
    int missed = 0;
    json_out_open(&b->out, "bars", '[');
    for (int i = 0; i < BARS; i++) {
        const struct bar *r = &b->o.bars[i];
        if (!r->asked)
            continue;
        const bool holds = r->known && (bar_table[i].at_most ? r->value <= r->limit : r->value >= r->limit);
        missed += !holds;
        printf("bar: %s: %.4g, at %s %.6g: %s\n", bar_table[i].what, r->known ? r->value : 0.0,
            bar_table[i].at_most ? "most" : "least", r->limit,
            !r->known ? "NOT MEASURED"
            : holds   ? "holds"
                      : "FAILS");
        json_out_open(&b->out, NULL, '{');
        json_out_text(&b->out, "name", bar_table[i].name);
        json_out_f64(&b->out, "limit", r->limit, 3);
        json_out_f64(&b->out, "value", r->known ? r->value : 0.0, 3);
        json_out_bool(&b->out, "holds", holds);
        json_out_close(&b->out, '}');
    }
    json_out_close(&b->out, ']');
    return missed;
}

static void write_json(struct infer *b)
{
    json_out_close(&b->out, '}');
    size_t n;
    char *text = json_out_take(&b->out, &n);
    FILE *f = text && b->o.json ? fopen(b->o.json, "w") : NULL;
    if (b->o.json && (!f || fprintf(f, "%.*s\n", (int)n, text) < 0 || fclose(f))) {
        fprintf(stderr, "bench-infer: %s: %s\n", b->o.json, strerror(errno));
        exit(1);
    }
    free(text);
}

int main(int argc, char **argv)
{
    static struct infer b = {.o = {.plugin = "cpu", .prompts = {{128, 512}, 2}, .batches = {{1, 8}, 2}}};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m;
    struct plugin *p;
    b.o.dir = plugin_default_dir();
    if (!parse(&b.o, argc, argv)) {
        usage(stderr);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (model_open(&m, argv[optind], &err))
        die("model", &err);
    if (plugin_open(&p, b.o.dir, b.o.plugin, false, &err) ||
        plugin_start(p, b.o.settings, b.o.n_settings, &err))
        die("plugin", &err);
    b.table = plugin_table(p);
    json_out_growing(&b.out);
    json_out_open(&b.out, NULL, '{');
    json_out_text(&b.out, "plugin", b.table->name);
    json_out_u64(&b.out, "file_bytes", gguf_bytes(model_gguf(m)));
    load(&b, m, p);
    ceiling(&b);
    new_context(&b);
    json_out_open(&b.out, "prefill", '[');
    for (unsigned i = 0; i < b.o.prompts.n; i++)
        prefill(&b, b.o.prompts.x[i]);
    json_out_close(&b.out, ']');
    json_out_open(&b.out, "decode", '[');
    for (unsigned i = 0; i < b.o.batches.n; i++)
        decode(&b, b.o.batches.x[i]);
    json_out_close(&b.out, ']');
    abort_prefill(&b, most(&b.o.prompts));
    if (b.o.poll)
        poll_memory(&b);
    const int missed = judge(&b);
    write_json(&b);
    backend_close(b.backend);
    plugin_stop(p);
    model_close(m);
    return missed ? 1 : 0;
}
