#include "tests/lib/gguf-edit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/quant-types.h"

static bool same(struct gguf_str s, const char *text)
{
    return text && strlen(text) == s.n && memcmp(s.p, text, s.n) == 0;
}

static void copy_keys(struct gguf_writer *w, const struct gguf *g, const struct gguf_edit *e)
{
    bool done = !e->key || e->remove_key;
    for (uint64_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        bool hit = same(kv->key, e->key);
        if (hit && e->remove_key)
            continue;
        gw_put_strn(&w->kvs, kv->key.p, kv->key.n);
        gw_put_u32(&w->kvs, hit ? e->type : (uint32_t)kv->type);
        gw_put(&w->kvs, hit ? e->value : kv->value, hit ? e->bytes : kv->bytes);
        w->n_kv++;
        done |= hit;
    }
    if (!done)
        gw_raw(w, e->key, e->type, e->value, e->bytes);
}

static void copy_tensor(
    struct gguf_writer *w, const struct gguf *g, const struct gguf_tensor *t, const struct gguf_edit *e)
{
    char name[128];
    bool hit = same(t->name, e->tensor);
    uint32_t type = hit && e->retype ? e->tensor_type : t->type,
             n_dims = hit && e->n_dims ? e->n_dims : t->n_dims;
    const uint64_t *dims = hit && e->n_dims ? e->dims : t->dims;
    if (hit && e->remove_tensor)
        return;
    snprintf(name, sizeof(name), "%.*s", (int)t->name.n, t->name.p);
    if (hit && (e->retype || e->n_dims)) {
        uint64_t n = 1;
        for (uint32_t d = 0; d < n_dims; d++)
            n *= dims[d];
        void *zero = calloc(quant_type_bytes(quant_type_find(type), n), 1);
        gw_tensor(w, name, type, n_dims, dims, zero);
        free(zero);
    } else {
        gw_tensor(w, hit && e->rename ? e->rename : name, type, n_dims, dims,
            (const char *)gguf_data(g) + t->offset);
    }
}

struct gw_buf gguf_edited(const struct gw_buf *base, const struct gguf_edit *e)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct gguf *g;
    struct gguf_writer w;
    if (gguf_open_memory(&g, base->p, base->n, &err) != 0) {
        fprintf(stderr, "gguf_edited: %s\n", err.msg);
        abort();
    }
    gw_init(&w);
    w.alignment = gguf_alignment(g);
    copy_keys(&w, g, e);
    for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
        copy_tensor(&w, g, gguf_tensor_at(g, i), e);
    struct gw_buf out = gw_finish(&w);
    gw_free(&w);
    gguf_close(g);
    return out;
}

static const char *part_name(const char *stem, uint32_t no, uint32_t n)
{
    static char name[4200];
    snprintf(name, sizeof(name), "%s-%05u-of-%05u.gguf", stem, (unsigned)no + 1, (unsigned)n);
    return name;
}

void gguf_split_file(const char *path, const char *stem, uint32_t n, bool first_empty)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct gguf_edit none = {0};
    struct gguf *g;
    if (gguf_open(&g, path, &err) != 0) {
        fprintf(stderr, "gguf_split_file: %s\n", err.msg);
        abort();
    }
    const uint64_t all = gguf_n_tensors(g);
    for (uint32_t no = 0; no < n; no++) {
        struct gguf_writer w;
        const uint32_t slot = first_empty ? no - 1 : no, slots = first_empty ? n - 1 : n;
        gw_init(&w);
        w.alignment = gguf_alignment(g);
        if (no == 0)
            copy_keys(&w, g, &none);
        gw_u32(&w, "split.no", no);
        gw_u32(&w, "split.count", n);
        gw_i32(&w, "split.tensors.count", (int32_t)all);
        for (uint64_t i = 0; i < all && !(first_empty && no == 0); i++)
            if (i * slots / all == slot)
                copy_tensor(&w, g, gguf_tensor_at(g, i), &none);
        if (gw_write(&w, part_name(stem, no, n)) != 0)
            abort();
        gw_free(&w);
    }
    gguf_close(g);
}

void gguf_split_unlink(const char *stem, uint32_t n)
{
    for (uint32_t no = 0; no < n; no++)
        unlink(part_name(stem, no, n));
}

void *exact_copy(const void *p, size_t n)
{
    void *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    return copy;
}
