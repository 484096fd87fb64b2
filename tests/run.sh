#!/bin/sh
# Runs the tests that were built into BUILD:  sh tests/run.sh BUILD [unit]
#   unit programs and corpus replays; then, without "unit", the executable scripts of tests/e2e, tests/parity and
#   tests/api.  A script sees DLT_BUILD and exits 0 (passed), 77 (skipped, its last line says why) or else (failed).
# The last line is "N passed, N failed, N skipped"; logs are in BUILD/test-logs.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:?usage: tests/run.sh BUILD [unit]}
only=${2:-all}
logs=$build/test-logs
rm -rf "$logs"
mkdir -p "$logs" || exit 1
DLT_BUILD=$(cd "$build" && pwd)
export DLT_BUILD
passed=0
failed=0
skipped=0
: >"$logs/failed"
: >"$logs/skipped"

# Counts of one cmocka program from its standard output, as shell assignments; names and reasons go to files.
# What was announced and neither passed nor was skipped has failed, also when the program died under way.
count_cmocka() {
    awk -v program="$2" -v failed_file="$logs/failed" -v skipped_file="$logs/skipped" '
        function close_open() { if (open != "") print "  " program ": " open >>failed_file; open = "" }
        /^\[==========\] Running [0-9]+ test/ { announced += $3 }
        /^\[ RUN      \]/ { close_open(); open = $4; reason = "" }
        /^skipped:/ { reason = $0; sub(/^skipped: */, "", reason) }
        /^\[       OK \]/ { ok++; open = "" }
        /^\[  SKIPPED \]/ {
            skips++
            open = ""
            print "  " program ": " $4 (reason ? " (" reason ")" : "") >>skipped_file
        }
        END { close_open(); printf "ok=%d; skips=%d; bad=%d\n", ok, skips, announced - ok - skips }
    ' "$1"
}

report() {      # outcome, name, remark
    printf '%-7s %s%s\n' "$1" "$2" "${3:+  ($3)}"
}

show_log() {    # file...
    cat "$@" 2>/dev/null | tail -n 40 | sed 's/^/    | /'
}

run_program() { # name, executable
    log=$logs/$(echo "$1" | tr / -)
    if [ ! -x "$2" ]; then
        failed=$((failed + 1))
        echo "  $1: not built" >>"$logs/failed"
        report FAILED "$1" "not built: make BUILD=$build tests"
        return
    fi
    "$2" >"$log.out" 2>"$log.err"
    code=$?
    ok=0 skips=0 bad=0
    eval "$(count_cmocka "$log.out" "$1")"
    if [ "$bad" -eq 0 ] && [ "$code" -ne 0 ]; then
        bad=1
        echo "  $1: ended with status $code" >>"$logs/failed"
    elif [ "$((ok + bad + skips))" -eq 0 ] && grep -q '^fuzz ' "$log.out"; then
        ok=1
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    skipped=$((skipped + skips))
    if [ "$bad" -gt 0 ]; then
        report FAILED "$1" "$ok passed, $bad failed, $skips skipped, status $code"
        show_log "$log.out" "$log.err"
    elif [ "$((ok + skips))" -eq 0 ]; then
        failed=$((failed + 1))
        echo "  $1: no test in it" >>"$logs/failed"
        report FAILED "$1" "no test in it"
    else
        report ok "$1" "$ok passed$([ "$skips" -eq 0 ] || echo ", $skips skipped")"
    fi
}

run_script() {  # path
    log=$logs/$(echo "$1" | tr / -)
    "./$1" >"$log.out" 2>&1 </dev/null
    code=$?
    case $code in
    0)
        passed=$((passed + 1))
        report ok "$1"
        ;;
    77)
        skipped=$((skipped + 1))
        reason=$(grep -v '^ *$' "$log.out" | tail -n 1 | sed 's/^skipped: *//')
        echo "  $1 (${reason:-no reason given})" >>"$logs/skipped"
        report skipped "$1" "${reason:-no reason given}"
        ;;
    *)
        failed=$((failed + 1))
        echo "  $1: ended with status $code" >>"$logs/failed"
        report FAILED "$1" "status $code"
        show_log "$log.out"
        ;;
    esac
}

# Lists come from the sources: a program left over from a removed test does not run, a missing one is noticed.
for source in $(find tests/core tests/server -name 'test_*.c' | sort); do
    name=${source%.c}
    run_program "${name#tests/}" "$build/$name"
done
for source in $(find tests/fuzz -name 'fuzz_*.c' | sort); do
    name=$(basename "$source" .c)
    run_program "fuzz/$name" "$build/tests/fuzz/replay_$name"
done
if [ "$only" != unit ]; then
    for script in tests/e2e/*.sh tests/parity/check_*.sh tests/api/*.sh; do
        [ ! -x "$script" ] || run_script "$script"
    done
fi

echo
[ ! -s "$logs/skipped" ] || { echo "skipped:"; cat "$logs/skipped"; }
[ ! -s "$logs/failed" ] || { echo "failed:"; cat "$logs/failed"; }
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
