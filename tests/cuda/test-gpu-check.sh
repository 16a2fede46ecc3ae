#!/bin/sh
# scripts/gpu-check from a staged tree that was moved, with the cpu plugin in the GPU's place.
set -u
if [ -n "${ORCD_TEST_SANITIZED:-}" ]; then
    echo "1..0 # SKIP a sanitizer's library is larger than the tree may be"
    exit 0
fi
echo 1..14
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
mv "$dir/real" "$dir/elsewhere/bin/compare-logits"

# A lease that ends in the middle of a part: what was done by then is reported whole, and nothing runs beyond it.
printf '#!/bin/sh\nexec sleep 600\n' >"$dir/elsewhere/bin/bench-infer"
cut() {
    from=$(date +%s)
    gpu_check --lease 30 --only device,golden,speed,serve
    status=$?
    took=$(($(date +%s) - from))
    [ $status -eq 1 ]
}
check "a lease cuts a part" cut
check "in time" test "$took" -le 30
json() { python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
sys.exit({p["part"]: p["state"] for p in r["parts"]} != {"device": "pass", "golden": sys.argv[2], "speed": "cut", "serve": "cut"})' "$dir/out/report.json" "$1"; }
state=pass
[ -f "$dir/elsewhere/shared/data/models/golden.json" ] || state=skip
check "the parts before it are whole, those after it are named" json "$state"
check "report.md is printed last, and short" sh -c 'tail -c "$(wc -c <"$2")" "$1" | cmp -s - "$2" && [ "$(wc -c <"$2")" -le 12000 ]' - "$dir/said" "$dir/out/report.md"
check "at most eight files, the logs in one" sh -c '[ "$(ls -A "$1" | wc -l)" -le 8 ] && tar -tzf "$1/logs.tar.gz" | grep -q logs/speed.log' - "$dir/out"

# So it is when somebody kills it: the parts before are in the report.
killed() {
    "$dir/elsewhere/gpu-check" --plugin cpu --size tiny --work "$dir/work" --out "$dir/out2" --only device,speed >"$dir/said" 2>&1 &
    until contains '^gpu-check: speed' "$dir/said"; do sleep 0.1; done
    kill -9 $! && wait $! 2>/dev/null
    contains '"part":"device","state":"pass"' "$dir/out2/report.json" && contains '| device | pass' "$dir/out2/report.md"
}
check "a kill leaves the report so far" killed
no_tests() {
    rm -rf "$dir/fake" && mkdir -p "$dir/fake/plugins" "$dir/fake/bench" "$dir/fake/tests/cuda"
    for f in orcd bench/synth-model bench/bench-infer bench/compare-logits config.h; do cp "$ORCD_BUILDDIR/$f" "$dir/fake/$f"; done
    cp "$ORCD_BUILDDIR"/plugins/cpu.so "$dir/fake/plugins/" && cp "$dir/fake/plugins/cpu.so" "$dir/fake/plugins/cuda.so"
    ! "$ORCD_SRCDIR/scripts/gpu-stage" "$dir/fake" "$dir/stage2" 40 >"$dir/said" 2>&1 && contains 'no test for the GPU was built' "$dir/said"
}
check "a cuda plugin without its tests is not staged" no_tests
