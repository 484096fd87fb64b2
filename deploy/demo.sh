#!/bin/sh
# From a fresh checkout to the running demo: installs what is missing, builds, runs the whole chain on sample data.
set -eu
cd "$(dirname "$0")/.."
sh deploy/deps.sh build run demo
exec make -j"$(nproc)" demo
