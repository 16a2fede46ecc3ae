#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static void clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static int error_vset(struct orcd_error *err, int code, const char *fmt, va_list args)
{
    if (err) {
        err->code = code;
        vsnprintf(err->msg, sizeof(err->msg), fmt, args);
        clean(err->msg);
    }
    return code;
}

int error_set(struct orcd_error *err, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error_vset(err, code, fmt, args);
    va_end(args);
    return code;
}

int error_set_errno(struct orcd_error *err, int code, int errno_value, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error_vset(err, code, fmt, args);
    va_end(args);
    if (err) {
        size_t n = strlen(err->msg);
        snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror(errno_value));
    }
    return code;
}

void error_prefix(struct orcd_error *err, const char *fmt, ...)
{
    if (!err)
        return;
    char old[ORCD_ERROR_TEXT_BYTES];
    memcpy(old, err->msg, sizeof(old));
    old[sizeof(old) - 1] = 0;
    va_list args;
    va_start(args, fmt);
    error_vset(err, err->code, fmt, args);
    va_end(args);
    size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", old);
}

const char *error_name(int code)
{
    switch (code) {
    case ORCD_OK:
        return "OK";
#define NAME_CASE(name, value, text)                                                                         \
    case value:                                                                                              \
        return #name;
        ORCD_ERROR_MAP(NAME_CASE)
#undef NAME_CASE
    default:
        return "UNKNOWN";
    }
}

int error_exit_status(int code)
{
    switch (code) {
    case ORCD_OK:
        return EX_OK;
    case ORCD_E_INVALID:
        return EX_DATAERR;
    case ORCD_E_NOT_FOUND:
        return EX_NOINPUT;
    case ORCD_E_PERMISSION:
        return EX_NOPERM;
    case ORCD_E_IO:
        return EX_IOERR;
    case ORCD_E_UNSUPPORTED:
    case ORCD_E_ABI:
    case ORCD_E_DEVICE:
    case ORCD_E_DEVICE_LOST:
        return EX_UNAVAILABLE;
    case ORCD_E_NOMEM:
    case ORCD_E_DEVICE_MEMORY:
    case ORCD_E_OUT_OF_KV:
        return EX_OSERR;
    case ORCD_E_STOPPED:
    case ORCD_E_BUSY:
        return EX_TEMPFAIL;
    default:
        return EX_SOFTWARE;
    }
}
