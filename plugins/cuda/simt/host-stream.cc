/* Streams and events of the host implementation. Eager: work runs when it is submitted,
 * on the submitting thread. Deferred: it waits in its stream's queue until somebody waits for
 * something; then the streams that can go on are served in an order drawn from the seed,
 * so that a missing wait between two streams shows in some of the orders. */
#include "host-stream.h"

#include <algorithm>
#include <set>
#include <string.h>
#include <time.h>

using namespace simt::detail;

namespace
{

/* Guards everything below and every queue; held while deferred work runs. */
std::recursive_mutex lock;
std::vector<struct simt_stream *> streams;
size_t n_events;
uint64_t draws;
__thread struct simt_stream *capturing; /* by this thread */
std::set<const void *> prepared;        /* kernels */
uint64_t n_unprepared;

uint64_t now_ns()
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

bool can_go_on(const struct simt_stream &s)
{
    if (s.queue.empty())
        return false;
    const queued &q = s.queue.front();
    return !q.wait || q.wait->done >= q.number;
}

void run_front(struct simt_stream &s)
{
    queued q = std::move(s.queue.front());
    s.queue.pop_front();
    if (q.record) {
        if (q.number > q.record->done)
            q.record->done = q.number;
        q.record->time_ns = now_ns();
    } else if (q.work) {
        enum simt_status status = lost() ? SIMT_DEVICE_LOST : q.work->run();
        if (status && !s.failed)
            s.failed = status;
    }
}

/* Runs one piece of queued work, of any stream; false when there is none. */
bool run_one()
{
    std::vector<struct simt_stream *> ready;
    for (struct simt_stream *s : streams)
        if (can_go_on(*s))
            ready.push_back(s);
    if (ready.empty())
        return false;
    run_front(*ready[mix(knobs().seed * 0x9E3779B97F4A7C15u + ++draws) % ready.size()]);
    return true;
}

enum simt_status told(struct simt_stream &s)
{
    enum simt_status status = s.failed;
    s.failed = SIMT_OK;
    if (status)
        return fail(status, "work on a stream failed: %s", simt_status_text(status));
    return lost() ? fail(SIMT_DEVICE_LOST, "the device is lost") : SIMT_OK;
}

/* A query or wait for a stream or event that is part of a capture. */
enum simt_status refuse_in_capture(struct simt_stream *stream, const char *call)
{
    if (stream && stream->capture) {
        stream->capture->spoilt = call;
        return fail(SIMT_INVALID, "%s: the stream is being captured", call);
    }
    if (spoils_capture(call))
        return fail(SIMT_INVALID, "%s within a capture", call);
    return SIMT_OK;
}

} // namespace

namespace simt
{
namespace detail
{

bool spoils_capture(const char *call)
{
    if (!capturing || !capturing->capture)
        return false;
    if (!capturing->capture->spoilt)
        capturing->capture->spoilt = call;
    return true;
}

void streams_usage(struct simt_usage *out)
{
    std::lock_guard<std::recursive_mutex> hold(lock);
    out->streams = streams.size();
    out->events = n_events;
    out->unprepared = n_unprepared;
    graphs_usage(out);
}

void drain_all()
{
    std::lock_guard<std::recursive_mutex> hold(lock);
    while (run_one())
        ;
}

enum simt_status drain(struct simt_stream *stream)
{
    std::lock_guard<std::recursive_mutex> hold(lock);
    while (!stream->queue.empty() && run_one())
        ;
    if (!stream->queue.empty())
        return fail(SIMT_INVALID, "a stream waits for an event that nobody will record");
    return told(*stream);
}

enum simt_status submit(struct simt_stream *stream, std::shared_ptr<work> w)
{
    if (stream->capture) {
        capture &c = *stream->capture;
        c.nodes.push_back({std::move(w), stream->last});
        stream->last = {c.nodes.size() - 1};
        return SIMT_OK;
    }
    if (!knobs().deferred)
        return w->run();
    std::lock_guard<std::recursive_mutex> hold(lock);
    stream->queue.push_back({std::move(w), nullptr, nullptr, 0});
    return SIMT_OK;
}

enum simt_status host_launch(const simt_launch_config &config, closure *closure)
{
    std::shared_ptr<struct closure> kept(closure, [](struct closure *c) { c->drop(c); });
    enum simt_status status = admit(FAULT_launch, "launch", SIMT_LAUNCH_FAILED);
    if (status)
        return status;
    const char *wrong = launch_refused(config);
    if (wrong)
        return fail(SIMT_LAUNCH_FAILED, "launch of %s: %s", config.name ? config.name : "a kernel", wrong);
    auto w = std::make_shared<work>();
    w->kind = work::KERNEL;
    w->kernel = closure->kernel;
    if (config.pdl) {
        std::lock_guard<std::recursive_mutex> hold(lock);
        n_unprepared += prepared.count(closure->kernel) == 0;
    }
    simt_launch_config c = config;
    c.pdl = config.pdl && config.stream->pdl;
    w->run = [c, kept] { return run_kernel(c, kept.get()); };
    return submit(config.stream, std::move(w));
}

enum simt_status host_prepare(
    const void *kernel, unsigned threads, size_t max_dynamic_shared, simt_kernel_info *info)
{
    enum simt_status status = admit("kernel_prepare");
    if (status)
        return status;
    if (!kernel || threads == 0 || threads > 1024 || max_dynamic_shared > 227 * 1024)
        return fail(SIMT_INVALID, "kernel_prepare for %u threads and %zu bytes", threads, max_dynamic_shared);
    {
        std::lock_guard<std::recursive_mutex> hold(lock);
        prepared.insert(kernel);
    }
    if (info) {
        *info = {};
        info->registers = 32;
        info->max_threads = 1024;
        info->blocks_per_multiprocessor = static_cast<int>(2048 / ((threads + 31) / 32 * 32));
    }
    return SIMT_OK;
}

} // namespace detail
} // namespace simt

enum simt_status simt_copy_async(
    void *to, const void *from, size_t bytes, enum simt_copy kind, struct simt_stream *stream)
{
    enum simt_status status = admit(FAULT_copy, "simt_copy_async", SIMT_UNKNOWN);
    if (status)
        return status;
    if (!stream || (bytes && (!to || !from)))
        return fail(SIMT_INVALID, "simt_copy_async: no stream or no memory");
    if (bytes == 0)
        return SIMT_OK;
    if ((kind != SIMT_TO_HOST && !device_range(to, bytes, "simt_copy_async")) ||
        (kind != SIMT_TO_DEVICE && !device_range(from, bytes, "simt_copy_async")))
        return fail(SIMT_INVALID, "simt_copy_async: %zu bytes are not all in device memory", bytes);
    const void *host = kind == SIMT_TO_HOST ? to : kind == SIMT_TO_DEVICE ? from : nullptr;
    bool staged = host && !pinned(host) && !stream->capture;
    auto w = std::make_shared<work>();
    w->kind = work::COPY;
    w->direction = kind;
    if (kind == SIMT_TO_DEVICE && staged && knobs().deferred) {
        auto bytes_now = std::make_shared<std::vector<unsigned char>>(
            static_cast<const unsigned char *>(from), static_cast<const unsigned char *>(from) + bytes);
        w->run = [to, bytes_now] {
            if (!device_range(to, bytes_now->size(), "a copy queued earlier"))
                return SIMT_INVALID;
            memcpy(to, bytes_now->data(), bytes_now->size());
            return SIMT_OK;
        };
    } else {
        w->run = [to, from, bytes, kind] {
            if ((kind != SIMT_TO_HOST && !device_range(to, bytes, "a copy queued earlier")) ||
                (kind != SIMT_TO_DEVICE && !device_range(from, bytes, "a copy queued earlier")))
                return SIMT_INVALID;
            memmove(to, from, bytes);
            return SIMT_OK;
        };
    }
    /* nobody may count on what is there before the copy is done */
    if (kind == SIMT_TO_HOST && knobs().deferred && !stream->capture)
        memset(to, 0xFF, bytes);
    status = submit(stream, std::move(w));
    if (!status && kind == SIMT_TO_HOST && staged)
        status = drain(stream);
    return status;
}

enum simt_status simt_memset_async(void *to, int byte, size_t bytes, struct simt_stream *stream)
{
    enum simt_status status = admit(FAULT_memset, "simt_memset_async", SIMT_UNKNOWN);
    if (status)
        return status;
    if (!stream)
        return fail(SIMT_INVALID, "simt_memset_async: no stream");
    if (bytes == 0)
        return SIMT_OK;
    if (!device_range(to, bytes, "simt_memset_async"))
        return fail(SIMT_INVALID, "simt_memset_async: %zu bytes are not all in device memory", bytes);
    auto w = std::make_shared<work>();
    w->kind = work::MEMSET;
    w->run = [to, byte, bytes] {
        if (!device_range(to, bytes, "a memset queued earlier"))
            return SIMT_INVALID;
        memset(to, byte, bytes);
        return SIMT_OK;
    };
    return submit(stream, std::move(w));
}

enum simt_status simt_copy(void *to, const void *from, size_t bytes, enum simt_copy kind)
{
    enum simt_status status = admit(FAULT_copy, "simt_copy", SIMT_UNKNOWN);
    if (status)
        return status;
    if (spoils_capture("simt_copy"))
        return fail(SIMT_INVALID, "simt_copy within a capture");
    if (bytes == 0)
        return SIMT_OK;
    if (!to || !from || (kind != SIMT_TO_HOST && !device_range(to, bytes, "simt_copy")) ||
        (kind != SIMT_TO_DEVICE && !device_range(from, bytes, "simt_copy")))
        return fail(SIMT_INVALID, "simt_copy: %zu bytes are not all in device memory", bytes);
    memmove(to, from, bytes);
    return SIMT_OK;
}

enum simt_status simt_stream_create(struct simt_stream **out, int priority)
{
    (void)priority;
    enum simt_status status = admit(FAULT_stream, "simt_stream_create", SIMT_OUT_OF_HOST_MEMORY);
    if (status)
        return status;
    auto *s = new simt_stream();
    std::lock_guard<std::recursive_mutex> hold(lock);
    streams.push_back(s);
    *out = s;
    return SIMT_OK;
}

void simt_stream_destroy(struct simt_stream *stream)
{
    if (!stream)
        return;
    std::lock_guard<std::recursive_mutex> hold(lock);
    while (!stream->queue.empty() && run_one())
        ;
    if (capturing == stream)
        capturing = nullptr;
    streams.erase(std::remove(streams.begin(), streams.end(), stream), streams.end());
    delete stream;
}

void simt_stream_pdl(struct simt_stream *stream, int allowed)
{
    stream->pdl = allowed != 0;
}

enum simt_status simt_stream_sync(struct simt_stream *stream)
{
    enum simt_status status = admit(FAULT_sync, "simt_stream_sync", SIMT_UNKNOWN);
    if (!status)
        status = refuse_in_capture(stream, "simt_stream_sync");
    return status ? status : drain(stream);
}

enum simt_status simt_stream_query(struct simt_stream *stream)
{
    enum simt_status status = admit("simt_stream_query");
    if (!status)
        status = refuse_in_capture(stream, "simt_stream_query");
    if (status)
        return status;
    std::lock_guard<std::recursive_mutex> hold(lock);
    if (!stream->queue.empty())
        run_one(); /* who asks again and again gets there */
    return stream->queue.empty() ? told(*stream) : SIMT_NOT_READY;
}

enum simt_status simt_stream_wait(struct simt_stream *stream, struct simt_event *event)
{
    enum simt_status status = admit("simt_stream_wait");
    if (status)
        return status;
    std::lock_guard<std::recursive_mutex> hold(lock);
    event_state &e = *event->state;
    if (e.capture && e.capture->origin && (!stream->capture || stream->capture == e.capture)) {
        if (!stream->capture) {
            stream->capture = e.capture;
            stream->last.clear();
            e.capture->streams.push_back(stream);
        }
        for (size_t n : e.nodes)
            if (std::find(stream->last.begin(), stream->last.end(), n) == stream->last.end())
                stream->last.push_back(n);
        return SIMT_OK;
    }
    if (stream->capture || (e.capture && e.capture->origin)) {
        if (stream->capture)
            stream->capture->spoilt = "simt_stream_wait";
        return fail(SIMT_INVALID, "simt_stream_wait: the event is of another capture, or of none");
    }
    if (e.done < e.recorded)
        stream->queue.push_back({nullptr, nullptr, event->state, e.recorded});
    return SIMT_OK;
}

enum simt_status simt_event_create(struct simt_event **out, int timing)
{
    enum simt_status status = admit(FAULT_event, "simt_event_create", SIMT_OUT_OF_HOST_MEMORY);
    if (status)
        return status;
    auto *e = new simt_event();
    e->state = std::make_shared<event_state>();
    e->timing = timing;
    std::lock_guard<std::recursive_mutex> hold(lock);
    n_events++;
    *out = e;
    return SIMT_OK;
}

void simt_event_destroy(struct simt_event *event)
{
    if (!event)
        return;
    std::lock_guard<std::recursive_mutex> hold(lock);
    n_events--;
    delete event;
}

enum simt_status simt_event_record(struct simt_event *event, struct simt_stream *stream)
{
    enum simt_status status = admit("simt_event_record");
    if (status)
        return status;
    std::lock_guard<std::recursive_mutex> hold(lock);
    event_state &e = *event->state;
    if (stream->capture) {
        e.capture = stream->capture;
        e.nodes = stream->last;
        return SIMT_OK;
    }
    e.capture = nullptr;
    e.recorded++;
    if (knobs().deferred || !stream->queue.empty()) {
        stream->queue.push_back({nullptr, event->state, nullptr, e.recorded});
    } else {
        e.done = e.recorded;
        e.time_ns = now_ns();
    }
    return SIMT_OK;
}

enum simt_status simt_event_query(struct simt_event *event)
{
    enum simt_status status = admit("simt_event_query");
    if (!status)
        status = refuse_in_capture(nullptr, "simt_event_query");
    if (status)
        return status;
    std::lock_guard<std::recursive_mutex> hold(lock);
    if (event->state->done < event->state->recorded)
        run_one();
    return event->state->done < event->state->recorded ? SIMT_NOT_READY : SIMT_OK;
}

enum simt_status simt_event_sync(struct simt_event *event)
{
    enum simt_status status = admit(FAULT_sync, "simt_event_sync", SIMT_UNKNOWN);
    if (!status)
        status = refuse_in_capture(nullptr, "simt_event_sync");
    if (status)
        return status;
    std::lock_guard<std::recursive_mutex> hold(lock);
    while (event->state->done < event->state->recorded && run_one())
        ;
    if (event->state->done < event->state->recorded)
        return fail(SIMT_INVALID, "simt_event_sync: its stream is stuck or gone");
    return lost() ? fail(SIMT_DEVICE_LOST, "simt_event_sync: the device is lost") : SIMT_OK;
}

enum simt_status simt_event_elapsed(float *ms, struct simt_event *from, struct simt_event *to)
{
    enum simt_status status = admit("simt_event_elapsed");
    if (status)
        return status;
    std::lock_guard<std::recursive_mutex> hold(lock);
    if (!from->timing || !to->timing || !from->state->recorded || !to->state->recorded)
        return fail(SIMT_INVALID, "simt_event_elapsed: an event without a time");
    if (from->state->done < from->state->recorded || to->state->done < to->state->recorded)
        return SIMT_NOT_READY;
    *ms = static_cast<float>(
        static_cast<double>(static_cast<int64_t>(to->state->time_ns - from->state->time_ns)) / 1e6);
    return SIMT_OK;
}

enum simt_status simt_capture_begin(struct simt_stream *stream)
{
    enum simt_status status = admit(FAULT_graph, "simt_capture_begin", SIMT_UNKNOWN);
    if (status)
        return status;
    if (stream->capture || capturing)
        return fail(SIMT_INVALID, "simt_capture_begin: a capture is under way");
    std::lock_guard<std::recursive_mutex> hold(lock);
    stream->capture = std::make_shared<capture>();
    stream->capture->origin = stream;
    stream->capture->streams = {stream};
    stream->last.clear();
    capturing = stream;
    return SIMT_OK;
}

enum simt_status simt_capture_end(struct simt_stream *stream, struct simt_graph **out)
{
    std::lock_guard<std::recursive_mutex> hold(lock);
    std::shared_ptr<capture> c = stream->capture;
    if (!c || c->origin != stream)
        return fail(SIMT_INVALID, "simt_capture_end: no capture began on this stream");
    std::vector<size_t> last = stream->last;
    for (struct simt_stream *s : c->streams) {
        s->capture = nullptr;
        s->last.clear();
    }
    c->origin = nullptr;
    capturing = nullptr;
    if (c->spoilt)
        return fail(SIMT_INVALID, "simt_capture_end: %s was called within the capture", c->spoilt);
    /* everything must come before what the origin does next */
    std::vector<bool> has_next(c->nodes.size());
    for (const node &n : c->nodes)
        for (size_t before : n.after)
            has_next[before] = true;
    for (size_t n : last)
        has_next[n] = true;
    if (std::find(has_next.begin(), has_next.end(), false) != has_next.end())
        return fail(SIMT_INVALID, "simt_capture_end: a stream of the capture was not joined again");
    enum simt_status status = admit(FAULT_graph, "simt_capture_end", SIMT_UNKNOWN);
    if (!status)
        *out = graph_new(std::move(c->nodes));
    return status;
}
