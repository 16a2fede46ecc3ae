// The orders of threads on the CPU, and the misuses that are told there.
#include <string>
#include <unistd.h>

#include "tests/cuda/runtime.h"

namespace
{

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
        wanted += std::string("misuse.cc:") + std::to_string(line);
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
    test_orders();
    test_misuses();
    ok(nothing_held(), "nothing is held at the end");
    return tap_end();
}
