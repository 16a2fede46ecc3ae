/* Streams, events and captures of the host implementation: shared by host-stream.cc,
 * host-graph.cc and host-blas.cc. */
#ifndef ORCD_CUDA_SIMT_HOST_STREAM_H
#define ORCD_CUDA_SIMT_HOST_STREAM_H

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "host.h"

namespace simt
{
namespace detail
{

/* One piece of work. Run as often as its graph is launched, or once. */
struct work {
    enum kind { KERNEL, COPY, MEMSET, GEMM, GRAPH } kind;
    const void *kernel = nullptr;              /* KERNEL: which */
    enum simt_copy direction = SIMT_ON_DEVICE; /* COPY */
    std::function<enum simt_status()> run;
};

struct node {
    std::shared_ptr<struct work> work;
    std::vector<size_t> after; /* nodes before it, by index */
};

struct capture {
    std::vector<node> nodes;
    struct simt_stream *origin;
    std::vector<struct simt_stream *> streams;
    const char *spoilt; /* NULL, or what spoilt it */
};

struct event_state {
    uint64_t recorded = 0, done = 0; /* how often */
    uint64_t time_ns = 0;
    /* recorded in a capture: what comes before it */
    std::shared_ptr<struct capture> capture;
    std::vector<size_t> nodes;
};

struct queued {
    std::shared_ptr<struct work> work; /* or one of these: */
    std::shared_ptr<event_state> record, wait;
    uint64_t number; /* of record: the how-manieth; of wait: what must be done */
};

/* Puts work on a stream: notes it in a capture, runs it at once, or queues it. */
enum simt_status submit(struct simt_stream *stream, std::shared_ptr<struct work> work);
/* Runs queued work, streams in seeded order, until `stream` is empty. Answers what
 * went wrong on it since it was last asked. */
enum simt_status drain(struct simt_stream *stream);

/* host-graph.cc */
struct simt_graph *graph_new(std::vector<node> nodes);
void graphs_usage(struct simt_usage *out);

} // namespace detail
} // namespace simt

struct simt_stream {
    std::deque<simt::detail::queued> queue;
    std::shared_ptr<simt::detail::capture> capture;
    std::vector<size_t> last; /* nodes that the next one of this stream comes after */
    enum simt_status failed;  /* of deferred work, until told */
    bool pdl = true;          /* dependent launches are what they say */
};

struct simt_event {
    std::shared_ptr<simt::detail::event_state> state;
    int timing;
};

#endif
