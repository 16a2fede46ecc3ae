/* Says that it can't work here. */
#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;

    return NULL;
}
