/* The table of something other than an orcd plugin. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_table.magic = 0;
    return &base_table;
}
