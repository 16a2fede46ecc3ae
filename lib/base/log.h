/*
 * One structured line per event to standard error. Any thread may log at any time; lines never mix. Code in
 * lib/ logs at debug, and at warn where an administrator should act.
 *
 * 1. log_setup() once, before other threads start. Without it, lines are text, from level info up.
 * 2. log_start(), in a daemon: from here on no thread waits for whoever reads standard error. Lines go into a
 *    ring that a thread writes out; what finds no room is dropped, counted, and reported by a line. A small
 *    program leaves this out: each line is written at once.
 * 3. log_stop(), on the main thread, when the daemon has ended.
 */
#ifndef ORCD_BASE_LOG_H
#define ORCD_BASE_LOG_H

#include <stdarg.h>
#include <stdint.h>

#include <orcd/plugin.h>

enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* AUTO: text on a terminal, with "<N>" priorities under journald, JSON lines otherwise. */
void log_setup(int level, enum log_format format);
int log_enabled(int level);

/* The main thread, after signals have been blocked: the writer's thread inherits that. Without the thread
 * (errors: INTERNAL) lines are written at once. */
int log_start(struct orcd_error *err);
/* Returns when all lines so far are written, after timeout_ms at the latest. Any thread. */
void log_flush(uint64_t timeout_ms);
/* Flushes and ends the writer. Later lines are written at once, or dropped where that would block. */
void log_stop(uint64_t timeout_ms);
/* Lines that nobody will read: there was no room, or they could not be written. */
uint64_t log_lines_dropped(void);

/* A field of a line. Values are escaped; text may hold any bytes. */
struct log_field {
    const char *key;
    enum { LOG_TEXT, LOG_INT, LOG_FLOAT } kind;
    const char *text;
    int64_t i;
    double f;
};
#define LOG_T(k, v) (&(struct log_field){.key = (k), .kind = LOG_TEXT, .text = (v)})
#define LOG_I(k, v) (&(struct log_field){.key = (k), .kind = LOG_INT, .i = (int64_t)(v)})
#define LOG_F(k, v) (&(struct log_field){.key = (k), .kind = LOG_FLOAT, .f = (v)})
#define LOG_NONE                                                                                             \
    (&(struct log_field){.key = NULL}) /* in place of a field that there is not; NULL ends the list */

/* log_event(ORCD_LOG_INFO, "job ended", LOG_T("job_id", id), LOG_I("tokens", n), NULL); */
void log_event(int level, const char *message, ...);

void log_error(const char *fmt, ...) ORCD_PRINTF(1, 2);
void log_warn(const char *fmt, ...) ORCD_PRINTF(1, 2);
void log_info(const char *fmt, ...) ORCD_PRINTF(1, 2);
void log_debug(const char *fmt, ...) ORCD_PRINTF(1, 2);

#endif
