#!/bin/sh
# Proves that api/openapi.yaml and the route table of the daemon list the same METHOD PATH OPERATION, both ways, and that
# the document's references lead somewhere.  Usage: sh tests/api/check_routes.sh [BUILD_FOLDER]
set -eu
build=${1:-${DLT_BUILD:-build}}
document=api/openapi.yaml
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$build/dltriggerd" --print-routes | sort >"$folder/served"

# Layout of the document: a path at two spaces, a method at four, operationId at six.
awk '
    /^paths:/ { inside = 1; next }
    /^[a-z]/ { inside = 0 }
    !inside { next }
    /^  \/.*:$/ { path = substr($0, 3, length($0) - 3) }
    /^    (get|put|post|delete|patch):$/ { method = toupper(substr($1, 1, length($1) - 1)) }
    /^      operationId: / { print method, path, $2 }
' "$document" | sort >"$folder/described"

if ! diff -u "$folder/described" "$folder/served" >"$folder/difference"; then
    echo "api/openapi.yaml (-) and server/http/routes.c (+) differ:" >&2
    sed -n '3,$p' "$folder/difference" >&2
    exit 1
fi

# "#/components/schemas/Job" must be a line "    Job:" under "  schemas:".
awk '
    /^components:/ { inside = 1; next }
    !inside { next }
    /^  [A-Za-z]+:/ { section = substr($1, 1, length($1) - 1) }
    /^    [A-Za-z0-9]+:/ { name = $1; sub(/:.*/, "", name); print "#/components/" section "/" name }
' "$document" | sort -u >"$folder/defined"
grep -o "#/components/[A-Za-z]*/[A-Za-z0-9]*" "$document" | sort -u >"$folder/used"
dangling=$(comm -13 "$folder/defined" "$folder/used")
if [ -n "$dangling" ]; then
    echo "api/openapi.yaml: references to nowhere: $dangling" >&2
    exit 1
fi

echo "check_routes: $(wc -l <"$folder/served") routes, $(wc -l <"$folder/used") references"
