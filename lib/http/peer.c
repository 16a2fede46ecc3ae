#include "http/peer.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>

#include "http/exchange.h"

void peer_text(const struct exchange *x, char out[PEER_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *addr = info ? info->client_addr : NULL;
    const struct sockaddr_in *v4 = (const void *)addr;
    const struct sockaddr_in6 *v6 = (const void *)addr;
    if (addr && addr->sa_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)))
        snprintf(out, PEER_BYTES, "%s:%u", host, ntohs(v4->sin_port));
    else if (addr && addr->sa_family == AF_INET6 && inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)))
        snprintf(out, PEER_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
    else
        snprintf(out, PEER_BYTES, "unix");
}
