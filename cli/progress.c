#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define BAR 30

bool progress_wanted(void)
{
    return isatty(STDERR_FILENO);
}

bool cli_can_print(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, timeout_ms) == 1;
}

void progress_show(const char *what, double fraction)
{
    char bar[BAR + 1];
    if (!cli_can_print(STDERR_FILENO, 0)) /* a terminal that was stopped must not stop us */
        return;
    int full = (int)(fraction * BAR);
    memset(bar, ' ', BAR);
    memset(bar, '#', (size_t)(full < 0 ? 0 : full > BAR ? BAR : full));
    bar[BAR] = 0;
    fprintf(stderr, "\r%s [%s] %3.0f %%", what, bar, fraction * 100);
    fflush(stderr);
}

void progress_clear(void)
{
    if (!cli_can_print(STDERR_FILENO, 0))
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

void cli_print_text(FILE *out, const char *text, size_t n)
{
    bool terminal = isatty(fileno(out));
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)text[i];
        bool c1 = ch == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0; /* U+0080..U+009F */
        if (terminal && ((ch < 0x20 && ch != '\n' && ch != '\t') || ch == 0x7f))
            ch = '?';
        if (terminal && c1) {
            ch = '?';
            i++;
        }
        putc(ch, out);
    }
}
