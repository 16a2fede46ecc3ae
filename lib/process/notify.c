#include "process/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify_fd = -1;
static struct sockaddr_un notify_address;
static socklen_t notify_length;
static uint64_t watchdog_ms;

void notify_setup(void)
{
    const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"),
               *pid = getenv("WATCHDOG_PID");
    size_t n = path ? strlen(path) : 0;
    if (n > 1 && n < sizeof(notify_address.sun_path) && (*path == '/' || *path == '@')) {
        notify_address.sun_family = AF_UNIX;
        memcpy(notify_address.sun_path, path, n + 1);
        if (*path == '@') /* the abstract name space */
            notify_address.sun_path[0] = 0;
        notify_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (usec && (!pid || strtoll(pid, NULL, 10) == getpid()))
            watchdog_ms = strtoull(usec, NULL, 10) / 2000;
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify(const char *fmt, ...)
{
    if (notify_fd < 0)
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    /* A failure is ignored: a supervisor that does not listen must not stop the daemon. */
    (void)!sendto(
        notify_fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&notify_address, notify_length);
}

uint64_t notify_watchdog_ms(void)
{
    return watchdog_ms;
}
