/* An exchange as the loop sees it: the library's callbacks, and the client that leaves.
 * Loop thread. */
#ifndef ORCD_HTTP_EXCHANGE_INTERNAL_H
#define ORCD_HTTP_EXCHANGE_INTERNAL_H

#include <microhttpd.h>

#include "http/exchange.h"

/* MHD_OPTION_URI_LOG_CALLBACK; cls is the loop. Returns the exchange. */
void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *mhd);
/* The access handler. */
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *n_data, void **con_cls);
/* MHD_OPTION_NOTIFY_COMPLETED. */
void exchange_completed(
    void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode code);

/* Nobody reads any more; noticed at x->rdhup_ns. */
void exchange_client_gone(struct exchange *x);
/* The server stops. */
void exchange_drain(struct exchange *x);

#endif
