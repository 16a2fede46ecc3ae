/*
 * The time from the start of the process to listening, to ready, and to the ready callback at its
 * receiver. With a model, also the speed of its load compared with a plain copy of the file at the
 * same time.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cases/file-copy.h"
#include "cases/receiver.h"
#include "lib/bench.h"

#define CALLBACK_MS 10000

struct starts {
    const struct bench_run *b;
    struct bench_result *r;
    struct receiver *receiver; /* NULL: a peer */
    const char *model;         /* NULL: the mock */
    struct file_copy file;
    char setting[128];
    struct bench_plot *plot;
};

/* One cold or hot state of the file, with its measures. NULL where there is none. */
struct variant {
    const char *name;
    struct bench_measure *listening, *ready, *callback, *load, *share, *copy;
};

static double ms(uint64_t from, uint64_t to)
{
    return ((double)to - (double)from) / 1e6;
}

static void draw(struct starts *s, const struct target_times *t, uint64_t callback_ns, double load_ms)
{
    struct bench_plot *p =
        bench_plot_new(s->r, BENCH_TIMELINE, "One start", "milliseconds since the process was started", "");
    double ready = ms(t->spawned_ns, t->ready_ns);
    bench_point(bench_series_new(p, "until it listens"), 0, ms(t->spawned_ns, t->listening_ns));
    if (load_ms > 0)
        bench_point(bench_series_new(p, "of it: model load"), fmax(0, ready - load_ms), ready);
    bench_point(bench_series_new(p, "until it is ready"), 0, ready);
    if (callback_ns)
        bench_point(bench_series_new(p, "callback received"), ms(t->spawned_ns, callback_ns),
            ms(t->spawned_ns, callback_ns));
    s->plot = p;
}

/* The load alone against the copy, alternating with it: both see the same machine. */
static void compare(struct starts *s, const struct variant *v, double load_ms)
{
    file_copy_back_memory(&s->file);
    double copy = file_copy_speed(&s->file), load = (double)s->file.bytes * 1e3 / load_ms;
    bench_add(v->load, load / 1e9);
    if (!v->share || copy <= 0)
        return;
    bench_add(v->copy, copy / 1e9);
    bench_add(v->share, load / copy);
}

static int start_once(struct starts *s, const struct variant *v, struct orcd_error *err)
{
    const char *settings[] = {s->setting, NULL};
    struct target_params p = {.settings = s->receiver ? settings : NULL, .model = s->model};
    struct target_times times;
    struct target *t;
    if (s->model)
        file_copy_back_memory(&s->file);
    int rc = target_start(&t, s->b->target, &p, err);
    if (rc)
        return rc;
    target_times(t, &times);
    uint64_t called = s->receiver ? receiver_wait(s->receiver, CALLBACK_MS) : 0;
    double load_ms = s->receiver && s->model ? target_metric(t, "orcd_model_load_duration_ms") : 0;
    target_stop(t);
    if (s->receiver && !called)
        return error_set(err, ORCD_E_BUSY, "the ready callback did not arrive");
    bench_add(v->listening, ms(times.spawned_ns, times.listening_ns));
    bench_add(v->ready, ms(times.spawned_ns, times.ready_ns));
    if (called)
        bench_add(v->callback, ms(times.spawned_ns, called));
    if (load_ms > 0 && v->load)
        compare(s, v, load_ms);
    if (!s->plot)
        draw(s, &times, called, load_ms);
    return 0;
}

static void make_variant(struct starts *s, struct variant *v, const char *name, double spec_s)
{
    const char *target = s->b->target->name;
    *v = (struct variant){.name = name};
    v->listening = bench_measure_new(s->r, target, "listening", name, "ms");
    v->ready = bench_measure_new(s->r, target, "ready", name, "ms");
    if (s->receiver) {
        v->callback = bench_measure_new(s->r, target, "callback", name, "ms");
        bench_bar(v->ready, BENCH_P95, spec_s * 1000, "specification");
    }
    if (!s->receiver || !s->model)
        return;
    v->load = bench_measure_new(s->r, target, "load_speed", name, "GB/s");
    v->load->higher_is_better = true;
}

static int run_model(struct starts *s, struct orcd_error *err)
{
    struct variant hot, cold;
    const char *target = s->b->target->name;
    bool cpu = s->receiver && strcmp(s->b->target->plugin, "cpu") == 0;
    size_t n = bench_count(s->b, 3, 12);
    int rc = file_copy_open(&s->file, s->model, err);
    if (rc)
        return rc;
    file_copy_speed(&s->file); /* the file is in memory now */
    make_variant(s, &hot, "hot file", 10);
    if (cpu) {
        hot.copy = bench_measure_new(s->r, target, "plain_copy_speed", "hot file", "GB/s");
        hot.share = bench_measure_new(s->r, target, "load_of_copy", "hot file", "1");
        hot.copy->higher_is_better = hot.share->higher_is_better = true;
        bench_bar(hot.share, BENCH_MEDIAN, 0.7, "bar");
    }
    for (size_t i = 0; i < n && !rc; i++) {
        rc = start_once(s, &hot, err);
        bench_progress(s->b, "hot file", (double)(i + 1) / (double)n);
    }
    /* A file in memory itself (tmpfs) has no cold state. */
    if (!rc && file_copy_evict(&s->file)) {
        make_variant(s, &cold, "cold file", 60);
        n = bench_count(s->b, 1, 3);
        for (size_t i = 0; i < n && !rc; i++) {
            file_copy_evict(&s->file);
            rc = start_once(s, &cold, err);
            bench_progress(s->b, "cold file", (double)(i + 1) / (double)n);
        }
    }
    return rc;
}

static int run_mock(struct starts *s, struct orcd_error *err)
{
    struct variant v;
    size_t n = bench_count(s->b, 30, 300);
    int rc = 0;
    make_variant(s, &v, "", 10);
    bench_bar(v.ready, BENCH_P95, 30, "bar");
    bench_bar(v.callback, BENCH_P95, 30, "bar");
    for (size_t i = 0; i < n && !rc; i++) {
        rc = start_once(s, &v, err);
        bench_progress(s->b, "starts", (double)(i + 1) / (double)n);
    }
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    struct starts s = {.b = b, .r = r, .file = {.fd = -1}};
    bool mock = b->target->plugin && strcmp(b->target->plugin, "mock") == 0;
    int rc = 0;
    if (b->target->url) {
        snprintf(r->skipped, sizeof(r->skipped), "the server was already running");
        return 0;
    }
    if (b->target->plugin)
        rc = receiver_start(&s.receiver, err);
    if (rc)
        return rc;
    if (s.receiver)
        snprintf(s.setting, sizeof(s.setting), "worker.callback_url=%s", receiver_url(s.receiver));
    s.model = mock ? NULL : b->model;
    if (!mock && !b->model)
        rc = error_set(err, ORCD_E_INVALID, "this target needs a model: --model FILE");
    else
        rc = mock ? run_mock(&s, err) : run_model(&s, err);
    file_copy_close(&s.file);
    receiver_stop(s.receiver);
    return rc;
}

const struct bench_case bench_model_loading = {
    "model_loading", "process start to listening, ready and callback", BENCH_PEERS | BENCH_NAMED, run};
