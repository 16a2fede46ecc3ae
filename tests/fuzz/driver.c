/*
 * Runs a fuzz target without libFuzzer: fuzz-TARGET [--mutations N | --seconds N] PATH...
 *
 * Each PATH is a file or a folder of files: all of them are inputs, in the order of their names. Then come
 * mutations of them, from a fixed seed: N of them, or as many as fit in N seconds of processor time. The
 * input that is being tried is in the file TARGET.input of the working folder, which stays there when the
 * process ends by it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 16384
#define INPUTS_MAX 1024
#define PATH_BYTES 4096

struct input {
    uint8_t *p;
    size_t n;
};

static struct {
    struct input all[INPUTS_MAX];
    size_t n;
    uint64_t random;
    int last; /* the file TARGET.input */
} fuzz = {.random = 0x9e3779b97f4a7c15};

static uint64_t draw(uint64_t below)
{
    fuzz.random ^= fuzz.random << 13;
    fuzz.random ^= fuzz.random >> 7;
    fuzz.random ^= fuzz.random << 17;
    return (fuzz.random * 0x2545f4914f6cdd1d >> 32) % below;
}

static void die(const char *path)
{
    perror(path);
    exit(2);
}

static void add_file(const char *path)
{
    struct input *in = &fuzz.all[fuzz.n];
    FILE *f = fopen(path, "r");
    if (!f || fuzz.n == INPUTS_MAX || !(in->p = malloc(INPUT_MAX)))
        die(path);
    in->n = fread(in->p, 1, INPUT_MAX, f);
    fclose(f);
    fuzz.n++;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void add_path(const char *path)
{
    struct stat st;
    struct dirent **names;
    if (stat(path, &st))
        die(path);
    if (!S_ISDIR(st.st_mode)) {
        add_file(path);
        return;
    }
    int n = scandir(path, &names, is_visible, alphasort);
    if (n < 0)
        die(path);
    for (int i = 0; i < n; i++) {
        char file[PATH_BYTES];
        snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
        add_file(file);
        free(names[i]);
    }
    free(names);
}

static void try(const uint8_t *p, size_t n)
{
    if (pwrite(fuzz.last, p, n, 0) != (ssize_t)n || ftruncate(fuzz.last, (off_t)n))
        die("input");
    LLVMFuzzerTestOneInput(p, n);
}

/* Replaces n_old bytes at `at` by n_new of p. */
static void put(struct input *in, size_t at, size_t n_old, const uint8_t *p, size_t n_new)
{
    if (in->n - n_old + n_new > INPUT_MAX)
        return;
    memmove(in->p + at + n_new, in->p + at + n_old, in->n - at - n_old);
    memcpy(in->p + at, p, n_new);
    in->n = in->n - n_old + n_new;
}

static void mutate_once(struct input *in)
{
    static const uint8_t odd[] = {0, 1, '\t', '\n', '\r', ' ', '"', '\'', '-', '0', '9', ':', ',', '[', '{',
        '}', ']', '\\', '<', '>', '#', '&', '*', '!', 0x7f, 0x80, 0xbf, 0xc2, 0xe2, 0xed, 0xf0, 0xff};
    const struct input *other = &fuzz.all[draw(fuzz.n)];
    size_t at = draw(in->n + 1), left = in->n - at, n = draw((left < 32 ? left : 32) + 1), from;
    uint8_t bytes[32];
    switch (draw(6)) {
    case 0: /* a bit */
        if (left)
            in->p[at] ^= (uint8_t)(1 << draw(8));
        break;
    case 1: /* a byte that often means something */
        bytes[0] = odd[draw(sizeof(odd))];
        put(in, at, draw(2) && left ? 1 : 0, bytes, 1);
        break;
    case 2: /* a part is missing */
        put(in, at, n, bytes, 0);
        break;
    case 3: /* a part comes twice */
        memcpy(bytes, in->p + at, n);
        put(in, draw(in->n + 1), 0, bytes, n);
        break;
    case 4: /* a part of another input */
        from = draw(other->n + 1);
        put(in, at, n, other->p + from, draw(other->n - from + 1));
        break;
    default: /* cut */
        if (draw(4) == 0)
            in->n = at;
    }
}

static void mutate(struct input *in)
{
    const struct input *base = &fuzz.all[draw(fuzz.n)];
    memcpy(in->p, base->p, base->n);
    in->n = base->n;
    for (uint64_t left = 1 + draw(8); left; left--)
        mutate_once(in);
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A target that mostly waits (HTTP) ends after twice as long by the clock. */
static bool time_is_left(double seconds, double start)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID) < seconds &&
           seconds_of(CLOCK_MONOTONIC) - start < 2 * seconds;
}

int main(int argc, char **argv)
{
    unsigned long mutations = 0, n = 0;
    double seconds = 0, start = seconds_of(CLOCK_MONOTONIC);
    char last[PATH_BYTES];
    const char *name = strrchr(argv[0], '/');
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        if (strcmp(argv[i], "--mutations") == 0)
            mutations = strtoul(argv[i + 1], NULL, 10);
        else
            seconds = strtod(argv[i + 1], NULL);
    for (; i < argc; i++)
        add_path(argv[i]);
    if (!fuzz.n)
        return fputs("Usage: fuzz-TARGET [--mutations N | --seconds N] PATH...\n", stderr), 2;
    snprintf(last, sizeof(last), "%s.input", name ? name + 1 : argv[0]);
    fuzz.last = open(last, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct input in = {malloc(INPUT_MAX), 0};
    if (fuzz.last < 0 || !in.p)
        die(last);
    for (size_t k = 0; k < fuzz.n; k++)
        try(fuzz.all[k].p, fuzz.all[k].n);
    for (; n < mutations || (seconds > 0 && time_is_left(seconds, start)); n++) {
        mutate(&in);
        try(in.p, in.n);
    }
    unlink(last);
    printf("%zu inputs, %lu mutations\n", fuzz.n, n);
    for (size_t k = 0; k < fuzz.n; k++)
        free(fuzz.all[k].p);
    free(in.p);
    return 0;
}
