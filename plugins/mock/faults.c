/* Faults by name, on the N-th call of a point, once or from then on. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mock.h"

#define MAX_FAULTS 16
#define SLOW_NS UINT64_C(500000000)

static const char *const points[] = {"init", "device_open", "load", "ctx_new", "seq_open", "seq_reserve",
    "submit", "wait", "logits", "memory", "residency"};

static const struct {
    const char *name;
    int code;
} effects[] = {{"", 0},
#define EFFECT_ROW(name, text, code) {text, code},
    MOCK_EFFECT_MAP(EFFECT_ROW)
#undef EFFECT_ROW
};
#define N_EFFECTS (sizeof(effects) / sizeof(effects[0]))

struct fault {
    const char *point;
    enum mock_effect effect;
    uint64_t at;
    bool always, every; /* from then on; at each multiple of `at` */
};

/* Points are called from several threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[MAX_FAULTS];
static size_t n_faults;
static uint64_t calls[sizeof(points) / sizeof(points[0])];

static bool is(const char *text, size_t n, const char *name)
{
    return strlen(name) == n && strncmp(text, name, n) == 0;
}

/* One POINT.EFFECT[@N][!] or POINT.EFFECT/N of n bytes. */
static int parse_one(const char *text, size_t n, struct fault *f)
{
    const char *end = text + n, *dot = memchr(text, '.', n);
    if (!dot)
        return -1;
    *f = (struct fault){.at = 1};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        if (is(text, (size_t)(dot - text), points[i]))
            f->point = points[i];
    const char *name = dot + 1, *p = name;
    while (p < end && *p != '@' && *p != '/' && *p != '!')
        p++;
    for (size_t i = 1; i < N_EFFECTS; i++)
        if (is(name, (size_t)(p - name), effects[i].name))
            f->effect = (enum mock_effect)i;
    if (!f->point || !f->effect)
        return -1;
    if (p < end && (*p == '@' || *p == '/')) {
        uint64_t at = 0;
        f->every = *p == '/';
        const char *digits = ++p;
        for (; p < end && *p >= '0' && *p <= '9' && p - digits < 12; p++)
            at = at * 10 + (uint64_t)(*p - '0');
        if (at == 0)
            return -1;
        f->at = at;
    }
    if (p < end && *p == '!' && !f->every) {
        f->always = true;
        p++;
    }
    return p == end ? 0 : -1;
}

int mock_faults_parse(const char *text, struct orcd_error *err)
{
    struct fault parsed[MAX_FAULTS] = {0};
    size_t n = 0;
    for (const char *p = text + strspn(text, " ,"); *p;) {
        size_t len = strcspn(p, " ,");
        if (n == MAX_FAULTS)
            return error_set(err, ORCD_E_INVALID, "fault: at most %d", MAX_FAULTS);
        if (parse_one(p, len, &parsed[n]))
            return error_set(err, ORCD_E_INVALID,
                "fault: \"%.*s\" is not POINT.EFFECT[@N][!] or POINT.EFFECT/N of a known point "
                "and effect",
                (int)(len < 64 ? len : 64), p);
        n++;
        p += len;
        p += strspn(p, " ,");
    }
    pthread_mutex_lock(&lock);
    memcpy(faults, parsed, n * sizeof(parsed[0]));
    n_faults = n;
    memset(calls, 0, sizeof(calls));
    pthread_mutex_unlock(&lock);
    return 0;
}

enum mock_effect mock_fault(const char *point)
{
    enum mock_effect effect = MOCK_EFFECT_NONE;
    pthread_mutex_lock(&lock);
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        if (strcmp(points[i], point) == 0)
            n = ++calls[i];
    for (size_t i = 0; i < n_faults && !effect; i++)
        if (strcmp(faults[i].point, point) == 0 &&
            (n == faults[i].at || (n > faults[i].at && faults[i].always) ||
                (faults[i].every && n % faults[i].at == 0)))
            effect = faults[i].effect;
    pthread_mutex_unlock(&lock);
    return effect;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

static void crash(void)
{
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

int mock_effect_apply(enum mock_effect effect)
{
    if (effect == MOCK_EFFECT_SLOW)
        sleep_ns(SLOW_NS);
    else if (effect == MOCK_EFFECT_CRASH)
        crash();
    else if (effect == MOCK_EFFECT_HANG && mock_options.hang_ns)
        sleep_ns(mock_options.hang_ns);
    else if (effect == MOCK_EFFECT_HANG)
        for (;;)
            pause();
    return effects[effect].code;
}

int mock_fault_check(const char *point, struct orcd_error *err)
{
    enum mock_effect effect = mock_fault(point);
    int code = mock_effect_apply(effect);
    if (!code && mock_host->fault)
        code = mock_host->fault(point);
    return code ? error_set(err, code, "mock: %s was told to fail (%s)", point, error_name(code)) : 0;
}
