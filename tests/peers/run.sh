#!/bin/sh
# Compares with the programs that people would otherwise use, each on this machine, in turns with ours, in one run.
#   tests/peers/run.sh BUILD [NAME...]      names as in peer_NAME.sh, default all
# Standard output: lines  peer  TARGET  NAME  OURS_PER_S  PEER  PEER_PER_S  RATIO  (tabs; medians of at least five runs).
# Standard error: all else, and at the end the ratios that were asked for.  PEERS_SECONDS=0.3 makes runs
# shorter, and the figures rougher.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
[ $# -eq 0 ] || shift
sh tests/node-deps.sh >&2 || echo "bench-peers: npm packages are missing, what needs them is skipped" >&2
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
failed=
run() {
    echo "== ${1##*/}" >&2
    status=0
    "$1" "$build" > "$lines.one" || status=$?
    cat "$lines.one"
    cat "$lines.one" >> "$lines"
    rm -f "$lines.one"
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || failed="$failed ${1##*/}"
}
if [ $# -gt 0 ]; then
    for name in "$@"; do
        run "tests/peers/peer_$name.sh"
    done
else
    for script in tests/peers/peer_*.sh; do
        run "$script"
    done
fi
awk -F '\t' '
    BEGIN {
        asked["3 train_hlf_128"] = 15; asked["3 train_hlf_1024"] = 4
        asked["4 train_inclusive_dense"] = 3.5
        asked["2 root_columns"] = 10
        asked["5 score_hlf_1"] = 12; asked["5 score_hlf_32"] = 3.5; asked["5 score_hlf_1024"] = 2
        asked["6 score_inclusive_1"] = 2; asked["6 score_inclusive_32"] = 2.5; asked["6 score_inclusive_32_two_cores"] = 3.5
    }
    { key = $2 " " $3
      printf "%-8s %-32s %8s x %-14s %s\n", $2, $3, $7, $5,
          key in asked ? "asked " asked[key] ($7 + 0 >= asked[key] ? ": met" : ": NOT met") : "" }
' "$lines" >&2
[ -z "$failed" ] || { echo "bench-peers: failed:$failed" >&2; exit 1; }
