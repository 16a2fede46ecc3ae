#include "client/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

#define PREFIX_MAX 255

static int bad(const char *url, struct orcd_error *err)
{
    return error_set(
        err, ORCD_E_INVALID, "%.100s: must be http://HOST:PORT, https://HOST:PORT or unix:/PATH", url);
}

static int parse_unix(struct address *a, const char *url, struct orcd_error *err)
{
    const char *path = url + strlen("unix:");
    if (*path != '/' || strlen(path) >= sizeof(a->socket))
        return bad(url, err);
    snprintf(a->socket, sizeof(a->socket), "%s", path);
    snprintf(a->host, sizeof(a->host), "localhost");
    snprintf(a->url, sizeof(a->url), "http://localhost");
    a->on_this_host = true;
    return 0;
}

/* All forms of a number that libcurl takes (127.1, 0x7f000001), and where a wildcard leads. */
static bool is_loopback_number(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_aton(host, &v4))
        return v4.s_addr == INADDR_ANY || ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6) ||
           (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET);
}

static bool is_on_this_host(const char *given)
{
    char host[300];
    snprintf(host, sizeof(host), "%s", given);
    size_t n = strlen(host);
    if (n && host[n - 1] == '.')
        host[--n] = 0;
    const char *name = n > 10 && host[n - 10] == '.' ? host + n - 9 : host;
    return strcasecmp(name, "localhost") == 0 || is_loopback_number(host);
}

/* "host", "host:port", "[v6]:port" in [p, end). */
static bool take_authority(struct address *a, const char *p, const char *end)
{
    const char *host_end = end;
    for (const char *q = p; q < end; q++)
        if (*q <= ' ' || *q > '~' || *q == '@' || (*q == '%' && *p != '['))
            return false;
    for (const char *q = end; q > p && q[-1] != ']'; q--)
        if (q[-1] == ':') {
            host_end = q - 1;
            break;
        }
    size_t port_n = host_end < end ? (size_t)(end - host_end - 1) : 0;
    if (host_end < end && (port_n == 0 || port_n > 5 || strspn(host_end + 1, "0123456789") < port_n))
        return false;
    bool brackets = *p == '[' && host_end - p > 2 && host_end[-1] == ']';
    p += brackets;
    host_end -= brackets;
    if (host_end <= p || (size_t)(host_end - p) >= sizeof(a->host))
        return false;
    snprintf(a->host, sizeof(a->host), "%.*s", (int)(host_end - p), p);
    a->on_this_host = is_on_this_host(a->host);
    return true;
}

static int parse_tcp(struct address *a, const char *url, size_t scheme_n, struct orcd_error *err)
{
    const char *p = url + scheme_n, *end = p + strcspn(p, "/?#");
    size_t path_n = strlen(end);
    while (path_n && end[path_n - 1] == '/')
        path_n--;
    if (path_n > PREFIX_MAX || (path_n && *end != '/') || strcspn(end, " \r\n\t?#") < path_n)
        return bad(url, err);
    size_t n = (size_t)(end - url) + path_n;
    if (!take_authority(a, p, end) || n >= sizeof(a->url))
        return bad(url, err);
    snprintf(a->url, sizeof(a->url), "%.*s", (int)n, url);
    return 0;
}

int address_parse(struct address *a, const char *url, struct orcd_error *err)
{
    memset(a, 0, sizeof(*a));
    snprintf(a->text, sizeof(a->text), "%s", url);
    if (strncmp(url, "unix:", 5) == 0)
        return parse_unix(a, url, err);
    if (strncmp(url, "http://", 7) == 0)
        return parse_tcp(a, url, 7, err);
    if (strncmp(url, "https://", 8) == 0)
        return parse_tcp(a, url, 8, err);
    return bad(url, err);
}
