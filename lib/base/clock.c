#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_real_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t clock_real_offset_ns(void)
{
    uint64_t best = UINT64_MAX;
    int64_t offset = 0;
    /* The scheduler may stop this thread between two readings: of up to four attempts, the
     * one that took the least time is used. */
    for (int i = 0; i < 4 && best > 500; i++) {
        uint64_t before = clock_mono_ns(), real = clock_real_ns(), after = clock_mono_ns();
        if (after - before < best) {
            best = after - before;
            offset = (int64_t)(real - (before + best / 2));
        }
    }
    return offset;
}

struct timespec clock_timespec(uint64_t mono_ns)
{
    return (struct timespec){.tv_sec = (time_t)(mono_ns / NS_PER_S), .tv_nsec = (long)(mono_ns % NS_PER_S)};
}

int clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return rc;
}

static uint64_t process_began_ns;

__attribute__((constructor)) static void process_began(void)
{
    process_began_ns = clock_mono_ns();
}

uint64_t clock_process_ns(void)
{
    return clock_mono_ns() - process_began_ns;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar: years counted from
 * March, so that the leap day is the last day of a year. */
static int64_t days_from_civil(int y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int digits(const char *s, int n, int *out)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    *out = v;
    return 0;
}

int clock_parse_rfc3339(const char *s, size_t n, int64_t *real_ns)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, mo, d, h, mi, sec;
    if (n < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' ||
        s[16] != ':')
        return -1;
    if (digits(s, 4, &y) || digits(s + 5, 2, &mo) || digits(s + 8, 2, &d) || digits(s + 11, 2, &h) ||
        digits(s + 14, 2, &mi) || digits(s + 17, 2, &sec))
        return -1;
    int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (mo < 1 || mo > 12 || d < 1 || d > month_days[mo - 1] + (mo == 2 && leap) || h > 23 || mi > 59 ||
        sec > 60)
        return -1;
    size_t i = 19;
    int64_t frac = 0;
    if (s[i] == '.') {
        int64_t unit = NS_PER_S / 10;
        size_t first = ++i;
        for (; i < n && s[i] >= '0' && s[i] <= '9'; i++, unit /= 10)
            frac += (s[i] - '0') * unit;
        if (i == first || i - first > 9)
            return -1;
    }
    int64_t offset_min = 0;
    if (i + 1 == n && (s[i] == 'Z' || s[i] == 'z')) {
        offset_min = 0;
    } else if (i + 6 == n && (s[i] == '+' || s[i] == '-') && s[i + 3] == ':') {
        int oh, om;
        if (digits(s + i + 1, 2, &oh) || digits(s + i + 4, 2, &om) || oh > 23 || om > 59)
            return -1;
        offset_min = (s[i] == '-' ? -1 : 1) * (oh * 60 + om);
    } else {
        return -1;
    }
    int64_t seconds = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset_min * 60;
    /* Nanoseconds since 1970 fit in 64 bits until 2262; later times are clamped to that. */
    if (seconds > INT64_MAX / (int64_t)NS_PER_S - 1)
        seconds = INT64_MAX / (int64_t)NS_PER_S - 1;
    if (seconds < INT64_MIN / (int64_t)NS_PER_S + 1)
        seconds = INT64_MIN / (int64_t)NS_PER_S + 1;
    *real_ns = seconds * (int64_t)NS_PER_S + frac;
    return 0;
}

void clock_format_rfc3339(uint64_t real_ns, char *buf, size_t size)
{
    time_t s = (time_t)(real_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    char day[24];
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf, size, "%s.%03uZ", day, (unsigned)(real_ns % NS_PER_S / NS_PER_MS));
}
