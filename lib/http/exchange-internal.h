/* The loop's side of an exchange: the library's callbacks, and clients that disconnect.
 * Loop thread only. */
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

/* The client no longer reads, which was noticed at x->rdhup_ns. */
void exchange_client_gone(struct exchange *x);
/* The server is stopping. */
void exchange_drain(struct exchange *x);

#endif
