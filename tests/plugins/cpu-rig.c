#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/model.h"
#include "plugins/cuda/simt/rt.h"
#include "tests/plugins/cpu-rig.h"

struct rig_host rig_host;
static atomic_llong live;

/* Counts down to the one that fails; that one alone. */
static bool fails_now(void)
{
    return rig_host.fail_at > 0 && --rig_host.fail_at == 0;
}

static void host_log(int32_t level, const char *text)
{
    printf("# plugin says (%d): %s\n", (int)level, text);
}

static void *host_alloc(size_t bytes, size_t align)
{
    if (fails_now())
        return NULL;
    size_t rounded = (bytes + align - 1) / align * align;
    void *p = aligned_alloc(align, rounded ? rounded : align);
    if (p) {
        memset(p, 0xa5, rounded); /* nobody may count on zeros */
        atomic_fetch_add(&live, 1);
    }
    return p;
}

static void host_free(void *p)
{
    if (p)
        atomic_fetch_sub(&live, 1);
    free(p);
}

static int32_t host_progress(uint64_t done, uint64_t total)
{
    return rig_host.progress ? rig_host.progress(done, total) : 0;
}

static int32_t host_fault(const char *point)
{
    if (rig_host.fault) {
        int32_t rc = rig_host.fault(point);
        if (rc)
            return rc;
    }
    const char *dot = strchr(point, '.');
    if (dot && (strcmp(dot, ".map") == 0 || strcmp(dot, ".alloc") == 0 || strcmp(dot, ".thread") == 0) &&
        fails_now())
        return ORCD_E_NOMEM;
    return 0;
}

int64_t rig_live_allocations(void)
{
    return atomic_load(&live);
}

const struct orcd_plugin *rig_plugin(void)
{
    static const struct orcd_host host = {.magic = ORCD_HOST_MAGIC,
        .size = sizeof(host),
        .minor = ORCD_ABI_MINOR,
        .log = host_log,
        .now_ns = clock_mono_ns,
        .alloc = host_alloc,
        .free = host_free,
        .progress = host_progress,
        .fault = host_fault};
    static const struct orcd_plugin *plugin;
    if (plugin)
        return plugin;
    const char *dir = getenv("ORCD_PLUGINS");
    char path[4096];
    snprintf(path, sizeof(path), "%s/" RIG_PLUGIN ".so", dir ? dir : "plugins");
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        fail_msg("%s", dlerror());
    orcd_plugin_entry entry;
    *(void **)&entry = dlsym(so, "orcd_plugin_v1");
    assert_non_null(entry);
    plugin = entry(&host);
    assert_non_null(plugin);
    return plugin;
}

static void set_option(const struct orcd_plugin *p, const char *key, const char *value)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (p->configure(key, value, &err))
        fail_msg("%s: %s", key, err.msg);
}

static void set_number(const struct orcd_plugin *p, const char *key, uint32_t value)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", (unsigned)value);
    set_option(p, key, text);
}

void rig_open_device(struct rig *r, const struct rig_options *o)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    *r = (struct rig){.p = rig_plugin()};
    if (o)
        r->options = *o;
    struct rig_options *x = &r->options;
    x->isa = x->isa ? x->isa : "auto";
    x->threads = x->threads ? x->threads : 2;
    x->sub_batch = x->sub_batch ? x->sub_batch : 128;
    x->n_sequences = x->n_sequences ? x->n_sequences : 4;
    x->n_ctx = x->n_ctx ? x->n_ctx : 512;
    x->max_batch_tokens = x->max_batch_tokens ? x->max_batch_tokens : 512;
    x->max_logits = x->max_logits ? x->max_logits : 512;
    x->kv_tokens = x->kv_tokens ? x->kv_tokens : (uint64_t)x->n_sequences * x->n_ctx;
#ifdef RIG_CUDA
    set_number(r->p, "load_threads", x->threads);
    set_number(r->p, "load_buffer_mb", 1);
    set_number(r->p, "prefill_slice", x->sub_batch);
    set_number(r->p, "reserve_mb", 1);
    set_number(r->p, "max_inflight", 1);
#else
    set_option(r->p, "isa", x->isa);
    set_number(r->p, "threads", x->threads);
    set_number(r->p, "sub_batch", x->sub_batch);
#endif
    for (size_t i = 0; i + 1 < sizeof(x->settings) / sizeof(x->settings[0]) && x->settings[i]; i += 2)
        set_option(r->p, x->settings[i], x->settings[i + 1]);
    if (r->p->configure(NULL, NULL, &err) || r->p->init(&err) || r->p->device_open(0, &r->device, &err))
        fail_msg("%s", err.msg);
}

void rig_open(struct rig *r, const char *path, const struct rig_options *o)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    rig_open_device(r, o);
    const struct rig_options *x = &r->options;
    struct orcd_ctx_params params = {.size = sizeof(params),
        .n_sequences = x->n_sequences,
        .n_ctx = x->n_ctx,
        .max_batch_tokens = x->max_batch_tokens,
        .kv_tokens = x->kv_tokens,
        .max_batch_rows = RIG_MAX_ROWS,
        .max_logits = x->max_logits};
    if (model_open(&r->file, path, &err) ||
        r->p->model_load(r->device, model_source(r->file), &r->model, &err) ||
        r->p->ctx_new(r->model, &params, &r->ctx, &err))
        fail_msg("%s: %s", path, err.msg);
    struct orcd_model_info info = {.size = sizeof(info)};
    assert_int_equal(r->p->model_info(r->model, &info, &err), 0);
    r->n_vocab = info.n_vocab;
}

int rig_try(const char *path, struct orcd_error *err)
{
    struct orcd_error other = ORCD_ERROR_INIT;
    struct rig r;
    rig_open_device(&r, NULL);
    if (model_open(&r.file, path, &other))
        fail_msg("%s: %s", path, other.msg);
    int rc = r.p->model_load(r.device, model_source(r.file), &r.model, err);
    rig_close(&r);
    return rc;
}

/* The cuda plugin prepared every kernel that it launched as dependent. */
static void expect_prepared(const struct orcd_plugin *p)
{
#ifdef RIG_CUDA
    struct simt_usage u;
    void (*usage_get)(struct simt_usage * out);
    *(void **)&usage_get = p->get_proc("x_simt_usage");
    usage_get(&u);
    assert_int_equal(u.unprepared, 0);
#else
    (void)p;
#endif
}

void rig_close(struct rig *r)
{
    expect_prepared(r->p);
    if (r->ctx)
        r->p->ctx_free(r->ctx);
    if (r->model)
        r->p->model_free(r->model);
    if (r->file)
        model_close(r->file);
    r->p->device_close(r->device);
    r->p->fini();
    *r = (struct rig){0};
}

void rig_submit(struct rig *r, const struct rig_row *rows, uint32_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t seq[RIG_MAX_ROWS], first[RIG_MAX_ROWS], count[RIG_MAX_ROWS], start[RIG_MAX_ROWS],
        want[RIG_MAX_ROWS], kind[RIG_MAX_ROWS] = {0}, at = 0;
    int32_t *tokens = malloc(sizeof(*tokens) * (r->options.max_batch_tokens + 1));
    assert_non_null(tokens);
    for (uint32_t i = 0; i < n; i++) {
        seq[i] = rows[i].seq;
        if (r->p->seq_len(r->ctx, seq[i], &first[i], &err))
            fail_msg("%s", err.msg);
        count[i] = rows[i].n;
        start[i] = at;
        want[i] = rows[i].want;
        assert_true(at + rows[i].n <= r->options.max_batch_tokens);
        memcpy(tokens + at, rows[i].tokens, rows[i].n * sizeof(*tokens));
        at += rows[i].n;
    }
    struct orcd_batch batch = {.size = sizeof(batch),
        .n_rows = n,
        .ticket = ++r->ticket,
        .seq = seq,
        .first_pos = first,
        .n_tokens = count,
        .token_start = start,
        .tokens = tokens,
        .want = want,
        .kind = kind};
    if (r->p->submit(r->ctx, &batch, &err))
        fail_msg("submit: %s", err.msg);
    /* Everything was borrowed for the call only. */
    memset(tokens, 0xff, at * sizeof(*tokens));
    free(tokens);
}

int rig_wait(struct rig *r, struct rig_out *out)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    int32_t token[RIG_MAX_ROWS];
    struct orcd_result result = {.size = sizeof(result),
        .row_capacity = RIG_MAX_ROWS,
        .status = out->status,
        .kept = out->kept,
        .logits = out->logits,
        .n_logits = out->n_logits,
        .token = token};
    int rc = r->p->wait(r->ctx, &result, &err);
    if (rc == 0)
        assert_int_equal(result.ticket, r->ticket);
    return rc;
}

void rig_step(struct rig *r, const struct rig_row *rows, uint32_t n, struct rig_out *out)
{
    rig_submit(r, rows, n);
    assert_int_equal(rig_wait(r, out), 0);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(out->status[i], 0);
}

void rig_logits(struct rig *r, const int32_t *tokens, uint32_t n, uint32_t chunk, float *out)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct rig_out o;
    if (chunk == 0 || chunk > r->options.max_batch_tokens)
        chunk = r->options.max_batch_tokens;
    if (r->p->seq_open(r->ctx, 0, n, &err))
        fail_msg("%s", err.msg);
    for (uint32_t t = 0; t < n;) {
        uint32_t k = n - t < chunk ? n - t : chunk;
        struct rig_row row = {.seq = 0, .n = k, .tokens = tokens + t, .want = ORCD_WANT_ALL};
        rig_step(r, &row, 1, &o);
        assert_int_equal(o.n_logits[0], k);
        assert_int_equal((uintptr_t)o.logits[0] % 64, 0);
        assert_int_equal(o.kept[0], t + k);
        memcpy(out + (size_t)t * r->n_vocab, o.logits[0], (size_t)k * r->n_vocab * sizeof(float));
        t += k;
    }
    assert_int_equal(r->p->seq_close(r->ctx, 0, &err), 0);
}

const char *rig_isa(unsigned i)
{
    static const char *const all[] = {"plain", "avx2", "avx512"};
    const struct orcd_plugin *p = rig_plugin();
    for (unsigned k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
        struct orcd_error err = ORCD_ERROR_INIT;
        p->configure("isa", all[k], &err);
        if (p->init(&err) == 0 && i-- == 0)
            return all[k];
    }
    return NULL;
}
