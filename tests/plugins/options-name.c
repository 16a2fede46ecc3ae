/* A name that YAML could not hold. */
#include "base.h"

static const struct orcd_option options[] = {
    BASE_OPTION("A-b", ORCD_OPT_INT, "1", 0, 0),
};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_options(options, sizeof(options) / sizeof(options[0]));

    return &base_table;
}
