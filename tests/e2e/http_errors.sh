#!/bin/sh
# Errors as a client sees them: starts the daemon on a folder of its own and a free port, asks for everything that can be
# asked wrongly, and stops it with SIGTERM.  Usage: sh tests/e2e/http_errors.sh [BUILD_FOLDER]
set -eu
[ $# -eq 0 ] || DLT_BUILD=$1
. tests/e2e/service.sh
failed=0

mkdir "$folder/roots" "$folder/outside"
echo "not a ROOT file" >"$folder/roots/text.root"
echo "secret" >"$folder/outside/secret.root"
ln -s "$folder/outside/secret.root" "$folder/roots/link.root"
service_start --data-root "$folder/roots"
base=$server

# Goes on, so that one run shows all that is wrong.
wrong() {
    echo "http_errors: $1" >&2
    failed=1
}

# refuses NAME STATUS CODE CURL_ARGUMENTS...: the answer is a complete problem document; it stays in $folder/body.
refuses() {
    name=$1 status=$2 code=$3
    shift 3
    got=$(curl -sS -o "$folder/body" -D "$folder/head" -w '%{http_code} %{content_type}' "$@") || got="curl failed"
    if [ "$got" != "$status application/problem+json" ]; then
        wrong "$name: $got instead of $status: $(head -c 300 "$folder/body")"
        return
    fi
    jq -e --arg code "$code" --argjson status "$status" '
        .code == $code and .status == $status and (.type | startswith("/problems/")) and (.title | length > 0) and
        (.detail | length > 0) and (.instance | contains("#")) and (.errors | type == "array") and
        (.request_id | length > 0) and (.retryable | type == "boolean")' "$folder/body" >/dev/null ||
        wrong "$name: not the problem $code: $(head -c 300 "$folder/body")"
    if grep -q "$folder" "$folder/body"; then
        wrong "$name: the answer names a folder of the server: $(cat "$folder/body")"
    fi
    type=$(jq -r .type "$folder/body")
    curl -sS -f -o /dev/null "$base$type" || wrong "$name: no page at $type"
}

# has NAME JQ_FILTER: about the last answer.
has() {
    jq -e "$2" "$folder/body" >/dev/null || wrong "$1: $2 does not hold: $(cat "$folder/body")"
}

refuses "JSON cut short" 400 malformed_json "$base/api/v1/jobs" -d '{"kind":'
has "JSON cut short" '.detail | test("line 1")'
refuses "a key twice" 400 malformed_json "$base/api/v1/jobs" -d '{"kind":"noop","kind":"train"}'
refuses "no body" 400 malformed_json -X POST "$base/api/v1/jobs"
refuses "not an object" 422 invalid_request "$base/api/v1/jobs" -d '[1,2]'

refuses "unknown member" 422 invalid_request "$base/api/v1/jobs" \
    -d '{"kind":"features","spec":{"dataset":"ds_1","recipee":"topology-1"}}'
has "unknown member" '.errors[0].pointer == "/spec/recipee" and .errors[0].code == "unknown_member"'
has "unknown member" '.errors[0].detail | test("recipe")'
refuses "unknown top member" 422 invalid_request "$base/api/v1/jobs" -d '{"kind":"features","sepc":{}}'
has "unknown top member" '[.errors[].pointer] | index("/sepc") != null'
refuses "unknown kind" 422 invalid_request "$base/api/v1/jobs" -d '{"kind":"explode","spec":{}}'
has "unknown kind" '.errors[0].pointer == "/kind"'
refuses "two things wrong" 422 invalid_request "$base/api/v1/jobs" \
    -d '{"kind":"train","spec":{"dataset":"ds_1","params":{"epochs":-3,"learning_rate":"fast"}}}'
has "two things wrong" '.errors | length >= 2'
refuses "wrong reference" 422 invalid_request "$base/api/v1/pipelines" \
    -d '{"name":"p","steps":[{"id":"a","kind":"train","spec":{"dataset":"$nobody.dataset_id"}}]}'

refuses "path outside" 403 path_forbidden "$base/api/v1/files:inspect" -d '{"path":"/etc/passwd"}'
refuses "path upwards" 403 path_forbidden "$base/api/v1/files:inspect" -d '{"path":"../outside/secret.root"}'
refuses "link outside" 403 path_forbidden "$base/api/v1/files:inspect" -d '{"path":"link.root"}'
refuses "no such path outside" 403 path_forbidden "$base/api/v1/files:inspect" -d '{"path":"/nowhere/at/all"}'
refuses "no such file" 404 not_found "$base/api/v1/files:inspect" -d '{"path":"absent.root"}'
refuses "wrong content" 422 unreadable_file "$base/api/v1/files:inspect" -d '{"path":"text.root"}'
refuses "path with control" 422 invalid_request "$base/api/v1/files:inspect" -d '{"path":"a\u0007b"}'

for path in /nothing /api/v1/Jobs /api/v1/jobs/ //healthz /healthz/ /api/v1/jobs/a:explode /api/v1/../v1/info /v2/nothing; do
    refuses "$path" 404 unknown_route --path-as-is "$base$path"
done
for path in /api/v1/jobs/job_none /api/v1/pipelines/pl_none /api/v1/datasets/ds_none /api/v1/models/none \
    /api/v1/models/none/versions/1 /api/v1/models/none/versions/1/artifact /api/v1/evaluations/ev_none \
    /api/v1/recipes/none /api/v1/menus/none/revisions/1 /api/v1/menus/none/revisions/x /problems/none; do
    refuses "$path" 404 not_found "$base$path"
done
refuses "cancel nothing" 404 not_found -X POST "$base/api/v1/jobs/job_none:cancel"
refuses "activate nothing" 404 not_found -X POST -H 'If-Match: *' "$base/api/v1/menus/none/revisions/1:activate"
refuses "activate unseen" 428 precondition_required -X POST "$base/api/v1/menus/none/revisions/1:activate"
grep -qi '^etag: "0"' "$folder/head" || wrong "activate unseen: $(grep -i '^etag' "$folder/head")"
refuses "activate stale" 412 precondition_failed -X POST -H 'If-Match: "5"' "$base/api/v1/menus/none/revisions/1:activate"
refuses "roll nothing back" 409 conflict -X POST -H 'If-Match: *' "$base/api/v1/menus:rollback"

refuses "wrong method" 405 method_not_allowed -X DELETE "$base/api/v1/jobs"
grep -qi '^allow: GET, POST, HEAD' "$folder/head" || wrong "wrong method: $(grep -i '^allow' "$folder/head")"
refuses "multipart" 415 unsupported_media_type -F file=@"$folder/roots/text.root" "$base/api/v1/jobs"
head -c 1100000 /dev/zero | tr '\0' ' ' >"$folder/big"
refuses "too large" 413 body_too_large --data-binary @"$folder/big" "$base/api/v1/jobs"
has "too large" '.limit_bytes == 1048576'
refuses "escaped NUL" 400 malformed_request "$base/healthz%00z"
refuses "unknown query" 400 invalid_query "$base/api/v1/jobs?limt=3"
refuses "query where none is taken" 400 invalid_query "$base/api/v1/recipes/topology-1?x=1"
refuses "dry run" 400 invalid_query "$base/api/v1/jobs?dry_run=maybe" -d '{"kind":"train","spec":{"dataset":"ds_1"}}'
refuses "bad limit" 400 invalid_query "$base/api/v1/jobs?limit=0"
refuses "bad state" 400 invalid_query "$base/api/v1/jobs?state=sleeping"
refuses "bad cursor" 400 invalid_cursor "$base/api/v1/jobs?cursor=xyz"
refuses "public name" 403 host_not_allowed -H 'Host: rebind.example.net' "$base/healthz"
refuses "other origin" 403 cross_origin -H 'Origin: http://evil.example' "$base/api/v1/jobs" -d '{}'

refuses "no menu" 409 no_active_menu "$base/api/v1/trigger/decisions" \
    -d '{"schema":"hlf/1","hlf":[229.2,63.2,1.07,10473.1,4,2,41.7,0.62,-1.91,0,0,0,-1,1]}'
refuses "no event" 400 malformed_json "$base/api/v1/trigger/decisions" -d '{"schema":'
refuses "half an event" 422 invalid_event "$base/api/v1/trigger/decisions" -d '{"schema":"hlf/1","hlf":[1,2,3]}'
refuses "bad menu" 422 invalid_request "$base/api/v1/menus" -d '{"name":"a b","paths":[]}'
has "bad menu" '.errors | length >= 1'

curl -sS -f "$base/readyz" | jq -e '.status == "ready"' >/dev/null || wrong "not ready after all this"
curl -sS -f "$base/metrics" >"$folder/metrics"
grep -q 'dltrigger_http_requests_total{route="/api/v1/jobs",method="POST",code="422"}' "$folder/metrics" ||
    wrong "metrics do not count the refusals"

service_stop
[ ! -e "$folder/address" ] || wrong "the port file is still there"
status=0
"$DLT_BUILD/dltriggerd" --no-such-flag 2>/dev/null || status=$?
[ $status -eq 2 ] || wrong "unknown flag: status $status"
status=0
"$DLT_BUILD/dltriggerd" --data-dir "$folder/data" --listen 0.0.0.0:0 2>"$folder/log" || status=$?
[ $status -eq 2 ] || wrong "listening for everybody: status $status"
grep -q loopback "$folder/log" || wrong "no word on loopback: $(cat "$folder/log")"

# Draining: still served, told to go elsewhere; a second signal does not wait for the grace to be over.
service_start --drain-grace-seconds 600
base=$server
kill -TERM "$pid"
until [ "$(curl -sS -o "$folder/body" -D "$folder/head" -w '%{http_code}' "$base/readyz")" = 503 ]; do sleep 0.1; done
has "draining" '.status == "draining"'
grep -qi '^connection: close' "$folder/head" || wrong "draining: no Connection: close"
[ "$(curl -sS "$base/healthz")" = ok ] || wrong "draining: healthz is not ok"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
pid=
[ $status -eq 143 ] || wrong "second SIGTERM: status $status"

[ $failed -eq 0 ] && echo "http_errors: ok"
exit $failed
