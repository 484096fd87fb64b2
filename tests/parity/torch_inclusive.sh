#!/bin/sh
# `inclusive` and `hlf` here and in PyTorch on the same rows of ../shared/data/large (4,800 to learn from, 1,200 to test): macro
# AUC on the test part, mean of three seeds each.  `inclusive` must be above `hlf`, and each within 0.01 of PyTorch's.
# Ours and PyTorch's run side by side, a core each: 16 minutes of CPU time, nearly all of it PyTorch's.
# Needs ../shared/data/large, python3-torch and python3-numpy (deploy/packages.txt, group parity).
#   torch_inclusive.sh BUILD
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
large=../shared/data/large
[ -d "$large" ] || { echo "skipped: $large is not here"; exit 77; }
/usr/bin/python3 -c 'import torch, numpy' 2> /dev/null || { echo "skipped: python3-torch is not installed (sh deploy/deps.sh parity)"; exit 77; }
out=$(mktemp -d)
ours=
trap 'if [ -n "$ours" ]; then kill "$ours" 2> /dev/null || :; fi; rm -rf "$out"' EXIT
"$build/tests/parity/parity_inclusive" "$large" "$out" > "$out/ours.json" &
ours=$!
while [ ! -s "$out/settings.json" ]; do
    kill -0 "$ours" 2> /dev/null || { echo "parity_inclusive failed" >&2; exit 1; }
    sleep 1
done
# Its large tensors come and go with every step: without these the C library gives their memory back each time.
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000 \
    /usr/bin/python3 tests/parity/torch_inclusive.py "$out" "$out/settings.json" > "$out/torch.json"
wait "$ours"
ours=
cat "$out/settings.json"
for model in hlf inclusive; do
    jq -c --arg m "$model" '{($m): .[$m].mean_macro_auc, seeds: [.[$m].runs[].macro_auc], seconds: [.[$m].runs[].train_seconds]}' "$out/ours.json"
    jq -c --arg m "$model" '{($m + " in PyTorch"): .[$m].mean_macro_auc, seeds: [.[$m].runs[].macro_auc], cpu_seconds: .[$m].train_cpu_seconds}' "$out/torch.json"
done
jq -n -r --slurpfile a "$out/ours.json" --slurpfile b "$out/torch.json" '
    $a[0] as $a | $b[0] as $b |
    (("hlf", "inclusive") as $m | ($a[$m].mean_macro_auc - $b[$m].mean_macro_auc) as $d |
     "\($m): difference of the means \($d * 100000 | round / 100000), allowed 0.01",
     (if ($d | fabs) < 0.01 then empty else error("\($m): too far apart") end)),
    "inclusive above hlf by \(($a.inclusive.mean_macro_auc - $a.hlf.mean_macro_auc) * 100000 | round / 100000)",
    (if $a.inclusive.mean_macro_auc > $a.hlf.mean_macro_auc then empty else error("not above hlf") end)'
