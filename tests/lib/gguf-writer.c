#include "tests/lib/gguf-writer.h"

#include <stdlib.h>
#include <string.h>

#include "model/quant-types.h"

void gw_put(struct gw_buf *b, const void *p, size_t n)
{
    if (b->cap - b->n < n) {
        size_t cap = 2 * b->cap + n + 64;
        b->p = realloc(b->p, cap);
        if (!b->p) {
            fputs("out of memory\n", stderr);
            abort();
        }
        b->cap = cap;
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

void gw_put_u32(struct gw_buf *b, uint32_t v)
{
    gw_put(b, &v, sizeof(v));
}

void gw_put_u64(struct gw_buf *b, uint64_t v)
{
    gw_put(b, &v, sizeof(v));
}

void gw_put_strn(struct gw_buf *b, const void *p, size_t n)
{
    gw_put_u64(b, n);
    gw_put(b, p, n);
}

void gw_put_str(struct gw_buf *b, const char *text)
{
    gw_put_strn(b, text, strlen(text));
}

void gw_pad(struct gw_buf *b, size_t align)
{
    static const unsigned char zero[16];
    while (b->n % align != 0) {
        size_t n = align - b->n % align;
        gw_put(b, zero, n < sizeof(zero) ? n : sizeof(zero));
    }
}

void gw_buf_free(struct gw_buf *b)
{
    free(b->p);
    *b = (struct gw_buf){0};
}

void gw_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){.version = 3, .alignment = 32};
}

void gw_free(struct gguf_writer *w)
{
    gw_buf_free(&w->kvs);
    gw_buf_free(&w->infos);
    gw_buf_free(&w->data);
}

void gw_alignment(struct gguf_writer *w, uint32_t alignment)
{
    gw_u32(w, "general.alignment", alignment);
    w->alignment = alignment;
}

void gw_raw(struct gguf_writer *w, const char *key, uint32_t type, const void *value, size_t bytes)
{
    gw_put_str(&w->kvs, key);
    gw_put_u32(&w->kvs, type);
    gw_put(&w->kvs, value, bytes);
    w->n_kv++;
}

void gw_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    gw_raw(w, key, GGUF_U32, &v, sizeof(v));
}

void gw_i32(struct gguf_writer *w, const char *key, int32_t v)
{
    gw_raw(w, key, GGUF_I32, &v, sizeof(v));
}

void gw_u64(struct gguf_writer *w, const char *key, uint64_t v)
{
    gw_raw(w, key, GGUF_U64, &v, sizeof(v));
}

void gw_f32(struct gguf_writer *w, const char *key, float v)
{
    gw_raw(w, key, GGUF_F32, &v, sizeof(v));
}

void gw_bool(struct gguf_writer *w, const char *key, int v)
{
    unsigned char byte = v != 0;
    gw_raw(w, key, GGUF_BOOL, &byte, 1);
}

void gw_str(struct gguf_writer *w, const char *key, const char *v)
{
    gw_raw(w, key, GGUF_STRING, NULL, 0);
    gw_put_str(&w->kvs, v);
}

void gw_array(struct gguf_writer *w, const char *key, uint32_t type, const void *v, uint64_t n, size_t width)
{
    gw_raw(w, key, GGUF_ARRAY, NULL, 0);
    gw_put_u32(&w->kvs, type);
    gw_put_u64(&w->kvs, n);
    gw_put(&w->kvs, v, n * width);
}

void gw_array_strings(struct gguf_writer *w, const char *key, const struct gw_buf *body, uint64_t n)
{
    gw_array(w, key, GGUF_STRING, NULL, n, 0);
    gw_put(&w->kvs, body->p, body->n);
}

uint64_t gw_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
    const uint64_t *dims, const void *data)
{
    uint64_t n = 1, at = w->data_bytes;
    gw_put_str(&w->infos, name);
    gw_put_u32(&w->infos, n_dims);
    for (uint32_t d = 0; d < n_dims; d++) {
        gw_put_u64(&w->infos, dims[d]);
        n *= dims[d];
    }
    gw_put_u32(&w->infos, type);
    gw_put_u64(&w->infos, at);
    w->n_tensors++;
    const struct quant_type *q = quant_type_find(type);
    uint64_t bytes = q ? quant_type_bytes(q, n) : 0;
    w->data_bytes = (at + bytes + w->alignment - 1) / w->alignment * w->alignment;
    if (data) {
        gw_put(&w->data, data, bytes);
        gw_pad(&w->data, w->alignment);
    }
    return at;
}

struct gw_buf gw_header(const struct gguf_writer *w)
{
    struct gw_buf b = {0};
    gw_put(&b, "GGUF", 4);
    gw_put_u32(&b, w->version);
    gw_put_u64(&b, w->n_tensors);
    gw_put_u64(&b, w->n_kv);
    gw_put(&b, w->kvs.p, w->kvs.n);
    gw_put(&b, w->infos.p, w->infos.n);
    gw_pad(&b, w->alignment);
    return b;
}

struct gw_buf gw_finish(const struct gguf_writer *w)
{
    struct gw_buf b = gw_header(w);
    gw_put(&b, w->data.p, w->data.n);
    return b;
}

int gw_write(const struct gguf_writer *w, const char *path)
{
    struct gw_buf b = gw_finish(w);
    FILE *f = fopen(path, "wb");
    int rc = f && fwrite(b.p, 1, b.n, f) == b.n ? 0 : -1;
    if (f && fclose(f) != 0)
        rc = -1;
    gw_buf_free(&b);
    return rc;
}
