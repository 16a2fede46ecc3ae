#include "api/api.h"

#include <stdlib.h>
#include <string.h>

#include "api/error-openai.h"
#include "api/native.h"
#include "api/openai.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "metrics.h"

static const struct route routes[] = {
    {"GET", "/health", ROUTE_OPEN, NULL, native_health},
    {"GET", "/health/live", ROUTE_OPEN, NULL, native_health_live},
    {"GET", "/health/ready", ROUTE_OPEN, NULL, native_health},
    {"GET", "/metrics", 0, NULL, native_metrics},
    {"GET", "/v2/model", 0, NULL, native_model},
    {"POST", "/v2/execute", ROUTE_BODY | ROUTE_WORK, native_execute_parse, native_execute},
    {"POST", "/execute", ROUTE_BODY | ROUTE_WORK, native_execute_parse, native_execute},
    {"POST", "/v2/cancel", ROUTE_BODY, native_cancel_parse, native_cancel},
    {"POST", "/cancel", ROUTE_BODY, native_cancel_parse, native_cancel},
    {"DELETE", "/v2/jobs/", ROUTE_PREFIX, NULL, native_cancel_by_path},
    {"POST", "/v2/tokenize", ROUTE_BODY, native_tokenize, NULL},
    {"POST", "/v2/detokenize", ROUTE_BODY, native_detokenize, NULL},
    {"POST", "/v2/shutdown", ROUTE_KEYED, NULL, native_shutdown},
    {"GET", "/v1/models", 0, NULL, openai_models},
    {"GET", "/v1/models/", ROUTE_PREFIX | ROUTE_SLASHES, NULL, openai_model},
    {"POST", "/v1/completions", ROUTE_BODY | ROUTE_WORK, openai_completions_parse, openai_run},
    {"POST", "/v1/chat/completions", ROUTE_BODY | ROUTE_WORK, openai_chat_parse, openai_run},
};

/* A request for a job that did not become one counts as rejected. */
static void refused(const struct exchange *x)
{
    metric_add_labelled(MC_REQUESTS, OUTCOME_REJECTED, 1);
    metric_add_labelled(MC_REJECTIONS, x->error.code, 1);
    if (x->late)
        metric_add_labelled(MC_DEADLINE_REJECTIONS, WHEN_ARRIVAL, 1);
    log_event(ORCD_LOG_INFO, "job rejected", LOG_T("correlation_id", x->correlation_id),
        LOG_T("code", api_code_name(x->error.code)), NULL);
}

int api_new(struct api **out, const struct api_params *params, struct orcd_error *err)
{
    struct api *a = calloc(1, sizeof(*a));
    if (!a)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    a->params = *params;
    a->service = (struct http_service){
        .name = "worker",
        .routes = routes,
        .n_routes = ARRAY_LEN(routes),
        .shapes = &error_shape_openai,
        .n_shapes = 1,
        .refused = refused,
        .arg = a,
    };
    *out = a;
    return 0;
}

static void model_free(struct api_model *m)
{
    if (!m)
        return;
    free((char *)m->name);
    free((char *)m->ref);
    free((char *)m->quant_kind);
    free((char *)m->arch);
    free(m);
}

void api_free(struct api *a)
{
    if (!a)
        return;
    model_free(atomic_load(&a->model));
    free(a);
}

void api_set_model(struct api *a, const struct api_model *model)
{
    struct api_model *m = malloc(sizeof(*m)), *none = NULL;
    if (!m) {
        log_error("out of memory for the model's description");
        return;
    }
    *m = *model;
    m->since_s = (int64_t)(clock_real_ns() / NS_PER_S);
    m->name = strdup(model->name ? model->name : "");
    m->ref = strdup(model->ref ? model->ref : "");
    m->quant_kind = strdup(model->quant_kind ? model->quant_kind : "");
    m->arch = strdup(model->arch ? model->arch : "");
    if (!m->name || !m->ref || !m->quant_kind || !m->arch ||
        !atomic_compare_exchange_strong(&a->model, &none, m))
        model_free(m);
}

struct api *api_of(const struct exchange *x)
{
    return x->daemon;
}

const struct api_model *api_model(struct exchange *x)
{
    const struct api_model *m = atomic_load(&api_of(x)->model);
    if (!m) {
        http_error_set(&x->error, API_MODEL_LOADING, "the model is still loading");
        x->error.retry_after_s = 1;
    }
    return m;
}
