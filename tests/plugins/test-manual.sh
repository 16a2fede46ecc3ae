# The plugin that orcd-plugin(3) prints is complete: it compiles with nothing but the
# public header, the host takes it, and it generates.
pod="$ORCD_SRCDIR/man/orcd-plugin.pod"
cc=$(sed -n 's/^CC = //p' "$ORCD_BUILDDIR/Makefile")
flags=$(sed -n 's/^ORCD_LDFLAGS = //p' "$ORCD_BUILDDIR/Makefile" | tr ' ' '\n' | grep -e -fsanitize | tr '\n' ' ')
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
echo 1..3

sed -n '/^=for comment begin echo.c/,/^=for comment end echo.c/p' "$pod" | sed -e '/^=/d' -e 's/^ //' >"$dir/echo.c"
test "$(wc -l <"$dir/echo.c")" -gt 100 || echo "Bail out! no program in $pod"
# shellcheck disable=SC2086
if $cc -std=c11 -pedantic -Wall -Wextra -Werror $flags -I"$ORCD_SRCDIR/include" -fPIC -shared \
    -fvisibility=hidden -o "$dir/echo.so" "$dir/echo.c" >"$dir/log" 2>&1; then
    echo "ok 1 - the manual's plugin compiles without a warning"
else
    sed 's/^/# /' "$dir/log"
    echo "not ok 1 - the manual's plugin compiles without a warning"
fi
chmod 755 "$dir/echo.so"
said=$("$ORCD_BUILDDIR/tests/plugins/say" "$dir" echo "Hello" 8 2>&1)
if test "$said" = oooooooo; then
    echo "ok 2 - it generates"
else
    echo "# $said"
    echo "not ok 2 - it generates"
fi
# What the manual promises of the exported symbols.
if test "$(nm -D --defined-only "$dir/echo.so" | awk '{print $3}' | grep -v '^_\|asan\|ubsan\|tsan')" = orcd_plugin_v1; then
    echo "ok 3 - it exports one symbol"
else
    echo "not ok 3 - it exports one symbol"
fi
