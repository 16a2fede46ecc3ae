# include/orcd/plugin.h compiles without warnings in each language that it supports.
cc=$(sed -n 's/^CC = //p' "$ORCD_BUILDDIR/Makefile")
cxx=
for c in "${CXX:-c++}" g++ clang++; do
    command -v "$c" >/dev/null 2>&1 && cxx=$c && break
done
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
echo 1..6
n=0

# try TEXT SOURCE FILE COMMAND...
try() {
    n=$((n + 1))
    text=$1
    printf '%s\n' "$2" >"$dir/$3"
    shift 3
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $n - $text"
    else
        sed 's/^/# /' "$dir/log"
        echo "not ok $n - $text"
    fi
}

twice='#include <orcd/plugin.h>
#include <orcd/plugin.h>
int main(void) { return orcd_plugin_v1 == 0; }'
object='#include <orcd/plugin.h>
#include <orcd/plugin.h>
extern struct orcd_plugin orcd_table;
struct orcd_plugin orcd_table;'
strict="-pedantic -Wall -Wextra -Werror -I$ORCD_SRCDIR/include"
for std in c99 c11 c17; do
    # shellcheck disable=SC2086
    try "$std" "$object" t.c $cc -std=$std $strict -c -o "$dir/t.o" "$dir/t.c"
done
if test -n "$cxx"; then
    # shellcheck disable=SC2086
    try c++17 "$object" t.cc "$cxx" -std=c++17 $strict -c -o "$dir/t.o" "$dir/t.cc"
else
    n=$((n + 1))
    echo "ok $n - c++17 # SKIP no C++ compiler"
fi
# shellcheck disable=SC2016
try "it needs nothing of the system but stdint.h and stddef.h" "$twice" t.c \
    sh -c "! $cc"' -E -I"$1/include" "$2" | grep -E "^# [0-9]+ \".*/(stdio|stdlib|string)\.h\""' - "$ORCD_SRCDIR" "$dir/t.c"
# The assertions pin the offsets: a new slot in the middle is noticed.
sed 's|^    int32_t (\*init)(|    void (*middle)(void);\n&|' "$ORCD_SRCDIR/include/orcd/plugin.h" >"$dir/plugin.h"
# shellcheck disable=SC2016
try "a slot in the middle of the table does not compile" '#include "plugin.h"' u.c \
    sh -c "! $cc"' -std=c11 -c -o "$1/u.o" "$1/u.c"' - "$dir"
