/* What the verbs share that send one request to a worker. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "client/client.h"
#include "config/secrets.h"

#define TIMEOUT_MS 10000
#define ANSWER_MAX (16u << 20)

const char *cli_named_url(const struct cli_args *a)
{
    const char *url = cli_value(a, "url"), *env = getenv("ORCD_URL");
    return url ? url : env && *env ? env : NULL;
}

int cli_worker_url(const struct cli_args *a, char *buf, size_t size)
{
    const char *url = cli_named_url(a);
    if (url) {
        snprintf(buf, size, "%s", url);
        return 0;
    }
    struct config c;
    int rc = cli_config(a, NULL, &c);
    if (rc)
        return rc;
    bool is_unix = strncmp(c.http.listen, "unix:", 5) == 0;
    const char *rest = c.http.listen;
    /* A worker that listens on all addresses is reached at the loopback address. */
    const char *host = strncmp(rest, "0.0.0.0:", 8) == 0 ? "127.0.0.1"
                       : strncmp(rest, "[::]:", 5) == 0  ? "[::1]"
                                                         : "";
    if (*host)
        rest = strrchr(rest, ':');
    snprintf(buf, size, "%s%s%s", is_unix ? "" : "http://", host, rest);
    config_release(&c.head);
    return 0;
}

int cli_api_key(const struct cli_args *a, char **key)
{
    const char *path = cli_value(a, "api-key-file"), *env = getenv("ORCD_API_KEY");
    struct orcd_error err = ORCD_ERROR_INIT;
    *key = NULL;
    if (path) {
        char **list = NULL;
        size_t n = 0;
        int rc = secrets_read(path, &list, &n, &err);
        if (rc)
            return cli_fail(error_exit_status(rc), "--api-key-file: %s", err.msg);
        *key = strdup(list[0]);
        secrets_free(list, n);
    } else if (env && *env) {
        for (const char *p = env; *p; p++)
            if (*p <= ' ' || *p > '~')
                return cli_fail(
                    EX_USAGE, "ORCD_API_KEY: must have printable ASCII characters only, and no spaces");
        *key = strdup(env);
    }
    return 0;
}

void cli_api_key_free(char *key)
{
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
}

int cli_exchange(const struct cli_args *a, const char *method, const char *path, const char *request,
    int *status, char **body, bool quiet)
{
    char url[1024], *key;
    int rc = cli_worker_url(a, url, sizeof(url));
    rc = rc ? rc : cli_api_key(a, &key);
    if (rc)
        return rc;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    size_t n;
    rc = client_open(&c, url, TIMEOUT_MS, &err);
    if (rc == 0) {
        client_set_timeout(c, TIMEOUT_MS);
        struct client_request r = {
            .method = method,
            .path = path,
            .body = request,
            .n_body = request ? strlen(request) : 0,
            .bearer = key,
        };
        rc = client_send(c, &r, status, &err);
    }
    if (rc == 0)
        rc = client_read_all(c, ANSWER_MAX, body, &n, &err);
    client_close(c);
    cli_api_key_free(key);
    if (rc == 0)
        return 0;
    if (!quiet)
        cli_fail(0, "%s%s%s", rc == ORCD_E_IO && !strstr(err.msg, url) ? url : "",
            rc == ORCD_E_IO && !strstr(err.msg, url) ? ": " : "", err.msg);
    return rc == ORCD_E_INVALID ? EX_PROTOCOL : EX_UNAVAILABLE;
}

static const char *member(struct json_object *o, const char *name)
{
    struct json_object *v;
    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
        return NULL;
    return json_object_get_string(v);
}

int cli_api_error(int status, const char *body)
{
    struct json_object *o = json_tokener_parse(body), *e = NULL;
    const char *code = NULL, *message = NULL;
    if (o && json_object_object_get_ex(o, "error", &e) && json_object_is_type(e, json_type_object)) {
        code = member(e, "code");
        message = member(e, "message");
    }
    cli_fail(0, "%s: %s", code ? code : "the worker refused the request", message ? message : "no message");
    json_object_put(o);
    switch (status) {
    case 401:
    case 403:
        return EX_NOPERM;
    case 429:
    case 503:
    case 504:
        return EX_TEMPFAIL;
    case 502:
        return EX_UNAVAILABLE;
    default:
        return status < 500 ? EX_DATAERR : EX_SOFTWARE;
    }
}
