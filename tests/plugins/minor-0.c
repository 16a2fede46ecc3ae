/* Built against minor 0: the memory behind its table is not a slot. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    /* A host that reads too far would use these as seq_sampler and later slots. */
    memset(
        (char *)&base_table + ORCD_PLUGIN_SIZE_MINOR_0, 0x41, sizeof(base_table) - ORCD_PLUGIN_SIZE_MINOR_0);
    base_table.size = ORCD_PLUGIN_SIZE_MINOR_0;
    base_table.minor = 0;
    return &base_table;
}
