#!/bin/sh
# Targets 3 and 4: training `hlf` and `inclusive`, against PyTorch on one core.
#   peer_torch.sh BUILD
set -eu
build=${1:-build}
skip() { echo "skipped: $*" >&2; exit 77; }
/usr/bin/python3 -c 'import torch, numpy' 2> /dev/null || skip "python3-torch is not installed (sh deploy/deps.sh peers)"
[ -x "$build/tests/peers/ours" ] || skip "$build/tests/peers/ours is not built (make $build/tests/peers/ours)"
core=
! command -v taskset > /dev/null || core="taskset -c $(taskset -cp $$ | sed 's/.*[ ,-]//')"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $core /usr/bin/python3 tests/peers/torch_peer.py "$build" "$folder"
