/*
 * Filling in struct orcd_error, the one error type of the daemons and of plugins (its
 * definition is the plugin contract's: include/orcd/plugin.h).
 *
 * The caller owns it, usually on its stack: ORCD_ERROR_INIT, then a pointer to it goes
 * down the calls. A function that fails fills it in and returns its code (negative); one
 * that succeeds leaves it alone. One thread at a time.
 */
#ifndef ORCD_BASE_ERROR_H
#define ORCD_BASE_ERROR_H

#include <orcd/plugin.h>

#define ORCD_ERROR_INIT                                                                                      \
    {                                                                                                        \
        .size = sizeof(struct orcd_error)                                                                    \
    }

/* Writes code and text (cut at the buffer's end, control characters replaced by '?')
 * and returns code, so that a failing function ends in `return error_set(...)`.
 * err may be NULL. */
int error_set(struct orcd_error *err, int code, const char *fmt, ...) ORCD_PRINTF(3, 4);

/* As error_set, with ": " and strerror(errno_value) appended. */
int error_set_errno(struct orcd_error *err, int code, int errno_value, const char *fmt, ...)
    ORCD_PRINTF(4, 5);

/* Puts "text: " before the message that err holds. */
void error_prefix(struct orcd_error *err, const char *fmt, ...) ORCD_PRINTF(2, 3);

/* "OUT_OF_KV" for ORCD_E_OUT_OF_KV; "UNKNOWN" for a code that is not in the list. */
const char *error_name(int code);

/* The sysexits.h status that a command ends with for this ORCD_E_ code. */
int error_exit_status(int code);

#endif
