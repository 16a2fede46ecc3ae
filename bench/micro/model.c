/* Model files and vocabularies, measured with the demo model. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/micro.h"
#include "model/tokenizer.h"

#define TEXT_BYTES (32u * 1024)

static const void *file;
static size_t n_file;
/* Each has hash tables with a seed of its own, and chains of another length: the mean of
 * some is what says something. */
#define TOKENIZERS 8
static struct tokenizer *tokenizers[TOKENIZERS];
static char *text;

MICRO_SETUP(gguf_open)
{
    struct stat st;
    if (!model)
        return error_set(err, ORCD_E_NOT_FOUND, "the demo model was not found");
    int fd = open(model, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return error_set(err, ORCD_E_IO, "cannot read %.200s", model);
    n_file = (size_t)st.st_size;
    file = mmap(NULL, n_file, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return file != MAP_FAILED ? 0 : micro_no_memory(err);
}

MICRO_RUN(gguf_open)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    for (uint64_t i = 0; i < n; i++) {
        struct gguf *g;
        if (gguf_open_memory(&g, file, n_file, &err))
            abort();
        micro_sink = gguf_n_tensors(g);
        gguf_close(g);
    }
}

MICRO_SETUP(tokenizer_encode)
{
    struct gguf *g;
    int rc = micro_setup_gguf_open(model, err);
    if (!rc)
        rc = gguf_open_memory(&g, file, n_file, err);
    if (rc)
        return rc;
    for (int i = 0; i < TOKENIZERS && !rc; i++)
        rc = tokenizer_from_gguf(&tokenizers[i], g, err);
    gguf_close(g);
    text = micro_text(TEXT_BYTES, true);
    return rc || text ? rc : micro_no_memory(err);
}

MICRO_RUN(tokenizer_encode)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    for (uint64_t i = 0; i < n; i++) {
        int32_t *ids;
        size_t n_ids;
        const struct tokenizer *t = tokenizers[i % TOKENIZERS];
        if (tokenizer_encode(t, text, TEXT_BYTES, TOKENIZE_ADD_SPECIAL, &ids, &n_ids, &err))
            abort();
        micro_sink = n_ids;
        free(ids);
    }
}
