/* Built against minor 0: what lies behind its table is no slot. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    /* Would be taken for seq_sampler and more by a host that reads too far. */
    memset(
        (char *)&base_table + ORCD_PLUGIN_SIZE_MINOR_0, 0x41, sizeof(base_table) - ORCD_PLUGIN_SIZE_MINOR_0);
    base_table.size = ORCD_PLUGIN_SIZE_MINOR_0;
    base_table.minor = 0;
    return &base_table;
}
