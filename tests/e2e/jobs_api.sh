#!/bin/sh
# What can be asked of jobs over HTTP beyond submitting and looking, of a daemon on a folder of its own.
# Usage: sh tests/e2e/jobs_api.sh [BUILD_FOLDER]
set -eu
[ $# -eq 0 ] || DLT_BUILD=$1
. tests/e2e/service.sh
service_start
jobs=$server/api/v1/jobs

# ask STATUS CURL_ARGUMENTS...: the body goes to $folder/body, the head to $folder/head.
ask() {
    wanted=$1
    shift
    got=$(curl -sS -o "$folder/body" -D "$folder/head" -w '%{http_code}' "$@") || got="curl failed"
    [ "$got" = "$wanted" ] || fail "$*: $got, not $wanted: $(head -c 300 "$folder/body")"
}
is() { jq -e "$1" "$folder/body" >/dev/null || fail "not $1: $(head -c 300 "$folder/body")"; }
header() { tr -d '\r' <"$folder/head" | sed -n "s/^$1: //Ip"; }
# until_state ID STATE
until_state() {
    for _ in $(seq 600); do
        curl -sS "$jobs/$1" >"$folder/body"
        state=$(jq -r .state "$folder/body")
        [ "$state" != "$2" ] || return 0
        case $state in completed | cancelled | discarded) fail "$1 is $state, not $2: $(cat "$folder/body")" ;; esac
        sleep 0.1
    done
    fail "$1 is $state, not $2"
}

# ---- Idempotency-Key
body='{"kind":"features","spec":{"dataset":"ds_none"}}'
ask 202 -H 'Idempotency-Key: run-1' "$jobs" -d "$body"
first=$(jq -r .id "$folder/body")
cp "$folder/body" "$folder/first"
[ -z "$(header Idempotency-Replayed)" ] || fail "a first answer says that it is replayed"
ask 202 -H 'Idempotency-Key: run-1' "$jobs" -d "$body"
cmp -s "$folder/first" "$folder/body" || fail "the replayed answer differs"
[ "$(header Idempotency-Replayed)" = true ] || fail "a replayed answer does not say so"
[ "$(header Location)" = "/api/v1/jobs/$first" ] || fail "a replayed answer has no Location"
ask 422 -H 'Idempotency-Key: run-1' "$jobs" -d "$body "
is '.code == "idempotency_key_reused"'
ask 400 -H 'Idempotency-Key: two words' "$jobs" -d "$body"
is '.code == "invalid_idempotency_key"'
ask 202 -H 'Idempotency-Key: run-1' "$server/api/v1/pipelines" -d '{"steps":[{"id":"a","kind":"features","spec":{"dataset":"ds_none"}}]}'
cp "$folder/body" "$folder/first"
service_kill
service_start
jobs=$server/api/v1/jobs
ask 202 -H 'Idempotency-Key: run-1' "$server/api/v1/pipelines" -d '{"steps":[{"id":"a","kind":"features","spec":{"dataset":"ds_none"}}]}'
cmp -s "$folder/first" "$folder/body" || fail "after kill -9 the replayed answer differs"
ask 200 "$jobs?kind=features"
is '.items | length == 2'

# ---- metrics, logs, recipe: of a training on a test part, which warns of it
ask 202 "$server/api/v1/pipelines" -d @deploy/demo/pipeline.json
features=$(jq -r '.jobs[] | select(.kind == "features") | .id' "$folder/body")
until_state "$features" completed
dataset=$(jq -r .result.test_dataset_id "$folder/body")
ask 202 "$jobs" -d '{"kind":"train","spec":{"dataset":"'"$dataset"'","register_as":"watched","params":{"epochs":40,"seed":5}}}'
train=$(jq -r .id "$folder/body")
until_state "$train" completed
sha256=$(jq -r .result.sha256 "$folder/body")
ask 200 "$jobs/$train/metrics"
is '.series | length > 0'
is '[.series[] | (.points | length) == .n_points and (.points | map(.[0]) | . == sort)] | all'
key=$(jq -r '.series[0].key' "$folder/body")
ask 200 "$jobs/$train/metrics?keys=$key,nothing&max_points=6"
is '.series | length == 1'
is '.series[0] | .n_points > 6 and (.points | length) <= 6'
ask 400 "$jobs/$train/metrics?max_points=3"
ask 404 "$jobs/job_none/metrics"
ask 200 "$jobs/$train/logs"
[ "$(header Content-Type)" = application/x-ndjson ] || fail "logs are $(header Content-Type)"
jq -e -s '.[0].level == "warn" and (.[0].text | contains("test part"))' "$folder/body" >/dev/null ||
    fail "logs: $(cat "$folder/body")"
first_seq=$(head -1 "$folder/body" | jq .seq)
seq=$(tail -1 "$folder/body" | jq .seq)
ask 200 "$jobs/$train/logs?after=$seq"
[ ! -s "$folder/body" ] || fail "lines behind the last one"
ask 200 "$jobs/$train/logs?limit=1"
case $(header Link) in *"after=$first_seq&limit=1"*) ;; *) fail "no link to the next lines: $(header Link)" ;; esac
ask 400 "$jobs/$train/logs?after=x"
ask 200 "$jobs/$train/recipe"
is '.seed == 5 and .threads >= 1 and (.build_id | length) > 0 and .inputs[0].id == "'"$dataset"'" and (.inputs[0].sha256 | length) == 64'
jq .submission "$folder/body" >"$folder/again"
ask 202 "$jobs" -d @"$folder/again"
again=$(jq -r .id "$folder/body")
until_state "$again" completed
[ "$(jq -r .result.sha256 "$folder/body")" = "$sha256" ] || fail "a recipe gives another model"

ask 200 "$jobs/$train/logs?follow=1"
jq -e -s '.[0].text | contains("test part")' "$folder/body" >/dev/null || fail "logs of a final job, followed: $(cat "$folder/body")"
ask 400 "$jobs/$train/logs?follow=2"

# ---- Prefer: wait, events
ask 202 "$jobs" -d '{"kind":"train","spec":{"dataset":"'"$dataset"'","register_as":"long","params":{"epochs":10000,"seed":5,"batch_size":16,"hidden":[256,256]}}}'
long=$(jq -r .id "$folder/body")
until_state "$long" running
begun=$(date +%s)
ask 200 -H 'Prefer: respond-async, wait=2' "$jobs/$long"
is '.state == "running"'
[ "$(date +%s)" -gt "$begun" ] || fail "Prefer: wait=2 did not wait"
curl -sS -N --max-time 60 "$jobs/$long/events" >"$folder/events" &
follower=$!
curl -sS -N --max-time 60 "$jobs/$long/logs?follow=1" >"$folder/lines" &
lines=$!
curl -sS --max-time 60 -H 'Prefer: wait=50' "$jobs/$long" >"$folder/waited" &
waiter=$!
for i in $(seq 40); do curl -sS -N --max-time 60 "$jobs/$long/events" >"$folder/many.$i" & done
sleep 2
ask 200 "$jobs?limit=1"
ask 202 -X POST "$jobs/$long:cancel"
wait $follower || fail "the events did not end"
wait $lines || fail "the followed lines did not end"
[ -s "$folder/lines" ] || fail "no lines were followed"
wait $waiter || fail "nobody told the waiting request"
jq -e '.state == "cancelling" or .state == "cancelled"' "$folder/waited" >/dev/null || fail "waited: $(cat "$folder/waited")"
wait_for_ends=0
while [ "$wait_for_ends" -lt 100 ] && [ "$(cat "$folder"/many.* | grep -c '^event: end')" -lt 40 ]; do
    wait_for_ends=$((wait_for_ends + 1))
    sleep 0.1
done
[ "$(cat "$folder"/many.* | grep -c '^event: end')" -eq 40 ] || fail "not all of 40 followers saw the end"
head -1 "$folder/events" | grep -qx 'retry: 3000' || fail "events begin with $(head -1 "$folder/events")"
for event in state metric progress end; do
    grep -qx "event: $event" "$folder/events" || fail "no event $event"
done
[ "$(tail -2 "$folder/events" | head -1)" = 'data: {"state":"cancelled"}' ] || fail "the end is $(tail -2 "$folder/events")"
grep '^data: ' "$folder/events" | sed 's/^data: //' | jq -e . >/dev/null || fail "events are not JSON"
sed -n 's/^id: //p' "$folder/events" >"$folder/ids"
sort -nu "$folder/ids" | cmp -s - "$folder/ids" || fail "ids do not rise"
third=$(sed -n 3p "$folder/ids")
curl -sS -N --max-time 60 -H "Last-Event-ID: $third" "$jobs/$long/events" | sed -n 's/^id: //p' >"$folder/rest"
sed 1,3d "$folder/ids" | cmp -s - "$folder/rest" || fail "Last-Event-ID does not go on behind the event"
ask 204 -H "Last-Event-ID: $(tail -1 "$folder/ids")" "$jobs/$long/events"
ask 400 -H 'Last-Event-ID: x' "$jobs/$long/events"
ask 404 "$jobs/job_none/events"

# ---- dry run, retry from the start, delete
ask 200 "$jobs?dry_run=true" -d '{"kind":"features","spec":{"dataset":"ds_none"}}'
is '.valid and .spec.recipe == "topology-1" and (.spec_sha256 | length) == 64 and .tags == []'
ask 422 "$jobs?dry_run=true" -d '{"kind":"features","spec":{"datset":"ds_none"}}'
ask 200 "$jobs?kind=features&limit=1"
is '.items[0].spec.dataset != "ds_none"'
ask 409 -X POST "$jobs/$train:retry" -d '{"from":"start"}'
ask 422 -X POST "$jobs/$train:retry" -d '{"from":"end"}'
ask 202 -X POST "$jobs/$long:retry" -d '{"from":"start"}'
until_state "$long" running
ask 409 -X DELETE "$jobs/$long"
ask 202 -X POST "$jobs/$long:cancel"
until_state "$long" cancelled
ask 204 -X DELETE "$jobs/$long"
ask 404 "$jobs/$long"
ask 404 -X DELETE "$jobs/$long"
ask 404 "$jobs/$long/events"
[ ! -e "$folder/data/work/$long" ] || fail "a deleted job's work folder is still there"

# ---- queues, and changing what waits
etag() { header ETag; }
ask 200 "$server/api/v1/queues/train"
is '.concurrency == null and .paused == false'
ask 428 -X PATCH "$server/api/v1/queues/train" -d '{"paused":true}'
ask 412 -X PATCH -H 'If-Match: "0"' "$server/api/v1/queues/train" -d '{"paused":true}'
tag=$(etag)
ask 422 -X PATCH -H "If-Match: $tag" "$server/api/v1/queues/train" -d '{"paused":1,"limit":2}'
is '.errors | length == 2'
ask 200 -X PATCH -H "If-Match: $tag" "$server/api/v1/queues/train" -d '{"paused":true,"concurrency":1}'
ask 202 -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' "$jobs" \
    -d '{"kind":"train","tags":["late"],"timeout_seconds":600,"spec":{"dataset":"'"$dataset"'","register_as":"late","params":{"epochs":2}}}'
late=$(jq -r .id "$folder/body")
is '.timeout_seconds == 600 and .traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" and .queue == "train"'
ask 200 "$jobs?tag=late&created_after=2020-01-01T00:00:00Z"
is '.items | length == 1'
ask 400 "$jobs?created_after=yesterday"
ask 200 "$jobs?tag=late&limit=1"
ask 200 "$jobs/$late"
tag=$(etag)
ask 428 -X PATCH "$jobs/$late" -d '{"priority":0}'
ask 200 -X PATCH -H "If-Match: $tag" "$jobs/$late" -d '{"priority":0,"tags":["later"],"run_at":"2200-01-01T00:00:00Z"}'
is '.priority == 0 and .tags == ["later"] and .state == "scheduled"'
ask 412 -X PATCH -H "If-Match: $tag" "$jobs/$late" -d '{"priority":1}'
ask 200 "$jobs/$late"
ask 200 -X PATCH -H "If-Match: $(etag)" "$jobs/$late" -d '{"run_at":null}'
is '.state == "available"'
ask 200 "$server/api/v1/queues"
is '.items[] | select(.name == "train") | .waiting == 1 and .paused'
ask 200 "$server/api/v1/queues/train"
ask 200 -X PATCH -H "If-Match: $(etag)" "$server/api/v1/queues/train" -d '{"paused":false}'
until_state "$late" completed
ask 409 -X PATCH -H 'If-Match: *' "$jobs/$late" -d '{"priority":1}'

# ---- run again and compare; many at once; a copy of the data base
ask 202 -X POST "$jobs/$late:verify"
verify=$(jq -r .id "$folder/body")
until_state "$verify" completed
is '.verify_of == "'"$late"'" and .verification.equal and .verification.artifacts[0].equal'
ask 409 -X POST "$jobs/$verify:verify"
ask 422 "$server/api/v1/jobs:bulk" -d '{"action":"delete","filter":{}}'
ask 202 "$server/api/v1/jobs:bulk" -d '{"action":"delete","filter":{"tag":"later"}}'
until_state "$(jq -r .id "$folder/body")" completed
is '.result == {"matched":1,"changed":1,"refused":0}'
ask 404 "$jobs/$late"
ask 422 "$jobs" -d '{"kind":"bulk","spec":{}}'
ask 202 -X POST "$server/api/v1/admin:backup"
until_state "$(jq -r .id "$folder/body")" completed
[ -s "$folder/data/$(jq -r .result.file "$folder/body")" ] || fail "no backup: $(cat "$folder/body")"

# Steps that were done before are not done again.
ask 202 "$server/api/v1/pipelines" -d @deploy/demo/pipeline.json
ask 200 "$server$(header Location)"
ingest=$(jq -r '.jobs[] | select(.kind == "ingest") | .id' "$folder/body")
evaluate=$(jq -r '.jobs[] | select(.kind == "evaluate") | .id' "$folder/body")
until_state "$evaluate" completed
is '.reused_from | startswith("job_")'
ask 200 "$jobs/$ingest"
is '.reused_from | startswith("job_")'

# Who waits does not hold up the stop.
ask 202 "$jobs" -d '{"kind":"train","spec":{"dataset":"'"$dataset"'","register_as":"longer","params":{"epochs":10000,"seed":5,"batch_size":16,"hidden":[256,256]}}}'
long=$(jq -r .id "$folder/body")
until_state "$long" running
curl -sS -N --max-time 60 "$jobs/$long/events" >"$folder/events" &
follower=$!
curl -sS --max-time 60 -H 'Prefer: wait=50' "$jobs/$long" >"$folder/waited" &
waiter=$!
sleep 1
service_stop
wait $follower || fail "the stop did not end the events in order"
wait $waiter || fail "the stop left a waiting request without answer"
jq -e '.state == "running"' "$folder/waited" >/dev/null || fail "waited: $(cat "$folder/waited")"
service_start

service_stop
echo "jobs_api: ok"
