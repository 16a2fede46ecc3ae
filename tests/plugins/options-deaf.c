/* Has options but no configure(). */
#include "base.h"

static const struct orcd_option options[] = {
    BASE_OPTION("a", ORCD_OPT_INT, "1", 0, 0),
};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_options(options, sizeof(options) / sizeof(options[0]));
    base_table.configure = NULL;
    return &base_table;
}
