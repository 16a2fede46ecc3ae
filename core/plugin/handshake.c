/* Checks a plugin's table and copies it. */
#include "plugin/internal.h"

#include <stdlib.h>
#include <string.h>

/* No released minor version has a table of nearly this size; a larger number is not a size. */
#define MAX_TABLE_BYTES 65536

/* X(slot): the slots that every plugin must have. */
#define REQUIRED_SLOTS(X)                                                                                    \
    X(init)                                                                                                  \
    X(fini)                                                                                                  \
    X(device_count)                                                                                          \
    X(device_info)                                                                                           \
    X(device_open)                                                                                           \
    X(device_close)                                                                                          \
    X(device_memory)                                                                                         \
    X(model_load)                                                                                            \
    X(model_info)                                                                                            \
    X(model_free)                                                                                            \
    X(ctx_new)                                                                                               \
    X(ctx_free)                                                                                              \
    X(seq_open)                                                                                              \
    X(seq_reserve)                                                                                           \
    X(seq_close)                                                                                             \
    X(seq_len)                                                                                               \
    X(seq_trim)                                                                                              \
    X(submit)                                                                                                \
    X(wait)                                                                                                  \
    X(abort)                                                                                                 \
    X(stats)

static int check_slots(const struct orcd_plugin *t, const char *path, struct orcd_error *err)
{
#define SLOT_PRESENT(slot)                                                                                   \
    if (!t->slot)                                                                                            \
        return error_set(err, ORCD_E_ABI, "%s: the plugin has no %s(), which is required", path, #slot);
    REQUIRED_SLOTS(SLOT_PRESENT)
#undef SLOT_PRESENT
    return 0;
}

static int copy_texts(struct plugin *p, struct orcd_error *err)
{
    struct orcd_plugin *t = &p->table;
    const struct orcd_plugin theirs = *t;
    t->name = plugin_text_copy(theirs.name, PLUGIN_MAX_NAME);
    t->version = plugin_text_copy(theirs.version, PLUGIN_MAX_NAME);
    t->description = plugin_text_copy(theirs.description, PLUGIN_MAX_TEXT);
    if (!t->name || !t->name[0] || !t->version || !t->description)
        return error_set(err, ORCD_E_ABI,
            "%s: the plugin's name, version or description is missing, too long or not plain text", p->path);
    return 0;
}

int plugin_handshake(struct plugin *p, const struct orcd_plugin *theirs, struct orcd_error *err)
{
    if (theirs->magic != ORCD_PLUGIN_MAGIC)
        return error_set(
            err, ORCD_E_ABI, "%s: not the table of an orcd plugin (magic %08x)", p->path, theirs->magic);
    if (theirs->size < ORCD_PLUGIN_SIZE_MINOR_0 || theirs->size > MAX_TABLE_BYTES)
        return error_set(err, ORCD_E_ABI, "%s: the plugin's table has %u bytes; it must have %zu to %d",
            p->path, theirs->size, ORCD_PLUGIN_SIZE_MINOR_0, MAX_TABLE_BYTES);
    size_t size = theirs->size < sizeof(p->table) ? theirs->size : sizeof(p->table);
    size -= size % sizeof(void *); /* half a slot does not count */
    struct orcd_plugin copy = {0};
    memcpy(&copy, theirs, size);
    int rc = check_slots(&copy, p->path, err);
    if (rc)
        return rc;
    if (copy.max_inflight == 0)
        return error_set(
            err, ORCD_E_ABI, "%s: max_inflight of the plugin is 0; it must be at least 1", p->path);
    if (copy.max_inflight > PLUGIN_MAX_INFLIGHT)
        copy.max_inflight = PLUGIN_MAX_INFLIGHT;
    copy.size = (uint32_t)size;
    p->theirs = theirs;
    p->table = copy;
    rc = copy_texts(p, err);
    return rc ? rc : plugin_options_copy(p, err);
}

void plugin_handshake_free(struct plugin *p)
{
    if (!p->theirs)
        return;
    free((char *)p->table.name);
    free((char *)p->table.version);
    free((char *)p->table.description);
    plugin_options_free(p);
}
