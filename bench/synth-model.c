/* synth-model: writes a valid GGUF file with random weights, for benchmarks and load tests. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/model-plan.h"

#define CHUNK_BYTES ((size_t)4 << 20) /* about; a whole number of units */
#define MAX_THREADS 64

struct chunk {
    size_t tensor;
    uint64_t at; /* in the tensor */
    size_t n;
};

struct job {
    const struct model_plan *plan;
    uint64_t seed, data_offset;
    int fd;
    struct chunk *chunks;
    size_t n_chunks;
    atomic_size_t next; /* relaxed: only uniqueness matters, chunks are set before threads start */
    atomic_int error;   /* first errno */
};

static void usage(FILE *f)
{
    fputs("Usage: synth-model [--preset NAME] [--family NAME] --quant NAME --out FILE [option]...\n"
          "Writes a GGUF file with random weights that loads like a real model.\n\n"
          "  --preset NAME    start with the sizes of:",
        f);
    const char *name;
    for (size_t i = 0; model_preset_at(i, &name); i++)
        fprintf(f, "%s%s", i ? ", " : " ", name);
    fputs("\n"
          "  --family NAME    llama, qwen2, qwen3, phi3, gpt2, qwen2moe, qwen3moe, gpt-oss, gemma, gemma2\n"
          "                   or gemma3\n"
          "  --quant NAME     Q2_K, Q3_K_M, Q4_K_M, Q5_K_M, IQ4_NL, IQ4_XS and MXFP4_MOE as quantizers mix\n"
          "                   them, or a block type for every matrix (F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0\n"
          "                   Q3_K Q4_K Q5_K Q6_K MXFP4); rows that are not whole blocks get the usual "
          "fallback\n"
          "  --out FILE       file to write (/dev/null: only measure how long the weights take)\n"
          "  --seed N         the same seed gives the same bytes (default: 1)\n"
          "  --layers N --embd N --heads N --kv-heads N --head-dim N --ff N --vocab N --ctx N\n"
          "  --experts N --experts-used N     each --ff wide (default: 8 and 2 in families with experts)\n"
          "  --shared-ff N    qwen2moe: width of the expert shared by all tokens (default: 4 times --ff)\n"
          "  --window N       sliding window of the layers that have one in the family; 0: not in the file\n"
          "  --rope-base X --rope-factor X    base of the rotary positions; their linear scaling\n"
          "  --rope-freqs X   llama: a rope_freqs tensor for this factor (0: none)\n"
          "  --tied 0|1       output shares the token embedding (default: 1 for gemma)\n"
          "  --biases 0|1     llama: biases on every matrix\n"
          "  --tokenizer NAME qwen2, llama-bpe, spm, phi3, gemma or none: a synthetic vocabulary of that "
          "kind\n"
          "  --name TEXT      general.name (default: the preset, if the tokenizer is its own)\n"
          "  --threads N      (default: one per processor)\n\n"
          "Every weight is drawn anew (no pool is repeated). Their scales keep activations and logits in "
          "range,\n"
          "so that the model runs like a real one of its shape, but it generates noise.\n",
        f);
}

static int write_all(int fd, const unsigned char *p, size_t n, uint64_t at)
{
    while (n) {
        ssize_t some = pwrite(fd, p, n, (off_t)at);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return some < 0 ? errno : EIO;
        p += some;
        n -= (size_t)some;
        at += (uint64_t)some;
    }
    return 0;
}

static void *fill_thread(void *arg)
{
    struct job *j = arg;
    unsigned char *buf = malloc(CHUNK_BYTES);
    if (!buf)
        abort();
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed);
        if (i >= j->n_chunks || atomic_load(&j->error))
            break;
        const struct chunk *c = &j->chunks[i];
        model_plan_fill(j->plan, c->tensor, j->seed, c->at, buf, c->n);
        int rc = write_all(j->fd, buf, c->n, j->data_offset + j->plan->tensors[c->tensor].offset + c->at);
        if (rc != 0)
            atomic_store(&j->error, rc);
    }
    free(buf);
    return NULL;
}

static void cut_chunks(struct job *j)
{
    for (int pass = 0; pass < 2; pass++) {
        size_t n = 0;
        for (size_t i = 0; i < j->plan->n; i++) {
            size_t unit = model_plan_unit(j->plan, i), step = CHUNK_BYTES / unit * unit;
            uint64_t bytes = j->plan->tensors[i].bytes;
            for (uint64_t at = 0; at < bytes; at += step, n++)
                if (pass == 1)
                    j->chunks[n] = (struct chunk){i, at, bytes - at < step ? (size_t)(bytes - at) : step};
        }
        if (pass == 0 && !(j->chunks = calloc(n, sizeof(*j->chunks))))
            abort();
        j->n_chunks = n;
    }
}

static int write_model(const struct model_plan *plan, uint64_t seed, const char *path, unsigned n_threads)
{
    uint64_t start = clock_mono_ns();
    struct gw_buf header = gw_header(&plan->writer);
    uint64_t total = header.n + plan->data_bytes;
    struct job j = {.plan = plan, .seed = seed, .data_offset = header.n};
    pthread_t threads[MAX_THREADS];
    unsigned started = 0;
    j.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rc = j.fd < 0 ? errno : 0;
    struct stat st;
    if (rc == 0 && (fstat(j.fd, &st) != 0 || (S_ISREG(st.st_mode) && ftruncate(j.fd, (off_t)total) != 0)))
        rc = errno;
    if (rc == 0)
        rc = write_all(j.fd, header.p, header.n, 0);
    if (rc == 0) {
        cut_chunks(&j);
        while (started < n_threads && pthread_create(&threads[started], NULL, fill_thread, &j) == 0)
            started++;
        if (started == 0)
            fill_thread(&j);
        for (unsigned i = 0; i < started; i++)
            pthread_join(threads[i], NULL);
        rc = atomic_load(&j.error);
    }
    if (j.fd >= 0 && close(j.fd) != 0 && rc == 0)
        rc = errno;
    free(j.chunks);
    gw_buf_free(&header);
    if (rc != 0) {
        fprintf(stderr, "synth-model: %s: %s\n", path, strerror(rc));
        return 1;
    }
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    printf("%s: %zu tensors, %.3f GB in %.2f s, %.2f GB/s, %u threads\n", path, plan->n, (double)total / 1e9,
        seconds, (double)total / 1e9 / seconds, started);
    return 0;
}

enum {
    OPT_PRESET = 1,
    OPT_FAMILY,
    OPT_QUANT,
    OPT_OUT,
    OPT_SEED,
    OPT_LAYERS,
    OPT_EMBD,
    OPT_HEADS,
    OPT_KV_HEADS,
    OPT_HEAD_DIM,
    OPT_FF,
    OPT_VOCAB,
    OPT_CTX,
    OPT_EXPERTS,
    OPT_EXPERTS_USED,
    OPT_SHARED_FF,
    OPT_WINDOW,
    OPT_ROPE_BASE,
    OPT_ROPE_FACTOR,
    OPT_ROPE_FREQS,
    OPT_TIED,
    OPT_BIASES,
    OPT_TOKENIZER,
    OPT_NAME,
    OPT_THREADS,
    OPT_HELP
};

static const struct option options[] = {
    {"preset", 1, NULL, OPT_PRESET},
    {"family", 1, NULL, OPT_FAMILY},
    {"quant", 1, NULL, OPT_QUANT},
    {"out", 1, NULL, OPT_OUT},
    {"seed", 1, NULL, OPT_SEED},
    {"layers", 1, NULL, OPT_LAYERS},
    {"embd", 1, NULL, OPT_EMBD},
    {"heads", 1, NULL, OPT_HEADS},
    {"kv-heads", 1, NULL, OPT_KV_HEADS},
    {"head-dim", 1, NULL, OPT_HEAD_DIM},
    {"ff", 1, NULL, OPT_FF},
    {"vocab", 1, NULL, OPT_VOCAB},
    {"ctx", 1, NULL, OPT_CTX},
    {"experts", 1, NULL, OPT_EXPERTS},
    {"experts-used", 1, NULL, OPT_EXPERTS_USED},
    {"shared-ff", 1, NULL, OPT_SHARED_FF},
    {"window", 1, NULL, OPT_WINDOW},
    {"rope-base", 1, NULL, OPT_ROPE_BASE},
    {"rope-factor", 1, NULL, OPT_ROPE_FACTOR},
    {"rope-freqs", 1, NULL, OPT_ROPE_FREQS},
    {"tied", 1, NULL, OPT_TIED},
    {"biases", 1, NULL, OPT_BIASES},
    {"tokenizer", 1, NULL, OPT_TOKENIZER},
    {"name", 1, NULL, OPT_NAME},
    {"threads", 1, NULL, OPT_THREADS},
    {"help", 0, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void bad(const char *option, const char *text)
{
    fprintf(stderr, "synth-model: --%s: '%s' is not a valid number\n", option, text);
    exit(2);
}

static uint64_t number(const char *option, const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || v > max)
        bad(option, text);
    return v;
}

static float real(const char *option, const char *text)
{
    char *end;
    float v = strtof(text, &end);
    if (end == text || *end || !(v >= 0 && v <= 1e15f))
        bad(option, text);
    return v;
}

struct args {
    struct model_spec spec;
    const char *out;
    uint64_t seed;
    unsigned threads;
    bool tied_said;
};

static void take_option(struct args *a, int opt, const char *name)
{
    struct model_spec *s = &a->spec;
    uint32_t *counts[] = {[OPT_LAYERS] = &s->layers,
        [OPT_EMBD] = &s->embd,
        [OPT_HEADS] = &s->heads,
        [OPT_KV_HEADS] = &s->kv_heads,
        [OPT_HEAD_DIM] = &s->head_dim,
        [OPT_FF] = &s->ff,
        [OPT_VOCAB] = &s->vocab,
        [OPT_CTX] = &s->ctx,
        [OPT_EXPERTS] = &s->experts,
        [OPT_EXPERTS_USED] = &s->experts_used,
        [OPT_SHARED_FF] = &s->shared_ff,
        [OPT_WINDOW] = &s->window};
    switch (opt) {
    case OPT_FAMILY:
        s->family = optarg;
        break;
    case OPT_QUANT:
        s->quant = optarg;
        break;
    case OPT_OUT:
        a->out = optarg;
        break;
    case OPT_SEED:
        a->seed = number(name, optarg, UINT64_MAX);
        break;
    case OPT_ROPE_BASE:
        s->rope_base = real(name, optarg);
        break;
    case OPT_ROPE_FACTOR:
        s->rope_factor = real(name, optarg);
        break;
    case OPT_ROPE_FREQS:
        s->rope_freqs = real(name, optarg);
        break;
    case OPT_TIED:
        s->tied = number(name, optarg, 1);
        a->tied_said = true;
        break;
    case OPT_BIASES:
        s->biases = number(name, optarg, 1);
        break;
    case OPT_TOKENIZER:
        s->tokenizer = optarg;
        break;
    case OPT_NAME:
        s->name = optarg;
        break;
    case OPT_THREADS:
        a->threads = (unsigned)number(name, optarg, MAX_THREADS);
        break;
    default:
        *counts[opt] = (uint32_t)number(name, optarg, 1 << 24);
        break;
    }
}

/* Reads the preset first, wherever it is on the command line: the other options change its values. */
static int parse(struct args *a, int argc, char **argv)
{
    int opt, index;
    const char *preset = "tiny";
    while ((opt = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (opt == '?')
            return 2;
        if (opt == OPT_HELP) {
            usage(stdout);
            exit(0);
        }
        if (opt == OPT_PRESET)
            preset = optarg;
    }
    if (!model_preset(preset)) {
        fprintf(stderr, "synth-model: no such preset: '%s'; --help lists them\n", preset);
        return 2;
    }
    a->spec = *model_preset(preset);
    optind = 1;
    while ((opt = getopt_long(argc, argv, "", options, &index)) != -1)
        if (opt != OPT_PRESET)
            take_option(a, opt, options[index].name);
    if (optind != argc || !a->spec.quant || !a->out) {
        usage(stderr);
        return 2;
    }
    /* For some names, readers expect tokens that another vocabulary does not have. */
    if (!a->spec.name && strcmp(a->spec.tokenizer, model_preset(preset)->tokenizer) == 0)
        a->spec.name = preset;
    if (!a->tied_said && strncmp(a->spec.family, "gemma", 5) == 0)
        a->spec.tied = true;
    if (model_has_experts(a->spec.family) && !a->spec.experts)
        a->spec.experts = 8;
    if (a->spec.experts && !a->spec.experts_used)
        a->spec.experts_used = 2;
    return 0;
}

int main(int argc, char **argv)
{
    struct args a = {.seed = 1};
    struct model_plan plan;
    int rc = parse(&a, argc, argv);
    if (rc != 0)
        return rc;
    if (a.threads == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        a.threads = n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (unsigned)n;
    }
    const char *wrong = model_plan_init(&plan, &a.spec);
    if (wrong) {
        fprintf(stderr, "synth-model: %s\n", wrong);
        return 2;
    }
    rc = write_model(&plan, a.seed, a.out, a.threads);
    model_plan_free(&plan);
    return rc;
}
