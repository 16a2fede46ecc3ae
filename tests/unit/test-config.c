/* The table of keys, and what the three sources of values accept and refuse. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "config-table.h"
#include "config/secrets.h"

static const struct config_table *const table = &worker_config_table;
static char path[64];

static void write_file(const char *text, size_t n)
{
    snprintf(path, sizeof(path), "/tmp/orcd-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
}

static int load(const char *text, struct config *c, struct orcd_error *err)
{
    write_file(text, strlen(text));
    int rc = config_load_file(&c->head, path, err);
    unlink(path);
    return rc;
}

/* text is refused, and the message has part in it. */
static void refused(const char *text, const char *part)
{
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&c.head, table);
    int rc = load(text, &c, &err);
    rc = rc ? rc : config_validate(&c.head, &err);
    config_release(&c.head);
    if (rc == 0)
        fail_msg("accepted: %s", text);
    if (!strstr(err.msg, part))
        fail_msg("'%s' is not in: %s", part, err.msg);
}

static void test_defaults_fit_the_table(void **state)
{
    (void)state;
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&c.head, table);
    for (size_t i = 0; i < table->n_keys; i++)
        if (table->keys[i].type != CONFIG_OPEN &&
            config_set(&c.head, table->keys[i].name, table->keys[i].fallback, "test", &err))
            fail_msg("%s", err.msg);
    assert_int_equal(config_validate(&c.head, &err), 0);
    assert_string_equal(c.http.listen, "127.0.0.1:8001");
    assert_int_equal(c.shutdown.grace_ms, 5000);
    assert_null(c.model.path);
    config_release(&c.head);
}

static void test_every_key_is_a_field_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < table->n_keys; i++)
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(table->keys[i].offset, table->keys[j].offset);
            assert_string_not_equal(table->keys[i].name, table->keys[j].name);
        }
}

static void test_file_sets_values_and_origins(void **state)
{
    (void)state;
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    char *text;
    size_t n;
    config_init(&c.head, table);
    assert_int_equal(load("# comment\nmodel: {slots: 7, path: 'a b.gguf'}\nhttp:\nplugin:\n  name: mock\n"
                          "  options:\n    token_ms: 2.5\n    word: \"x: y\"\n",
                         &c, &err),
        0);
    assert_int_equal(c.model.slots, 7);
    assert_string_equal(c.model.path, "a b.gguf");
    assert_string_equal(c.plugin.name, "mock");
    assert_int_equal(c.plugin.n_options, 2);
    assert_string_equal(c.plugin.options[0].key, "token_ms");
    assert_string_equal(c.plugin.options[0].value, "2.5");
    assert_string_equal(c.plugin.options[1].value, "x: y");
    FILE *out = open_memstream(&text, &n);
    config_show(&c.head, out);
    fclose(out);
    char want[128];
    snprintf(want, sizeof(want), "# %s:2\n", path);
    assert_non_null(strstr(text, want));
    free(text);
    config_release(&c.head);
}

static void test_bad_files(void **state)
{
    (void)state;
    refused("http:\n  lisen: x\n", ":2: http.lisen: unknown key; did you mean http.listen?");
    refused("model:\n  listen: x\n", "did you mean http.listen?");
    refused("server:\n  port: 1\n", ":1: server: unknown key");
    refused("http:\n  threads: 0\n", ":2: http.threads: '0': must be an integer from 1 to 64");
    refused("http:\n  threads: 1.5\n", "must be an integer");
    refused("http:\n  threads: 99999999999999999999\n", "must be an integer");
    refused("http:\n  threads: null\n", "must be an integer");
    refused("http:\n  threads: ''\n", "must be an integer");
    refused("http:\n  allow_unauthenticated: yes\n", "must be true or false");
    refused("log:\n  level: loud\n", "must be one of error, warn, info, debug");
    refused("http:\n  listen: \"a\\nb\"\n", "control characters");
    refused("http:\n  listen: \"a\\0b\"\n", "NUL");
    refused("http: 1\n", "is a section");
    refused("http:\n  listen:\n    port: 1\n", "must be a value, not a section");
    refused("http:\n  threads: 1\n  threads: 1\n", ":3: http.threads: duplicate key");
    refused("http:\n  threads: 1\nhttp:\n", ":3: http: duplicate key");
    refused("plugin:\n  options: {a: 1, a: 2}\n", "duplicate key");
    refused("plugin:\n  options: {a: {b: 1}}\n", "must be a value");
    refused("plugin:\n  options: {A: 1}\n", "an option's name");
    refused("model: &m\n  slots: 1\n", "anchors");
    refused("model:\n  slots: &m 1\n", "anchors");
    refused("model: *m\n", "aliases");
    refused("model:\n  slots: !!int 1\n", "tags");
    refused("%TAG ! tag:x,2000:\n---\nmodel:\n", "tags");
    refused("---\nmodel:\n---\nmodel:\n", "a second document");
    refused("- a\n", "lists");
    refused("model: [1]\n", "lists");
    refused("just text\n", "sections");
    refused("? {a: b}\n: c\n", "a mapping cannot be a key");
    refused("http.listen: x\n", "must not contain dots");
    refused("model:\n\tslots: 1\n", ":2: invalid YAML");
    refused("model:\n  slots: 1\n bad\n", "invalid YAML");
    refused("model: {\n", "invalid YAML");
    refused("model:\n  path: \xff\n", "invalid YAML");
    refused("http:\n  tls: {cert: /c.pem}\n",
        ":2: http.tls.cert: must be null: this version does not support TLS");
    refused("shutdown:\n  drain_ms: 6000\n", ":2: shutdown.drain_ms: '6000': must be less than");
    refused("deadlines: {default_ms: 10, max_ms: 5}\n", "must be at most deadlines.max_ms");
    refused("worker: {callback_secret_file: /x}\n", "without worker.callback_url");
    refused("worker: {callback_url: 'ftp://x'}\n", "must begin with http:// or https://");
}

static void test_size_and_depth_are_bounded(void **state)
{
    (void)state;
    char *text = malloc(70000);
    memset(text, '#', 70000);
    text[65537] = 0;
    refused(text, "larger than 65536 bytes");
    text[65536] = 0;
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&c.head, table);
    assert_int_equal(load(text, &c, &err), 0);
    config_release(&c.head);
    memset(text, '[', 60000);
    text[60000] = 0;
    refused(text, "lists");
    memset(text, '{', 60000);
    refused(text, ":1: ");
    free(text);
}

static void test_environment(void **state)
{
    (void)state;
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *good[] = {"PATH=/bin", "ORCD_HTTP_LISTEN=[::1]:0", "ORCD_MODEL_PATH=", "ORCD_UNKNOWN=1",
        "ORCD_PLUGIN_OPTIONS_TOKEN_MS=3", "ORCD_HTTP_TLS_CERT=", "ORCD_", "ORCD_CONFIG=/x", NULL};
    config_init(&c.head, table);
    assert_int_equal(config_load_environment(&c.head, (char *const *)(uintptr_t)good, &err), 0);
    assert_string_equal(c.http.listen, "[::1]:0");
    assert_null(c.model.path);
    assert_int_equal(c.plugin.n_options, 1);
    assert_string_equal(c.plugin.options[0].key, "token_ms");
    const char *bad[] = {"ORCD_MODEL_SLOTS=many", NULL};
    assert_int_equal(config_load_environment(&c.head, (char *const *)(uintptr_t)bad, &err), ORCD_E_INVALID);
    assert_string_equal(err.msg, "ORCD_MODEL_SLOTS: model.slots: 'many': must be an integer from 1 to 1024");
    /* A later source wins. */
    assert_int_equal(config_set(&c.head, "http.listen", "unix:/x", "--listen", &err), 0);
    assert_string_equal(c.http.listen, "unix:/x");
    config_release(&c.head);
}

static void test_annotated_file_is_the_defaults(void **state)
{
    (void)state;
    char *text, *shown;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    config_annotated(table, out);
    fclose(out);
    struct config c;
    struct orcd_error err = ORCD_ERROR_INIT;
    config_init(&c.head, table);
    if (load(text, &c, &err))
        fail_msg("%s", err.msg);
    free(text);
    out = open_memstream(&shown, &n);
    config_show(&c.head, out);
    fclose(out);
    assert_null(strstr(shown, "# default\n")); /* it names every key */
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct config_key *k = &table->keys[i];
        const char *at = (const char *)&c + k->offset;
        if (k->type == CONFIG_INT)
            assert_int_equal(*(const int64_t *)(const void *)at, strtoll(k->fallback, NULL, 10));
        else if (k->type == CONFIG_OPEN)
            assert_int_equal(c.plugin.n_options, 0);
        else if (k->type != CONFIG_BOOL && k->fallback)
            assert_string_equal(*(char *const *)(const void *)at, k->fallback);
        else if (k->type != CONFIG_BOOL)
            assert_null(*(char *const *)(const void *)at);
    }
    free(shown);
    config_release(&c.head);
}

static int read_secrets(const char *text, mode_t mode, char ***list, size_t *n, struct orcd_error *err)
{
    write_file(text, strlen(text));
    chmod(path, mode);
    int rc = secrets_read(path, list, n, err);
    unlink(path);
    return rc;
}

static void test_secrets(void **state)
{
    (void)state;
    const char *good = "# ours\n\n0123456789abcdef\r\nFEDCBA9876543210";
    char **list = NULL;
    size_t n = 0;
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(read_secrets(good, 0600, &list, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0], "0123456789abcdef");
    assert_string_equal(list[1], "FEDCBA9876543210");
    secrets_free(list, n);
    const mode_t open_modes[] = {0640, 0604, 0620, 0666};
    for (size_t i = geteuid() == 0; i < ARRAY_LEN(open_modes); i++) /* root's group may read */
        assert_int_equal(read_secrets(good, open_modes[i], &list, &n, &err), ORCD_E_PERMISSION);
    assert_int_equal(read_secrets(good, 0640, &list, &n, &err), geteuid() ? ORCD_E_PERMISSION : 0);
    if (geteuid() == 0)
        secrets_free(list, n);
    assert_int_equal(read_secrets("0123456789abcdef name=x rps=2\n", 0600, &list, &n, &err), 0);
    assert_string_equal(list[0], "0123456789abcdef");
    secrets_free(list, n);
    assert_int_equal(read_secrets("", 0600, &list, &n, &err), ORCD_E_INVALID);
    assert_int_equal(read_secrets("short\n", 0600, &list, &n, &err), ORCD_E_INVALID);
    assert_null(strstr(err.msg, "short"));
    assert_int_equal(read_secrets("0123456789 abcdef\n", 0600, &list, &n, &err), ORCD_E_INVALID);
    assert_null(strstr(err.msg, "abcdef"));
    assert_int_equal(secrets_read("/nonexistent", &list, &n, &err), ORCD_E_NOT_FOUND);
    assert_int_equal(secrets_read("/tmp", &list, &n, &err), ORCD_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_fit_the_table),
        cmocka_unit_test(test_every_key_is_a_field_of_its_own),
        cmocka_unit_test(test_file_sets_values_and_origins),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_size_and_depth_are_bounded),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_annotated_file_is_the_defaults),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
