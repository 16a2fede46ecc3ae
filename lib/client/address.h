/*
 * Where a server is: http://HOST[:PORT][/PREFIX], https://..., unix:/PATH, checked and taken apart.
 *
 * Life cycle: address_parse fills in a struct that holds no pointers, so that it can be copied and needs
 * no release. Threads: none of its own, no state. Order of calls: address_parse, then read the fields.
 */
#ifndef ORCD_CLIENT_ADDRESS_H
#define ORCD_CLIENT_ADDRESS_H

#include "base/error.h"
#include <stdbool.h>

struct address {
    char text[201];    /* as it was given, cut; for messages */
    char url[600];     /* for libcurl; a request's path is put after it. No slash at its end */
    char host[300];    /* without port and brackets; "localhost" for a unix socket */
    char socket[108];  /* path of the unix socket; "": TCP */
    bool on_this_host; /* a unix socket, localhost, a loopback address: never through a proxy */
};

/* Errors: INVALID. There is no password in an address that this accepts. */
int address_parse(struct address *a, const char *url, struct orcd_error *err);

#endif
