#include "client/transfer-failure.h"

#include <string.h>

#include "base/error.h"

#define TOO_LARGE 100 /* CURLE_TOO_LARGE, in headers since 8.6 */

/* libcurl's text names whom it could not reach; where that is not the host, it is a proxy. */
static int unreachable(const struct transfer_end *end, const struct address *to, struct orcd_error *err)
{
    if (end->os_errno && strstr(end->text, to->host))
        return error_set_errno(err, ORCD_E_IO, (int)end->os_errno, "%s", to->text);
    return error_set(err, ORCD_E_IO, "%s: %s", to->text, end->text);
}

static int malformed(const struct transfer_end *end, struct orcd_error *err)
{
    return error_set(err, ORCD_E_INVALID, "malformed answer: %s", end->text);
}

int transfer_explain(const struct transfer_end *end, const struct address *to, bool has_head,
    const struct libcurl *lib, struct orcd_error *err)
{
    if (end->refused)
        return error_set(err, ORCD_E_INVALID, "%s", end->refused);
    switch ((int)end->result) {
    case CURLE_OK: /* it takes an unfinished head for an answer */
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return error_set(err, ORCD_E_IO, "the connection was closed in the middle of an answer");
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, ORCD_E_NOT_FOUND, "%.200s: no such host", to->host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return error_set(err, ORCD_E_NOT_FOUND, "%s: %s", to->text, end->text);
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
        return unreachable(end, to, err);
    case CURLE_PEER_FAILED_VERIFICATION:
        return error_set(
            err, ORCD_E_IO, "%s: the server's certificate is not trusted: %s", to->text, end->text);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return error_set(err, ORCD_E_INVALID, "the answer is not HTTP");
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_FILESIZE_EXCEEDED: /* a length of 2^63 or more */
    case CURLE_BAD_CONTENT_ENCODING:
        return malformed(end, err);
    case CURLE_URL_MALFORMAT:
        return error_set(err, ORCD_E_INVALID, "%s: not a valid address: %s", to->text, end->text);
    case CURLE_OUT_OF_MEMORY: /* so libcurl before 8.6 calls a line of more than 100 KB */
    case TOO_LARGE:
        return has_head ? error_set(err, ORCD_E_NOMEM, "out of memory")
                        : error_set(err, ORCD_E_INVALID, "the head of the answer is too long");
    case CURLE_RECV_ERROR: /* of the socket, and what it calls a broken chunk */
        if (strstr(end->text, "chunk"))
            return malformed(end, err);
        /* fallthrough */
    default:
        return error_set(err, ORCD_E_IO, "%s", *end->text ? end->text : lib->easy_strerror(end->result));
    }
}
