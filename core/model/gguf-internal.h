/*
 * What the files of the GGUF reader share; all other code includes gguf.h.
 *
 * Life cycle: gguf_open_one() allocates a struct gguf, gguf_parse() fills it in from the head,
 * gguf_open_parts() adds the other parts of a split model, gguf_close() frees all of it, also after a failure
 * of the others. Threads: the thread that opens a file writes the reader; afterwards it is immutable. Order
 * of calls: gguf_index_init(), then gguf_index_add() for each name, then gguf_index_find();
 * gguf_index_free().
 */
#ifndef ORCD_MODEL_GGUF_INTERNAL_H
#define ORCD_MODEL_GGUF_INTERNAL_H

#include <string.h>

#include "model/gguf.h"

#define GGUF_DEFAULT_ALIGNMENT 32
#define GGUF_MAX_ALIGNMENT (1u << 16)
#define GGUF_MAX_KEY_BYTES 65535
#define GGUF_MAX_NAME_BYTES 64
#define GGUF_MAX_PARTS 1024u

/*
 * Names to positions: open addressing, at most half full. The hash has a random seed, so nobody can write
 * a file whose names collide.
 */
struct gguf_index {
    uint32_t *slots; /* position + 1; 0: free */
    uint64_t mask;   /* the number of slots - 1 */
    uint64_t seed[2];
};

struct gguf {
    int fd;
    bool mapped;
    const unsigned char *data;
    uint64_t bytes; /* of the file */
    /* The first bytes of the file in memory of ours, from the magic to the tensor directory: names, strings
     * and arrays point into it, and a file that is cut later cannot take it away. For memory: data itself. */
    const unsigned char *head;
    uint64_t head_bytes; /* at least those that were read; at most `bytes` */
    uint32_t version;
    uint32_t alignment;
    uint64_t data_offset;
    struct gguf_kv *kvs;
    struct gguf_tensor *tensors;
    uint64_t n_kv, n_tensors;
    struct gguf_index kv_index, tensor_index;
    uint64_t split_count, split_no; /* 1 and 0: the whole model */
    struct gguf **parts;            /* the other split_count - 1 parts of a split model, in order */
};

/* Allocates room for n names, n < 2^31. 0 or ORCD_E_NOMEM. */
int gguf_index_init(struct gguf_index *x, uint64_t n, struct orcd_error *err);
void gguf_index_free(struct gguf_index *x);

/* The position i for which name_at(g, i) is this name; -1: there is none. */
typedef struct gguf_str (*gguf_name_at)(const struct gguf *g, uint64_t i);
int64_t gguf_index_find(
    const struct gguf_index *x, const struct gguf *g, gguf_name_at name_at, struct gguf_str name);
/* As gguf_index_find() for the name at position i. If it is missing, adds position i and returns -1. */
int64_t gguf_index_add(struct gguf_index *x, const struct gguf *g, gguf_name_at name_at, uint64_t i);

struct gguf_str gguf_key_at(const struct gguf *g, uint64_t i);
struct gguf_str gguf_tensor_name_at(const struct gguf *g, uint64_t i);

/* Fills in all fields but fd, mapped, data, bytes, head and head_bytes. *more is set after a failure for
 * which only more bytes of the head are the remedy; then gguf_forget() and another call with those. */
int gguf_parse(struct gguf *g, bool *more, struct orcd_error *err);
/* Frees what gguf_parse() has allocated. */
void gguf_forget(struct gguf *g);

/* g is the first part of a split model, opened from path: opens the other parts. After a failure g owns the
 * parts that were opened, and gguf_close() closes them. */
int gguf_open_parts(struct gguf *g, const char *path, struct orcd_error *err);
/* Opens and checks a single file, whichever part it is. */
int gguf_open_one(struct gguf **out, const char *path, struct orcd_error *err);

/* The size of a scalar of this type; 0 for strings, arrays and unknown types. */
uint32_t gguf_scalar_bytes(uint32_t type);

/* A name from the file, cut and cleaned for a message: at most 63 bytes of printable ASCII. */
struct gguf_label {
    char text[64];
};
struct gguf_label gguf_label(struct gguf_str s);

static inline uint32_t gguf_load_u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t gguf_load_u64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

#endif
