#!/bin/sh
# Target 2: the columns of the pipeline out of a Delphes file into memory, against JSROOT (npm, pinned in
# tests/package-lock.json), one core each, five alternating runs; and the share of our time inside the decompressor.
#   peer_root.sh BUILD
set -eu
build=${1:-build}
file=tests/fixtures/sample/ttbar.root
skip() { echo "skipped: $*" >&2; exit 77; }
command -v node > /dev/null || skip "node is not installed (sh deploy/deps.sh test)"
[ -d tests/node_modules/jsroot ] || skip "tests/node_modules/jsroot is missing (sh tests/node-deps.sh)"
[ -x "$build/tests/bench/bench_root" ] || skip "$build/tests/bench/bench_root is not built (make $build/tests/bench/bench_root)"
core=
! command -v taskset > /dev/null || core="taskset -c $(taskset -cp $$ | sed 's/.*[ ,-]//')"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for run in 1 2 3 4 5; do
    $core "$build/tests/bench/bench_root" "$file" > "$folder/lines"
    awk -F '\t' '$2 == "root_events" { print $5 }' "$folder/lines" >> "$folder/ours"
    awk -F '\t' '$2 == "root_decompress" { print $7 }' "$folder/lines" >&2
    $core node tests/peers/root_js.mjs "$file" >> "$folder/theirs"
    echo "run $run: $(tail -n 1 "$folder/ours") and JSROOT $(tail -n 1 "$folder/theirs") events a second" >&2
done
median() { sort -n "$1" | sed -n 3p; }
ours=$(median "$folder/ours")
theirs=$(median "$folder/theirs")
printf 'peer\t2\troot_columns\t%s\tJSROOT\t%s\t%s\n' "$ours" "$theirs" \
    "$(awk "BEGIN { printf \"%.1f\", $ours / $theirs }")"
