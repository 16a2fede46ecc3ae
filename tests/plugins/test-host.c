/* The host: where it finds plugins, which tables and options it accepts, and how it handles impossible
 * answers. */
#ifdef HAVE_CONFIG_H
#include "config.h" /* ORCD_DEBUG */
#endif

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "rig.h"

static char dir[256]; /* has copies of all test plugins; only this user may write to it */
static struct orcd_error err = ORCD_ERROR_INIT;
static struct rig rig;

static const char *const built[] = {"bad-magic", "bad-name", "crash", "huge-table", "liar", "minor-0",
    "no-entry", "no-steps", "no-submit", "no-version", "null-entry", "options-deaf", "options-default",
    "options-name", "options-null", "options-range", "options-stride", "options-twice", "options-type",
    "recorder", "short-table"};
#define N_BUILT (sizeof(built) / sizeof(built[0]))

static int copy_all(void **state)
{
    (void)state;
    const char *from = getenv("ORCD_BUILDDIR");
    for (size_t i = 0; i < N_BUILT; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/tests/plugins/%s.so", from ? from : ".", built[i]);
        const char *to = rig_copy(path, built[i]);
        if (!to)
            return -1;
        snprintf(dir, sizeof(dir), "%s", to);
    }
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static int open_one(const char *name)
{
    struct plugin *p;
    err.code = 0;
    err.msg[0] = 0;
    int rc = plugin_open(&p, dir, name, false, &err);
    assert_int_equal(rc, err.code);
    return rc;
}

static void says(const char *text)
{
    if (!strstr(err.msg, text))
        fail_msg("\"%s\" is not in \"%s\"", text, err.msg);
}

static char *in_dir(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

/* ------------------------------------------------------------------- search */

static void found_by_bare_name(void **state)
{
    (void)state;
    struct plugin *p;
    assert_int_equal(plugin_open(&p, dir, "recorder", false, &err), 0);
    assert_string_equal(plugin_table(p)->name, "base");
    assert_non_null(strstr(plugin_path(p), "/recorder.so"));
    char **names;
    size_t n;
    assert_int_equal(plugin_list(dir, &names, &n, &err), 0);
    assert_int_equal(n, N_BUILT);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(names[i], built[i]);
        free(names[i]);
    }
    free(names);
}

static void what_is_there_is_said(void **state)
{
    (void)state;
    assert_int_equal(open_one("recordr"), ORCD_E_NOT_FOUND);
    says(dir);
    says("bad-magic, bad-name");
    struct plugin *p;
    assert_int_equal(plugin_open(&p, "/nonexistent/dir", "mock", false, &err), ORCD_E_NOT_FOUND);
    says("/nonexistent/dir");
}

static void names_are_bare(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "Recorder", "recorder.so", "re corder", "recorder\n",
        "\xc3\xa9", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(open_one(bad[i]), ORCD_E_INVALID);
    assert_int_equal(open_one("../recorder"), ORCD_E_PERMISSION);
    assert_int_equal(open_one(in_dir("recorder.so")), ORCD_E_PERMISSION);
    struct plugin *p;
    assert_int_equal(plugin_open(&p, "/", in_dir("recorder.so"), true, &err), 0);
}

static void only_safe_files(void **state)
{
    (void)state;
    assert_int_equal(chmod(in_dir("recorder.so"), 0775), 0);
    assert_int_equal(open_one("recorder"), ORCD_E_PERMISSION);
    says("written by users other than its owner");
    assert_int_equal(chmod(in_dir("recorder.so"), 0757), 0);
    assert_int_equal(open_one("recorder"), ORCD_E_PERMISSION);
    if (geteuid() == 0) {
        assert_int_equal(chmod(in_dir("recorder.so"), 0755), 0);
        assert_int_equal(chown(in_dir("recorder.so"), 12345, 0), 0);
        assert_int_equal(open_one("recorder"), ORCD_E_PERMISSION);
        says("owned by user 12345");
        assert_int_equal(chown(in_dir("recorder.so"), 0, 0), 0);
    }
    assert_int_equal(chmod(in_dir("recorder.so"), 0755), 0);
    assert_int_equal(chmod(dir, 0770), 0);
    assert_int_equal(open_one("recorder"), ORCD_E_PERMISSION);
    says(dir);
    assert_int_equal(chmod(dir, 0702), 0);
    assert_int_equal(open_one("recorder"), ORCD_E_PERMISSION);
    if (geteuid() == 0) {
        assert_int_equal(chmod(dir, 0700), 0);
        assert_int_equal(chown(dir, 12345, 0), 0);
        assert_int_equal(open_one("recorder"), ORCD_E_PERMISSION);
        assert_int_equal(chown(dir, 0, 0), 0);
    }
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(open_one("recorder"), 0);
}

static void only_regular_files(void **state)
{
    (void)state;
    char *path = strdup(in_dir("odd.so"));
    assert_int_equal(symlink("recorder.so", path), 0);
    assert_int_equal(open_one("odd"), ORCD_E_PERMISSION);
    says("symbolic link");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not block */
    assert_int_equal(open_one("odd"), ORCD_E_INVALID);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_one("odd"), ORCD_E_INVALID);
    rmdir(path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "not an object", 13), 13);
    close(fd);
    assert_int_equal(open_one("odd"), ORCD_E_ABI);
    unlink(path);
    free(path);
}

/* A copy of recorder.so as broken.so: its first n bytes, with `old` (NULL: nothing) spelt `new`. */
static void write_broken(size_t n, const char *old, const char *new)
{
    FILE *from = fopen(in_dir("recorder.so"), "r"), *to = fopen(in_dir("broken.so"), "w");
    assert_non_null(from);
    assert_non_null(to);
    char *bytes = malloc(n);
    assert_non_null(bytes);
    n = fread(bytes, 1, n, from);
    char *at = old ? memmem(bytes, n, old, strlen(old)) : NULL;
    if (at)
        memcpy(at, new, strlen(old));
    assert_int_equal(fwrite(bytes, 1, n, to), n);
    free(bytes);
    fclose(from);
    fclose(to);
}

/* The loader knows a plugin by a descriptor, which says nothing to people. */
static void assert_broken(const char *reason)
{
    char begin[600];
    snprintf(begin, sizeof(begin), "%s: ", in_dir("broken.so"));
    assert_int_equal(open_one("broken"), ORCD_E_ABI);
    unlink(in_dir("broken.so"));
    says(reason);
    assert_ptr_equal(strstr(err.msg, begin), err.msg);
    if (strstr(err.msg, "/proc/"))
        fail_msg("\"%s\" names a descriptor", err.msg);
}

static void errors_of_the_loader_name_the_plugin(void **state)
{
    (void)state;
    write_broken(40, NULL, NULL);
    assert_broken("file too short");
    write_broken(16 << 20, "\177ELF", "\177ELK");
    assert_broken("invalid ELF header");
    /* A C library that is too old: its file comes first, the plugin's name at the end. */
    write_broken(16 << 20, "GLIBC_2.", "GLIBX_2.");
    assert_broken("(required by the plugin)");
}

/* Two plugins that are opened one after the other are two, although descriptors are reused. */
static void plugins_are_told_apart(void **state)
{
    (void)state;
    struct plugin *a, *b;
    assert_int_equal(plugin_open(&a, dir, "minor-0", false, &err), 0);
    assert_int_equal(plugin_open(&b, dir, "recorder", false, &err), 0);
    assert_int_equal(plugin_table(a)->n_options, 0);
    assert_int_equal(plugin_table(b)->n_options, 5);
}

/* Runs a copy of this program in dir/bin, which prints its default directory. */
static void default_dir_of(const char *setup, const char *want)
{
    char command[1024], line[512] = "";
    snprintf(command, sizeof(command),
        "set -e; cd '%s'; mkdir -p t/bin; cp /proc/%d/exe t/bin/prog; %s; ORCD_PRINT_DIR=1 t/bin/prog", dir,
        (int)getpid(), setup);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof(line), p));
    assert_int_equal(pclose(p), 0);
    line[strcspn(line, "\n")] = 0;
    char full[1024];
    snprintf(full, sizeof(full), "%s%s", want[0] == '/' ? "" : dir, want[0] == '/' ? want : "/t/bin/");
    if (want[0] != '/')
        strcat(full, want);
    assert_string_equal(line, full);
}

static void default_directory(void **state)
{
    (void)state;
    default_dir_of("true", ORCD_PLUGIN_DIR);
    default_dir_of("mkdir -p t/lib/orcd/plugins", "../lib/orcd/plugins");
    default_dir_of("touch t/bin/config.status", "plugins");
}

/* -------------------------------------------------------------------- tables */

static void bad_tables(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } bad[] = {{"bad-magic", "magic"}, {"short-table", "it must have"}, {"huge-table", "1048576"},
        {"no-submit", "no submit()"}, {"null-entry", "does not support this host"},
        {"no-entry", "no symbol orcd_plugin_v1"}, {"no-steps", "max_inflight"}, {"bad-name", "plain text"},
        {"no-version", "version"}, {"options-twice", "option a appears twice"},
        {"options-default", "own default"}, {"options-type", "unknown type 9"},
        {"options-range", "invalid range"}, {"options-name", "invalid name"}, {"options-null", "default"},
        {"options-stride", "bytes) is invalid"}, {"options-deaf", "no configure()"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (open_one(bad[i].name) != ORCD_E_ABI)
            fail_msg("%s: %s", bad[i].name, err.msg);
        says(bad[i].text);
        says(bad[i].name);
    }
}

static void crash_is_a_crash(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        open_one("crash");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void older_minor_has_no_later_slots(void **state)
{
    (void)state;
    assert_int_equal(rig_start(&rig, dir, "minor-0", NULL), 0);
    assert_int_equal(backend_model(rig.backend)->prefill_granule, 0); /* a field that it does not know */
    const struct orcd_plugin *t = plugin_table(rig.plugin);
    assert_int_equal(t->size, ORCD_PLUGIN_SIZE_MINOR_0);
    assert_null(t->seq_sampler);
    assert_null(t->seq_fork);
    assert_null(t->seq_save);
    assert_null(t->seq_load);
    assert_null(t->get_proc);
    assert_int_equal(rig_context(&rig, 2, 64, 128), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
    assert_int_equal(backend_seq_sampler(rig.backend, 0, NULL, &err), ORCD_E_UNSUPPORTED);
    assert_int_equal(backend_seq_fork(rig.backend, 0, 1, 0, &err), ORCD_E_UNSUPPORTED);
    uint64_t bytes;
    assert_int_equal(backend_seq_save(rig.backend, 0, NULL, &bytes, &err), ORCD_E_UNSUPPORTED);
    assert_int_equal(backend_seq_load(rig.backend, 0, "", 0, &err), ORCD_E_UNSUPPORTED);
    struct orcd_residency r;
    assert_int_equal(backend_residency(rig.backend, &r, &err), ORCD_E_UNSUPPORTED);
    rig_end(&rig);
}

/* ------------------------------------------------------------------- options */

static struct plugin *open_recorder(void)
{
    struct plugin *p;
    assert_int_equal(plugin_open(&p, dir, "recorder", false, &err), 0);
    return p;
}

static const char *told(struct plugin *p)
{
    return plugin_table(p)->get_proc("x_told");
}

static void later_plugins_are_cut(void **state)
{
    (void)state;
    struct plugin *p = open_recorder();
    const struct orcd_plugin *t = plugin_table(p);
    assert_int_equal(t->size, sizeof(struct orcd_plugin));
    assert_int_equal(t->max_inflight, 2); /* claims 7 */
    assert_int_equal(t->n_options, 5);
    assert_string_equal(t->options[1].name, "ratio");
    assert_string_equal(t->options[1].unit, ""); /* was NULL */
    assert_true(t->options[0].max == 64);
}

static void values_are_told_in_order(void **state)
{
    (void)state;
    struct plugin *p = open_recorder();
    assert_int_equal(plugin_start(p, NULL, 0, &err), 0);
    assert_string_equal(told(p), "threads=4;ratio=0.5;verbose=false;label=;any=0;end=;init;");
    assert_int_equal(plugin_start(p, NULL, 0, &err), ORCD_E_INTERNAL);
    plugin_stop(p);
    plugin_stop(p); /* the second call does nothing */
    assert_non_null(strstr(told(p), "init;fini;"));
    p = open_recorder();
    const struct plugin_setting set[] = {{"label", "a b=\xc3\xa9;"}, {"verbose", "on"}, {"ratio", "-1"},
        {"threads", "1"}, {"threads", "64"}, {"any", "-9000000000"}};
    assert_int_equal(plugin_start(p, set, 6, &err), 0);
    assert_string_equal(
        told(p), "threads=64;ratio=-1;verbose=true;label=a b=\xc3\xa9;;any=-9000000000;end=;init;");
}

static void bad_settings(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *text;
    } bad[] = {{"thread", "1", "did you mean threads?"}, {"vrebose", "1", "did you mean verbose?"},
        {"entirely_else", "1", "it has: threads, ratio, verbose, label, any"}, {"", "1", "it has"},
        {"threads", "0", "1 to 64 threads"}, {"threads", "65", "out of range"},
        {"threads", "", "not a whole number"}, {"threads", "4x", "not a whole number"},
        {"threads", "4.5", "not a whole number"}, {"any", "99999999999999999999", "not a whole number"},
        {"ratio", "nan", "not a number"}, {"ratio", "1e999", "not a number"}, {"ratio", "1.01", "-1 to 1"},
        {"verbose", "maybe", "not true or false"}, {"label", "\xff", "UTF-8"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct plugin *p = open_recorder();
        const struct plugin_setting set = {bad[i].key, bad[i].value};
        assert_int_equal(plugin_start(p, &set, 1, &err), ORCD_E_INVALID);
        says(bad[i].text);
        assert_string_equal(told(p), ""); /* no value was passed to it */
    }
    struct plugin *p = open_recorder();
    const struct plugin_setting set = {"label", "refuse me"};
    assert_int_equal(plugin_start(p, &set, 1, &err), ORCD_E_UNSUPPORTED);
    says("option label");
    says("no such label");
}

/* ------------------------------------------------------------------- answers */

static int start_liar(const char *lie)
{
    char setting[64];
    snprintf(setting, sizeof(setting), "lie=%s", lie);
    const char *set[] = {setting, NULL};
    int rc = rig_start(&rig, dir, "liar", set);
    return rc ? rc : rig_context(&rig, 4, 64, 256);
}

static void end_liar(void)
{
    rig_end(&rig);
}

static void lies_at_start(void **state)
{
    (void)state;
    static const struct {
        const char *lie;
        int code;
        const char *text;
    } lies[] = {{"init-unknown", ORCD_E_INTERNAL, "init returned -4711"},
        {"init-positive", ORCD_E_INTERNAL, "init returned 1"},
        {"init-silent", ORCD_E_DEVICE, "init failed (DEVICE)"}, {"init-text", ORCD_E_DEVICE, "????"},
        {"no-device", ORCD_E_NOT_FOUND, "no device 0"}, {"device-null", ORCD_E_INTERNAL, "device_open"},
        {"model-null", ORCD_E_INTERNAL, "model_load"}, {"vocab", ORCD_E_INTERNAL, "model_info"},
        {"ctx-null", ORCD_E_INTERNAL, "ctx_new"}};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        assert_int_equal(start_liar(lies[i].lie), lies[i].code);
        if (!strstr(rig.err.msg, lies[i].text))
            fail_msg("\"%s\" is not in \"%s\"", lies[i].text, rig.err.msg);
        assert_true(strlen(rig.err.msg) < sizeof(rig.err.msg));
        end_liar();
    }
    assert_int_equal(start_liar("device-name"), 0);
    assert_string_equal(
        backend_device(rig.backend)->driver, ""); /* fields that were not filled in are empty */
    assert_int_equal(strlen(backend_device(rig.backend)->name), 127);
    assert_int_equal(backend_device(rig.backend)->name[0], '?');
    end_liar();
}

/* Two steps of two tokens each; the answer to the second. */
static int second_step(const char *lie)
{
    assert_int_equal(start_liar(lie), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
    rig_text(&rig, 0, 0, "ab", ORCD_WANT_LAST);
    assert_int_equal(rig_step(&rig), 0);
    assert_int_equal(rig.kept[0], 2);
    rig_text(&rig, 0, 2, "cd", ORCD_WANT_LAST);
    return rig_step(&rig);
}

static void lies_in_steps(void **state)
{
    (void)state;
    static const struct {
        const char *lie, *text;
        uint32_t kind;
    } lies[] = {{"rows", "rows", 0}, {"fewer-rows", "rows", 0}, {"ticket", "oldest", 0},
        {"status", "status", 0}, {"positive-status", "status", 0}, {"kept-more", "kept", 0},
        {"kept-less", "kept", 0}, {"kept-beyond", "kept", 0}, {"misaligned", "aligned", 0},
        {"no-logits", "no logits", 0}, {"n-logits", "number of logits", 0},
        {"token", "vocabulary", ORCD_KIND_TOKEN}, {"negative-token", "vocabulary", ORCD_KIND_TOKEN},
        {"top-null", "no logprobs", ORCD_KIND_TOP_LOGPROBS}};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        assert_int_equal(start_liar(lies[i].lie), 0);
        assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
        rig_text(&rig, 0, 0, "ab", ORCD_WANT_LAST);
        rig.kind[0] = lies[i].kind;
        rig.top_n[0] = 1;
        assert_int_equal(rig_step(&rig), ORCD_E_INTERNAL);
        if (!strstr(rig.err.msg, lies[i].text))
            fail_msg("%s: \"%s\" is not in \"%s\"", lies[i].lie, lies[i].text, rig.err.msg);
        end_liar();
    }
    /* One of the ids of TOP_LOGPROBS is just outside the vocabulary. */
    assert_int_equal(start_liar("honest"), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
    rig_text(&rig, 0, 0, "ab", ORCD_WANT_LAST);
    rig.kind[0] = ORCD_KIND_TOP_LOGPROBS;
    rig.top_n[0] = 1;
    assert_int_equal(rig_step(&rig), ORCD_E_INTERNAL);
    end_liar();
}

/* An aborted row cannot lose tokens that were kept before it. */
static void kept_is_not_below_what_was(void **state)
{
    (void)state;
    assert_int_equal(second_step("kept-below"), ORCD_E_INTERNAL);
    end_liar();
    assert_int_equal(second_step("honest"), 0);
    assert_non_null(rig.logits[0]);
    assert_int_equal(rig.token[0], -1); /* it was not requested, whatever the plugin wrote */
    assert_int_equal(rig.kept[0], 4);
    end_liar();
}

static void odd_but_harmless(void **state)
{
    (void)state;
    assert_int_equal(second_step("arrays"), 0);
    assert_ptr_equal(rig.result.status, rig.status);
    assert_ptr_equal(rig.result.kept, rig.kept);
    assert_int_equal(rig.result.row_capacity, RIG_ROWS);
    end_liar();
    assert_int_equal(second_step("future"), 0);
    assert_true(rig.result.submitted_ns <= rig.result.started_ns);
    assert_true(rig.result.started_ns <= rig.result.finished_ns);
    assert_true(rig.result.finished_ns <= rig.result.collected_ns);
    assert_true(rig.result.collected_ns < UINT64_MAX / 2);
    end_liar();
}

static void lies_about_sequences_and_memory(void **state)
{
    (void)state;
    uint32_t n;
    struct orcd_memory m;
    assert_int_equal(start_liar("len"), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
    assert_int_equal(backend_seq_len(rig.backend, 0, &n, &err), ORCD_E_INTERNAL);
    end_liar();
    assert_int_equal(start_liar("trim"), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
    assert_int_equal(backend_seq_trim(rig.backend, 0, 5, &n, &err), ORCD_E_INTERNAL);
    end_liar();
    assert_int_equal(start_liar("memory"), 0);
    assert_int_equal(backend_memory(rig.backend, &m, &err), ORCD_E_INTERNAL);
    end_liar();
    assert_int_equal(start_liar("honest"), 0);
    assert_int_equal(backend_memory(rig.backend, &m, &err), 0);
    assert_int_equal(m.free_bytes, 60);
    end_liar();
}

static void lost_is_lost(void **state)
{
    (void)state;
    assert_int_equal(start_liar("wait-lost"), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
    rig_text(&rig, 0, 0, "ab", ORCD_WANT_LAST);
    assert_int_equal(rig_step(&rig), ORCD_E_DEVICE_LOST);
    struct orcd_memory m;
    struct orcd_stats s;
    uint32_t n;
    assert_int_equal(backend_memory(rig.backend, &m, &err), ORCD_E_DEVICE_LOST);
    assert_int_equal(backend_seq_close(rig.backend, 0, &err), ORCD_E_DEVICE_LOST);
    assert_int_equal(backend_seq_len(rig.backend, 0, &n, &err), ORCD_E_DEVICE_LOST);
    backend_stats(rig.backend, &s);
    assert_int_equal(s.steps, 0); /* the plugin would return 7, but was not called */
    end_liar();
}

/* The host checks its own batches, too: the contract promises valid ones to a plugin. */
static void unsound_batches(void **state)
{
    (void)state;
    assert_int_equal(start_liar("honest"), 0);
    assert_int_equal(backend_seq_open(rig.backend, 0, 64, &err), 0);
#define REFUSED(build)                                                                                       \
    build;                                                                                                   \
    assert_int_equal(rig_submit(&rig), ORCD_E_INVALID)
    const int32_t below[] = {-1}, beyond[] = {RIG_VOCAB}, chained[] = {65, ORCD_TOKEN_CHAINED};
    REFUSED((void)0);
    REFUSED(rig_text(&rig, 1, 0, "a", 0));
    REFUSED(rig_text(&rig, 77, 0, "a", 0));
    REFUSED(rig_text(&rig, 0, 1, "a", 0));
    REFUSED(rig_text(&rig, 0, 0, "", 0));
    REFUSED(rig_text(&rig, 0, 0, "a", 3));
    REFUSED(rig_row(&rig, 0, 0, below, 1, 0, 0));
    REFUSED(rig_row(&rig, 0, 0, beyond, 1, 0, 0));
    REFUSED(rig_row(&rig, 0, 0, chained, 2, 0, 0));
    REFUSED(rig_row(&rig, 0, 0, chained, 1, 1, 3));
    REFUSED(rig_row(&rig, 0, 0, chained, 1, ORCD_WANT_ALL, ORCD_KIND_TOKEN));
    REFUSED(rig_row(&rig, 0, 0, chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOP_LOGPROBS));
    REFUSED(rig_text(&rig, 0, 0, "a", 0); rig_text(&rig, 0, 0, "a", 0));
    char longer[80];
    memset(longer, 'x', sizeof(longer));
    longer[65] = 0;
    REFUSED(rig_text(&rig, 0, 0, longer, 0)); /* the context holds 64 */
    rig_text(&rig, 0, 0, "a", 0);
    assert_int_equal(rig_step(&rig), 0);
    rig.ticket--; /* tickets grow */
    rig_text(&rig, 0, 1, "a", 0);
    assert_int_equal(rig_submit(&rig), ORCD_E_INVALID);
    rig_text(&rig, 0, 1, "a", 0);
    assert_int_equal(rig_submit(&rig), 0);
#ifndef ORCD_DEBUG /* there these are assertions */
    rig_text(&rig, 0, 2, "a", 0);
    assert_int_equal(rig_submit(&rig), ORCD_E_BUSY);
    uint32_t n;
    assert_int_equal(backend_seq_close(rig.backend, 0, &err), ORCD_E_BUSY);
    assert_int_equal(backend_seq_trim(rig.backend, 0, 0, &n, &err), ORCD_E_BUSY);
    assert_int_equal(rig_wait(&rig), 0);
    assert_int_equal(rig_wait(&rig), ORCD_E_INVALID);
#endif
    end_liar();
}

int main(void)
{
    if (getenv("ORCD_PRINT_DIR")) {
        puts(plugin_default_dir());
        return 0;
    }
    log_setup(ORCD_LOG_ERROR, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_bare_name),
        cmocka_unit_test(what_is_there_is_said),
        cmocka_unit_test(names_are_bare),
        cmocka_unit_test(only_safe_files),
        cmocka_unit_test(only_regular_files),
        cmocka_unit_test(errors_of_the_loader_name_the_plugin),
        cmocka_unit_test(plugins_are_told_apart),
        cmocka_unit_test(default_directory),
        cmocka_unit_test(bad_tables),
        cmocka_unit_test(crash_is_a_crash),
        cmocka_unit_test(older_minor_has_no_later_slots),
        cmocka_unit_test(later_plugins_are_cut),
        cmocka_unit_test(values_are_told_in_order),
        cmocka_unit_test(bad_settings),
        cmocka_unit_test(lies_at_start),
        cmocka_unit_test(lies_in_steps),
        cmocka_unit_test(kept_is_not_below_what_was),
        cmocka_unit_test(odd_but_harmless),
        cmocka_unit_test(lies_about_sequences_and_memory),
        cmocka_unit_test(lost_is_lost),
        cmocka_unit_test(unsound_batches),
    };
    return cmocka_run_group_tests_name("plugin host", tests, copy_all, remove_all);
}
