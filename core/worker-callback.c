/* The ready callback: POST to worker.callback_url, with retries, on its own thread. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "client/client.h"
#include "config/secrets.h"
#include "worker-parts.h"

#define TRIES 8
#define TIMEOUT_MS 5000
#define FIRST_PAUSE_MS 250 /* doubled each time */

struct callback {
    char *url, *body, *secret;
};

static void callback_free(struct callback *cb)
{
    free(cb->url);
    free(cb->body);
    if (cb->secret)
        explicit_bzero(cb->secret, strlen(cb->secret));
    free(cb->secret);
    free(cb);
}

static int post(const struct callback *cb, struct orcd_error *err)
{
    struct client *c = NULL;
    int rc = client_open(&c, cb->url, TIMEOUT_MS, err), status = 0;
    if (rc)
        return rc;
    client_set_timeout(c, TIMEOUT_MS);
    struct client_request r = {
        .method = "POST",
        .path = "", /* the URL's is where it goes */
        .body = cb->body,
        .n_body = strlen(cb->body),
        .bearer = cb->secret,
    };
    rc = client_send(c, &r, &status, err);
    client_close(c);
    if (rc == 0 && (status < 200 || status > 299))
        rc = error_set(err, ORCD_E_IO, "the receiver answered with status %d", status);
    return rc;
}

static void *callback_main(void *arg)
{
    struct callback *cb = arg;
    struct orcd_error err = ORCD_ERROR_INIT;
    long pause_ms = FIRST_PAUSE_MS;
    int rc = -1;
    for (int i = 0; i < TRIES && rc; i++) {
        rc = post(cb, &err);
        if (rc == 0 || i + 1 == TRIES)
            break;
        log_warn("worker.callback_url: %s; retrying in %ld ms", err.msg, pause_ms);
        nanosleep(&(struct timespec){pause_ms / 1000, pause_ms % 1000 * 1000000}, NULL);
        pause_ms *= 2;
    }
    if (rc)
        log_error("worker.callback_url: %s; giving up: the receiver does not know that this worker is ready",
            err.msg);
    else
        log_debug("worker.callback_url was notified");
    callback_free(cb);
    return NULL;
}

static void random_id(char *buf, size_t size)
{
    snprintf(buf, size, "worker-%012llx", (unsigned long long)(random_u64() >> 16));
}

static char *make_body(const struct worker *w)
{
    char id[40];
    random_id(id, sizeof(id));
    const struct orcd_model_info *info = backend_model(w->backend);
    const char *name = w->model ? model_name(w->model) : plugin_table(w->plugin)->name;
    struct json_object *o = json_object_new_object(), *phases = json_object_new_object();
    json_object_object_add(
        o, "worker_id", json_object_new_string(w->config->worker.id ? w->config->worker.id : id));
    json_object_object_add(o, "url", json_object_new_string(http_server_url(w->http)));
    json_object_object_add(
        o, "model_ref", json_object_new_string(w->config->model.ref ? w->config->model.ref : name));
    json_object_object_add(o, "vram_bytes", json_object_new_int64((int64_t)info->weight_bytes));
    json_object_object_add(o, "pid", json_object_new_int64(getpid()));
    json_object_object_add(phases, "http_server_start_ms", json_object_new_double(w->http_ms));
    json_object_object_add(phases, "device_init_ms", json_object_new_double(w->device_ms));
    json_object_object_add(phases, "model_load_ms", json_object_new_double(w->load_ms));
    json_object_object_add(phases, "warm_up_ms", json_object_new_double(w->warm_up_ms));
    json_object_object_add(o, "phases", phases);
    char *text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    json_object_put(o);
    return text;
}

void worker_callback_start(struct worker *w)
{
    if (!w->config->worker.callback_url)
        return;
    struct callback *cb = calloc(1, sizeof(*cb));
    pthread_t thread;
    if (!cb || !(cb->url = strdup(w->config->worker.callback_url)) || !(cb->body = make_body(w)) ||
        (w->callback_secret && !(cb->secret = strdup(w->callback_secret)))) {
        log_error("worker.callback_url: out of memory");
        if (cb)
            callback_free(cb);
        return;
    }
    if (pthread_create(&thread, NULL, callback_main, cb)) {
        log_error("worker.callback_url: cannot start a thread");
        callback_free(cb);
        return;
    }
    pthread_detach(thread);
}
