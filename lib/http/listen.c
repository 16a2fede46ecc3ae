#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

static int parse_unix(struct listen_address *a, const char *path, struct orcd_error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&a->addr;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(un->sun_path))
        return error_set(err, ORCD_E_INVALID, "http.listen: a socket path must have 1 to %zu bytes",
            sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n + 1);
    memcpy(a->unix_path, path, n + 1);
    a->n = sizeof(*un);
    a->loopback = true;
    return 0;
}

static bool is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

int listen_parse(struct listen_address *a, const char *text, struct orcd_error *err)
{
    memset(a, 0, sizeof(*a));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(a, text + 5, err);
    const char *host = text, *colon = strrchr(text, ':');
    size_t n_host = colon ? (size_t)(colon - text) : 0;
    const char *port = colon ? colon + 1 : text;
    if (!colon) { /* a port alone */
        host = "127.0.0.1";
        n_host = strlen(host);
    } else if (n_host >= 2 && host[0] == '[' && host[n_host - 1] == ']') {
        host++;
        n_host -= 2;
    } else if (memchr(host, ':', n_host)) {
        return error_set(err, ORCD_E_INVALID, "http.listen: \"%s\": an IPv6 address must be in [ ]", text);
    }
    size_t digits = strspn(port, "0123456789");
    if (n_host == 0 || n_host >= sizeof(a->host) || digits == 0 || digits > 5 || port[digits] ||
        atoi(port) > 65535)
        return error_set(
            err, ORCD_E_INVALID, "http.listen: \"%s\" must be host:port, [v6]:port or unix:/path", text);
    memcpy(a->host, host, n_host);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE},
                    *found;
    int rc = getaddrinfo(a->host, port, &hints, &found);
    if (rc)
        return error_set(err, ORCD_E_INVALID, "http.listen: \"%s\": %s", text, gai_strerror(rc));
    memcpy(&a->addr, found->ai_addr, found->ai_addrlen);
    a->n = found->ai_addrlen;
    freeaddrinfo(found);
    a->loopback = is_loopback((struct sockaddr *)&a->addr);
    return 0;
}

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

/* Accepted sockets inherit the options. The user timeout ends the connection of a peer that
 * vanished, both while sent bytes wait to be acknowledged and by keepalive probes: it is as
 * long as for a client that accepts nothing. (With it the number of probes has no effect.) */
static int open_one(
    struct listen_address *a, bool reuse_port, uint32_t user_timeout_ms, struct orcd_error *err)
{
    int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, ORCD_E_IO, errno, "http.listen: socket");
    if (a->unix_path[0]) {
        fchmod(fd, 0600); /* bind() makes the file with it */
    } else {
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (reuse_port)
            set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 5);
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
        set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)max_u64(1000, user_timeout_ms));
    }
    set(fd, SOL_SOCKET, SO_SNDBUF, 128 * 1024);
    if (bind(fd, (struct sockaddr *)&a->addr, a->n) || listen(fd, 4096)) {
        int e = errno, code = e == EADDRINUSE ? ORCD_E_BUSY : e == EACCES ? ORCD_E_PERMISSION : ORCD_E_IO;
        close(fd);
        char url[300];
        listen_url(a, url, sizeof(url));
        return error_set_errno(err, code, e, "cannot listen on %s", url);
    }
    return fd;
}

/* Removes a socket file on which no process listens: it is left over from a crash. */
static int unix_remove_stale(const struct listen_address *a, struct orcd_error *err)
{
    struct stat st;
    if (lstat(a->unix_path, &st))
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, ORCD_E_INVALID, "http.listen: %s exists and is not a socket", a->unix_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive =
        fd >= 0 && (connect(fd, (const struct sockaddr *)&a->addr, a->n) == 0 || errno != ECONNREFUSED);
    if (fd >= 0)
        close(fd);
    if (alive)
        return error_set(
            err, ORCD_E_BUSY, "cannot listen on unix:%s: another process listens there", a->unix_path);
    unlink(a->unix_path);
    return 0;
}

/* The socket's owner alone may connect until mode and group are as they shall be. */
static int set_access(const struct listen_address *a, struct orcd_error *err)
{
    char buf[16384];
    struct group entry, *found = NULL;
    if (a->group && (getgrnam_r(a->group, &entry, buf, sizeof(buf), &found) || !found))
        return error_set(err, ORCD_E_NOT_FOUND, "http.socket_group: there is no group '%s'", a->group);
    if (found && chown(a->unix_path, (uid_t)-1, found->gr_gid))
        return error_set_errno(err, ORCD_E_PERMISSION, errno,
            "http.socket_group: cannot give %s to the group '%s'", a->unix_path, a->group);
    if (chmod(a->unix_path, (mode_t)a->mode))
        return error_set_errno(err, ORCD_E_IO, errno, "http.socket_mode: %s", a->unix_path);
    return 0;
}

static int open_unix(struct listen_address *a, unsigned n, int *fds, struct orcd_error *err)
{
    int rc = unix_remove_stale(a, err);
    if (rc)
        return rc;
    int fd = open_one(a, false, 0, err);
    if (fd < 0)
        return fd;
    if ((rc = set_access(a, err))) {
        close(fd);
        unlink(a->unix_path);
        return rc;
    }
    for (unsigned i = 0; i < n; i++)
        fds[i] = i ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : fd;
    return 0;
}

int listen_open(
    struct listen_address *a, unsigned n, uint32_t user_timeout_ms, int *fds, struct orcd_error *err)
{
    for (unsigned i = 0; i < n; i++)
        fds[i] = -1;
    if (a->unix_path[0])
        return open_unix(a, n, fds, err);
    /* With SO_REUSEPORT a second process of the same user would bind the same port
     * without an error, so the port is bound without it first. */
    int fd = open_one(a, false, user_timeout_ms, err);
    if (fd < 0)
        return fd;
    a->n = sizeof(a->addr);
    getsockname(fd, (struct sockaddr *)&a->addr, &a->n); /* port 0 became a real one */
    if (n == 1) {
        fds[0] = fd;
        return 0;
    }
    close(fd);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = open_one(a, true, user_timeout_ms, err);
        if (fds[i] < 0) {
            int rc = fds[i];
            while (i--)
                close(fds[i]);
            return rc;
        }
    }
    return 0;
}

void listen_url(const struct listen_address *a, char *url, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->unix_path[0]) {
        snprintf(url, size, "unix:%s", a->unix_path);
    } else if (a->addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->addr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(url, size, "http://%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(url, size, "http://[%s]:%u", host, ntohs(in6->sin6_port));
    }
}
