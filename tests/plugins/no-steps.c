/* max_inflight is 0. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_table.max_inflight = 0;
    return &base_table;
}
