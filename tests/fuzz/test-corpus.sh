#!/bin/sh
# Each fuzz target keeps its promises for all of its corpus, and for some mutations of it.
set -u
targets="json time sse config chat params text http"
echo 1..8
n=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
for target in $targets; do
    n=$((n + 1))
    if "$ORCD_BUILDDIR/tests/fuzz/fuzz-$target" --mutations 2000 "$ORCD_SRCDIR/tests/fuzz/corpus/$target" >said 2>&1; then
        echo "ok $n - $target: $(tail -n 1 said)"
    else
        echo "not ok $n - $target"
        sed 's/^/# /' said
        [ ! -f "fuzz-$target.input" ] || od -A d -c "fuzz-$target.input" | head -n 40 | sed 's/^/# /'
    fi
done
