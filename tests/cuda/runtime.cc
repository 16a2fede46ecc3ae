// rt.h on the CPU: streams that wait or forget to, graphs, failures on order, misuses, what is
// still held. (What of it can be had on a GPU is in layer.cu and blas.cu.)
#include <string>
#include <unistd.h>
#include <vector>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

using std::vector;

namespace
{

SIMT_KERNEL(32) void add(int *p, int n)
{
    int i = static_cast<int>(simt::thread_x());
    p[i] += n;
}

SIMT_KERNEL(32) void twice(int *p)
{
    p[simt::thread_x()] *= 2;
}

SIMT_KERNEL(32) void copy(int *to, const int *from)
{
    to[simt::thread_x()] = from[simt::thread_x()];
}

simt_launch_config on(struct simt_stream *s, const char *name = "test", unsigned threads = 32)
{
    return {{1, 1, 1}, {threads, 1, 1}, 0, s, 0, name};
}

void knobs(const char *words)
{
    need(simt_knobs(words), words);
}

struct usage : simt_usage {
    usage()
    {
        simt_usage_get(this);
    }
};

bool nothing_held()
{
    usage u;
    return !u.device_blocks && !u.pinned_blocks && !u.streams && !u.events && !u.graphs && !u.graph_execs &&
           !u.blas && !u.device_bytes && !u.pinned_bytes;
}

/* What `f` writes to stderr. */
template <class F> std::string stderr_of(F f)
{
    FILE *file = tmpfile();
    int old = dup(2);
    fflush(stderr);
    dup2(fileno(file), 2);
    f();
    fflush(stderr);
    dup2(old, 2);
    close(old);
    std::string text(4096, 0);
    rewind(file);
    text.resize(fread(&text[0], 1, text.size(), file));
    fclose(file);
    return text;
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
    ok(simt_blas_open(&blas) == SIMT_NO_BLAS, "no cuBLAS: %s", simt_error_text());
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

/* --- misuses ---------------------------------------------------------------------------------- */

SIMT_KERNEL(64) void two_barriers(int *p)
{
    if (simt::thread_x() < 32) {
        p[0] = 1;
        simt::syncthreads(); // FIRST
    } else {
        simt::syncthreads(); // SECOND
    }
}
const int first_line = __LINE__ - 5, second_line = __LINE__ - 3;

SIMT_KERNEL(64) void stuck(int *p)
{
    if (simt::lane() == 0)
        simt::syncthreads();
    else
        simt::syncwarp();
    p[0] = 1;
}
const int stuck_line = __LINE__ - 5;

SIMT_KERNEL(64) void two_shuffles(int *p)
{
    int v = simt::thread_x() & 1 ? simt::shfl(1, 0) : //
                simt::shfl(2, 0);
    p[simt::thread_x()] = v;
}

SIMT_KERNEL(64) void not_in_mask(int *p)
{
    p[simt::thread_x()] = simt::ballot(1, 0xFFFFu) != 0;
}

SIMT_KERNEL(64) void some_lanes(int *p)
{
    if (simt::lane() == 3)
        return;
    p[simt::thread_x()] = simt::warp_sum(1);
}

SIMT_KERNEL(64) void past_the_end(int *p)
{
    SIMT_SHARED(int, small, [8]);
    SIMT_SHARED(int, other, [8]);
    other[0] = 0;
    volatile int *q = small + 8 + (p[0] != 12345 ? 1 : 0);
    if (simt::thread_x() == 0)
        *q = other[0];
}

SIMT_KERNEL(64) void unaligned(const char *p)
{
    SIMT_SHARED(char, to, [64]);
    simt::cp_async16(to, p + 4);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
}

SIMT_KERNEL(64) void absent_lane(unsigned *p)
{
    unsigned t = simt::thread_x();
    if (t >= 16)
        return;
    p[t] = simt::shfl(t, 20);
}

SIMT_KERNEL(64) void never_waits(int *p)
{
    p[simt::thread_x()] = 1;
}

/* Which place in the order of all threads each had. */
SIMT_KERNEL(64) void places(unsigned *next, unsigned *place)
{
    place[simt::block_x() * simt::threads_x() + simt::thread_x()] = simt::atomic_add(next, 1u);
}

vector<unsigned> places_with(struct simt_stream *s, const char *words)
{
    knobs(words);
    device_array<unsigned> next(1), place(3 * 48);
    simt_launch_config c = {{3, 1, 1}, {48, 1, 1}, 0, s, 0, "places"};
    need(simt::launch(c, places, next.p, place.p), "launch");
    vector<unsigned> got(3 * 48);
    place.get(got.data());
    knobs("reset");
    return got;
}

void test_orders()
{
    struct simt_stream *s;
    need(simt_stream_create(&s, 0), "stream");
    vector<unsigned> forward = places_with(s, "order=forward"), reverse = places_with(s, "order=reverse");
    bool good = true;
    for (unsigned i = 0; i < 144; i++)
        good = good && forward[i] == i && reverse[i] == 143 - i;
    ok(good, "threads and blocks forward, and in reverse");
    vector<unsigned> seeds[3] = {places_with(s, "order=random seed=1"), places_with(s, "order=random seed=2"),
        places_with(s, "order=random seed=2")};
    bool all = true;
    for (const vector<unsigned> &v : seeds) {
        vector<bool> seen(144);
        for (unsigned p : v) {
            all = all && p < 144 && !seen[p];
            seen[p] = true;
        }
    }
    ok(all && seeds[0] != seeds[1] && seeds[0] != forward && seeds[1] != seeds[2],
        "random: all of them, otherwise each time");
    simt_stream_destroy(s);
}

template <class... P> std::string told(struct simt_stream *s, const char *name, void (*kernel)(P...), P... p)
{
    knobs("reset"); // for 20 more lines
    uint64_t before = usage().misuses;
    enum simt_status status = SIMT_OK;
    std::string text = stderr_of([&] { status = simt::launch(on(s, name, 64), kernel, p...); });
    if (status != SIMT_LAUNCH_FAILED || usage().misuses == before)
        return std::string("(not a misuse) ") + text;
    // the device goes on
    device_array<int> d(32);
    if (simt::launch(on(s), add, d.p, 1) != SIMT_OK)
        return "(nothing works afterwards) " + text;
    return text;
}

bool has(const std::string &text, const char *what, int line = 0)
{
    std::string wanted = what;
    if (line)
        wanted += std::string("runtime.cc:") + std::to_string(line);
    bool found = text.find(wanted) != std::string::npos;
    if (!found)
        printf("# \"%s\" is not in: %s\n", wanted.c_str(), text.c_str());
    return found;
}

void test_misuses()
{
    knobs("reset");
    struct simt_stream *s;
    need(simt_stream_create(&s, 0), "stream");
    device_array<int> p(64);
    std::string t = told(s, "barriers", two_barriers, p.p);
    ok(has(t, "barriers: ") && has(t, "", first_line) && has(t, "", second_line),
        "two barriers: both places are told");
    t = told(s, "stuck", stuck, p.p);
    ok(has(t, "is stuck") && has(t, "2 in syncthreads at ") && has(t, "", stuck_line) &&
            has(t, "62 in a warp operation at ") && has(t, "", stuck_line + 2),
        "a block that is stuck, and where");
    t = told(s, "shuffles", two_shuffles, p.p);
    ok(has(t, "in a warp operation at"), "two shuffles");
    t = told(s, "mask", not_in_mask, p.p);
    ok(has(t, "mask 0000ffff, which is without it"), "a lane outside its mask");
    t = told(s, "lanes", some_lanes, p.p);
    ok(has(t, "present: fffffff7"), "a sum without all lanes");
#if !defined(__SANITIZE_ADDRESS__)
    t = told(s, "past", past_the_end, p.p);
    ok(has(t, "between small and other, 4 bytes past the former"), "a write past a shared array");
#else
    (void)past_the_end;
    ok(true, "a write past a shared array # SKIP AddressSanitizer tells at once");
#endif
    t = told(s, "copy", unaligned, reinterpret_cast<const char *>(p.p));
    ok(has(t, "not aligned"), "an asynchronous copy that is not aligned");

    knobs("reset");
    simt_launch_config dependent = on(s, "hasty", 64);
    dependent.pdl = 1;
    t = stderr_of([&] { simt::launch(dependent, never_waits, p.p); });
    ok(has(t, "hasty: launched as dependent, and no thread of block (0, 0, 0) calls pdl_wait()"),
        "a dependent launch that never waits");

    unsigned lanes[64];
    device_array<unsigned> q(64);
    need(simt::launch(on(s, "absent", 64), absent_lane, q.p), "launch");
    q.get(lanes);
    ok(lanes[0] == 0xFFFFFFFFu && lanes[15] == 0xFFFFFFFFu, "an absent lane reads as 0xFF");

    knobs("reset");
    t = stderr_of([&] {
        int x[8];
        ok(simt_copy(x, p.p + 60, 32, SIMT_TO_HOST) == SIMT_INVALID,
            "a copy beyond an allocation is refused");
        ok(simt_copy_async(x, x, 32, SIMT_TO_HOST, s) == SIMT_INVALID,
            "a copy from what is no device memory is refused");
        ok(simt_memset_async(p.p + 60, 0, 32, s) == SIMT_INVALID, "a memset beyond an allocation is refused");
        simt_free(x);
        simt_free(p.p + 1);
    });
    ok(has(t, "32 bytes at offset 240 of an allocation of 256") && has(t, "no device memory"),
        "and told; so is what was never allocated");

    const simt_launch_config bad[] = {
        {{0, 1, 1}, {1, 1, 1}, 0, s, 0, "bad"},
        {{1, 1, 1}, {1025, 1, 1}, 0, s, 0, "bad"},
        {{1, 1, 1}, {32, 32, 2}, 0, s, 0, "bad"},
        {{1, 65536, 1}, {1, 1, 1}, 0, s, 0, "bad"},
        {{1, 1, 1}, {1, 1, 1}, 228 * 1024, s, 0, "bad"},
        {{1, 1, 1}, {1, 1, 1}, 0, nullptr, 0, "bad"},
    };
    bool refused = true;
    for (const simt_launch_config &c : bad)
        refused = refused && simt::launch(c, add, p.p, 1) == SIMT_LAUNCH_FAILED;
    ok(refused, "launches that no device takes are refused: %s", simt_error_text());

    knobs("reset");
    t = stderr_of([&] {
        for (int i = 0; i < 30; i++)
            simt::launch(on(s, "many", 64), two_barriers, p.p);
    });
    size_t lines = 0;
    for (char c : t)
        lines += c == '\n';
    ok(lines == 20 && usage().misuses == 30, "20 lines of them at most (%zu), all are counted", lines);
    knobs("reset streams=deferred quiet=1");
    bool queued = simt::launch(on(s, "later", 64), two_barriers, p.p) == SIMT_OK;
    ok(queued && simt_stream_sync(s) == SIMT_LAUNCH_FAILED && simt_stream_sync(s) == SIMT_OK,
        "a misuse in deferred work is told once, at the wait");
    simt_stream_destroy(s);
    knobs("reset");
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
    test_orders();
    test_misuses();
    ok(nothing_held(), "nothing is held at the end");
    return tap_end();
}
