#include "http/refuse.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/random.h"

void refuse_drop_input(int fd)
{
    char waste[4096];
    for (int i = 0; i < 4; i++)
        if (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) <= 0)
            return;
}

void refuse_send(int fd, const struct http_error *e)
{
    char id[37], head[512];
    random_uuid(id);
    size_t n;
    char *body = http_error_body(e, id, &n);
    if (!body)
        return;
    int k = snprintf(head, sizeof(head),
        "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nX-Correlation-Id: %s\r\n"
        "%sContent-Length: %zu\r\n\r\n",
        api_code_status(e->code), MHD_get_reason_phrase_for((unsigned)api_code_status(e->code)), id,
        e->retry_after_s ? "Retry-After: 1\r\n" : "", n);
    if (send(fd, head, (size_t)k, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) == k)
        (void)!send(fd, body, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    free(body);
}

void refuse_raw(int fd, const struct http_error *e)
{
    refuse_send(fd, e);
    shutdown(fd, SHUT_WR);
    refuse_drop_input(fd);
}
