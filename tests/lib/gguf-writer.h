/*
 * Writes GGUF files: into memory (tests, hostile ones too) or the header alone, for who
 * streams the data itself. It checks nothing that it is told: a test that wants a bad
 * file gets one. Out of memory ends the process. Not thread-safe.
 */
#ifndef ORCD_TESTS_GGUF_WRITER_H
#define ORCD_TESTS_GGUF_WRITER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "model/gguf.h"

/* Bytes that grow. Zeroed: empty. */
struct gw_buf {
    unsigned char *p;
    size_t n, cap;
};
void gw_put(struct gw_buf *b, const void *p, size_t n);
void gw_put_u32(struct gw_buf *b, uint32_t v);
void gw_put_u64(struct gw_buf *b, uint64_t v);
void gw_put_str(struct gw_buf *b, const char *text); /* length word and bytes */
void gw_put_strn(struct gw_buf *b, const void *p, size_t n);
void gw_pad(struct gw_buf *b, size_t align); /* zeros */
void gw_buf_free(struct gw_buf *b);

struct gguf_writer {
    uint32_t version, alignment;
    uint64_t n_kv, n_tensors;
    uint64_t data_bytes; /* padded sum of the tensors so far */
    struct gw_buf kvs, infos, data;
};

/* Version 3, alignment 32. An alignment that differs is set with gw_alignment, first. */
void gw_init(struct gguf_writer *w);
void gw_free(struct gguf_writer *w);
void gw_alignment(struct gguf_writer *w, uint32_t alignment); /* also writes the key */

void gw_raw(struct gguf_writer *w, const char *key, uint32_t type, const void *value, size_t bytes);
void gw_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gw_i32(struct gguf_writer *w, const char *key, int32_t v);
void gw_u64(struct gguf_writer *w, const char *key, uint64_t v);
void gw_f32(struct gguf_writer *w, const char *key, float v);
void gw_bool(struct gguf_writer *w, const char *key, int v);
void gw_str(struct gguf_writer *w, const char *key, const char *v);
/* An array of n scalars of the type, width bytes each. */
void gw_array(struct gguf_writer *w, const char *key, uint32_t type, const void *v, uint64_t n, size_t width);
/* An array of n strings: body holds them as gw_put_str wrote them. */
void gw_array_strings(struct gguf_writer *w, const char *key, const struct gw_buf *body, uint64_t n);

/* A tensor after those before it. data NULL: its bytes are left to the caller, and
 * gw_finish must not be used. Returns its offset in the data. */
uint64_t gw_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
    const uint64_t *dims, const void *data);

/* Everything before the data, padded; then everything. The caller frees p. */
struct gw_buf gw_header(const struct gguf_writer *w);
struct gw_buf gw_finish(const struct gguf_writer *w);
/* gw_finish to a file; 0 or -1 with errno. */
int gw_write(const struct gguf_writer *w, const char *path);

#endif
