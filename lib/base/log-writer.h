/*
 * Where log lines go: to standard error at once, or, from log_writer_start() on, into a ring that a thread
 * of its own writes out. Then no other thread ever waits for whoever reads standard error - a full pipe, a
 * stopped terminal, a full disk -, and lines that find no room are dropped, counted, and reported once by a
 * line of their own when writing is possible again.
 *
 * Life cycle: log_writer_start() once, log_writer_stop() once; both on the main thread. Any thread may make
 * the other calls at any time.
 */
#ifndef ORCD_BASE_LOG_WRITER_H
#define ORCD_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Formats the line which reports that n lines were dropped into out; returns its bytes
 * (0: no line). Writer thread. */
typedef size_t (*log_dropped_line)(char *out, size_t room, uint64_t n);

/* Starts the thread. False: it could not be started, and lines go on being written at once. */
bool log_writer_start(log_dropped_line line);
/* One whole line with its newline. */
void log_writer_put(const char *text, size_t n);
/* Waits until all lines so far are written, timeout_ms at most. False: some are not. */
bool log_writer_flush(uint64_t timeout_ms);
/* Flushes, and ends the thread if nothing is left to write. Later lines are written at once, but only where
 * that cannot block. */
void log_writer_stop(uint64_t timeout_ms);
/* Lines that were dropped because there was no room or because writing failed. */
uint64_t log_writer_dropped(void);

#endif
