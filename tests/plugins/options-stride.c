/* Rows that overlap. */
#include "base.h"

static const struct orcd_option options[] = {
    BASE_OPTION("a", ORCD_OPT_INT, "1", 0, 0),
    BASE_OPTION("b", ORCD_OPT_INT, "1", 0, 0),
};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_options(options, sizeof(options) / sizeof(options[0]));
    base_table.option_stride = sizeof(struct orcd_option) / 2;
    return &base_table;
}
