# Plugins of former releases still load and generate; README.md describes how they get here.
# ORCD_OLD_PLUGINS names another folder of them.
set -- "${ORCD_OLD_PLUGINS:-$ORCD_SRCDIR/tests/abi}"/*.so
if ! test -e "$1"; then
    echo "1..0 # SKIP no plugin of a former release is stored"
    exit 0
fi
if test "$(uname -m)" != x86_64; then
    echo "1..0 # SKIP they are for x86_64"
    exit 0
fi
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
echo "1..$#"
n=0
for so; do
    n=$((n + 1))
    name=$(basename "$so" .so)
    cp "$so" "$dir/$name.so"
    chmod 755 "$dir/$name.so"
    said=$("$ORCD_BUILDDIR/tests/plugins/say" "$dir" "$name" "Hello" 40 2>&1)
    status=$?
    if test $status = 0 && test ${#said} -ge 30; then
        echo "ok $n - $name"
    else
        echo "# $said"
        echo "not ok $n - $name"
    fi
done
