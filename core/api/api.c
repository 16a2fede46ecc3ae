#include <config.h>

#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"

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
    free((char *)m->plugin);
    free(m);
}

void api_free(struct api *a)
{
    if (!a)
        return;
    model_free(atomic_load(&a->model));
    free(a);
}

static uint64_t hash(uint64_t h, const char *text) /* FNV-1a */
{
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    while (*text++);
    return h;
}

static void set_fingerprint(struct api_model *m)
{
    const char *const parts[] = {PACKAGE_VERSION, m->name, m->ref, m->quant_kind, m->arch, m->plugin};
    uint64_t h = UINT64_C(14695981039346656037) ^ m->weight_bytes;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        h = hash(h, parts[i]);
    snprintf(m->fingerprint, sizeof(m->fingerprint), "fp_%012llx", (unsigned long long)(h >> 16));
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
    m->plugin = strdup(model->plugin ? model->plugin : "");
    const bool whole = m->name && m->ref && m->quant_kind && m->arch && m->plugin;
    if (whole)
        set_fingerprint(m);
    if (!whole || !atomic_compare_exchange_strong(&a->model, &none, m))
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
