#!/bin/sh
# Installs the npm packages that the tests compare with, exactly as tests/package-lock.json pins them, into
# tests/node_modules.  Quick when they are there already.
set -eu
cd "$(dirname "$0")"
stamp=node_modules/.installed-lock
if [ ! -f package-lock.json ]; then
    echo "node-deps: tests/package-lock.json is missing: nothing says which packages" >&2
    exit 1
fi
if cmp -s package-lock.json "$stamp"; then
    exit 0
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "node-deps: node and npm are missing: run  sh deploy/deps.sh test" >&2
    exit 1
fi
# Packages run no scripts of theirs while being installed.
if ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; then
    echo "node-deps: npm ci failed in tests/: is the npm registry reachable, and does the lock fit package.json?" >&2
    exit 1
fi
cp package-lock.json "$stamp"
