/* Knobs, injected failures and misuses of the host implementation. */
#include "host.h"

#include <atomic>
#include <mutex>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>

namespace simt
{
namespace detail
{

namespace
{

const settings defaults = {
    ORDER_FORWARD, false, true, true, false, false, 1, 1, static_cast<size_t>(8) << 30};
settings now = defaults;
std::once_flag environment;

/* Calls until one fails; 0 is never. The last place counts calls of any kind. */
std::atomic<int64_t> fails_in[FAULT_COUNT + 1], lost_in[FAULT_COUNT + 1];
std::atomic<bool> device_lost;
std::atomic<uint64_t> misuse_count, misuse_printed;
constexpr uint64_t printed_most = 20;

const char *const fault_names[] = {
#define X(name) #name,
    SIMT_FAULTS(X)
#undef X
        "any"};

/* A number with an optional K, M or G. */
bool parse_number(const char *text, bool units, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (units && *end) {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 99;
        end++;
    }
    if (*end || shift == 99 || (shift && n >> (64 - shift)))
        return false;
    *out = n << shift;
    return true;
}

bool parse_fault(const char *value, std::atomic<int64_t> *counters)
{
    const char *colon = strchr(value, ':');
    uint64_t n;
    if (!colon || !parse_number(colon + 1, false, &n) || n == 0 || n > INT64_MAX)
        return false;
    for (size_t i = 0; i <= FAULT_COUNT; i++)
        if (strlen(fault_names[i]) == static_cast<size_t>(colon - value) &&
            strncmp(fault_names[i], value, static_cast<size_t>(colon - value)) == 0) {
            counters[i].store(static_cast<int64_t>(n));
            return true;
        }
    return false;
}

void reset()
{
    now = defaults;
    for (size_t i = 0; i <= FAULT_COUNT; i++) {
        fails_in[i].store(0);
        lost_in[i].store(0);
    }
    device_lost.store(false);
    misuse_count.store(0);
    misuse_printed.store(0);
}

bool apply(const std::string &word)
{
    if (word == "reset") {
        reset();
        return true;
    }
    size_t equals = word.find('=');
    if (equals == std::string::npos)
        return false;
    std::string key = word.substr(0, equals), value = word.substr(equals + 1);
    uint64_t n;
    bool is_flag = value == "0" || value == "1", flag = value == "1";
    if (key == "order") {
        if (value == "forward")
            now.order = ORDER_FORWARD;
        else if (value == "reverse")
            now.order = ORDER_REVERSE;
        else if (value == "random")
            now.order = ORDER_RANDOM;
        else
            return false;
    } else if (key == "streams") {
        if (value != "eager" && value != "deferred")
            return false;
        now.deferred = value == "deferred";
    } else if (key == "seed") {
        if (!parse_number(value.c_str(), false, &n))
            return false;
        now.seed = n;
    } else if (key == "memory") {
        if (!parse_number(value.c_str(), true, &n))
            return false;
        now.memory_bytes = n;
    } else if (key == "devices") {
        if (!parse_number(value.c_str(), false, &n) || n > MAX_DEVICES)
            return false;
        now.devices = static_cast<int>(n);
    } else if (key == "driver" && is_flag) {
        now.driver = flag;
    } else if (key == "blas" && is_flag) {
        now.blas = flag;
    } else if (key == "heights" && is_flag) {
        now.heights = flag;
    } else if (key == "quiet" && is_flag) {
        now.quiet = flag;
    } else if (key == "fail") {
        return parse_fault(value.c_str(), fails_in);
    } else if (key == "lose") {
        return parse_fault(value.c_str(), lost_in);
    } else {
        return false;
    }
    return true;
}

/* The first word that is not understood, "" when all are. */
std::string apply_all(const char *words)
{
    std::string word;
    for (const char *p = words;; p++) {
        if (*p && *p != ',' && *p != ' ') {
            word += *p;
            continue;
        }
        if (!word.empty() && !apply(word))
            return word;
        word.clear();
        if (!*p)
            return "";
    }
}

void read_environment()
{
    std::call_once(environment, [] {
        const char *words = getenv("ORCD_CUDA_SIMT");
        if (!words)
            return;
        std::string bad = apply_all(words);
        if (!bad.empty())
            fprintf(stderr, "cuda-simt: ORCD_CUDA_SIMT: \"%s\" is not understood\n", bad.c_str());
    });
}

/* Whether this call is the one; counts down. */
bool comes_due(std::atomic<int64_t> &counter)
{
    int64_t left = counter.load();
    while (left > 0)
        if (counter.compare_exchange_weak(left, left - 1))
            return left == 1;
    return false;
}

} // namespace

const settings &knobs()
{
    read_environment();
    return now;
}

enum simt_status admit(const char *call)
{
    read_environment();
    if (!now.driver)
        return fail(SIMT_NO_DRIVER, "%s: no driver (as the knobs have it)", call);
    if (now.devices == 0)
        return fail(SIMT_NO_DEVICE, "%s: no device (as the knobs have it)", call);
    if (device_lost.load())
        return fail(SIMT_DEVICE_LOST, "%s: the device is lost", call);
    return SIMT_OK;
}

enum simt_status admit(enum fault what, const char *call, enum simt_status failure)
{
    enum simt_status status = admit(call);
    if (status)
        return status;
    bool loses = comes_due(lost_in[what]), loses_any = comes_due(lost_in[FAULT_COUNT]);
    bool fails = comes_due(fails_in[what]), fails_any = comes_due(fails_in[FAULT_COUNT]);
    if (loses || loses_any) {
        device_lost.store(true);
        return fail(SIMT_DEVICE_LOST, "%s: the device is lost (injected)", call);
    }
    if (fails || fails_any)
        return fail(failure, "%s: %s (injected)", call, simt_status_text(failure));
    return SIMT_OK;
}

bool lost()
{
    return device_lost.load();
}

void misuse(const char *format, ...)
{
    misuse_count.fetch_add(1);
    launch_misused();
    if (knobs().quiet || misuse_printed.fetch_add(1) >= printed_most)
        return;
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "cuda-simt: %s\n", text);
}

void misuse_counted()
{
    misuse_count.fetch_add(1);
    launch_misused();
}

uint64_t misuses()
{
    return misuse_count.load();
}

uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

} // namespace detail
} // namespace simt

using namespace simt::detail;

enum simt_status simt_knobs(const char *words)
{
    read_environment();
    drain_all();
    std::string bad = apply_all(words);
    return bad.empty() ? SIMT_OK : fail(SIMT_INVALID, "knob \"%s\" is not understood", bad.c_str());
}
