#!/bin/sh
# scripts/gpu-check from a staged tree that was moved, with the cpu plugin in the GPU's place.
set -u
if [ -n "${ORCD_TEST_SANITIZED:-}" ]; then
    echo "1..0 # SKIP a sanitizer's library is larger than the tree may be"
    exit 0
fi
echo 1..7
n=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
check() { # check TEXT COMMAND...
    text=$1
    shift
    n=$((n + 1))
    if "$@"; then
        echo "ok $n - $text"
    else
        echo "not ok $n - $text"
        sed 's/^/# /' "$dir/said" | tail -n 20
    fi
}
contains() { grep -q -e "$1" "$2"; }

stage() { "$ORCD_SRCDIR/scripts/gpu-stage" "$ORCD_BUILDDIR" "$dir/stage" 40 >"$dir/said" 2>&1; }
check "a tree, here for several architectures" stage
mv "$dir/stage" "$dir/elsewhere"
gpu_check() { "$dir/elsewhere/gpu-check" --plugin cpu --size tiny --work "$dir/work" --out "$dir/out" "$@" >"$dir/said" 2>&1; }
check "every part passes or says why not" gpu_check
check "the report has what was measured" contains 'decode x  1' "$dir/out/report.md"
check "the other one too" contains '"part":"speed","state":"pass".*"tokens_per_s"' "$dir/out/report.json"

# A plugin that answers something else: the cpu plugin's logits are compared with the mock's.
cp "$dir/elsewhere/bin/compare-logits" "$dir/real"
printf '#!/bin/sh\nexec "%s" "$1" "$2" "$3" -1\n' "$dir/real" >"$dir/elsewhere/bin/compare-logits"
fails() { ! gpu_check --only models; }
check "an error above the limit fails" fails
check "and is in the report" contains '"part":"models","state":"fail","seconds":[0-9]*,"why":"llama F16: NMSE median' "$dir/out/report.json"
wrong() {
    gpu_check --only nothing
    [ $? -eq 64 ]
}
check "an unknown part is told" wrong
