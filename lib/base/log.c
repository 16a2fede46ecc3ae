#include "base/log.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log-writer.h"
#include "base/util.h"

#define LINE_BYTES 4096

static atomic_int log_level = ORCD_LOG_INFO;
static atomic_int log_format = LOG_FORMAT_TEXT;
static atomic_bool log_journald;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const int syslog_priorities[] = {3, 4, 6, 7};

/* journald announces the stream that it reads in the variable JOURNAL_STREAM=device:inode. */
static bool stderr_is_journal(void)
{
    const char *want = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!want || fstat(STDERR_FILENO, &st))
        return false;
    char have[64];
    snprintf(have, sizeof(have), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(want, have) == 0;
}

void log_setup(int level, enum log_format format)
{
    atomic_store(&log_level, level);
    atomic_store(&log_journald, stderr_is_journal());
    if (format == LOG_FORMAT_AUTO)
        format = isatty(STDERR_FILENO) || atomic_load(&log_journald) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    atomic_store(&log_format, (int)format);
}

int log_enabled(int level)
{
    return level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

struct line {
    char text[LINE_BYTES];
    size_t n;
};

static void line_add(struct line *l, const char *s, size_t n)
{
    size_t room = sizeof(l->text) - 2 - l->n; /* the closing brace and the newline always fit */
    if (n > room)
        n = room;
    memcpy(l->text + l->n, s, n);
    l->n += n;
}

static void line_puts(struct line *l, const char *s)
{
    line_add(l, s, strlen(s));
}

/* Control characters, quotes and backslashes are escaped, and bytes above 0x7f that
 * are not UTF-8 come out as '?', so that a hostile value stays within its line. */
static void line_escape(struct line *l, const char *s)
{
    size_t left = strlen(s);
    while (left) {
        unsigned char c = (unsigned char)*s;
        size_t n = utf8_char_len(s, left);
        char esc[8];
        if (c == '"' || c == '\\') {
            snprintf(esc, sizeof(esc), "\\%c", c);
            line_puts(l, esc);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(esc, sizeof(esc), "\\u%04x", c);
            line_puts(l, esc);
        } else if (n == 0) {
            line_puts(l, "?");
        } else {
            if (l->n + n > sizeof(l->text) - 8)
                return; /* never half a character */
            line_add(l, s, n);
        }
        n = n ? n : 1;
        s += n;
        left -= n;
    }
}

static void line_field(struct line *l, const struct log_field *f, bool json)
{
    char num[48];
    line_puts(l, json ? ",\"" : " ");
    line_puts(l, f->key);
    line_puts(l, json ? "\":" : "=");
    switch (f->kind) {
    case LOG_TEXT:
        line_puts(l, "\"");
        line_escape(l, f->text ? f->text : "");
        line_puts(l, "\"");
        return;
    case LOG_INT:
        snprintf(num, sizeof(num), "%lld", (long long)f->i);
        break;
    case LOG_FLOAT:
        snprintf(num, sizeof(num), isfinite(f->f) ? "%.6g" : "null", f->f);
        break;
    }
    line_puts(l, num);
}

static void line_start(struct line *l, int level, const char *message, bool json)
{
    struct timespec ts;
    struct tm tm;
    char stamp[40];
    l->n = 0;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(stamp + n, sizeof(stamp) - n, ".%03ldZ", ts.tv_nsec / 1000000);
    if (json) {
        line_puts(l, "{\"time\":\"");
        line_puts(l, stamp);
        line_puts(l, "\",\"level\":\"");
        line_puts(l, level_names[level]);
        line_puts(l, "\",\"message\":\"");
        line_escape(l, message);
        line_puts(l, "\"");
        return;
    }
    if (atomic_load(&log_journald)) {
        char prefix[8];
        snprintf(prefix, sizeof(prefix), "<%d>", syslog_priorities[level]);
        line_puts(l, prefix);
    } else {
        line_puts(l, stamp);
        line_puts(l, " ");
        line_puts(l, level_names[level]);
        line_puts(l, " ");
    }
    line_escape(l, message);
}

static void line_end(struct line *l, bool json)
{
    if (json)
        l->text[l->n++] = '}';
    l->text[l->n++] = '\n';
}

void log_event(int level, const char *message, ...)
{
    if (!log_enabled(level))
        return;
    struct line l;
    bool json = atomic_load(&log_format) == LOG_FORMAT_JSON;
    line_start(&l, level, message, json);
    va_list args;
    va_start(args, message);
    for (const struct log_field *f; (f = va_arg(args, const struct log_field *));)
        if (f->key)
            line_field(&l, f, json);
    va_end(args);
    line_end(&l, json);
    log_writer_put(l.text, l.n);
}

static size_t dropped_line(char *out, size_t room, uint64_t n)
{
    struct line l;
    bool json = atomic_load(&log_format) == LOG_FORMAT_JSON;
    if (!log_enabled(ORCD_LOG_WARN))
        return 0;
    line_start(&l, ORCD_LOG_WARN, "log lines were dropped: standard error was not read, or was full", json);
    line_field(&l, LOG_I("lines", n), json);
    line_end(&l, json);
    if (l.n > room)
        return 0;
    memcpy(out, l.text, l.n);
    return l.n;
}

int log_start(struct orcd_error *err)
{
    if (!log_writer_start(dropped_line))
        return error_set(err, ORCD_E_INTERNAL, "cannot start the thread that writes the log");
    return 0;
}

void log_flush(uint64_t timeout_ms)
{
    log_writer_flush(timeout_ms);
}

void log_stop(uint64_t timeout_ms)
{
    log_writer_stop(timeout_ms);
}

uint64_t log_lines_dropped(void)
{
    return log_writer_dropped();
}

static void log_line(int level, const char *fmt, va_list args)
{
    char message[LINE_BYTES / 2];
    vsnprintf(message, sizeof(message), fmt, args);
    log_event(level, message, (struct log_field *)NULL);
}

#define LOG_FUNCTION(name, level)                                                                            \
    void name(const char *fmt, ...)                                                                          \
    {                                                                                                        \
        if (!log_enabled(level))                                                                             \
            return;                                                                                          \
        va_list args;                                                                                        \
        va_start(args, fmt);                                                                                 \
        log_line(level, fmt, args);                                                                          \
        va_end(args);                                                                                        \
    }
LOG_FUNCTION(log_error, ORCD_LOG_ERROR)
LOG_FUNCTION(log_warn, ORCD_LOG_WARN)
LOG_FUNCTION(log_info, ORCD_LOG_INFO)
LOG_FUNCTION(log_debug, ORCD_LOG_DEBUG)
