#!/bin/sh
# The `hlf` classifier here and in PyTorch on the same rows: macro AUC on the test part, mean of five seeds each.
# Needs ../shared/data/large, python3-torch and python3-numpy (deploy/packages.txt, group parity).  `make parity` runs it.
#   torch_hlf.sh BUILD [EPOCHS]
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
epochs=${2:-30}
large=../shared/data/large
[ -d "$large" ] || { echo "skipped: $large is not here"; exit 77; }
/usr/bin/python3 -c 'import torch, numpy' 2> /dev/null || { echo "skipped: python3-torch is not installed (sh deploy/deps.sh parity)"; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$build/tests/parity/parity_hlf" "$large" "$out" "$epochs" > "$out/ours.json"
OMP_NUM_THREADS=1 /usr/bin/python3 tests/parity/torch_hlf.py "$out" --epochs "$epochs" > "$out/torch.json"
jq -c '{ours: .mean_macro_auc, seeds: [.runs[].macro_auc]}' "$out/ours.json"
jq -c '{torch: .mean_macro_auc, seeds: [.runs[].macro_auc]}' "$out/torch.json"
jq -n --slurpfile a "$out/ours.json" --slurpfile b "$out/torch.json" '
    ($a[0].mean_macro_auc - $b[0].mean_macro_auc) as $d |
    "difference of the means \($d * 100000 | round / 100000), allowed 0.005", (if ($d | fabs) < 0.005 then empty else error("too far apart") end)' -r
