#!/bin/sh
# Targets 5 and 6: scoring `hlf` and `inclusive` in process, against ONNX Runtime's shared library (it comes in the npm
# package onnxruntime-node, pinned in tests/package-lock.json).
#   peer_onnx.sh BUILD
set -eu
build=${1:-build}
golden=../shared/data/golden
skip() { echo "skipped: $*" >&2; exit 77; }
[ -d "$golden" ] || skip "$golden is not here"
case $(uname -m) in
x86_64) machine=x64 ;;
aarch64) machine=arm64 ;;
*) skip "ONNX Runtime's package has nothing for $(uname -m)" ;;
esac
library=$(find tests/node_modules/onnxruntime-node/bin -path "*/linux/$machine/libonnxruntime.so*" 2> /dev/null | head -n 1)
[ -n "$library" ] || skip "tests/node_modules/onnxruntime-node is missing (sh tests/node-deps.sh)"
[ -x "$build/tests/peers/peer_onnx" ] || skip "$build/tests/peers/peer_onnx is not built (make $build/tests/peers/peer_onnx)"
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 "$build/tests/peers/peer_onnx" "$library" "$golden"
