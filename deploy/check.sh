#!/bin/sh
# From a fresh checkout to the verdict of every test: installs what is missing, builds, checks.
set -eu
cd "$(dirname "$0")/.."
sh deploy/deps.sh build run test
[ ! -f tests/package-lock.json ] || sh tests/node-deps.sh
exec make -j"$(nproc)" check
