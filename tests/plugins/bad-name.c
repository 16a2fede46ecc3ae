/* A name that would break a line of the log. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    base_table.name = "two\nlines";
    return &base_table;
}
