#!/bin/sh
# Fuzzes every parser with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.
#   tests/fuzz/run.sh SECONDS [NAME...]      seconds a target; names as in fuzz_NAME.c, default all
# The corpus in the tree is only read.  What breaks a parser lands in build/fuzz/found/NAME/: make it a regression
# file by copying it into tests/fuzz/corpus/NAME/.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [NAME...]}
shift
cc=${CLANG:-clang}
build=build/fuzz
sanitizers=address,undefined
if ! command -v "$cc" >/dev/null; then
    echo "fuzz: $cc is not installed (Debian: apt-get install clang)" >&2
    exit 1
fi
if [ $# -eq 0 ]; then
    for file in tests/fuzz/fuzz_*.c; do
        name=${file##*/fuzz_}
        set -- "$@" "${name%.c}"
    done
fi

flags="-O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=undefined"
make -s BUILD=$build CC="$cc" CFLAGS="$flags -fsanitize=fuzzer-no-link,$sanitizers" \
    $build/libsupport.a $build/libserver.a $build/libdltrigger.a

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=
for name in "$@"; do
    # Without FUZZ_REPLAY a target has no main: libFuzzer brings it.
    # shellcheck disable=SC2046,SC2086
    $cc $flags -fsanitize=fuzzer,$sanitizers -std=gnu17 -D_GNU_SOURCE -I. -pthread -fno-math-errno -ffp-contract=off \
        $(make -s print-PKG_CFLAGS) -o "$build/fuzz_$name" "tests/fuzz/fuzz_$name.c" $build/libsupport.a \
        $build/libserver.a $build/libdltrigger.a $(make -s print-DLT_LIBS)
    mkdir -p "$scratch/$name" "$build/found/$name"
    [ ! -d "tests/fuzz/corpus/$name" ] || cp -R "tests/fuzz/corpus/$name/." "$scratch/$name"
    if "$build/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/found/$name/" "$scratch/$name" >"$build/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log")
        echo "fuzz $name: $runs inputs in $seconds s, nothing found"
    else
        failed="$failed $name"
        echo "fuzz $name: FAILED, input in $build/found/$name/, log in $build/$name.log:"
        tail -n 40 "$build/$name.log"
    fi
done
if [ -n "$failed" ]; then
    echo "fuzz: failed:$failed" >&2
    exit 1
fi
