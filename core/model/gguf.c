#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "model/gguf-internal.h"

static int open_error(struct orcd_error *err)
{
    int code = errno == ENOENT || errno == ENOTDIR ? ORCD_E_NOT_FOUND
               : errno == EACCES || errno == EPERM ? ORCD_E_PERMISSION
                                                   : ORCD_E_IO;
    return error_set_errno(err, code, errno, "cannot open the model file");
}

/* What is read of a head at first; then four times as much, until it is whole. */
#define HEAD_FIRST ((uint64_t)1 << 20)
#define HEAD_MAX ((uint64_t)1 << 30)

/* Opens and maps a file. After a failure g->fd may be open; gguf_close() closes it. */
static int map_file(struct gguf *g, const char *path, struct orcd_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not block. It has no effect on regular files. */
    g->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (g->fd < 0)
        return open_error(err);
    struct stat st;
    if (fstat(g->fd, &st) != 0)
        return error_set_errno(err, ORCD_E_IO, errno, "cannot read the file's status");
    if (!S_ISREG(st.st_mode))
        return error_set(err, ORCD_E_INVALID, "not a regular file");
    if (st.st_size == 0)
        return error_set(err, ORCD_E_INVALID, "the file is empty");
    g->bytes = (uint64_t)st.st_size;
    void *p = mmap(NULL, g->bytes, PROT_READ, MAP_SHARED, g->fd, 0);
    if (p == MAP_FAILED)
        return error_set_errno(
            err, errno == ENOMEM ? ORCD_E_NOMEM : ORCD_E_IO, errno, "cannot map the model file");
    g->data = p;
    g->mapped = true;
    return 0;
}

int gguf_read(const struct gguf *g, uint64_t at, void *to, uint64_t n, struct orcd_error *err)
{
    if (g->fd < 0) {
        memcpy(to, g->data + at, n);
        return 0;
    }
    for (uint64_t have = 0; have < n;) {
        ssize_t got = pread(g->fd, (char *)to + have, n - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, ORCD_E_IO, errno, "cannot read the model file");
        if (got == 0)
            return error_set(err, ORCD_E_IO, "the file was cut short while it was read");
        have += (uint64_t)got;
    }
    return 0;
}

/* Reads the head up to `bytes`. */
static int grow_head(struct gguf *g, uint64_t bytes, struct orcd_error *err)
{
    void *p = g->head ? mremap((void *)(uintptr_t)g->head, g->head_bytes, bytes, MREMAP_MAYMOVE)
                      : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the head of the model file");
    uint64_t had = g->head_bytes;
    g->head = p;
    g->head_bytes = bytes;
    return gguf_read(g, had, (char *)p + had, bytes - had, err);
}

/* Returns what lies behind the tensor directory. */
static void shrink_head(struct gguf *g)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t keep = (min_u64(g->data_offset, g->head_bytes) + page - 1) / page * page;
    if (keep >= g->head_bytes)
        return;
    munmap((void *)(uintptr_t)(g->head + keep), g->head_bytes - keep);
    g->head_bytes = keep;
}

static int read_head(struct gguf *g, struct orcd_error *err)
{
    struct orcd_error said = ORCD_ERROR_INIT;
    for (uint64_t bytes = HEAD_FIRST;; bytes *= 4) {
        bool more = false;
        int rc = grow_head(g, min_u64(bytes, g->bytes), err);
        if (rc != 0)
            return rc;
        rc = gguf_parse(g, &more, &said);
        if (rc == 0)
            shrink_head(g);
        if (!more)
            return rc == 0 ? 0 : error_set(err, rc, "%s", said.msg);
        if (bytes >= HEAD_MAX)
            return error_set(err, ORCD_E_INVALID, "the keys and tensor names of the file exceed 1 GiB");
        gguf_forget(g);
    }
}

static struct gguf *reader_new(struct orcd_error *err)
{
    struct gguf *g = calloc(1, sizeof(*g));
    if (!g)
        error_set(err, ORCD_E_NOMEM, "out of memory for a GGUF reader");
    else
        g->fd = -1;
    return g;
}

int gguf_open_one(struct gguf **out, const char *path, struct orcd_error *err)
{
    struct gguf *g = reader_new(err);
    int rc = g ? map_file(g, path, err) : ORCD_E_NOMEM;
    if (rc == 0)
        rc = read_head(g, err);
    if (rc != 0) {
        error_prefix(err, "%s", path);
        gguf_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

int gguf_open(struct gguf **out, const char *path, struct orcd_error *err)
{
    struct gguf *g;
    int rc = gguf_open_one(&g, path, err);
    if (rc == 0 && g->split_count > 1)
        rc = gguf_open_parts(g, path, err);
    else if (rc != 0)
        return rc;
    if (rc != 0) {
        gguf_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

int gguf_open_memory(struct gguf **out, const void *data, size_t bytes, struct orcd_error *err)
{
    struct gguf *g = reader_new(err);
    if (!g)
        return ORCD_E_NOMEM;
    g->data = data;
    g->bytes = bytes;
    g->head = data;
    g->head_bytes = bytes;
    bool more;
    int rc = gguf_parse(g, &more, err);
    if (rc == 0 && g->split_count > 1)
        rc = error_set(err, ORCD_E_UNSUPPORTED,
            "one part of a model that is split into %llu files is not supported in memory",
            (unsigned long long)g->split_count);
    if (rc != 0) {
        gguf_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (uint64_t i = 1; g->parts && i < g->split_count; i++)
        gguf_close(g->parts[i - 1]);
    free(g->parts);
    if (g->head && g->head != g->data)
        munmap((void *)(uintptr_t)g->head, g->head_bytes);
    if (g->mapped)
        munmap((void *)(uintptr_t)g->data, g->bytes);
    if (g->fd >= 0)
        close(g->fd);
    gguf_forget(g);
    free(g);
}

uint32_t gguf_n_files(const struct gguf *g)
{
    return g->parts ? (uint32_t)g->split_count : 1;
}

const struct gguf *gguf_file(const struct gguf *g, uint32_t i)
{
    return i == 0 ? g : g->parts[i - 1];
}

const void *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t)
{
    return gguf_file(g, t->file)->data + t->offset;
}

int gguf_fd(const struct gguf *g)
{
    return g->fd;
}

const void *gguf_data(const struct gguf *g)
{
    return g->data;
}

uint64_t gguf_bytes(const struct gguf *g)
{
    return g->bytes;
}

uint32_t gguf_version(const struct gguf *g)
{
    return g->version;
}

uint32_t gguf_alignment(const struct gguf *g)
{
    return g->alignment;
}

uint64_t gguf_data_offset(const struct gguf *g)
{
    return g->data_offset;
}

uint64_t gguf_n_kv(const struct gguf *g)
{
    return g->n_kv;
}

const struct gguf_kv *gguf_kv_at(const struct gguf *g, uint64_t i)
{
    return i < g->n_kv ? &g->kvs[i] : NULL;
}

uint64_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

struct gguf_str gguf_key_at(const struct gguf *g, uint64_t i)
{
    return g->kvs[i].key;
}

struct gguf_str gguf_tensor_name_at(const struct gguf *g, uint64_t i)
{
    return g->tensors[i].name;
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    int64_t i = gguf_index_find(&g->kv_index, g, gguf_key_at, (struct gguf_str){key, strlen(key)});
    return i < 0 ? NULL : &g->kvs[i];
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name)
{
    int64_t i =
        gguf_index_find(&g->tensor_index, g, gguf_tensor_name_at, (struct gguf_str){name, strlen(name)});
    return i < 0 ? NULL : &g->tensors[i];
}
