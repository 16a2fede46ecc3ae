/* A GGUF file with one thing changed: for tests of what a reader refuses. */
#ifndef ORCD_TESTS_GGUF_EDIT_H
#define ORCD_TESTS_GGUF_EDIT_H

#include <stdbool.h>

#include "tests/lib/gguf-writer.h"

struct gguf_edit {
    /* A key: replaced (added when it is absent) by type and value, or removed. */
    const char *key;
    bool remove_key;
    uint32_t type;
    const void *value;
    size_t bytes;
    /* A tensor: removed, renamed, given other dimensions (n_dims > 0) or another type. */
    const char *tensor;
    bool remove_tensor;
    const char *rename;
    uint32_t n_dims;
    uint64_t dims[4];
    bool retype;
    uint32_t tensor_type;
};

/* base must be valid. The caller frees the result. */
struct gw_buf gguf_edited(const struct gw_buf *base, const struct gguf_edit *edit);

/* The model at path as n files STEM-00001-of-0000n.gguf, about as many tensors in each; the
 * first has the keys, and no tensors where first_empty. Out of memory and I/O errors end the
 * process. */
void gguf_split_file(const char *path, const char *stem, uint32_t n, bool first_empty);
void gguf_split_unlink(const char *stem, uint32_t n);

/* A malloc'ed copy of exactly n bytes, so that a sanitizer sees a read beyond them. */
void *exact_copy(const void *p, size_t n);

#endif
