/*
 * How a transfer ended, in our codes and words.
 *
 * Life cycle: a part of struct transfer, emptied for each request; libcurl writes `text`, transfer.c the
 * rest. Threads: the transfer's. Order of calls: transfer_explain once it is over and has failed.
 */
#ifndef ORCD_CLIENT_TRANSFER_FAILURE_H
#define ORCD_CLIENT_TRANSFER_FAILURE_H

#include <stdbool.h>

#include "client/address.h"
#include "client/libcurl.h"

struct transfer_end {
    bool over;
    CURLcode result;
    long os_errno;              /* of the last connect, 0: none failed */
    const char *refused;        /* why we would not read on; NULL: we would */
    char text[CURL_ERROR_SIZE]; /* libcurl's words; may hold bytes of the server */
};

/* Returns INVALID, NOT_FOUND, IO, UNSUPPORTED or NOMEM, with a message. No message holds a secret. */
int transfer_explain(const struct transfer_end *end, const struct address *to, bool has_head,
    const struct libcurl *lib, struct orcd_error *err);

#endif
