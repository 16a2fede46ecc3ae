#include "api/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

int api_new(struct api **out, const struct api_params *params, struct orcd_error *err)
{
    struct api *a = calloc(1, sizeof(*a));
    if (!a)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    a->params = *params;
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
