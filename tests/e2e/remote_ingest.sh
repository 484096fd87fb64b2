#!/bin/sh
# Files read by http:// give the same dataset bytes as from disk; a host that nobody allowed is refused.
set -eu
. tests/e2e/service.sh
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }

# A plain HTTP server (without ranges: the sources fall back to a temporary file) on a free loopback port.
python3 -u - > "$folder/http-port" 2> /dev/null <<'PY' &
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="tests/fixtures/sample")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
http_pid=$!
trap 'kill "$http_pid" 2> /dev/null; service_cleanup' EXIT
for _ in $(seq 100); do [ -s "$folder/http-port" ] && break; sleep 0.1; done
host=127.0.0.1:$(cat "$folder/http-port")

spec() { printf '{"kind":"ingest","spec":{"inputs":[{"path":"%s/qcd_1.root","label":"qcd"},{"path":"%s/ttbar.root","label":"tt"},{"path":"%s/wlnu.root","label":"wjets"}]}}' "$1" "$1" "$1"; }
content() { get "/api/v1/datasets/$(wait_final "$1" | jq -r .result.dataset_id)" | jq -r .content_sha256; }

service_start
job=$(post /api/v1/jobs "$(spec "http://$host")" | jq -r .id)
refused=$(wait_final "$job")
expect "a host that is not allowed ends the job" "$(printf '%s' "$refused" | jq -r .state)" discarded
expect "and the error names the setting" "$(printf '%s' "$refused" | jq '.errors[-1].detail | test("source_host")')" true
service_stop

service_start --source-host "$host"
here=$(content "$(post /api/v1/jobs "$(spec "$PWD/tests/fixtures/sample")" | jq -r .id)")
there=$(content "$(post /api/v1/jobs "$(spec "http://$host")" | jq -r .id)")
expect "the same bytes by http as from disk" "$there" "$here"
service_stop
