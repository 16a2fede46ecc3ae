/* Graphs of the host implementation: the nodes of a capture, run in any order that their
 * dependences allow (in that of the capture, or with order=random or deferred streams one drawn
 * from the seed). */
#include "host-stream.h"

#include <atomic>
#include <string.h>

using namespace simt::detail;

struct simt_graph {
    std::vector<node> nodes;
};

struct simt_graph_exec {
    std::shared_ptr<const std::vector<node>> nodes;
};

namespace
{

std::atomic<size_t> n_graphs, n_execs;
std::atomic<uint64_t> draws, n_captures, n_instantiations, n_updates;

enum simt_status run_nodes(const std::vector<node> &nodes)
{
    bool shuffled = knobs().order == ORDER_RANDOM || knobs().deferred;
    std::vector<bool> done(nodes.size());
    enum simt_status first = SIMT_OK;
    for (size_t i = 0; i < nodes.size(); i++) {
        size_t n = i;
        if (shuffled) {
            std::vector<size_t> ready;
            for (size_t j = 0; j < nodes.size(); j++) {
                bool waits = done[j];
                for (size_t before : nodes[j].after)
                    waits = waits || !done[before];
                if (!waits)
                    ready.push_back(j);
            }
            n = ready[mix(knobs().seed * 0x9E3779B97F4A7C15u + ++draws) % ready.size()];
        }
        done[n] = true;
        enum simt_status status = nodes[n].work->run();
        if (status && !first)
            first = status;
    }
    return first;
}

bool same_shape(const std::vector<node> &a, const std::vector<node> &b)
{
    if (a.size() != b.size())
        return false;
    for (size_t i = 0; i < a.size(); i++)
        if (a[i].after != b[i].after || a[i].work->kind != b[i].work->kind ||
            a[i].work->kernel != b[i].work->kernel || a[i].work->direction != b[i].work->direction)
            return false;
    return true;
}

} // namespace

namespace simt
{
namespace detail
{

void graphs_usage(struct simt_usage *out)
{
    out->graphs = n_graphs.load();
    out->graph_execs = n_execs.load();
    out->captures = n_captures.load();
    out->instantiations = n_instantiations.load();
    out->updates = n_updates.load();
}

struct simt_graph *graph_new(std::vector<node> nodes)
{
    n_graphs++;
    n_captures++;
    return new simt_graph{std::move(nodes)};
}

} // namespace detail
} // namespace simt

void simt_graph_destroy(struct simt_graph *graph)
{
    if (graph)
        n_graphs--;
    delete graph;
}

enum simt_status simt_graph_instantiate(struct simt_graph_exec **out, struct simt_graph *graph)
{
    enum simt_status status = admit(FAULT_graph, "simt_graph_instantiate", SIMT_OUT_OF_MEMORY);
    if (status)
        return status;
    n_execs++;
    n_instantiations++;
    *out = new simt_graph_exec{std::make_shared<const std::vector<node>>(graph->nodes)};
    return SIMT_OK;
}

enum simt_status simt_graph_update(struct simt_graph_exec *exec, struct simt_graph *graph, int *updated)
{
    enum simt_status status = admit(FAULT_graph, "simt_graph_update", SIMT_UNKNOWN);
    if (status)
        return status;
    *updated = same_shape(*exec->nodes, graph->nodes);
    if (*updated) {
        exec->nodes = std::make_shared<const std::vector<node>>(graph->nodes);
        n_updates++;
    }
    return SIMT_OK;
}

enum simt_status simt_graph_launch(struct simt_graph_exec *exec, struct simt_stream *stream)
{
    enum simt_status status = admit(FAULT_graph, "simt_graph_launch", SIMT_LAUNCH_FAILED);
    if (status)
        return status;
    if (stream->capture)
        return fail(SIMT_INVALID, "simt_graph_launch within a capture");
    auto w = std::make_shared<work>();
    w->kind = work::GRAPH;
    w->run = [nodes = exec->nodes] { return run_nodes(*nodes); };
    return submit(stream, std::move(w));
}

void simt_graph_exec_destroy(struct simt_graph_exec *exec)
{
    if (exec)
        n_execs--;
    delete exec;
}
