#include "tests/lib/consume.h"

#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "model/quant-types.h"

static volatile double sink; /* keeps reads from being optimized away */

static void read_text(struct gguf_str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += s.p[i];
}

static void read_array(const struct gguf *g, const char *key)
{
    struct gguf_array a;
    struct gguf_str s;
    if (gguf_get_array(g, key, &a, NULL) != 0)
        return;
    struct gguf_array_cursor c = gguf_array_strings(&a);
    while (gguf_array_next(&c, &s))
        read_text(s);
    for (uint64_t i = 0; a.type != GGUF_STRING && i < a.n; i++) {
        sink += (double)gguf_array_u64(&a, i);
        sink += gguf_array_f64(&a, i);
    }
}

static void read_keys(const struct gguf *g)
{
    for (uint64_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        char key[512];
        uint64_t u;
        int64_t s;
        double f;
        bool b;
        struct gguf_str text;
        if (kv->key.n >= sizeof(key))
            continue;
        memcpy(key, kv->key.p, kv->key.n);
        key[kv->key.n] = 0;
        if (gguf_find(g, key) != kv)
            abort();
        struct orcd_error err = ORCD_ERROR_INIT;
        gguf_get_u64(g, key, &u, &err);
        gguf_get_i64(g, key, &s, &err);
        gguf_get_f64(g, key, &f, &err);
        gguf_get_bool(g, key, &b, &err);
        if (gguf_get_str(g, key, &text, &err) == 0)
            read_text(text);
        read_array(g, key);
    }
}

static void read_tensors(const struct gguf *g)
{
    float row[4096];
    for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct quant_type *q = quant_type_find(t->type);
        const char *p = (const char *)gguf_data(g) + t->offset;
        for (uint64_t left = t->n_elements; left;) {
            uint64_t n = left < 4096 ? left : 4096; /* a multiple of every block */
            q->dequantize(p, row, n);
            p += quant_type_bytes(q, n);
            left -= n;
            sink += (double)row[n - 1];
        }
    }
}

static void read_source(const struct orcd_model_source *s)
{
    for (uint32_t l = 0; l < s->n_layers; l++)
        for (int r = 0; r < ORCD_L_COUNT; r++)
            if (s->layers[l].tensor[r] >= (int32_t)s->n_tensors)
                abort();
    for (uint32_t i = 0; i < s->n_tensors; i++)
        if (s->tensors[i].offset + s->tensors[i].bytes > s->files[0].bytes)
            abort();
}

int consume_model(const void *data, size_t bytes)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct gguf *g;
    struct model *m;
    int rc = gguf_open_memory(&g, data, bytes, &err);
    if (rc != 0)
        return rc;
    read_keys(g);
    read_tensors(g);
    rc = model_from_gguf(&m, g, &err);
    if (rc != 0)
        return rc;
    read_source(model_source(m));
    sink += (double)(model_tensor_bytes(m) + model_n_parameters(m) + model_kv_bytes_per_token(m));
    sink += (double)(strlen(model_name(m)) + strlen(model_quant_kind(m)));
    model_close(m);
    return 0;
}
