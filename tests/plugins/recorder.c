/* Records the calls that it gets; get_proc("x_told") returns them as a text. Its table and the rows of its
 * options are longer than those of the host, as of a later version. */
#include "base.h"

static char told[4096];

struct longer_option {
    struct orcd_option known;
    uint64_t later[2];
};

#define ROW(n, t, f, lo, hi, u)                                                                              \
    {                                                                                                        \
        {sizeof(struct longer_option), t, n, f, lo, hi, u, "help"},                                          \
        {                                                                                                    \
            1, 2                                                                                             \
        }                                                                                                    \
    }
static const struct longer_option options[] = {
    ROW("threads", ORCD_OPT_INT, "4", 1, 64, "threads"),
    ROW("ratio", ORCD_OPT_FLOAT, "0.5", -1, 1, NULL),
    ROW("verbose", ORCD_OPT_BOOL, "no", 0, 0, ""),
    ROW("label", ORCD_OPT_STRING, "", 0, 0, ""),
    ROW("any", ORCD_OPT_INT, "0", 0, 0, ""),
};

static int32_t configure(const char *key, const char *value, struct orcd_error *err)
{
    size_t n = strlen(told);
    snprintf(told + n, sizeof(told) - n, "%s=%s;", key ? key : "end", key ? value : "");
    if (value && strcmp(value, "refuse me") == 0) {
        err->code = ORCD_E_UNSUPPORTED;
        snprintf(err->msg, sizeof(err->msg), "no such label");
        return ORCD_E_UNSUPPORTED;
    }
    return 0;
}
static int32_t init(struct orcd_error *err)
{
    (void)err;
    strcat(told, "init;");
    return 0;
}
static void fini(void)
{
    strcat(told, "fini;");
}
static void *get_proc(const char *name)
{
    return strcmp(name, "x_told") == 0 ? told : NULL;
}

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    static struct {
        struct orcd_plugin known;
        void *later[4];
    } table;
    if (host->magic != ORCD_HOST_MAGIC || !host->log || !host->now_ns || !host->alloc || !host->free)
        return NULL;
    void *page = host->alloc(100, 4096);
    if (!page || (uintptr_t)page % 4096 || host->alloc(100, 3) || host->alloc(100, 8192))
        return NULL;
    host->free(page);
    host->log(ORCD_LOG_DEBUG, "recorder: here");
    told[0] = 0;
    table.known = base_table;
    table.known.size = sizeof(table);
    table.known.minor = 99;
    table.known.max_inflight = 7;
    table.known.options = &options[0].known;
    table.known.n_options = sizeof(options) / sizeof(options[0]);
    table.known.option_stride = sizeof(options[0]);
    table.known.configure = configure;
    table.known.init = init;
    table.known.fini = fini;
    table.known.get_proc = get_proc;
    return &table.known;
}
