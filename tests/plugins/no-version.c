/* The version is missing. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_table.version = NULL;
    return &base_table;
}
