/* lib/config over a table of its own, as a program beside the worker brings one. It links
 * without the worker. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "config/config.h"

#define MAX_STARTS 8

struct yard {
    struct config_head head;
    char *listen, *mode, *cert;
    int64_t kill_ms, drain_ms;
    bool replica;
    char *level;
    struct config_setting starts[MAX_STARTS]; /* yard.start.*, in the order in which they came */
    size_t n_starts;
};

/* --- the open row --- */

static int start_set(
    struct config_head *head, const char *key, const char *value, const char *origin, struct orcd_error *err)
{
    struct yard *y = (struct yard *)head;
    const char *name = key + strlen("yard.start.");
    if (!value || !config_is_text(value, 10))
        return config_refuse(origin, key, value, "short text", err);
    size_t i = 0;
    while (i < y->n_starts && strcmp(y->starts[i].name, name) != 0)
        i++;
    assert_true(i < MAX_STARTS);
    if (i < y->n_starts) {
        free((char *)(uintptr_t)y->starts[i].value);
        free((char *)(uintptr_t)y->starts[i].origin);
    } else {
        y->starts[y->n_starts++].name = strdup(name);
    }
    y->starts[i].value = strdup(value);
    y->starts[i].origin = strdup(origin);
    return 0;
}

static bool start_at(const struct config_head *head, size_t i, struct config_setting *out)
{
    const struct yard *y = (const struct yard *)head;
    if (i >= y->n_starts)
        return false;
    *out = y->starts[i];
    return true;
}

static void start_release(struct config_head *head)
{
    struct yard *y = (struct yard *)head;
    for (size_t i = 0; i < y->n_starts; i++) {
        free((char *)(uintptr_t)y->starts[i].name);
        free((char *)(uintptr_t)y->starts[i].value);
        free((char *)(uintptr_t)y->starts[i].origin);
    }
}

static const struct config_open start = {
    .free_form = true,
    .stands_for = "N.FIELD",
    .empty = "[]",
    .help_pod = "see C<orcd yard>",
    .help_annotated = "one item each",
    .set = start_set,
    .at = start_at,
    .release = start_release,
};

/* --- the table --- */

#define TEXT(n, f, h, field)                                                                                 \
    {                                                                                                        \
        .name = n, .type = CONFIG_STRING, .max = 64, .fallback = f, .unit = "", .help = h,                   \
        .offset = offsetof(struct yard, field)                                                               \
    }
#define CHOICE(n, c, f, h, field)                                                                            \
    {                                                                                                        \
        .name = n, .type = CONFIG_CHOICE, .choices = c, .fallback = f, .unit = "", .help = h,                \
        .offset = offsetof(struct yard, field)                                                               \
    }
#define MS(n, f, h, field)                                                                                   \
    {                                                                                                        \
        .name = n, .type = CONFIG_INT, .max = 60000, .fallback = f, .unit = "ms", .help = h,                 \
        .offset = offsetof(struct yard, field)                                                               \
    }

static const struct config_key keys[] = {
    TEXT("yard.listen", "127.0.0.1:9200", "where it listens", listen),
    CHOICE("yard.mode", "drain|now", "drain", "how it stops", mode),
    {.name = "yard.replica",
        .type = CONFIG_BOOL,
        .fallback = "false",
        .unit = "",
        .help = "twice",
        .offset = offsetof(struct yard, replica)},
    MS("yard.stop.kill_ms", "5000", "then by force", kill_ms),
    MS("yard.stop.drain_ms", "3000", "may go on", drain_ms),
    TEXT("yard.stop.tls.cert", NULL, "a file", cert),
    {.name = "yard.start",
        .type = CONFIG_OPEN,
        .fallback = "none",
        .unit = "",
        .help = "see orcd yard",
        .open = &start},
    CHOICE("log.level", "error|info", "info", "lines of this level", level),
};

static int validate(const struct config_head *c, struct orcd_error *err)
{
    const struct yard *y = (const struct yard *)c;
    if (y->drain_ms >= y->kill_ms)
        return error_set(err, ORCD_E_INVALID, "%s: too long", config_origin(c, "yard.stop.drain_ms"));
    return 0;
}

static const struct config_section sections[] = {{"yard", "The yard."}, {"log", "Lines."}};
static const char *const foreign[] = {"http", "model", NULL};
static const struct config_table table = {
    .size = sizeof(struct yard),
    .keys = keys,
    .n_keys = ARRAY_LEN(keys),
    .sections = sections,
    .n_sections = ARRAY_LEN(sections),
    .foreign = foreign,
    .annotated_head = "# the head\n",
    .validate = validate,
};

/* --- */

static char path[64];

static int load(struct yard *y, const char *text, struct orcd_error *err)
{
    snprintf(path, sizeof(path), "/tmp/orcd-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = config_load_file(&y->head, path, err);
    unlink(path);
    return rc;
}

static void refused(const char *text, const char *part)
{
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&y.head, &table);
    int rc = load(&y, text, &err);
    rc = rc ? rc : config_validate(&y.head, &err);
    config_release(&y.head);
    if (rc == 0)
        fail_msg("accepted: %s", text);
    if (!strstr(err.msg, part))
        fail_msg("'%s' is not in: %s", part, err.msg);
}

static void assert_setting(const struct config_setting *s, const char *name, const char *value)
{
    assert_string_equal(s->name, name);
    assert_string_equal(s->value, value);
}

static void test_defaults_fill_the_struct(void **state)
{
    (void)state;
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&y.head, &table);
    assert_string_equal(y.listen, "127.0.0.1:9200");
    assert_string_equal(y.mode, "drain");
    assert_string_equal(y.level, "info");
    assert_int_equal(y.kill_ms, 5000);
    assert_false(y.replica);
    assert_null(y.cert);
    assert_string_equal(config_origin(&y.head, "yard.listen"), "default");
    assert_int_equal(config_validate(&y.head, &err), 0);
    config_release(&y.head);
    assert_null(y.listen);
    config_release(&y.head);
}

static void test_a_file_of_several_programs(void **state)
{
    (void)state;
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&y.head, &table);
    if (load(&y,
            "http: {listen: x, any: [1, {a: [b]}], listen: y}\nlog: {level: error}\nmodel:\n"
            "yard:\n  stop: {kill_ms: 7, drain_ms: 6, tls: }\n  replica: true\n  start: []\n",
            &err))
        fail_msg("%s", err.msg);
    assert_string_equal(y.listen, "127.0.0.1:9200");
    assert_string_equal(y.level, "error");
    assert_int_equal(y.kill_ms, 7);
    assert_true(y.replica);
    assert_int_equal(y.n_starts, 0);
    char want[80];
    snprintf(want, sizeof(want), "%s:5", path);
    assert_string_equal(config_origin(&y.head, "yard.stop.kill_ms"), want);
    assert_int_equal(config_validate(&y.head, &err), 0);
    config_release(&y.head);
}

static void test_what_is_not_in_the_table(void **state)
{
    (void)state;
    refused("plugin:\n  name: mock\n", ":1: plugin: unknown key");
    refused("yard:\n  lisen: x\n", ":2: yard.lisen: unknown key; did you mean yard.listen?");
    refused("yard:\n  http: {}\n", ":2: yard.http: unknown key");
    refused("http:\nhttp:\n", ":2: http: duplicate key");
    refused("yard: [a]\n", "lists are not supported here");
    refused("yard:\n  listen: [a]\n", "lists are not supported here");
    refused("yard:\n  mode: never\n", "must be one of drain, now");
    refused("yard:\n  stop: {kill_ms: 3, drain_ms: 3}\n", ":2: too long");
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&y.head, &table);
    assert_int_equal(config_set(&y.head, "http.listen", "x", "--set", &err), ORCD_E_INVALID);
    assert_int_equal(config_set(&y.head, "yard.start", "x", "--set", &err), ORCD_E_INVALID);
    assert_string_equal(err.msg, "--set: yard.start: is a section, not a key; it cannot have a value");
    config_release(&y.head);
}

static void test_free_form(void **state)
{
    (void)state;
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&y.head, &table);
    if (load(&y, "yard:\n  start:\n  - {model: m, devices: [0, 1]}\n  - plain\n  - qwen2.5: a\n  mode: now\n",
            &err))
        fail_msg("%s", err.msg);
    assert_int_equal(y.n_starts, 5);
    assert_setting(&y.starts[0], "0.model", "m");
    assert_setting(&y.starts[1], "0.devices.0", "0");
    assert_setting(&y.starts[2], "0.devices.1", "1");
    assert_setting(&y.starts[3], "1", "plain");
    assert_setting(&y.starts[4], "2.qwen2.5", "a");
    assert_string_equal(y.mode, "now");
    config_release(&y.head);
    config_init(&y.head, &table); /* lists and a section one after the other, equally deep */
    if (load(&y, "yard: {start: {a: [1], b: [2], c: {d: 3}}}\n", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(y.n_starts, 3);
    assert_setting(&y.starts[1], "b.0", "2");
    assert_setting(&y.starts[2], "c.d", "3");
    config_release(&y.head);
    refused("yard:\n  start: [&a b]\n", "anchors");
    refused("yard:\n  start: [*a]\n", "aliases");
    refused("yard:\n  start: &a [b]\n", "anchors");
    refused("yard:\n  start: !!seq [b]\n", "tags");
    refused("yard:\n  start: [null]\n", ":2: yard.start.0: 'null': must be short text");
    refused("yard:\n  start: [{a: 1, a: 2}]\n", "yard.start.0.a: duplicate key");
    refused("yard:\n  start: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]\n", "nested too deeply");
}

static void test_environment(void **state)
{
    (void)state;
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *env[] = {"ORCD_YARD_STOP_DRAIN_MS=9", "ORCD_YARD_START_0=a", "ORCD_YARD_STARTED=x",
        "ORCD_HTTP_LISTEN=x", "ORCD_YARD_STOP_TLS_CERT=", "ORCD_YARD_START_0=b", NULL};
    config_init(&y.head, &table);
    if (config_load_environment(&y.head, (char *const *)(uintptr_t)env, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(y.drain_ms, 9);
    assert_string_equal(config_origin(&y.head, "yard.stop.drain_ms"), "ORCD_YARD_STOP_DRAIN_MS");
    assert_int_equal(y.n_starts, 1);
    assert_setting(&y.starts[0], "0", "b");
    assert_string_equal(y.starts[0].origin, "ORCD_YARD_START_0");
    config_release(&y.head);
}

static char *text_of(void (*print)(const struct config_table *t, FILE *out))
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    print(&table, out);
    fclose(out);
    return text;
}

static void test_documents(void **state)
{
    (void)state;
    char *text = text_of(config_annotated);
    assert_string_equal(text, "# the head\n"
                              "\n# The yard.\nyard:\n"
                              "  # where it listens\n  listen: 127.0.0.1:9200\n"
                              "  # how it stops (drain|now)\n  mode: drain\n"
                              "  # twice (true|false)\n  replica: false\n"
                              "  stop:\n"
                              "    # then by force (0..60000 ms)\n    kill_ms: 5000\n"
                              "    # may go on (0..60000 ms)\n    drain_ms: 3000\n"
                              "    tls:\n      # a file\n      cert: null\n"
                              "  # one item each\n  start: []\n"
                              "\n# Lines.\nlog:\n"
                              "  # lines of this level (error|info)\n  level: info\n");
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&y.head, &table);
    if (load(&y, text, &err))
        fail_msg("%s", err.msg);
    config_release(&y.head);
    free(text);
    text = text_of(config_list);
    assert_non_null(
        strstr(text, "yard.start.N.FIELD           text                   none             see orcd"));
    free(text);
    text = text_of(config_list_pod);
    assert_non_null(strstr(text, "=item B<yard.start.N.FIELD> (text; default: none)\n\nsee C<orcd yard>.\n"));
    free(text);
}

static void test_show(void **state)
{
    (void)state;
    struct yard y;
    struct orcd_error err = ORCD_ERROR_INIT;
    char *text = NULL;
    size_t n;
    config_init(&y.head, &table);
    assert_int_equal(config_set(&y.head, "yard.start.0.model", "a b", "--set", &err), 0);
    assert_int_equal(config_set(&y.head, "yard.replica", "true", "--set", &err), 0);
    FILE *out = open_memstream(&text, &n);
    config_show(&y.head, out);
    fclose(out);
    assert_string_equal(text, "yard.listen                  127.0.0.1:9200  # default\n"
                              "yard.mode                    drain  # default\n"
                              "yard.replica                 true  # --set\n"
                              "yard.stop.kill_ms            5000  # default\n"
                              "yard.stop.drain_ms           3000  # default\n"
                              "yard.stop.tls.cert           null  # default\n"
                              "yard.start.0.model           a b  # --set\n"
                              "log.level                    info  # default\n");
    free(text);
    config_release(&y.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_fill_the_struct),
        cmocka_unit_test(test_a_file_of_several_programs),
        cmocka_unit_test(test_what_is_not_in_the_table),
        cmocka_unit_test(test_free_form),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
