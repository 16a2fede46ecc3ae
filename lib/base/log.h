/*
 * One structured line per event to standard error. log_setup() once, before other threads
 * start; without it, lines are text, from level info up. Then any thread may log at any
 * time: a line is written with one write(2), so lines never mix. Code in lib/ logs at debug,
 * and at warn where an administrator should act.
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

/* log_event(ORCD_LOG_INFO, "job ended", LOG_T("job_id", id), LOG_I("tokens", n), NULL); */
void log_event(int level, const char *message, ...);

void log_error(const char *fmt, ...) ORCD_PRINTF(1, 2);
void log_warn(const char *fmt, ...) ORCD_PRINTF(1, 2);
void log_info(const char *fmt, ...) ORCD_PRINTF(1, 2);
void log_debug(const char *fmt, ...) ORCD_PRINTF(1, 2);

#endif
