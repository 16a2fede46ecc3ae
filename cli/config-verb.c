#include <string.h>

#include "cli.h"

static int check(const char *path)
{
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&c.head, &worker_config_table);
    int rc = config_load_file(&c.head, path, &err);
    rc = rc ? rc : config_validate(&c.head, &err);
    config_release(&c.head);
    if (rc == 0)
        return EX_OK;
    bool unread = rc == ORCD_E_NOT_FOUND || rc == ORCD_E_PERMISSION || rc == ORCD_E_IO;
    return cli_fail(unread ? error_exit_status(rc) : EX_CONFIG, "%s", err.msg);
}

int verb_config(const struct cli_args *a)
{
    if (cli_flag(a, "list"))
        config_list(&worker_config_table, stdout);
    else if (cli_flag(a, "pod"))
        config_list_pod(&worker_config_table, stdout);
    else if (cli_flag(a, "annotated"))
        config_annotated(&worker_config_table, stdout);
    else if (cli_flag(a, "check"))
        return check(cli_value(a, "check"));
    else {
        struct config c;
        int rc = cli_config(a, NULL, &c);
        if (rc)
            return rc;
        config_show(&c.head, stdout);
        config_release(&c.head);
    }
    return EX_OK;
}
