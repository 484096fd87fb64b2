#!/bin/sh
# The `inclusive` classifier here and in PyTorch on the same rows: macro AUC on the test part, mean of three seeds each;
# and `hlf` on the same events, which it must exceed.  Takes minutes, most of them PyTorch's.
# Needs ../shared/data/large, python3-torch and python3-numpy (deploy/packages.txt, group parity).
#   torch_inclusive.sh BUILD [EPOCHS]
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
epochs=${2:-10}
large=../shared/data/large
[ -d "$large" ] || { echo "skipped: $large is not here"; exit 77; }
/usr/bin/python3 -c 'import torch, numpy' 2> /dev/null || { echo "skipped: python3-torch is not installed (sh deploy/deps.sh parity)"; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$build/tests/parity/parity_inclusive" "$large" "$out" "$epochs" > "$out/ours.json"
/usr/bin/python3 tests/parity/torch_inclusive.py "$out" --epochs "$epochs" > "$out/torch.json"
jq -c '{hlf: .hlf.mean_macro_auc, inclusive: .inclusive.mean_macro_auc, seeds: [.inclusive.runs[].macro_auc],
        seconds: [.inclusive.runs[].train_seconds]}' "$out/ours.json"
jq -c '{torch: .mean_macro_auc, seeds: [.runs[].macro_auc], seconds: [.runs[].train_seconds]}' "$out/torch.json"
jq -n --slurpfile a "$out/ours.json" --slurpfile b "$out/torch.json" '
    ($a[0].inclusive.mean_macro_auc - $b[0].mean_macro_auc) as $d |
    "difference of the means \($d * 100000 | round / 100000), allowed 0.01",
    (if ($d | fabs) < 0.01 then empty else error("too far apart") end),
    (if $a[0].inclusive.mean_macro_auc > $a[0].hlf.mean_macro_auc then empty else error("not above hlf") end)' -r
