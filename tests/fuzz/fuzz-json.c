/* Fuzz target: the JSON scan. The answer is the same wherever the text is cut, and an object that it accepts
 * the parser behind it accepts, too. */
#include "tests/fuzz/fuzz.h"

#include "http/json-in.h"
#include "json/scan.h"

/* In pieces of n_piece bytes. */
static bool scan(const char *text, size_t n, size_t n_piece, const char **error, uint64_t *at)
{
    static const struct json_scan_limits limits = {.max_values = 1000, .max_containers = 100, .max_keys = 50};
    static const uint64_t seed[2] = {1, 2};
    struct json_scan s;
    bool ok = true;
    json_scan_init(&s, &limits, seed);
    for (size_t i = 0; i < n && ok; i += n_piece)
        ok = json_scan_push(&s, text + i, n - i < n_piece ? n - i : n_piece);
    ok = json_scan_finish(&s) && ok;
    *error = s.error;
    *at = s.offset;
    json_scan_release(&s);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 3, 7};
    const char *whole, *cut;
    uint64_t at_whole, at_cut;
    char *text = fuzz_copy(data, size);
    bool ok = scan(text, size, size ? size : 1, &whole, &at_whole);
    PROMISE(ok == !whole);
    PROMISE(at_whole <= size);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        PROMISE(scan(text, size, pieces[i], &cut, &at_cut) == ok);
        PROMISE(whole == cut && at_whole == at_cut);
    }
    if (ok) {
        struct http_error error = {.code = API_OK};
        json_object *root = json_in_parse(text, size, &error);
        PROMISE(!error.code || text[strspn(text, " \t\r\n")] != '{');
        json_object_put(root);
    }
    free(text);
    return 0;
}
