/* A model that is split into several files: NAME-00001-of-00003.gguf and so on. Each part is a GGUF file
 * and is checked like any other; the first part has the keys of the model. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/gguf-internal.h"

/* "-00001-of-00003.gguf" */
#define SUFFIX_BYTES 20

/* Sets *stem to the length of the path before the numbers. INVALID if the path is not the name of part no. */
static int stem_of(const char *path, uint64_t no, uint64_t count, size_t *stem, struct orcd_error *err)
{
    char want[64];
    size_t n = strlen(path);
    snprintf(want, sizeof(want), "-%05" PRIu64 "-of-%05" PRIu64 ".gguf", no + 1, count);
    if (n < SUFFIX_BYTES || strcmp(path + n - SUFFIX_BYTES, want) != 0)
        return error_set(err, ORCD_E_INVALID,
            "part %" PRIu64 " of %" PRIu64
            " of a model; its name must end with %s, so that the other parts can be found",
            no + 1, count, want);
    *stem = n - SUFFIX_BYTES;
    return 0;
}

static int open_part(struct gguf *g, uint64_t no, const char *path, size_t stem, struct orcd_error *err)
{
    size_t room = stem + 64;
    char *name = malloc(room);
    if (!name)
        return error_set(err, ORCD_E_NOMEM, "%s: out of memory for the name of a part", path);
    snprintf(name, room, "%.*s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", (int)stem, path, no + 1, g->split_count);
    struct gguf *part;
    int rc = gguf_open_one(&part, name, err);
    if (rc == 0) {
        g->parts[no - 1] = part;
        if (part->split_count != g->split_count || part->split_no != no)
            rc = error_set(err, ORCD_E_INVALID,
                "%s: this is part %" PRIu64 " of %" PRIu64 ", but its name is that of part %" PRIu64
                " of %" PRIu64,
                name, part->split_no + 1, part->split_count, no + 1, g->split_count);
    }
    free(name);
    return rc;
}

/* Joins the tensors of all parts in one list; each has the number of its part. */
static int join(struct gguf *g, struct orcd_error *err)
{
    uint64_t n = 0, said = 0;
    for (uint32_t f = 0; f < gguf_n_files(g); f++)
        n += gguf_file(g, f)->n_tensors; /* each below 2^31, at most 2^10 of them */
    int rc = gguf_get_u64(g, "split.tensors.count", &said, err);
    if (rc == ORCD_E_NOT_FOUND)
        rc = error_set(err, ORCD_E_INVALID, "key 'split.tensors.count' is missing");
    if (rc == 0 && (said != n || n > INT32_MAX))
        rc = error_set(err, ORCD_E_INVALID,
            "the parts have %" PRIu64 " tensors, but split.tensors.count is %" PRIu64, n, said);
    if (rc != 0)
        return rc;
    struct gguf_tensor *all = calloc(n ? n : 1, sizeof(*all));
    struct gguf_index index = {0};
    rc = all ? gguf_index_init(&index, n, err) : error_set(err, ORCD_E_NOMEM, "out of memory for tensors");
    if (rc != 0) {
        free(all);
        return rc;
    }
    uint64_t at = 0;
    for (uint32_t f = 0; f < gguf_n_files(g); f++) {
        const struct gguf *part = gguf_file(g, f);
        for (uint64_t i = 0; i < part->n_tensors; i++, at++) {
            all[at] = part->tensors[i];
            all[at].file = f;
        }
    }
    free(g->tensors);
    gguf_index_free(&g->tensor_index);
    g->tensors = all;
    g->n_tensors = n;
    g->tensor_index = index;
    for (uint64_t i = 0; i < n; i++)
        if (gguf_index_add(&g->tensor_index, g, gguf_tensor_name_at, i) >= 0)
            return error_set(
                err, ORCD_E_INVALID, "tensor '%s' appears in two parts", gguf_label(all[i].name).text);
    return 0;
}

int gguf_open_parts(struct gguf *g, const char *path, struct orcd_error *err)
{
    size_t stem = 0;
    int rc = stem_of(path, g->split_no, g->split_count, &stem, err);
    if (rc == 0 && g->split_no != 0)
        rc = error_set(err, ORCD_E_UNSUPPORTED,
            "part %" PRIu64 " of %" PRIu64 " of a model; open the first part, %.*s-00001-of-%05" PRIu64
            ".gguf",
            g->split_no + 1, g->split_count, (int)stem, path, g->split_count);
    if (rc == 0 && !(g->parts = calloc(g->split_count - 1, sizeof(struct gguf *))))
        rc = error_set(err, ORCD_E_NOMEM, "out of memory for the parts of a model");
    if (rc != 0) {
        error_prefix(err, "%s", path);
        return rc;
    }
    for (uint64_t no = 1; no < g->split_count && rc == 0; no++)
        rc = open_part(g, no, path, stem, err);
    if (rc != 0) /* the message names the part */
        return rc;
    rc = join(g, err);
    if (rc != 0)
        error_prefix(err, "%s", path);
    return rc;
}
