/* Devices and memory of the host implementation. "Device memory" is ordinary memory,
 * filled with 0xFF, each block known here by its address. */
#include "host.h"

#include <map>
#include <mutex>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vector>

using namespace simt::detail;

namespace
{

struct block {
    size_t bytes;
    int device; /* -1: pinned host memory */
};

std::mutex lock;
std::map<uintptr_t, block> blocks;
size_t device_bytes[MAX_DEVICES];
simt_usage usage;
__thread int device_now;

/* The block that holds p, or blocks.end(). With the lock held. */
std::map<uintptr_t, block>::iterator find(const void *p)
{
    uintptr_t address = reinterpret_cast<uintptr_t>(p);
    auto it = blocks.upper_bound(address);
    if (it == blocks.begin())
        return blocks.end();
    --it;
    return address - it->first < it->second.bytes ? it : blocks.end();
}

enum simt_status check_index(int index, const char *call)
{
    if (index < 0 || index >= knobs().devices)
        return fail(SIMT_NO_DEVICE, "%s: no device %d, there are %d", call, index, knobs().devices);
    return SIMT_OK;
}

/* The blocks that are left at the end would otherwise be told as leaks of this layer,
 * without saying whose they are; and the stacks of launches. */
struct at_exit {
    ~at_exit()
    {
        fibers_release();
    }
} cleaner;

} // namespace

namespace simt
{
namespace detail
{

bool device_range(const void *p, size_t bytes, const char *call)
{
    std::lock_guard<std::mutex> hold(lock);
    auto it = find(p);
    if (it == blocks.end() || it->second.device < 0) {
        misuse("%s: %p is not in device memory", call, p);
        return false;
    }
    size_t offset = reinterpret_cast<uintptr_t>(p) - it->first;
    if (bytes > it->second.bytes - offset) {
        misuse("%s: %zu bytes at offset %zu of an allocation of %zu", call, bytes, offset, it->second.bytes);
        return false;
    }
    return true;
}

bool pinned(const void *p)
{
    std::lock_guard<std::mutex> hold(lock);
    auto it = find(p);
    return it != blocks.end() && it->second.device < 0;
}

int device_of_thread()
{
    return device_now;
}

void memory_usage(struct simt_usage *out)
{
    std::lock_guard<std::mutex> hold(lock);
    out->device_bytes = usage.device_bytes;
    out->device_blocks = usage.device_blocks;
    out->device_peak_bytes = usage.device_peak_bytes;
    out->pinned_bytes = usage.pinned_bytes;
    out->pinned_blocks = usage.pinned_blocks;
}

} // namespace detail
} // namespace simt

const char *simt_flavour(void)
{
    return "cuda-simt";
}

enum simt_status simt_device_count(int *count)
{
    enum simt_status status = admit("simt_device_count");
    if (!status)
        *count = knobs().devices;
    return status;
}

enum simt_status simt_device_get(int index, struct simt_device *out)
{
    enum simt_status status = admit("simt_device_get");
    if (!status)
        status = check_index(index, "simt_device_get");
    if (status)
        return status;
    struct simt_device d = {};
    snprintf(d.name, sizeof d.name, "the CPU, thread by thread");
    snprintf(d.uuid, sizeof d.uuid, "GPU-00000000-0000-0000-0000-%012d", index);
    snprintf(d.pci_bus, sizeof d.pci_bus, "0000:00:%02d.0", index);
    d.index = index;
    d.major = 9;
    d.multiprocessors = 4;
    d.threads_per_multiprocessor = 2048;
    d.driver_version = d.runtime_version = 13000;
    d.memory_bytes = knobs().memory_bytes;
    d.l2_bytes = 1 << 20;
    d.shared_per_block = 48 * 1024;
    d.shared_per_block_optin = 227 * 1024;
    *out = d;
    return SIMT_OK;
}

enum simt_status simt_device_use(int index)
{
    enum simt_status status = admit("simt_device_use");
    if (!status)
        status = check_index(index, "simt_device_use");
    if (!status)
        device_now = index;
    return status;
}

enum simt_status simt_device_sync(void)
{
    enum simt_status status = admit(FAULT_sync, "simt_device_sync", SIMT_UNKNOWN);
    if (status)
        return status;
    if (spoils_capture("simt_device_sync"))
        return fail(SIMT_INVALID, "simt_device_sync within a capture");
    drain_all();
    return lost() ? fail(SIMT_DEVICE_LOST, "simt_device_sync: the device is lost") : SIMT_OK;
}

enum simt_status simt_mem_info(size_t *free_bytes, size_t *total_bytes)
{
    enum simt_status status = admit("simt_mem_info");
    if (status)
        return status;
    std::lock_guard<std::mutex> hold(lock);
    size_t total = knobs().memory_bytes, used = device_bytes[device_now];
    *total_bytes = total;
    *free_bytes = used < total ? total - used : 0;
    return SIMT_OK;
}

enum simt_status simt_malloc(void **out, size_t bytes)
{
    enum simt_status status = admit(FAULT_malloc, "simt_malloc", SIMT_OUT_OF_MEMORY);
    if (status)
        return status;
    if (bytes == 0)
        return fail(SIMT_INVALID, "simt_malloc of 0 bytes");
    if (spoils_capture("simt_malloc"))
        return fail(SIMT_INVALID, "simt_malloc within a capture");
    {
        std::lock_guard<std::mutex> hold(lock);
        size_t used = device_bytes[device_now], total = knobs().memory_bytes;
        if (used > total || bytes > total - used)
            return fail(
                SIMT_OUT_OF_MEMORY, "simt_malloc of %zu bytes: %zu of %zu are in use", bytes, used, total);
    }
    /* exactly as many bytes as were asked, so that AddressSanitizer sees the end */
    void *p = nullptr;
    if (posix_memalign(&p, 256, bytes) != 0)
        return fail(SIMT_OUT_OF_MEMORY, "simt_malloc of %zu bytes: the host has no memory", bytes);
    memset(p, 0xFF, bytes);
    std::lock_guard<std::mutex> hold(lock);
    blocks[reinterpret_cast<uintptr_t>(p)] = {bytes, device_now};
    device_bytes[device_now] += bytes;
    usage.device_bytes += bytes;
    usage.device_blocks++;
    if (usage.device_bytes > usage.device_peak_bytes)
        usage.device_peak_bytes = usage.device_bytes;
    if (watch)
        watch->allocated(p, bytes);
    *out = p;
    return SIMT_OK;
}

void simt_free(void *p)
{
    if (!p)
        return;
    spoils_capture("simt_free");
    drain_all();
    {
        std::lock_guard<std::mutex> hold(lock);
        auto it = blocks.find(reinterpret_cast<uintptr_t>(p));
        if (it == blocks.end() || it->second.device < 0) {
            misuse("simt_free of %p, which is no device memory", p);
            return;
        }
        if (watch)
            watch->freed(p);
        device_bytes[it->second.device] -= it->second.bytes;
        usage.device_bytes -= it->second.bytes;
        usage.device_blocks--;
        blocks.erase(it);
    }
    free(p);
}

enum simt_status simt_host_alloc(void **out, size_t bytes)
{
    enum simt_status status = admit(FAULT_host_alloc, "simt_host_alloc", SIMT_OUT_OF_HOST_MEMORY);
    if (status)
        return status;
    if (bytes == 0)
        return fail(SIMT_INVALID, "simt_host_alloc of 0 bytes");
    if (spoils_capture("simt_host_alloc"))
        return fail(SIMT_INVALID, "simt_host_alloc within a capture");
    void *p = nullptr;
    if (posix_memalign(&p, 4096, bytes) != 0)
        return fail(SIMT_OUT_OF_HOST_MEMORY, "simt_host_alloc of %zu bytes: no memory", bytes);
    memset(p, 0xFF, bytes);
    std::lock_guard<std::mutex> hold(lock);
    blocks[reinterpret_cast<uintptr_t>(p)] = {bytes, -1};
    usage.pinned_bytes += bytes;
    usage.pinned_blocks++;
    *out = p;
    return SIMT_OK;
}

void simt_host_free(void *p)
{
    if (!p)
        return;
    spoils_capture("simt_host_free");
    drain_all();
    {
        std::lock_guard<std::mutex> hold(lock);
        auto it = blocks.find(reinterpret_cast<uintptr_t>(p));
        if (it == blocks.end() || it->second.device >= 0) {
            misuse("simt_host_free of %p, which is no pinned memory", p);
            return;
        }
        usage.pinned_bytes -= it->second.bytes;
        usage.pinned_blocks--;
        blocks.erase(it);
    }
    free(p);
}

enum simt_status simt_pointer_where(const void *p, enum simt_where *where, int *device)
{
    enum simt_status status = admit("simt_pointer_where");
    if (status)
        return status;
    std::lock_guard<std::mutex> hold(lock);
    auto it = find(p);
    if (it == blocks.end()) {
        *where = SIMT_WHERE_UNKNOWN;
    } else if (it->second.device < 0) {
        *where = SIMT_WHERE_PINNED;
    } else {
        *where = SIMT_WHERE_DEVICE;
        if (device)
            *device = it->second.device;
    }
    return SIMT_OK;
}

void simt_usage_get(struct simt_usage *out)
{
    struct simt_usage u = {};
    memory_usage(&u);
    streams_usage(&u);
    blas_usage(&u);
    u.launches = launches();
    u.early = early_launches();
    u.misuses = misuses();
    *out = u;
}
