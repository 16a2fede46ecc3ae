// rt.h on the CPU: streams that wait or forget to, graphs, failures on order, what is still
// held. (What of it can be had on a GPU is in layer*.cu and blas.cu.)
#include "tests/cuda/runtime.h"

namespace
{

SIMT_KERNEL(32) void twice(int *p)
{
    p[simt::thread_x()] *= 2;
}

SIMT_KERNEL(32) void copy(int *to, const int *from)
{
    to[simt::thread_x()] = from[simt::thread_x()];
}

/* --- streams ------------------------------------------------------------------------ */

struct pair_of_streams {
    struct simt_stream *a, *b;
    struct simt_event *event;
    pair_of_streams()
    {
        need(simt_stream_create(&a, 0), "stream");
        need(simt_stream_create(&b, 1), "stream");
        need(simt_event_create(&event, 0), "event");
    }
    ~pair_of_streams()
    {
        simt_event_destroy(event);
        simt_stream_destroy(a);
        simt_stream_destroy(b);
    }
};

/* Work on one stream that must come after work on another. Returns how many of 100 seeds are right. */
int right_with_seeds(bool waits)
{
    int right = 0;
    for (int seed = 0; seed < 100; seed++) {
        char words[64];
        snprintf(words, sizeof words, "reset streams=deferred seed=%d", seed);
        knobs(words);
        pair_of_streams s;
        device_array<int> p(32), q(32);
        int got[32];
        need(simt::launch(on(s.a), add, p.p, 5), "launch");
        need(simt_event_record(s.event, s.a), "record");
        if (waits)
            need(simt_stream_wait(s.b, s.event), "wait");
        need(simt::launch(on(s.b), copy, q.p, p.p), "launch");
        need(simt_device_sync(), "sync");
        q.get(got);
        right += got[0] == 5 && got[31] == 5;
    }
    return right;
}

void test_streams()
{
    int with = right_with_seeds(true), without = right_with_seeds(false);
    ok(with == 100, "streams that wait for each other: right with %d of 100 seeds", with);
    ok(without > 10 && without < 90, "a missing wait: right with %d of 100 seeds", without);

    knobs("reset streams=deferred seed=3");
    pair_of_streams s;
    device_array<int> p(32);
    void *memory;
    need(simt_host_alloc(&memory, 128), "host_alloc");
    int *pinned = static_cast<int *>(memory);
    for (int i = 0; i < 32; i++)
        pinned[i] = i;
    need(simt_copy_async(p.p, pinned, 128, SIMT_TO_DEVICE, s.a), "copy");
    pinned[0] = 77; // too early: the copy is still to come
    need(simt_copy_async(pinned, p.p, 128, SIMT_TO_HOST, s.a), "copy");
    bool poisoned = pinned[5] == -1;
    need(simt_event_record(s.event, s.a), "record");
    ok(simt_stream_query(s.a) == SIMT_NOT_READY && simt_event_query(s.event) == SIMT_NOT_READY,
        "queued work is not done before anybody waits");
    need(simt_event_sync(s.event), "sync");
    ok(poisoned && pinned[5] == -1 && simt_stream_query(s.a) == SIMT_OK &&
            simt_event_query(s.event) == SIMT_OK,
        "a pinned target is 0xFF until its copy is done; a source that was changed too early shows");

    int host[32];
    for (int i = 0; i < 32; i++)
        host[i] = i * 3;
    need(simt_copy_async(p.p, host, 128, SIMT_TO_DEVICE, s.a), "copy");
    host[4] = 0; // ordinary memory was read at once
    need(simt::launch(on(s.a), twice, p.p), "launch");
    need(simt_copy_async(host, p.p, 128, SIMT_TO_HOST, s.a), "copy");
    ok(host[4] == 24 && host[31] == 186, "copies of ordinary memory are staged, or waited for");
    need(simt_memset_async(p.p, 1, 64, s.a), "memset");
    need(simt_stream_sync(s.a), "sync");
    p.get(host);
    ok(host[15] == 0x01010101 && host[16] == 96, "memset of a part");

    struct simt_event *from, *to;
    float ms = -1;
    need(simt_event_create(&from, 1), "event");
    need(simt_event_create(&to, 1), "event");
    need(simt_event_record(from, s.a), "record");
    need(simt::launch(on(s.a), twice, p.p), "launch");
    need(simt_event_record(to, s.a), "record");
    bool early = simt_event_elapsed(&ms, from, to) == SIMT_NOT_READY;
    need(simt_event_sync(to), "sync");
    ok(early && simt_event_elapsed(&ms, from, to) == SIMT_OK && ms >= 0, "elapsed time, when it is known");
    ok(simt_event_elapsed(&ms, from, s.event) == SIMT_INVALID, "not of an event without a time");
    simt_event_destroy(from);
    simt_event_destroy(to);
    simt_host_free(memory);
    knobs("reset");
}

/* --- graphs ----------------------------------------------------------------------------- */

/* (((0 + n) * 2) copied) on two streams */
enum simt_status record(pair_of_streams &s, int *p, int *q, int n, bool join, struct simt_graph **out)
{
    struct simt_event *back;
    need(simt_event_create(&back, 0), "event");
    need(simt_capture_begin(s.a), "begin");
    need(simt_memset_async(p, 0, 128, s.a), "memset");
    need(simt::launch(on(s.a), add, p, n), "launch");
    need(simt_event_record(s.event, s.a), "record");
    need(simt_stream_wait(s.b, s.event), "wait");
    need(simt::launch(on(s.b), copy, q, static_cast<const int *>(p)), "launch");
    need(simt::launch(on(s.b), twice, q), "launch");
    need(simt_event_record(back, s.b), "record");
    if (join)
        need(simt_stream_wait(s.a, back), "wait");
    enum simt_status status = simt_capture_end(s.a, out);
    simt_event_destroy(back);
    return status;
}

void test_graphs(const char *words)
{
    knobs(words);
    {
        pair_of_streams s;
        device_array<int> p(32), q(32);
        int got[32], updated = -1;
        struct simt_graph *graph;
        struct simt_graph_exec *exec;
        need(record(s, p.p, q.p, 5, true, &graph), "record");
        q.get(got);
        bool idle = got[0] == 0;
        need(simt_graph_instantiate(&exec, graph), "instantiate");
        simt_graph_destroy(graph);
        uint64_t before = usage().launches;
        for (int i = 0; i < 3; i++)
            need(simt_graph_launch(exec, s.b), "launch");
        need(simt_stream_sync(s.b), "sync");
        q.get(got);
        ok(idle && got[0] == 10 && got[31] == 10 && usage().launches - before == 9,
            "%s: a graph of two streams, three times", words);
        need(record(s, p.p, q.p, 8, true, &graph), "record");
        need(simt_graph_update(exec, graph, &updated), "update");
        simt_graph_destroy(graph);
        need(simt_graph_launch(exec, s.a), "launch");
        need(simt_stream_sync(s.a), "sync");
        q.get(got);
        ok(updated == 1 && got[0] == 16, "%s: the same shape with other arguments", words);
        need(simt_capture_begin(s.a), "begin");
        need(simt::launch(on(s.a), twice, q.p), "launch");
        need(simt_capture_end(s.a, &graph), "end");
        need(simt_graph_update(exec, graph, &updated), "update");
        simt_graph_destroy(graph);
        need(simt_graph_launch(exec, s.a), "launch");
        need(simt_stream_sync(s.a), "sync");
        q.get(got);
        ok(updated == 0 && got[0] == 16, "%s: another shape is not taken, and harms nothing", words);
        simt_graph_exec_destroy(exec);
    }
    knobs("reset");
    ok(nothing_held(), "%s: nothing is held", words);
}

void test_captures()
{
    pair_of_streams s;
    device_array<int> p(32), q(32);
    struct simt_graph *graph = nullptr;
    ok(record(s, p.p, q.p, 1, false, &graph) == SIMT_INVALID && !graph, "not joined: %s", simt_error_text());
    ok(simt::launch(on(s.b), twice, q.p) == SIMT_OK && simt_stream_sync(s.b) == SIMT_OK,
        "the streams are usable again");

    void *memory = nullptr;
    need(simt_capture_begin(s.a), "begin");
    ok(simt_malloc(&memory, 64) == SIMT_INVALID && !memory, "no allocation within a capture");
    need(simt::launch(on(s.a), twice, q.p), "launch");
    ok(simt_capture_end(s.a, &graph) == SIMT_INVALID && !graph, "which spoils it: %s", simt_error_text());

    need(simt_capture_begin(s.a), "begin");
    ok(simt_stream_sync(s.a) == SIMT_INVALID, "no waiting for a stream that is captured");
    ok(simt_capture_end(s.a, &graph) == SIMT_INVALID && !graph, "which spoils it: %s", simt_error_text());

    ok(simt_capture_end(s.a, &graph) == SIMT_INVALID, "no end without a beginning");
    need(simt_event_record(s.event, s.b), "record");
    need(simt_capture_begin(s.a), "begin");
    ok(simt_capture_begin(s.b) == SIMT_INVALID, "one capture at a time in a thread");
    ok(simt_stream_wait(s.a, s.event) == SIMT_INVALID, "no waiting for what is outside the capture");
    ok(simt_capture_end(s.a, &graph) == SIMT_INVALID, "which spoils it");
    need(simt_capture_begin(s.a), "begin");
    need(simt_capture_end(s.a, &graph), "end");
    struct simt_graph_exec *exec;
    need(simt_graph_instantiate(&exec, graph), "instantiate");
    ok(simt_graph_launch(exec, s.a) == SIMT_OK && simt_stream_sync(s.a) == SIMT_OK, "an empty graph");
    simt_graph_exec_destroy(exec);
    simt_graph_destroy(graph);
}

/* --- devices and memory --------------------------------------------------------------------- */

void test_memory()
{
    knobs("reset memory=1M devices=2");
    int n = 0, device = -1;
    void *p = nullptr, *q = nullptr, *h = nullptr;
    size_t free_bytes, total;
    enum simt_where where;
    ok(simt_device_count(&n) == SIMT_OK && n == 2 && simt_device_use(2) == SIMT_NO_DEVICE, "devices: %s",
        simt_error_text());
    need(simt_device_use(1), "use");
    need(simt_malloc(&p, 1000000), "malloc");
    ok(simt_malloc(&q, 100000) == SIMT_OUT_OF_MEMORY && !q, "out of memory: %s", simt_error_text());
    need(simt_mem_info(&free_bytes, &total), "info");
    ok(free_bytes == 48576 && total == 1 << 20, "free and total");
    need(simt_device_use(0), "use");
    ok(simt_malloc(&q, 100000) == SIMT_OK, "the other device has room");
    need(simt_host_alloc(&h, 100), "host_alloc");
    bool good = simt_pointer_where(static_cast<char *>(p) + 999999, &where, &device) == SIMT_OK &&
                where == SIMT_WHERE_DEVICE && device == 1;
    good = good && simt_pointer_where(h, &where, &device) == SIMT_OK && where == SIMT_WHERE_PINNED;
    good = good && simt_pointer_where(&n, &where, &device) == SIMT_OK && where == SIMT_WHERE_UNKNOWN;
    ok(good, "where memory lives");
    unsigned char byte = 0;
    need(simt_copy(&byte, static_cast<char *>(p) + 5000, 1, SIMT_TO_HOST), "copy");
    ok(byte == 0xFF, "new device memory is 0xFF");
    ok(simt_malloc(&p, 0) == SIMT_INVALID && simt_host_alloc(&p, 0) == SIMT_INVALID, "nothing is no size");
    usage u;
    ok(u.device_bytes == 1100000 && u.device_blocks == 2 && u.pinned_bytes == 100 &&
            u.device_peak_bytes >= 1100000,
        "usage");
    simt_free(nullptr);
    simt_host_free(nullptr);
    simt_free(p);
    simt_free(q);
    simt_host_free(h);
    struct simt_device d;
    ok(simt_device_get(1, &d) == SIMT_OK && d.index == 1 && d.memory_bytes == 1 << 20 &&
            d.shared_per_block_optin == 227 * 1024,
        "a device's description: %s", d.name);
    knobs("reset devices=0");
    ok(simt_device_count(&n) == SIMT_NO_DEVICE, "no device: %s", simt_error_text());
    knobs("reset driver=0");
    ok(simt_device_count(&n) == SIMT_NO_DRIVER && simt_malloc(&p, 5) == SIMT_NO_DRIVER, "no driver: %s",
        simt_error_text());
    knobs("reset blas=0");
    struct simt_blas *blas;
    ok(simt_blas_open(&blas) == SIMT_NO_BLAS, "no cuBLASLt: %s", simt_error_text());
    knobs("reset");
    bool refused = true;
    for (const char *bad :
        {"order=sideways", "seed=x", "memory=5T", "memory=99999999999G", "devices=9", "fail=malloc",
            "fail=malloc:0", "fail=mallocs:1", "fail=mal:1", "quiet=2", "nonsense", "streams="})
        refused = refused && simt_knobs(bad) == SIMT_INVALID;
    ok(refused, "knobs that are not understood are refused");
    ok(strcmp(simt_status_name(SIMT_OUT_OF_MEMORY), "OUT_OF_MEMORY") == 0 &&
            strcmp(simt_status_name(static_cast<enum simt_status>(99)), "UNKNOWN") == 0 &&
            strcmp(simt_status_text(SIMT_OK), "ok") == 0 && strcmp(simt_flavour(), "cuda-simt") == 0,
        "names of errors");
}

/* --- failures -------------------------------------------------------------------------------- */

/* A small program that uses everything and gives all of it back, whatever fails. Its first failure. */
enum simt_status program()
{
    void *p = nullptr, *h = nullptr, *w = nullptr;
    struct simt_stream *s = nullptr;
    struct simt_event *e = nullptr;
    struct simt_graph *g = nullptr;
    struct simt_graph_exec *x = nullptr;
    struct simt_blas *b = nullptr;
    simt_gemm product = {};
    enum simt_status status = simt_device_use(0), end;
    if (status || (status = simt_malloc(&p, 4096)) || (status = simt_malloc(&w, 4096)) ||
        (status = simt_host_alloc(&h, 4096)) || (status = simt_stream_create(&s, 0)) ||
        (status = simt_event_create(&e, 0)) || (status = simt_blas_open(&b)))
        goto out;
    memset(h, 0, 4096);
    product.m = product.n = product.k = product.batch = 1;
    product.ld_a = product.ld_b = product.ld_c = 1;
    product.in = product.out = SIMT_F32;
    product.a = product.b = p;
    product.c = w;
    if ((status = simt_copy_async(p, h, 4096, SIMT_TO_DEVICE, s)) ||
        (status = simt_memset_async(w, 0, 4096, s)) ||
        (status = simt::launch(on(s), add, static_cast<int *>(p), 1)) ||
        (status = simt_blas_gemm(b, s, &product)) || (status = simt_event_record(e, s)) ||
        (status = simt_event_sync(e)) || (status = simt_capture_begin(s)))
        goto out;
    status = simt::launch(on(s), twice, static_cast<int *>(p));
    if (!status)
        status = simt_copy_async(h, p, 4096, SIMT_TO_HOST, s);
    end = simt_capture_end(s, &g);
    if (!status)
        status = end;
    if (status || (status = simt_graph_instantiate(&x, g)) || (status = simt_graph_launch(x, s)) ||
        (status = simt_stream_sync(s)) || (status = simt_device_sync()))
        goto out;
    if (static_cast<int *>(h)[31] != 2)
        status = SIMT_UNKNOWN;
out:
    simt_blas_close(b);
    simt_graph_exec_destroy(x);
    simt_graph_destroy(g);
    simt_event_destroy(e);
    simt_stream_destroy(s);
    simt_host_free(h);
    simt_free(w);
    simt_free(p);
    return status;
}

void test_failures()
{
    knobs("reset");
    ok(program() == SIMT_OK && nothing_held(), "a program that nothing hinders");
    struct {
        const char *what;
        int n;
        enum simt_status status;
    } const cases[] = {
        {"malloc:1", 1, SIMT_OUT_OF_MEMORY},
        {"malloc:2", 1, SIMT_OUT_OF_MEMORY},
        {"host_alloc:1", 1, SIMT_OUT_OF_HOST_MEMORY},
        {"stream:1", 1, SIMT_OUT_OF_HOST_MEMORY},
        {"event:1", 1, SIMT_OUT_OF_HOST_MEMORY},
        {"blas:1", 1, SIMT_NO_BLAS},
        {"copy:1", 1, SIMT_UNKNOWN},
        {"memset:1", 1, SIMT_UNKNOWN},
        {"launch:1", 1, SIMT_LAUNCH_FAILED},
        {"launch:2", 1, SIMT_LAUNCH_FAILED},
        {"graph:2", 1, SIMT_UNKNOWN},
        {"graph:4", 1, SIMT_LAUNCH_FAILED},
        {"sync:2", 1, SIMT_UNKNOWN},
        {"blas:2", 1, SIMT_UNKNOWN},
        {"copy:2", 1, SIMT_UNKNOWN},
    };
    bool right = true, clean = true;
    for (const auto &c : cases) {
        char words[64];
        snprintf(words, sizeof words, "reset fail=%s", c.what);
        knobs(words);
        enum simt_status status = program();
        if (status != c.status) {
            printf(
                "# fail=%s: %s, expected %s\n", c.what, simt_status_name(status), simt_status_name(c.status));
            right = false;
        }
        clean = clean && nothing_held() && program() == SIMT_OK;
    }
    ok(right, "each kind of call fails when it is told to, as it would");
    ok(clean, "once, and nothing is held");
    int runs[2] = {0, 0}, lost = 0;
    bool all_lost = true;
    for (int deferred = 0; deferred < 2; deferred++)
        for (int n = 1;; n++) {
            char words[64];
            snprintf(words, sizeof words, "reset streams=%s fail=any:%d", deferred ? "deferred" : "eager", n);
            knobs(words);
            enum simt_status status = program();
            clean = clean && nothing_held();
            if (!status)
                break;
            runs[deferred]++;
            snprintf(words, sizeof words, "reset streams=%s lose=any:%d", deferred ? "deferred" : "eager", n);
            knobs(words);
            all_lost = all_lost && program() == SIMT_DEVICE_LOST && program() == SIMT_DEVICE_LOST;
            clean = clean && nothing_held();
            lost++;
        }
    ok(clean && runs[0] > 15 && runs[0] == runs[1], "each of the %d calls fails in turn, and nothing is held",
        runs[0]);
    ok(all_lost, "at each of %d calls the device is lost, and stays so", lost);
    knobs("reset");
    ok(program() == SIMT_OK, "a reset finds it again");
}

} // namespace

int main()
{
    unsetenv("ORCD_CUDA_SIMT");
    test_streams();
    test_graphs("reset");
    test_graphs("reset order=random seed=4");
    test_graphs("reset streams=deferred seed=9");
    test_captures();
    test_memory();
    test_failures();
    ok(nothing_held(), "nothing is held at the end");
    return tap_end();
}
