#include "http/codes.h"

static const struct {
    const char *name;
    int status, retriable;
} codes[API_CODE_COUNT] = {[API_OK] = {"OK", 200, 0},
#define CODE_ROW(code, status, retriable) [API_##code] = {#code, status, retriable},
    API_CODE_MAP(CODE_ROW)
#undef CODE_ROW
};

const char *api_code_name(enum api_code code)
{
    return codes[code].name;
}

int api_code_status(enum api_code code)
{
    return codes[code].status;
}

int api_code_retriable(enum api_code code)
{
    return codes[code].retriable;
}
