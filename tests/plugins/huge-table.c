/* A table with an impossible size. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_table.size = UINT32_C(1) << 20;
    return &base_table;
}
