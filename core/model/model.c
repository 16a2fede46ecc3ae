#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/gguf-internal.h"
#include "model/model-internal.h"

static int32_t meta_result(int rc)
{
    return rc == 0 ? 0 : ORCD_E_NOT_FOUND;
}

static int32_t meta_u64(void *meta, const char *key, uint64_t *out)
{
    return meta_result(gguf_get_u64(meta, key, out, NULL));
}

static int32_t meta_f64(void *meta, const char *key, double *out)
{
    return meta_result(gguf_get_f64(meta, key, out, NULL));
}

static int32_t meta_str(void *meta, const char *key, const char **text, uint64_t *bytes)
{
    struct gguf_str s;
    int rc = gguf_get_str(meta, key, &s, NULL);
    if (rc == 0) {
        *text = s.p;
        *bytes = s.n;
    }
    return meta_result(rc);
}

/* Chooses the dense family or `mixed`, the family of the same name with experts (NULL: there is none). */
static int choose_experts(struct model *m, const struct model_family *mixed, struct orcd_error *err)
{
    struct model_key key = model_key(m, "expert_count");
    uint64_t n = 0;
    int rc = gguf_get_u64(m->g, key.text, &n, err);
    if (rc != 0 && rc != ORCD_E_NOT_FOUND)
        return rc;
    if (n == 0 && m->family == mixed)
        return error_set(err, ORCD_E_INVALID, "key '%s' is missing or 0", key.text);
    if (n != 0 && !mixed)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "a mixture of %llu experts is not supported; this version runs dense %s models only",
            (unsigned long long)n, m->family->arch);
    if (n != 0)
        m->family = mixed;
    return 0;
}

static int find_family(struct model *m, struct orcd_error *err)
{
    struct gguf_str arch;
    int rc = gguf_get_str(m->g, "general.architecture", &arch, err);
    if (rc == ORCD_E_NOT_FOUND)
        return error_set(err, ORCD_E_INVALID, "key 'general.architecture' is missing");
    if (rc != 0)
        return rc;
    m->family = model_family_find(arch, false);
    const struct model_family *mixed = model_family_find(arch, true);
    if (!m->family)
        m->family = mixed;
    if (m->family)
        return choose_experts(m, mixed, err);
    char list[128] = "";
    for (const char *const *name = model_supported_archs(); *name; name++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", *name);
    }
    const char *needs = model_family_needs(arch);
    return error_set(err, ORCD_E_UNSUPPORTED, "architecture '%s' is not supported%s%s; this version runs %s",
        gguf_label(arch).text, needs ? ", it needs " : "", needs ? needs : "", list);
}

/* Reads general.name as one line of valid UTF-8, cut to fit; "" if it is missing or not UTF-8. */
static void read_name(struct model *m)
{
    struct gguf_str s;
    if (gguf_get_str(m->g, "general.name", &s, NULL) != 0)
        return;
    size_t n = 0;
    while (n < s.n) {
        size_t k = utf8_char_len(s.p + n, s.n - n);
        if (k == 0) {
            n = 0;
            break;
        }
        if (n + k >= sizeof(m->general_name))
            break;
        unsigned char c = (unsigned char)s.p[n];
        memcpy(m->general_name + n, s.p + n, k);
        if (c < 0x20 || c == 0x7f)
            m->general_name[n] = ' ';
        n += k;
    }
    m->general_name[n] = 0;
}

static int fill_files(struct model *m, struct orcd_error *err)
{
    const uint32_t n = gguf_n_files(m->g);
    m->files = calloc(n, sizeof(*m->files));
    if (!m->files)
        return error_set(err, ORCD_E_NOMEM, "out of memory for %lu files", (unsigned long)n);
    for (uint32_t i = 0; i < n; i++) {
        const struct gguf *f = gguf_file(m->g, i);
        m->files[i] = (struct orcd_file){
            .size = sizeof(m->files[i]), .fd = gguf_fd(f), .mapping = gguf_data(f), .bytes = gguf_bytes(f)};
    }
    return 0;
}

static void fill_source(struct model *m)
{
    struct orcd_model_source *s = &m->source;
    s->size = sizeof(*s);
    s->n_tensors = (uint32_t)gguf_n_tensors(m->g);
    s->n_layers = m->hp.n_layers;
    s->n_files = gguf_n_files(m->g);
    s->tensor_stride = sizeof(*m->tensors);
    s->layer_stride = sizeof(*m->layers);
    s->file_stride = sizeof(*m->files);
    s->n_global = ORCD_G_COUNT;
    s->hparams = &m->hp;
    s->tensors = m->tensors;
    s->layers = m->layers;
    s->files = m->files;
    s->global = m->global;
    s->architecture = model_arch(m);
    s->name = m->general_name;
    s->meta = m->g;
    s->meta_u64 = meta_u64;
    s->meta_f64 = meta_f64;
    s->meta_str = meta_str;
}

int model_from_gguf(struct model **out, struct gguf *g, struct orcd_error *err)
{
    struct model *m = calloc(1, sizeof(*m));
    if (!m) {
        gguf_close(g);
        return error_set(err, ORCD_E_NOMEM, "out of memory for a model");
    }
    m->g = g;
    int rc = find_family(m, err);
    if (rc == 0)
        rc = model_read_hparams(m, err);
    if (rc == 0)
        rc = model_bind_tensors(m, err);
    if (rc == 0)
        rc = fill_files(m, err);
    if (rc != 0) {
        model_close(m);
        return rc;
    }
    read_name(m);
    memcpy(m->name, m->general_name, sizeof(m->name));
    fill_source(m);
    m->kind = model_find_kind(m);
    *out = m;
    return 0;
}

int model_open(struct model **out, const char *path, struct orcd_error *err)
{
    struct gguf *g;
    struct model *m;
    int rc = gguf_open(&g, path, err);
    if (rc != 0)
        return rc;
    rc = model_from_gguf(&m, g, err);
    if (rc != 0) {
        error_prefix(err, "%s", path);
        return rc;
    }
    if (!m->name[0]) {
        const char *slash = strrchr(path, '/');
        snprintf(m->name, sizeof(m->name), "%s", slash ? slash + 1 : path);
    }
    *out = m;
    return 0;
}

void model_close(struct model *m)
{
    if (!m)
        return;
    gguf_close(m->g);
    free(m->files);
    free(m->tensors);
    free(m->layers);
    free(m->names);
    free(m->used);
    free(m);
}

const struct gguf *model_gguf(const struct model *m)
{
    return m->g;
}

const struct orcd_model_source *model_source(const struct model *m)
{
    return &m->source;
}

const char *model_name(const struct model *m)
{
    return m->name;
}

const char *model_arch(const struct model *m)
{
    return m->family->shown ? m->family->shown : m->family->arch;
}

const char *model_quant_kind(const struct model *m)
{
    return m->kind;
}

uint64_t model_tensor_bytes(const struct model *m)
{
    uint64_t sum = 0; /* cannot wrap: these are parts of files */
    for (uint32_t i = 0; i < m->source.n_tensors; i++)
        sum += m->tensors[i].bytes;
    return sum;
}

uint64_t model_n_parameters(const struct model *m)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < gguf_n_tensors(m->g); i++)
        sum += gguf_tensor_at(m->g, i)->n_elements;
    return sum;
}

uint64_t model_kv_bytes_per_token(const struct model *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->hp.n_layers; i++)
        sum += (uint64_t)m->layers[i].n_kv_heads * (m->hp.head_dim_k + m->hp.head_dim_v) * 2;
    return sum;
}
