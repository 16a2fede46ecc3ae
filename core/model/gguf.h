/*
 * GGUF v2/v3 reader. The head of a file, all but the weights, is copied; the file is also mapped, read-only.
 * The reader trusts nothing in a file: every count, length, type, offset and product is checked before use,
 * in time and memory linear in the size of the file. For a malformed file the error is ORCD_E_INVALID, with a
 * message that names the key or tensor.
 *
 * Life cycle: gguf_open() or gguf_open_memory(), then any other call, then gguf_close(). Strings and
 * arrays point into the copy, so they are valid until gguf_close(); they are not NUL-terminated.
 * Threads: a reader is immutable after gguf_open(), and any thread may read it.
 * Order of calls: open, read, close; nothing else.
 */
#ifndef ORCD_MODEL_GGUF_H
#define ORCD_MODEL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

struct gguf_str {
    const char *p;
    size_t n;
};

/* An array value: n elements of this type; scalars are packed (unaligned) at data. */
struct gguf_array {
    enum gguf_type type;
    uint64_t n;
    const unsigned char *data;
};

struct gguf_kv {
    struct gguf_str key;
    enum gguf_type type;
    const unsigned char *value; /* the scalar, the string's length word, or the array's header */
    uint64_t bytes;             /* the size of the value */
};

struct gguf_tensor {
    struct gguf_str name;
    uint32_t type; /* orcd_tensor_type; its layout is known */
    uint32_t n_dims;
    uint64_t dims[4]; /* dims[0] = row length; unused: 1 */
    uint64_t n_elements;
    uint64_t offset; /* from the start of its file */
    uint64_t bytes;
    uint32_t file; /* in a split model, the part that has it; else 0 */
};

struct gguf;

/* Opens, maps and checks a file. On success the caller owns *out. If the file is the first part of a split
 * model (NAME-00001-of-0000N.gguf), the other parts are opened, too: the keys are those of the first part,
 * the tensors those of all parts. Errors: NOT_FOUND, PERMISSION, IO, INVALID, UNSUPPORTED (version 1,
 * big-endian, a part that is not the first), NOMEM. Their messages begin with the path of the file, or of
 * the part, that is wrong, so callers need not name it again. */
int gguf_open(struct gguf **out, const char *path, struct orcd_error *err);
/* The same over memory that outlives the reader (tests, fuzzing); one file only. */
int gguf_open_memory(struct gguf **out, const void *data, size_t bytes, struct orcd_error *err);
void gguf_close(struct gguf *g); /* accepts NULL */

/* The files of the model. Functions without a file argument return facts about the first one. */
uint32_t gguf_n_files(const struct gguf *g);
const struct gguf *gguf_file(const struct gguf *g, uint32_t i); /* i < gguf_n_files */
int gguf_fd(const struct gguf *g);                              /* -1 for memory */
const void *gguf_data(const struct gguf *g);
uint64_t gguf_bytes(const struct gguf *g);
/* Copies bytes of the first file, which must lie in it. Unlike a read of the mapping this is safe if the file
 * was cut since it was opened. Errors: IO. */
int gguf_read(const struct gguf *g, uint64_t at, void *to, uint64_t n, struct orcd_error *err);
/* The data of a tensor of g, in the mapping: to read it ends the process (SIGBUS) if the file was cut. */
const void *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t);
uint32_t gguf_version(const struct gguf *g);
uint32_t gguf_alignment(const struct gguf *g);
uint64_t gguf_data_offset(const struct gguf *g);

uint64_t gguf_n_kv(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, uint64_t i);
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); /* hashed; NULL: missing */
uint64_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name);

/* Typed access. Returns 0; ORCD_E_NOT_FOUND if the key is missing (err is not changed); ORCD_E_INVALID with
 * a message if it has another type or a value out of range. An integer may have any integer type that
 * holds the value, an f64 any type of number. */
int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct orcd_error *err);
int gguf_get_i64(const struct gguf *g, const char *key, int64_t *out, struct orcd_error *err);
int gguf_get_f64(const struct gguf *g, const char *key, double *out, struct orcd_error *err);
int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct orcd_error *err);
int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct orcd_error *err);
int gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *out, struct orcd_error *err);

/* Element i of an array of numbers (i < n); 0 for an array of strings. _u64 returns a negative number as
 * its two's complement. The strings of an array are read in order, by a cursor. */
uint64_t gguf_array_u64(const struct gguf_array *a, uint64_t i);
double gguf_array_f64(const struct gguf_array *a, uint64_t i);
struct gguf_array_cursor {
    const unsigned char *p;
    uint64_t left;
};
struct gguf_array_cursor gguf_array_strings(const struct gguf_array *a);
bool gguf_array_next(struct gguf_array_cursor *c, struct gguf_str *out);

const char *gguf_type_name(enum gguf_type type);

#endif
