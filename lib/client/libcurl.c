#include <config.h>

#include "client/libcurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

#define VERSION_LEAST 0x075700 /* 7.87.0, as configure.ac: CURLOPT_QUICK_EXIT */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct libcurl table;
static bool usable;
static struct orcd_error failure = ORCD_ERROR_INIT;

static bool find(void *library)
{
#define X(name)                                                                                              \
    *(void **)&table.name = dlsym(library, "curl_" #name);                                                   \
    if (!table.name)                                                                                         \
        return false;
    LIBCURL_FUNCTIONS(X)
#undef X
    return true;
}

static void load(void)
{
    void *library = dlopen(ORCD_LIBCURL, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        error_set(&failure, ORCD_E_UNSUPPORTED,
            "libcurl is needed and cannot be loaded (Debian package %s): %s", ORCD_LIBCURL_PACKAGE,
            dlerror());
        return;
    }
    usable = find(library) && table.version_info(CURLVERSION_NOW)->version_num >= VERSION_LEAST &&
             table.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!usable)
        error_set(
            &failure, ORCD_E_UNSUPPORTED, "%s cannot be used: libcurl 7.87 or newer is needed", ORCD_LIBCURL);
}

const struct libcurl *libcurl_load(struct orcd_error *err)
{
    pthread_once(&once, load);
    if (usable)
        return &table;
    error_set(err, failure.code, "%s", failure.msg);
    return NULL;
}
