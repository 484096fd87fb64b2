#!/bin/sh
# Parquet files exchanged with other implementations: DuckDB and hyparquet read ours, we read what DuckDB and
# hyparquet-writer write, value by value.
#   DLT_BUILD=build tests/parity/check_parquet_peers.sh
# The peers are npm packages, pinned in tests/package-lock.json: (cd tests && npm ci)
set -eu
cd "$(dirname "$0")/../.."
tool=${DLT_BUILD:-build}/tests/core/parquet/test_roundtrip
skip() {
    echo "skipped: check_parquet_peers: $1"
    exit 77
}
command -v node >/dev/null || skip "node is not installed (Debian: apt-get install nodejs npm)"
[ -d tests/node_modules/@duckdb/node-api ] || skip "tests/node_modules is missing (cd tests && npm ci)"
[ -x "$tool" ] || {
    echo "check_parquet_peers: $tool is not built (make tests)" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
node tests/parity/parquet_peers.mjs "$tool" "$folder"
