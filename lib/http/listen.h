/*
 * Addresses and listening sockets: listen_parse(), listen_open(), then listen_url() for the
 * actual address (port 0 became a port). At start-up, on one thread; the caller closes the
 * descriptors and unlinks unix_path.
 */
#ifndef ORCD_HTTP_LISTEN_H
#define ORCD_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

struct listen_address {
    struct sockaddr_storage addr;
    socklen_t n;
    char host[256];
    char unix_path[108]; /* "": not a unix socket */
    unsigned mode;       /* of a unix socket; set by the caller, as is its group (NULL: as it comes) */
    const char *group;
    bool loopback; /* other machines cannot reach it */
};

/* text: host:port, [v6]:port, a port, or unix:/path. INVALID. */
int listen_parse(struct listen_address *a, const char *text, struct orcd_error *err);
/* fds[n]: one listener per loop (unix sockets: the same one), -1 where there is none.
 * user_timeout_ms: after it, a peer that no longer responds is dropped; at least 1000 is used.
 * BUSY, PERMISSION, IO; NOT_FOUND: no such group. */
int listen_open(
    struct listen_address *a, unsigned n, uint32_t user_timeout_ms, int *fds, struct orcd_error *err);
/* "http://127.0.0.1:8001" or "unix:/path". */
void listen_url(const struct listen_address *a, char *url, size_t size);

#endif
