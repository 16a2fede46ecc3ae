/*
 * Time: monotonic nanoseconds everywhere inside, RFC 3339 at the border. Pure functions;
 * any thread may call them at any time.
 */
#ifndef ORCD_BASE_CLOCK_H
#define ORCD_BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

uint64_t clock_mono_ns(void);
uint64_t clock_real_ns(void); /* since the epoch, UTC */
/* Real time minus monotonic time, exact to well under a microsecond. It changes when the
 * system's clock is set. */
int64_t clock_real_offset_ns(void);

/* mono_ns as the struct that functions with an absolute timeout expect. */
struct timespec clock_timespec(uint64_t mono_ns);
/* Initializes a condition variable whose timed waits use the monotonic clock. Returns 0 or an
 * errno value. */
int clock_cond_init(pthread_cond_t *cond);

/* Since the process started. */
uint64_t clock_process_ns(void);

/* RFC 3339 date-time (any offset, lower-case t and z, second 60, up to 9 fraction digits) of
 * n bytes to nanoseconds since the epoch. Returns 0; -1: text is something else. */
int clock_parse_rfc3339(const char *text, size_t n, int64_t *real_ns);

/* "2026-11-30T19:30:00.250Z"; buf holds at least 32 bytes. */
void clock_format_rfc3339(uint64_t real_ns, char *buf, size_t size);

#endif
