/*
 * One HTTP request and its answer on libcurl, whoever drives them: client.c with a multi handle and a
 * wait of its own; a daemon with one multi handle for many transfers on its epoll loop.
 *
 * Life cycle: transfer_new; for each request transfer_begin and transfer_stop; transfer_free. Requests of
 * one multi handle to the same server share its connections: the next one goes over the connection of one
 * whose body was read to its end.
 *
 * Threads: the one that drives the multi handle; no locks.
 *
 * Order of calls for a request:
 *   1. transfer_begin adds it to the multi handle;
 *   2. whoever drives that handle calls transfer_ended when curl_multi_info_read reports its end;
 *   3. from transfer_has_head on, transfer_status and transfer_content_type hold;
 *   4. transfer_take hands out what came of the body. At most TRANSFER_BUFFER bytes wait for it: libcurl
 *      reads no further meanwhile, so that a server cannot fill our memory;
 *   5. when transfer_take has nothing and transfer_is_over, transfer_failure says how it ended;
 *   6. transfer_stop, at any time: if it is not over, its connection is closed.
 */
#ifndef ORCD_CLIENT_TRANSFER_H
#define ORCD_CLIENT_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "client/address.h"
#include "client/libcurl.h"

#define TRANSFER_HEAD_MAX 65536 /* of all lines of an answer's head and trailers */
#define TRANSFER_BUFFER CURL_MAX_WRITE_SIZE

struct client_request; /* client.h */
struct transfer;

/* connect_ms: for the name, the connection, a proxy and TLS together. */
int transfer_new(struct transfer **out, const struct address *to, int connect_ms, struct orcd_error *err);
void transfer_free(struct transfer *t); /* takes NULL; stops it */

/* r->body must stay until transfer_stop; all else is copied. */
int transfer_begin(struct transfer *t, CURLM *multi, const struct client_request *r, struct orcd_error *err);
void transfer_stop(struct transfer *t);

void transfer_ended(struct transfer *t, CURLcode result);

bool transfer_is_over(const struct transfer *t);
bool transfer_is_connected(const struct transfer *t); /* the request is on its way */
bool transfer_has_head(const struct transfer *t);
int transfer_status(const struct transfer *t);
const char *transfer_content_type(const struct transfer *t); /* "" when it is absent; until transfer_stop */
unsigned long long transfer_sent(const struct transfer *t);  /* bytes of the request's body */
size_t transfer_take(struct transfer *t, char *buf, size_t size);

/* Of one that is over. 0: the answer is whole. Else INVALID (the answer), NOT_FOUND (no such host), IO. */
int transfer_failure(const struct transfer *t, struct orcd_error *err);

#endif
