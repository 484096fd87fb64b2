#!/bin/sh
# Proves that includes point downwards only (core/README.md, server/README.md) and that each outside library stays in
# the one file or folder that it belongs to.  Prints a line a violation; exits 1 if there is any.
set -eu
cd "$(dirname "$0")/.."

# Names of sources have no spaces.
# shellcheck disable=SC2046
set -- $(find core server -name '*.[ch]' | sort)
[ $# -gt 0 ] || { echo "layers: no source files found" >&2; exit 1; }     # no files would prove nothing

awk -v n_files="$#" '
function rule(module, below) { arrows[module] = " " module " " below " " }
function library(pattern, where) { n_libraries++; lib_pattern[n_libraries] = pattern; lib_where[n_libraries] = where }
function violation(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; n_violations++ }

# Module of a path in core: its folder, or the name of a public header.
function module_of(path,    part, n) {
    n = split(path, part, "/")
    if (n > 2) return part[2]
    sub(/\.h$/, "", part[2])
    return part[2] == "source" ? "io" : part[2] == "interchange" ? "model" : part[2]
}

function check_ours(path,    mine, theirs) {
    if (path !~ /^(core|server)\//) { violation("\"" path "\" does not start at the project root"); return }
    if (FILENAME ~ /^server\//) {
        if (path ~ /^core\/.*\//) violation("server sees only public headers of core, not \"" path "\"")
        return
    }
    if (path ~ /^server\//) { violation("core knows nothing of the server: \"" path "\""); return }
    mine = module_of(FILENAME)
    theirs = module_of(path)
    if (mine == "work" && path ~ /^core\/[^\/]*$/) return
    if (!(mine in arrows)) violation("module " mine " has no row in tests/layers.sh")
    else if (index(arrows[mine], " " theirs " ") == 0)
        violation(mine " must not include " theirs " (\"" path "\")")
}

function check_outside(path,    i) {
    for (i = 1; i <= n_libraries; i++)
        if (path ~ lib_pattern[i]) {
            if (FILENAME !~ lib_where[i]) violation("<" path "> belongs into " lib_where[i])
            return
        }
    if (path !~ system_headers) violation("<" path "> is a library without a row in tests/layers.sh")
}

BEGIN {
    rule("base", "")
    rule("io", "base")
    rule("codec", "base")
    rule("event", "base")
    rule("parquet", "base io codec")
    rule("root", "base io codec event")
    rule("feature", "base event")
    rule("dataset", "base io codec event feature parquet")
    rule("nn", "base")
    rule("metrics", "base")
    rule("comm", "base")
    rule("sandbox", "base")
    rule("model", "base codec nn feature metrics sandbox")
    rule("work", "base")                                 # and every public header of core

    library("^(cblas|openblas_config|lapacke)[.]h$", "^core/base/blas[.]c$")
    library("^nettle/", "^core/base/sha256[.]c$")
    library("^xxhash[.]h$", "^core/(base/hash[.]c$|codec/)")
    library("^(libdeflate|zlib|lz4.*|zstd.*|lzma|snappy-c)[.]h$", "^core/codec/")
    library("^curl/", "^(core/io/source_https[.]c$|server/live/webhook[.]c$|server/cli/)")
    library("^(hdf5.*|zip)[.]h$", "^core/model/keras_hdf5[.]c$")
    library("^protobuf-c/", "^core/model/onnx[^/]*[.]c$")
    library("^xgboost/", "^core/model/tree_xgboost[.]c$")
    library("^mpi[.]h$", "^core/comm/comm_mpi[.]c$")
    library("^librdkafka/", "^server/stream/")
    library("^sqlite3[.]h$", "^server/store/")
    library("^jansson[.]h$", "^server/json/")
    library("^microhttpd[.]h$", "^server/http/")
    library("^uv[.]h$", "^server/(loop/|main[.]c$)")
    library("^cmocka[.]h$", "^tests/")
    system_headers = "^((sys|netinet|arpa|net|linux|sanitizer)/[a-z0-9_]+|assert|ctype|dirent|dlfcn|errno|fcntl|fenv|" \
        "float|getopt|glob|grp|[a-z]mmintrin|inttypes|limits|locale|malloc|math|netdb|poll|pthread|pwd|sched|semaphore|" \
        "setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|syslog|termios|time|" \
        "unistd)[.]h$"
}

/^[ \t]*#[ \t]*include[ \t]*"/ { split($0, piece, "\""); check_ours(piece[2]); next }
/^[ \t]*#[ \t]*include[ \t]*</ { split($0, piece, /[<>]/); check_outside(piece[2]); next }
/^[ \t]*#[ \t]*include/ { violation("an include that is neither \"...\" nor <...>") }

END {
    printf "layers: %d files, %d violations\n", n_files, n_violations
    exit n_violations > 0
}
' "$@"
