/*
 * libcurl, loaded when it is first used: it brings some 25 libraries along, for which neither the start
 * of a worker nor its memory shall pay (the figures are in the commit that added this file).
 *
 * Life cycle: the first libcurl_load of the process loads the library and calls curl_global_init; later
 * calls return what the first one found, its failure too. Nothing is ever unloaded, and nobody calls
 * curl_global_cleanup: a thread may be in the middle of a transfer when the process exits. What libcurl
 * allocated once stays reachable from its own variables, so that leak checkers do not report it.
 *
 * Threads: any, at any time. Order of calls: libcurl_load first; the table is constant after that.
 */
#ifndef ORCD_CLIENT_LIBCURL_H
#define ORCD_CLIENT_LIBCURL_H

#include <curl/curl.h>

#include "base/error.h"

/* Every function of libcurl that is used, with the type that its header declares. */
#define LIBCURL_FUNCTIONS(X)                                                                                 \
    X(global_init)                                                                                           \
    X(version_info)                                                                                          \
    X(easy_init)                                                                                             \
    X(easy_cleanup)                                                                                          \
    X(easy_reset)                                                                                            \
    X(easy_setopt)                                                                                           \
    X(easy_getinfo)                                                                                          \
    X(easy_pause)                                                                                            \
    X(easy_strerror)                                                                                         \
    X(slist_append)                                                                                          \
    X(slist_free_all)                                                                                        \
    X(multi_init)                                                                                            \
    X(multi_cleanup)                                                                                         \
    X(multi_add_handle)                                                                                      \
    X(multi_remove_handle)                                                                                   \
    X(multi_perform)                                                                                         \
    X(multi_poll)                                                                                            \
    X(multi_info_read)                                                                                       \
    X(multi_strerror)

struct libcurl {
#define X(name) __typeof__(curl_##name) *name;
    LIBCURL_FUNCTIONS(X)
#undef X
};

/* NULL: it cannot be used (ORCD_E_UNSUPPORTED; the message names the package). */
const struct libcurl *libcurl_load(struct orcd_error *err);

#endif
