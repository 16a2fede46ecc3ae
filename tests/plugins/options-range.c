/* An option with an invalid range. */
#include "base.h"

static const struct orcd_option options[] = {
    BASE_OPTION("a", ORCD_OPT_FLOAT, "1", 5, -5),
};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_options(options, sizeof(options) / sizeof(options[0]));

    return &base_table;
}
