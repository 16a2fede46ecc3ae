#include "bench/ci-baseline.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define MAX_FILE_BYTES (1u << 20)

/* --------------------------------------------------------------------- this build */

#if defined __x86_64__
#define ARCHITECTURE "x86_64"
#elif defined __aarch64__
#define ARCHITECTURE "aarch64"
#else
#define ARCHITECTURE "other"
#endif
#if defined __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* Flags for warnings, debugging and paths do not change the instructions. */
static bool flag_matters(const char *flag)
{
    static const char *const others[] = {"-g", "-W", "-I",
        "-std=", "-ffile-prefix-map=", "-fdebug-prefix-map=", "-fmacro-prefix-map=", "-fdiagnostics"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strncmp(flag, others[i], strlen(others[i])) == 0 && strncmp(flag, "-Wp,", 4) != 0)
            return false;
    return *flag != 0;
}

static json_object *flags_text(void)
{
    char given[] = ORCD_BUILD_FLAGS, kept[sizeof(given) + 16] = "", *rest = given, *flag;
    while ((flag = strsep(&rest, " ")))
        if (flag_matters(flag)) {
            if (*kept)
                strcat(kept, " ");
            strcat(kept, flag);
        }
#ifndef __OPTIMIZE__
    strcat(kept, " (plain)"); /* whatever the flags of configure say */
#endif
    return json_object_new_string(kept);
}

json_object *ci_build(void)
{
    char libc[64];
    json_object *b = json_object_new_object();
    if (!b)
        return NULL;
    snprintf(libc, sizeof(libc), "glibc %s", gnu_get_libc_version());
    json_object_object_add(b, "architecture", json_object_new_string(ARCHITECTURE));
    json_object_object_add(b, "compiler", json_object_new_string(COMPILER));
    json_object_object_add(b, "flags", flags_text());
    json_object_object_add(b, "libc", json_object_new_string(libc));
    json_object_object_add(b, "json-c", json_object_new_string(json_c_version()));
    return b;
}

/* ---------------------------------------------------------------------- the file */

static int read_all(const char *path, char **text, struct orcd_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return error_set_errno(
            err, errno == ENOENT ? ORCD_E_NOT_FOUND : ORCD_E_IO, errno, "cannot read %s", path);
    char *buf = calloc(1, MAX_FILE_BYTES + 1);
    size_t n = buf ? fread(buf, 1, MAX_FILE_BYTES + 1, f) : 0;
    bool failed = !buf || ferror(f) || n > MAX_FILE_BYTES;
    fclose(f);
    if (failed) {
        free(buf);
        return error_set(
            err, ORCD_E_IO, "cannot read %s: read error, or more than %u bytes", path, MAX_FILE_BYTES);
    }
    *text = buf;
    return 0;
}

static json_object *list_of(json_object *file)
{
    json_object *list;
    return json_object_object_get_ex(file, "baselines", &list) && json_object_is_type(list, json_type_array)
               ? list
               : NULL;
}

int ci_baseline_read(json_object **out, const char *path, bool absent_ok, struct orcd_error *err)
{
    char *text = NULL;
    int rc = read_all(path, &text, err);
    if (rc == ORCD_E_NOT_FOUND && absent_ok) {
        *out = json_object_new_object();
        json_object_object_add(*out, "baselines", json_object_new_array());
        return 0;
    }
    if (rc)
        return rc;
    json_object *file = json_tokener_parse(text);
    free(text);
    if (!json_object_is_type(file, json_type_object) || !list_of(file)) {
        json_object_put(file);
        return error_set(err, ORCD_E_INVALID, "%s is not a file of baselines", path);
    }
    *out = file;
    return 0;
}

static bool same_build(json_object *baseline, json_object *build)
{
    json_object *theirs;
    return json_object_object_get_ex(baseline, "build", &theirs) && json_object_equal(theirs, build);
}

static json_object *baseline_of(json_object *file, json_object *build)
{
    json_object *list = list_of(file);
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (same_build(json_object_array_get_idx(list, i), build))
            return json_object_array_get_idx(list, i);
    return NULL;
}

json_object *ci_baseline_cases(json_object *file, json_object *build)
{
    json_object *b = baseline_of(file, build), *cases;
    return b && json_object_object_get_ex(b, "cases", &cases) && json_object_is_type(cases, json_type_object)
               ? cases
               : NULL;
}

void ci_baseline_explain(json_object *file, json_object *build, FILE *out)
{
    json_object *list = list_of(file), *theirs;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        fprintf(out, "baseline %zu differs:\n", i + 1);
        if (!json_object_object_get_ex(json_object_array_get_idx(list, i), "build", &theirs) ||
            !json_object_is_type(theirs, json_type_object))
            continue;
        json_object_object_foreach(build, key, ours)
        {
            json_object *other = json_object_object_get(theirs, key);
            if (!json_object_equal(ours, other))
                fprintf(out, "  %s: %s, here: %s\n", key, other ? json_object_get_string(other) : "unknown",
                    json_object_get_string(ours));
        }
    }
}

bool ci_baseline_ratio(json_object *cases, const char *name, double *ratio)
{
    json_object *c, *v;
    if (!json_object_object_get_ex(cases, name, &c) || !json_object_object_get_ex(c, "ratio", &v))
        return false;
    double x = json_object_get_double(v);
    if (!isfinite(x) || x <= 0)
        return false;
    *ratio = x;
    return true;
}

/* -------------------------------------------------------------------- new counts */

json_object *ci_baseline_add(json_object *file, json_object *build, bool afresh)
{
    json_object *b = baseline_of(file, build), *cases = afresh ? NULL : ci_baseline_cases(file, build);
    if (cases)
        return cases;
    if (!b) {
        b = json_object_new_object();
        json_object_object_add(b, "build", json_object_get(build));
        json_object_array_add(list_of(file), b);
    }
    cases = json_object_new_object();
    json_object_object_add(b, "cases", cases);
    return cases;
}

static json_object *number(double v, const char *fmt)
{
    char text[64];
    snprintf(text, sizeof(text), fmt, v);
    return json_object_new_double_s(v, text);
}

void ci_baseline_set(json_object *cases, const char *name, double instructions, double ratio)
{
    json_object *c = json_object_new_object();
    json_object_object_add(c, "instructions", number(instructions, "%.1f"));
    json_object_object_add(c, "ratio", number(ratio, "%.4f"));
    json_object_object_add(cases, name, c);
}

int ci_baseline_write(json_object *file, const char *path, struct orcd_error *err)
{
    char beside[4096];
    if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >= sizeof(beside))
        return error_set(err, ORCD_E_INVALID, "the path of the baseline is too long");
    const char *text = json_object_to_json_string_ext(
        file, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
    FILE *f = text ? fopen(beside, "we") : NULL;
    bool ok = f && fprintf(f, "%s\n", text) > 0;
    ok = (f && !fclose(f)) && ok;
    if (ok && !rename(beside, path))
        return 0;
    int why = errno;
    unlink(beside);
    return error_set_errno(err, ORCD_E_IO, why, "cannot write %s", path);
}
