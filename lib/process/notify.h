/*
 * systemd's notification protocol: datagrams to $NOTIFY_SOCKET. notify_setup() once, on
 * the main thread before others start; then any thread may call notify(). Without a
 * socket every call does nothing.
 */
#ifndef ORCD_PROCESS_NOTIFY_H
#define ORCD_PROCESS_NOTIFY_H

#include <stdint.h>

#include "base/error.h" /* ORCD_PRINTF */

/* Reads and unsets NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void notify_setup(void);
/* One or more lines "READY=1\nSTATUS=..."; at most 1 KB. */
void notify(const char *fmt, ...) ORCD_PRINTF(1, 2);
/* How often WATCHDOG=1 must be sent (half of WATCHDOG_USEC); 0: never. */
uint64_t notify_watchdog_ms(void);

#endif
