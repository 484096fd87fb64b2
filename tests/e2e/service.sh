# tests/e2e/service.sh: sourced by the end-to-end tests.  Starts dltriggerd on a free loopback port in a folder of its
# own, and stops only that process.
#   service_start [flags...]     service_stop     service_kill     $server  $folder  $pid
: "${DLT_BUILD:=build}"
folder=$(mktemp -d)
pid=
for tool in curl jq; do
    command -v "$tool" > /dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done

fail() { printf 'FAIL: %s\n' "$*" >&2; [ -f "$folder/log" ] && tail -20 "$folder/log" >&2; exit 1; }

service_cleanup() {
    if [ -n "$pid" ] && kill -9 "$pid" 2> /dev/null; then
        wait "$pid" 2> /dev/null || true           # its status is that of the kill, not the test's
    fi
    rm -rf "$folder"
}
trap service_cleanup EXIT
trap 'exit 1' INT TERM

service_start() {
    rm -f "$folder/address"
    "$DLT_BUILD/dltriggerd" --data-dir "$folder/data" --data-root tests/fixtures/sample --listen 127.0.0.1:0 \
        --port-file "$folder/address" --drain-grace-seconds 0 "$@" >> "$folder/log" 2>&1 &
    pid=$!
    for _ in $(seq 300); do
        [ -s "$folder/address" ] && break
        kill -0 "$pid" 2> /dev/null || fail "the service did not start"
        sleep 0.1
    done
    [ -s "$folder/address" ] || fail "the service gave no address"
    server=http://$(cat "$folder/address")
}
service_kill() { kill -9 "$pid"; wait "$pid" 2> /dev/null || true; pid=; }
service_stop() {
    kill -TERM "$pid"
    code=0
    wait "$pid" || code=$?
    pid=
    [ "$code" -eq 0 ] || fail "the service ended with status $code on SIGTERM"
}

# get PATH; post PATH BODY: the answer's body on standard output; fails on any error status.
get() { curl -sS --fail-with-body "$server$1"; }
post() { curl -sS --fail-with-body -X POST -d "$2" "$server$1"; }
# activate MENU REVISION [BODY]: whatever runs now.
activate() {
    curl -sS --fail-with-body -X POST -H 'If-Match: *' -d "${3:-}" "$server/api/v1/menus/$1/revisions/$2:activate"
}
# wait_final JOB: waits for a final state and prints the job.
wait_final() {
    while :; do
        job_json=$(get "/api/v1/jobs/$1")
        case $(printf '%s' "$job_json" | jq -r .state) in
        completed | cancelled | discarded) break ;;
        esac
        sleep 0.2
    done
    printf "%s" "$job_json"
}
# wait_progress JOB: until it is running with something done.
wait_progress() {
    while :; do
        job_json=$(get "/api/v1/jobs/$1")
        [ "$(printf '%s' "$job_json" | jq -r '.state == "running" and .progress.done > 0')" = true ] && break
        case $(printf '%s' "$job_json" | jq -r .state) in
        completed | cancelled | discarded) fail "job $1 was final before it could be interrupted" ;;
        esac
    done
}
# expect NAME ACTUAL WANTED
expect() { [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"; echo "ok: $1"; }
