#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugins/common/util.h"

int plugin_error(struct orcd_error *err, int code, const char *fmt, ...)
{
    if (!err || err->size < offsetof(struct orcd_error, msg) + 1)
        return code;
    size_t room = err->size - offsetof(struct orcd_error, msg);
    if (room > sizeof(err->msg))
        room = sizeof(err->msg);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, room, fmt, ap);
    va_end(ap);
    /* One line, whatever a tensor's name holds. */
    for (char *c = err->msg; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    err->code = code;
    return code;
}

void *plugin_alloc(const struct orcd_host *host, uint64_t n, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    void *p = host->alloc(bytes ? (size_t)bytes : 1, 64);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void plugin_free(const struct orcd_host *host, void *p)
{
    if (p)
        host->free(p);
}
