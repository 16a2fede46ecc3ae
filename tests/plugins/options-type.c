/* An option of an unknown type. */
#include "base.h"

static const struct orcd_option options[] = {
    BASE_OPTION("a", 9, "1", 0, 0),
};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_options(options, sizeof(options) / sizeof(options[0]));

    return &base_table;
}
