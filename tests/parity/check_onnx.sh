#!/bin/sh
# Every network as ONNX: onnx.checker accepts it, and ONNX Runtime answers as we do.
#   DLT_BUILD=build tests/parity/check_onnx.sh
# The peers: Debian's python3-onnx (sh deploy/deps.sh test) and the npm package onnxruntime-node, pinned in
# tests/package-lock.json (sh tests/node-deps.sh).
set -eu
cd "$(dirname "$0")/../.."
tool=${DLT_BUILD:-build}/tests/core/model/test_onnx
skip() {
    echo "skipped: check_onnx: $1"
    exit 77
}
python=/usr/bin/python3         # Debian's: it sees Debian's packages
"$python" -c 'import onnx' 2>/dev/null || skip "python3-onnx is not installed (Debian: apt-get install python3-onnx)"
command -v node >/dev/null || skip "node is not installed (Debian: apt-get install nodejs npm)"
[ -d tests/node_modules/onnxruntime-node ] || skip "onnxruntime-node is missing (sh tests/node-deps.sh)"
[ -x "$tool" ] || {
    echo "check_onnx: $tool is not built (make tests)" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$tool" --write "$folder"
"$python" tests/parity/onnx_checker.py "$folder"
node tests/parity/onnx_peer.mjs "$folder"
