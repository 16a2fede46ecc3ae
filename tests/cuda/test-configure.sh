#!/bin/sh
# What configure makes of several releases of nvcc: a stand-in says that it is one of them.
set -u
if [ -n "${ORCD_TEST_SANITIZED:-}" ]; then
    echo "1..0 # SKIP configure is the same with sanitizers"
    exit 0
fi
if [ -f "$ORCD_SRCDIR/config.status" ]; then
    echo "1..0 # SKIP the source tree is configured itself"
    exit 0
fi
echo 1..10
n=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/cuda/bin" "$dir/cuda/lib64" "$dir/build"
cat >"$dir/cuda/bin/nvcc" <<'END'
#!/bin/sh
# FAKE_RELEASE, FAKE_CODES; whether it compresses follows from the release
out= wanted= compress=
for arg; do
    case $arg in
    --version) echo "Cuda compilation tools, release $FAKE_RELEASE, V$FAKE_RELEASE.1" && exit ;;
    --list-gpu-code) for code in $FAKE_CODES; do echo "sm_$code"; done && exit ;;
    --compress-mode=*) compress=1 ;;
    *code=sm_*) wanted="$wanted ${arg##*code=sm_}" ;;
    conftest.nvo) out=$arg ;;
    esac
done
for code in $wanted; do
    case " $FAKE_CODES " in *" $code "*) ;; *) exit 1 ;; esac
done
[ -z "$compress" ] || [ "${FAKE_RELEASE%%.*}" -ge 13 ] || exit 1
echo 'int main(void) { return 0; }' >conftest-nvcc.c && ${CC:-cc} -c -o "$out" conftest-nvcc.c
END
chmod +x "$dir/cuda/bin/nvcc"
ar cr "$dir/cuda/lib64/libcudart_static.a"

old="50 52 53 60 61 62 70 72 75 80 86 87 89 90 90a"
new="75 80 86 87 88 89 90 90a 100 100a 110 103 120 121"
configured() { # RELEASE CODES OPTION...
    (
        FAKE_RELEASE=$1 FAKE_CODES=$2
        export FAKE_RELEASE FAKE_CODES
        shift 2
        cd "$dir/build" && "$ORCD_SRCDIR/configure" --no-create --cache-file=../cache --with-cuda="$dir/cuda" "$@"
    ) >"$dir/said" 2>&1
}
flags() { # the architectures of which there will be code, then PTX; and compression
    sed -n "s/^NVCC_ARCH_FLAGS='\(.*\)'$/\1/p" "$dir/build/config.log" |
        sed 's/-gencode arch=compute_[0-9]*,code=//g; s/  */ /g; s/^ //'
}
report() { # GOOD TEXT
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        flags | sed 's/^/# /'
        tail -n 12 "$dir/said" | sed 's/^/# /'
    fi
}
expect() { # TEXT FLAGS RELEASE CODES OPTION...
    text=$1 flags=$2
    shift 2
    configured "$@" && [ "$(flags)" = "$flags" ]
    report $? "$text"
}
refused() { # TEXT WORDS RELEASE CODES OPTION...
    text=$1 words=$2
    shift 2
    ! configured "$@" && grep -q -e "$words" "$dir/said"
    report $? "$text"
}

expect "12.0 has no 100 and 120, and newer ones take the PTX of 90" \
    "sm_75 sm_80 sm_86 sm_89 sm_90 compute_90" 12.0 "$old"
expect "12.8 has them" \
    "sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120 compute_100 compute_120" 12.8 "$old 100 100a 101 101a 120 120a"
expect "13.0 has no older ones, and compresses" \
    "sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120 compute_100 compute_120 --compress-mode=size" 13.0 "$new"
expect "--with-cuda-arch narrows it" "sm_80 sm_90 compute_90 --compress-mode=size" 13.0 "$new" --with-cuda-arch=80,90
expect "devices of 8.x between two that are listed compile the PTX of the lower one" \
    "sm_75 sm_90 compute_75 compute_90 --compress-mode=size" 13.0 "$new" --with-cuda-arch=75,90
expect "so do those below the second one's minor version" \
    "sm_75 sm_86 compute_75 compute_86 --compress-mode=size" 13.0 "$new" --with-cuda-arch=75,86
expect "the order of the list is of no matter" \
    "sm_80 sm_86 sm_90 compute_90 --compress-mode=size" 13.0 "$new" --with-cuda-arch=90,86,80,90
refused "what nvcc does not know is told" 'knows no sm_100; it knows 50 .* 90 ' 12.0 "$old" --with-cuda-arch=90,100
refused "11.8 is too old" 'no, 12.0 is needed' 11.8 "35 37 $old"
expect "what nobody asked for may be missing" "sm_90 compute_90" 12.0 "90"
