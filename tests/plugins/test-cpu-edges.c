/*
 * Memory that runs out at every place where it is asked for, loads that are stopped,
 * models and calls that are wrong: an answer each time, nothing lost.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#ifndef RIG_CUDA
#include "plugins/cpu/sys.h"
#endif
#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

static const struct tiny model = {.arch = "llama",
    .n_layers = 2,
    .n_embd = 64,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_dim = 16,
    .n_ff = 96,
    .n_vocab = 40,
    .type = "F16",
    .rope_freqs = true};

static char *path;
static struct model *file;

static int setup(void **state)
{
    (void)state;
    struct orcd_error err = ORCD_ERROR_INIT;
    path = tiny_write(&model);
    return model_open(&file, path, &err);
}

static int teardown(void **state)
{
    (void)state;
    model_close(file);
    unlink(path);
    free(path);
    return 0;
}

static const struct orcd_ctx_params params = {.size = sizeof(params),
    .n_sequences = 2,
    .n_ctx = 64,
    .max_batch_tokens = 32,
    .kv_tokens = 100,
    .max_batch_rows = 2,
    .max_logits = 32};

/* Device, model, context; the first code that is not 0. Frees all again. */
static int whole_way(struct orcd_error *err)
{
    const struct orcd_plugin *p = rig_plugin();
    struct orcd_device *device = NULL;
    struct orcd_model *m = NULL;
    struct orcd_ctx *ctx = NULL;
    int rc = p->device_open(0, &device, err);
    if (rc == 0)
        rc = p->model_load(device, model_source(file), &m, err);
    if (rc == 0)
        rc = p->ctx_new(m, &params, &ctx, err);
    if (ctx)
        p->ctx_free(ctx);
    if (m)
        p->model_free(m);
    if (device)
        p->device_close(device);
    return rc;
}

static void test_no_memory(void **state)
{
    (void)state;
    struct rig r;
    rig_open_device(&r, &(struct rig_options){.threads = 2});
    const int64_t live = rig_live_allocations();
    int rc = -1;
    int64_t n = 0;
    while (rc) {
        struct orcd_error err = ORCD_ERROR_INIT;
        rig_host.fail_at = ++n;
        rc = whole_way(&err);
        assert_int_equal(rig_live_allocations(), live);
        assert_int_equal(err.code, rc);
        if (rc)
            assert_int_equal(rc, ORCD_E_NOMEM);
        assert_true(n < 1000);
    }
    assert_true(n > 20);
    rig_host.fail_at = 0;
    rig_close(&r);
    assert_int_equal(rig_live_allocations(), 0);
}

static int calls_left;

static int32_t stop_at(uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    return --calls_left == 0;
}

static void test_stopped(void **state)
{
    (void)state;
    struct rig r;
    rig_open_device(&r, NULL);
    const int64_t live = rig_live_allocations();
    rig_host.progress = stop_at;
    for (int n = 1; n <= 2; n++) {
        struct orcd_error err = ORCD_ERROR_INIT;
        calls_left = n;
        assert_int_equal(whole_way(&err), ORCD_E_STOPPED);
        assert_int_equal(rig_live_allocations(), live);
    }
    struct orcd_memory memory = {.size = sizeof(memory)};
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(r.p->device_memory(r.device, &memory, &err), 0);
    assert_int_equal(memory.ours_bytes, 0);
    assert_true(memory.free_bytes > 0 && memory.free_bytes <= memory.total_bytes);
    rig_host.progress = NULL;
    rig_close(&r);
}

/* A copy of the model's source that a test spoils. */
struct copy {
    struct orcd_model_source s;
    struct orcd_hparams hp;
    struct orcd_tensor *tensors;
    struct orcd_layer *layers;
    struct orcd_file file;
};

static void copy_make(struct copy *c)
{
    c->s = *model_source(file);
    c->hp = *c->s.hparams;
    c->tensors = malloc(c->s.n_tensors * sizeof(*c->tensors));
    c->layers = malloc(c->s.n_layers * sizeof(*c->layers));
    assert_non_null(c->tensors);
    assert_non_null(c->layers);
    for (uint32_t i = 0; i < c->s.n_tensors; i++)
        memcpy(&c->tensors[i], (const char *)c->s.tensors + i * c->s.tensor_stride, sizeof(*c->tensors));
    for (uint32_t i = 0; i < c->s.n_layers; i++)
        memcpy(&c->layers[i], (const char *)c->s.layers + i * c->s.layer_stride, sizeof(*c->layers));
    memcpy(&c->file, c->s.files, sizeof(c->file));
    c->s.hparams = &c->hp;
    c->s.tensors = c->tensors;
    c->s.tensor_stride = sizeof(*c->tensors);
    c->s.layers = c->layers;
    c->s.layer_stride = sizeof(*c->layers);
    c->s.files = &c->file;
    c->s.file_stride = sizeof(c->file);
}

static void copy_free(struct copy *c)
{
    free(c->tensors);
    free(c->layers);
}

static void expect(struct rig *r, const struct copy *c, int code, const char *word)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_model *m = (struct orcd_model *)&err;
    const int64_t live = rig_live_allocations();
    assert_int_equal(r->p->model_load(r->device, &c->s, &m, &err), code);
    assert_ptr_equal(m, (struct orcd_model *)&err);
    assert_int_equal(rig_live_allocations(), live);
    if (!strstr(err.msg, word))
        fail_msg("\"%s\" does not name %s", err.msg, word);
}

#define SPOIL(what, code, word)                                                                              \
    do {                                                                                                     \
        struct copy c;                                                                                       \
        copy_make(&c);                                                                                       \
        what;                                                                                                \
        expect(&r, &c, code, word);                                                                          \
        copy_free(&c);                                                                                       \
    } while (0)

static void test_bad_models(void **state)
{
    (void)state;
    struct rig r;
    rig_open_device(&r, NULL);
    SPOIL(c.s.required_features |= UINT64_C(1) << 63, ORCD_E_UNSUPPORTED, "63");
    SPOIL(c.s.required_features |= UINT64_C(1) << 63, ORCD_E_UNSUPPORTED, "63");
    SPOIL(c.tensors[0].type = ORCD_TYPE_MXFP4, ORCD_E_INVALID, "token_embd");
    SPOIL(c.tensors[0].type = ORCD_TYPE_I16, ORCD_E_UNSUPPORTED, "I16");
    SPOIL(c.tensors[0].dims[0] = 63, ORCD_E_INVALID, "token_embd");
    SPOIL(c.tensors[0].dims[1] = UINT64_MAX, ORCD_E_INVALID, "token_embd");
    SPOIL(c.tensors[0].offset = UINT64_MAX, ORCD_E_INVALID, "token_embd");
    SPOIL(c.tensors[0].bytes = UINT64_MAX, ORCD_E_INVALID, "token_embd");
    SPOIL(c.tensors[0].file = 1, ORCD_E_INVALID, "file");
    SPOIL(c.hp.n_vocab = 0, ORCD_E_INVALID, "vocabulary");
    SPOIL(c.hp.head_dim_k = 17, ORCD_E_INVALID, "heads");
    SPOIL(c.hp.n_layers = 3, ORCD_E_INVALID, "layers");
    SPOIL(c.hp.norm = 2, ORCD_E_UNSUPPORTED, "norm");
    SPOIL(c.hp.activation = 4, ORCD_E_UNSUPPORTED, "activation");
    SPOIL(c.hp.rope_scaling = 4, ORCD_E_UNSUPPORTED, "rope scaling");
    SPOIL(c.hp.rope_scaling = ORCD_SCALING_LONGROPE, ORCD_E_INVALID, "factors");
    SPOIL(c.hp.yarn_attn_factor = NAN, ORCD_E_INVALID, "factor");
    SPOIL((c.hp.rope_scaling = ORCD_SCALING_YARN, c.hp.yarn_ext_factor = 1, c.hp.rope_scale = 0),
        ORCD_E_INVALID, "magnitude");
    SPOIL((c.hp.n_experts = 4, c.hp.n_experts_used = 5, c.hp.n_ff_expert = 64), ORCD_E_INVALID, "experts");
    SPOIL((c.hp.n_experts = 4, c.hp.n_experts_used = 2, c.hp.n_ff_expert = 0), ORCD_E_INVALID, "experts");
    SPOIL((c.hp.n_experts = 4, c.hp.n_experts_used = 2, c.hp.n_ff_expert = 64), ORCD_E_INVALID, "router");
    SPOIL(c.s.required_features |= ORCD_F_FUSED_GATE, ORCD_E_INVALID, "ffn_up");
    SPOIL(c.s.required_features |= ORCD_F_POST_NORMS, ORCD_E_INVALID, "norm behind attention");
    SPOIL(c.s.required_features |= ORCD_F_SHARED_EXPERT, ORCD_E_INVALID, "shared expert");
    SPOIL((c.s.required_features |= ORCD_F_SOFTCAP, c.hp.attn_softcap = NAN), ORCD_E_INVALID, "caps");
    SPOIL((c.s.required_features |= ORCD_F_SOFTCAP, c.hp.logit_softcap = -1), ORCD_E_INVALID, "caps");
    SPOIL((c.s.required_features |= ORCD_F_EMBD_SCALE, c.hp.embd_scale = INFINITY), ORCD_E_INVALID, "scale");
    SPOIL((c.s.required_features |= ORCD_F_LOCAL_ROPE, c.hp.rope_base_local = NAN), ORCD_E_INVALID,
        "local rope");
    SPOIL(c.s.required_features |= ORCD_F_POSITION_EMBD, ORCD_E_INVALID, "position");
    SPOIL(c.layers[0].tensor[ORCD_L_QKV] = c.layers[0].tensor[ORCD_L_Q], ORCD_E_INVALID, "attn_q");
    SPOIL(c.layers[0].tensor[ORCD_L_SINKS] = c.layers[0].tensor[ORCD_L_FFN_NORM], ORCD_E_INVALID, "sinks");
    SPOIL(c.layers[1].n_kv_heads = 3, ORCD_E_INVALID, "layer 1");
    SPOIL(c.layers[1].n_heads = 0, ORCD_E_INVALID, "layer 1");
    SPOIL(c.layers[1].n_ff = 32, ORCD_E_INVALID, "ffn");
    SPOIL(c.layers[0].tensor[ORCD_L_DOWN] = -1, ORCD_E_INVALID, "down");
    SPOIL(c.layers[0].tensor[ORCD_L_DOWN] = 1000, ORCD_E_INVALID, "1000");
    SPOIL(c.layers[0].tensor[ORCD_L_FFN_NORM] = -1, ORCD_E_INVALID, "norm");
    SPOIL(c.layers[0].size = 8, ORCD_E_INVALID, "layer 0");
    /* A host that knows fewer roles: the feed-forward matrices are then missing. */
    SPOIL(c.layers[0].size = offsetof(struct orcd_layer, tensor[ORCD_L_GATE]), ORCD_E_INVALID, "gate");
    SPOIL(c.s.n_global = 1, ORCD_E_INVALID, "output");
    SPOIL(c.s.size = 16, ORCD_E_INVALID, "source");
    rig_close(&r);
}

/* A host that did not map the file. */
static void test_unmapped(void **state)
{
    (void)state;
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct copy c;
    struct orcd_model *m;
    rig_open_device(&r, NULL);
    copy_make(&c);
    c.file.mapping = NULL;
    assert_int_equal(r.p->model_load(r.device, &c.s, &m, &err), 0);
    r.p->model_free(m);
    c.file.fd = -1;
    assert_int_equal(r.p->model_load(r.device, &c.s, &m, &err), ORCD_E_IO);
    copy_free(&c);
    rig_close(&r);
}

/* A file that became shorter after the host had looked at it. */
static void test_cut(void **state)
{
    (void)state;
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct copy c;
    struct orcd_model *m;
    char *other = tiny_write(&model);
    int fd = open(other, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    rig_open_device(&r, NULL);
    copy_make(&c);
    c.file.fd = fd;
    assert_int_equal(r.p->model_load(r.device, &c.s, &m, &err), 0);
    r.p->model_free(m);
    assert_int_equal(ftruncate(fd, (off_t)(c.file.bytes - 1)), 0);
    assert_int_equal(r.p->model_load(r.device, &c.s, &m, &err), ORCD_E_IO);
    assert_non_null(strstr(err.msg, "cut short"));
    copy_free(&c);
    rig_close(&r);
    close(fd);
    unlink(other);
    free(other);
}

static int submit(struct rig *r, struct orcd_batch *b)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const int rc = r->p->submit(r->ctx, b, &err);
    assert_int_equal(err.code, rc);
    return rc;
}

static void test_bad_steps(void **state)
{
    (void)state;
    struct rig r;
    struct rig_out out;
    struct orcd_error err = ORCD_ERROR_INIT;
    rig_open(&r, path, &(struct rig_options){.n_ctx = 64, .max_batch_tokens = 32, .max_logits = 8});
    assert_int_equal(r.p->seq_open(r.ctx, 0, 40, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 0, 40, &err), ORCD_E_INVALID);
    assert_int_equal(r.p->seq_open(r.ctx, 4, 40, &err), ORCD_E_INVALID);
    assert_int_equal(r.p->seq_open(r.ctx, 1, 65, &err), ORCD_E_INVALID);
    assert_int_equal(r.p->seq_close(r.ctx, 1, &err), ORCD_E_NOT_FOUND);
    int32_t ids[64] = {0};
    uint32_t seq[2] = {0, 0}, first[2] = {0, 0}, count[2] = {4, 4}, start[2] = {0, 4}, want[2] = {1, 1},
             kind[2] = {0, 0};
    const struct orcd_batch good = {.size = sizeof(good),
        .n_rows = 1,
        .ticket = 1,
        .seq = seq,
        .first_pos = first,
        .n_tokens = count,
        .token_start = start,
        .tokens = ids,
        .want = want,
        .kind = kind};
    struct orcd_batch b = good;
    b.n_rows = 0;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    b.n_rows = RIG_MAX_ROWS + 1;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    b = good;
    b.n_rows = 2; /* both of sequence 0 */
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    b = good;
    seq[0] = 3;
    assert_int_equal(submit(&r, &b), ORCD_E_NOT_FOUND);
    seq[0] = UINT32_MAX;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    seq[0] = 0;
    first[0] = 1;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    first[0] = 0;
    ids[3] = 40;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    ids[3] = ORCD_TOKEN_CHAINED;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    ids[3] = 0;
    count[0] = 0;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    count[0] = 33;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    count[0] = UINT32_MAX;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    count[0] = 9;
    want[0] = ORCD_WANT_ALL; /* nine positions of eight */
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    want[0] = 3;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    want[0] = ORCD_WANT_LAST;
    kind[0] = ORCD_KIND_TOKEN;
    assert_int_equal(submit(&r, &b), r.p->seq_sampler ? ORCD_E_INVALID : ORCD_E_UNSUPPORTED);
    kind[0] = ORCD_KIND_LOGITS;
    /* None of these left a trace: the same ticket still goes. */
    uint32_t n;
    assert_int_equal(r.p->seq_len(r.ctx, 0, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(submit(&r, &b), 0);
    b.ticket = 2;
    assert_int_equal(submit(&r, &b), ORCD_E_BUSY);
    assert_int_equal(r.p->seq_close(r.ctx, 0, &err), ORCD_E_BUSY);
    assert_int_equal(r.p->seq_trim(r.ctx, 0, 0, &n, &err), ORCD_E_BUSY);
    assert_int_equal(r.p->seq_reserve(r.ctx, 0, 64, &err), ORCD_E_BUSY);
    assert_int_equal(r.p->seq_open(r.ctx, 1, 10, &err), 0); /* not in the step */
    r.ticket = 1;
    assert_int_equal(rig_wait(&r, &out), 0);
    assert_int_equal(out.kept[0], 9);
    assert_int_equal(rig_wait(&r, &out), ORCD_E_INVALID);
    b.ticket = 1; /* not a new one */
    first[0] = 9;
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    b.ticket = 2;
    count[0] = 32; /* 41 of 40 */
    assert_int_equal(submit(&r, &b), ORCD_E_INVALID);
    rig_close(&r);
}

/* Tokens are shared out to the last one, whatever blocks they lie in. */
static void test_kv(void **state)
{
    (void)state;
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t kept;
    rig_open(&r, path, &(struct rig_options){.n_ctx = 64, .kv_tokens = 100});
    assert_int_equal(r.p->seq_open(r.ctx, 0, 33, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 1, 33, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 2, 35, &err), ORCD_E_OUT_OF_KV);
    assert_int_equal(r.p->seq_open(r.ctx, 2, 33, &err), 0);
    assert_int_equal(r.p->seq_reserve(r.ctx, 2, 35, &err), ORCD_E_OUT_OF_KV);
    assert_int_equal(r.p->seq_reserve(r.ctx, 2, 34, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 3, 1, &err), ORCD_E_OUT_OF_KV);
    assert_int_equal(r.p->seq_reserve(r.ctx, 0, 20, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 3, 13, &err), 0);
    int32_t ids[20] = {1, 2, 3};
    struct rig_out out;
    const struct rig_row row = {.seq = 0, .n = 20, .tokens = ids, .want = ORCD_WANT_NONE};
    rig_step(&r, &row, 1, &out);
    assert_int_equal(out.kept[0], 20);
    assert_int_equal(r.p->seq_reserve(r.ctx, 0, 19, &err), ORCD_E_INVALID);
    assert_int_equal(r.p->seq_trim(r.ctx, 0, 19, &kept, &err), 0);
    assert_int_equal(kept, 19);
    assert_int_equal(r.p->seq_trim(r.ctx, 0, 100, &kept, &err), 0);
    assert_int_equal(kept, 19);
    assert_int_equal(r.p->seq_reserve(r.ctx, 0, 19, &err), 0);
    for (uint32_t s = 0; s < 4; s++)
        assert_int_equal(r.p->seq_close(r.ctx, s, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 3, 64, &err), 0);
    assert_int_equal(r.p->seq_open(r.ctx, 0, 36, &err), 0);
    rig_close(&r);
}

static uint32_t granule(const char *fixed_height)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_model_info info = {.size = sizeof(info)};
    struct rig r;
    rig_open(&r, path, &(struct rig_options){.sub_batch = 64, .settings = {fixed_height, "false"}});
    assert_int_equal(r.p->model_info(r.model, &info, &err), 0);
    rig_close(&r);
    return info.prefill_granule;
}

/* A slice of the cuda plugin reads all weights however few its tokens are. */
static void test_granule(void **state)
{
    (void)state;
#ifdef RIG_CUDA
    assert_int_equal(granule(NULL), 64);
    assert_int_equal(granule("fixed_height"), 1);
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(rig_plugin()->configure("fixed_height", "true", &err), 0);
#else
    assert_int_equal(granule(NULL), 1);
#endif
}

#ifndef RIG_CUDA
static void test_options(void **state)
{
    (void)state;
    const struct orcd_plugin *p = rig_plugin();
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(p->configure("threads", "1025", &err), ORCD_E_INVALID);
    assert_int_equal(p->configure("threads", "two", &err), ORCD_E_INVALID);
    assert_int_equal(p->configure("threads", "", &err), ORCD_E_INVALID);
    assert_int_equal(p->configure("pin", "maybe", &err), ORCD_E_INVALID);
    assert_int_equal(p->configure("sub_batch", "0", &err), ORCD_E_INVALID);
    assert_int_equal(p->configure("speed", "9", &err), ORCD_E_NOT_FOUND);
    assert_int_equal(p->configure("isa", "abacus", &err), 0);
    assert_int_equal(p->init(&err), ORCD_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "abacus"));
    assert_int_equal(p->configure("isa", "auto", &err), 0);
    for (uint32_t i = 0; i < p->n_options; i++) {
        const struct orcd_option *o = (const void *)((const char *)p->options + (size_t)i * p->option_stride);
        assert_int_equal(p->configure(o->name, o->fallback, &err), 0);
    }
}

/* Writes text to dir/name, making dir. */
static void put(const char *dir, const char *name, const char *text)
{
    char file_name[512];
    snprintf(file_name, sizeof(file_name), "mkdir -p %s", dir);
    assert_int_equal(system(file_name), 0);
    snprintf(file_name, sizeof(file_name), "%s/%s", dir, name);
    FILE *f = fopen(file_name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_quota(void **state)
{
    (void)state;
    char root[] = "/tmp/orcd-cgroup-XXXXXX", a[256], b[256], self[256];
    assert_non_null(mkdtemp(root));
    snprintf(self, sizeof(self), "%s/self", root);
    assert_int_equal(sys_cpu_quota(self, root), 0); /* no such file */
    put(root, "self", "0::/a/b\n");
    assert_int_equal(sys_cpu_quota(self, root), 0);
    snprintf(a, sizeof(a), "%s/a", root);
    snprintf(b, sizeof(b), "%s/a/b", root);
    put(b, "cpu.max", "max 100000\n");
    assert_int_equal(sys_cpu_quota(self, root), 0);
    put(a, "cpu.max", "250000 100000\n"); /* the parent's counts too */
    assert_int_equal(sys_cpu_quota(self, root), 2);
    put(a, "cpu.max", "765000 100000\n"); /* 7.65 processors are enough for 7 threads */
    assert_int_equal(sys_cpu_quota(self, root), 7);
    put(b, "cpu.max", "50000 100000\n");
    assert_int_equal(sys_cpu_quota(self, root), 1);
    put(b, "cpu.max", "garbage\n");
    assert_int_equal(sys_cpu_quota(self, root), 7);
    put(root, "self", "4:memory:/x\n3:cpu,cpuacct:/a\n");
    snprintf(a, sizeof(a), "%s/cpu,cpuacct/a", root);
    put(a, "cpu.cfs_quota_us", "-1\n");
    put(a, "cpu.cfs_period_us", "100000\n");
    assert_int_equal(sys_cpu_quota(self, root), 0);
    put(a, "cpu.cfs_quota_us", "400000\n");
    assert_int_equal(sys_cpu_quota(self, root), 4);
    char command[300];
    snprintf(command, sizeof(command), "rm -r %s", root);
    assert_int_equal(system(command), 0);
    assert_true(sys_cpu_count() >= 1);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_bad_models),
        cmocka_unit_test(test_unmapped),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bad_steps),
        cmocka_unit_test(test_kv),
        cmocka_unit_test(test_granule),
#ifndef RIG_CUDA
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_quota),
#endif
    };
    return cmocka_run_group_tests_name(RIG_PLUGIN " plugin, edges", tests, setup, teardown);
}
