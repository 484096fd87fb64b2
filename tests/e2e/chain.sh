#!/bin/sh
# ROOT files to a live trigger over HTTP: the pipeline, the registry, a menu, decisions of real events; then a kill -9 in
# the middle of a training, which must resume and end in the same bits as an undisturbed one.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger
service_start

# ---- pipeline -----------------------------------------------------------------------------------------------
"$dltrigger" submit deploy/demo/pipeline.json --server "$server" --follow > "$folder/jobs.json" 2> "$folder/progress" ||
    { cat "$folder/progress" >&2; fail "the pipeline failed"; }
job_of() { get "/api/v1/jobs?kind=$1&limit=1" | jq -r ".items[0]$2"; }
expect "all events are read" "$(job_of ingest .result.events_read)" 1604
expect "events kept" "$(job_of ingest .result.events_kept)" 1466
expect "events selected" "$(job_of features .result.events_selected)" 1280
train=$(job_of features .result.dataset_id)
test=$(job_of features .result.test_dataset_id)
model=$(job_of train .result.model_version)
expect "model version" "$model" topology-hlf@1
expect "AUC is far from chance" "$(job_of evaluate '.result.auc_macro > 0.93')" true
expect "datasets are listed" "$(get /api/v1/datasets | jq '.items | length')" 3
expect "the dataset tells its rows" "$(get "/api/v1/datasets/$test" | jq .rows)" "$(job_of features .result.test_events)"

# ---- menu and decisions ---------------------------------------------------------------------------------------
code=$(curl -s -o "$folder/answer" -w '%{http_code}' -d '{"schema":"hlf/1","hlf":[1,2,0,1,1,0,30,0,0,0,0,0,1,1]}' "$server/api/v1/trigger/decisions")
expect "no menu: 409" "$code $(jq -r .code "$folder/answer")" "409 no_active_menu"
revision=$(post /api/v1/menus "$(cat deploy/demo/menu.json)" | jq -r .revision)
activate demo "$revision" > "$folder/menu.json"
expect "ready" "$(get /readyz | jq -r .status)" ready

"$dltrigger" event tests/fixtures/sample/ttbar.root --entry 2 > "$folder/event.json"
curl -sS --fail-with-body -D "$folder/headers" -d @"$folder/event.json" "$server/api/v1/trigger/decisions" > "$folder/decision.json"
accept=$(jq -r 'if .accept then 1 else 0 end' "$folder/decision.json")
expect "header repeats the decision" "$(tr -d '\r' < "$folder/headers" | awk 'tolower($1) == "x-trigger-accept:" {print $2}')" "$accept"
expect "scores add up to 1" "$(jq '[.scores[]] | add | . > 0.9999 and . < 1.0001' "$folder/decision.json")" true

# The same event through files: features and scores must agree bit for bit (printed with 9 digits).
hlf=$("$dltrigger" features tests/fixtures/sample/ttbar.root --recipe topology-1 --entries 2:3 --json | jq -c .hlf)
post /api/v1/trigger/decisions "{\"schema\":\"hlf/1\",\"hlf\":$hlf}" > "$folder/decision-hlf.json"
expect "posted event and file give the same scores" "$(jq -c .scores "$folder/decision.json")" "$(jq -c .scores "$folder/decision-hlf.json")"

# Many at once, as lines and as columns.
jq -c . "$folder/event.json" > "$folder/events.ndjson"
printf '{"schema":"hlf/1","hlf":[1]}\n{"schema":"hlf/1","hlf":%s}\n' "$hlf" >> "$folder/events.ndjson"
curl -sS --fail-with-body -D "$folder/headers" --data-binary @"$folder/events.ndjson" \
    "$server/api/v1/trigger/decisions:batch" > "$folder/decisions.ndjson"
expect "a batch: decision, problem, decision" "$(jq -r '.code // "decision"' "$folder/decisions.ndjson" | paste -sd ' ')" "decision invalid_event decision"
expect "the problem names its line" "$(sed -n 2p "$folder/decisions.ndjson" | jq '.line')" 2
expect "with the scores of the event alone" "$(sed -n 1p "$folder/decisions.ndjson" | jq -c .scores)" "$(jq -c .scores "$folder/decision.json")"
expect "events are counted" "$(get '/api/v1/trigger/rates?window=60' | jq '.events')" 4
expect "features are compared" "$(get /api/v1/trigger/drift | jq '.models[0].events')" 4

# What runs: changed only by who has seen it.
tag=$(curl -sS -D - -o /dev/null "$server/api/v1/trigger/menu" | tr -d '\r' | awk 'tolower($1) == "etag:" {print $2}')
column() { curl -sS -o "$folder/answer" -w '%{http_code}' -X PUT -H "If-Match: $1" -d '{"prescale_column":"high","reason":"test"}' "$server/api/v1/trigger/prescale-column"; }
code=$(curl -sS -o "$folder/answer" -w '%{http_code}' -X PUT -d '{"prescale_column":"x"}' "$server/api/v1/trigger/prescale-column")
expect "without If-Match" "$code $(jq -r .code "$folder/answer")" "428 precondition_required"
post /api/v1/menus "$(jq '.comment = "again"' deploy/demo/menu.json)" > /dev/null
activate demo 2 '{"reason":"second"}' > /dev/null
expect "a stale tag" "$(column "$tag") $(jq -r .code "$folder/answer")" "412 precondition_failed"
expect "what changed" "$(get '/api/v1/menus/demo/revisions/2/diff?against=1' | jq -r '.items[].pointer' | grep -c comment)" 1
curl -sS --fail-with-body -X POST -H 'If-Match: *' "$server/api/v1/menus:rollback" > "$folder/answer"
expect "rolled back" "$(jq '.revision' "$folder/answer")" 1
expect "the history" "$(get /api/v1/trigger/menu/history | jq -c '[.items[] | [.action, .revision]]')" '[["rollback",1],["activate",2],["activate",1]]'

# An alias is moved by who has seen where it points, and the running menu does not follow it.
alias_to() { curl -sS -o "$folder/answer" -w '%{http_code}' -X PUT -H "If-Match: $1" -d '{"version":1,"reason":"first"}' "$server/api/v1/models/topology-hlf/aliases/champion"; }
expect "a new alias" "$(alias_to '"0"')" 200
expect "unseen" "$(alias_to '"0"') $(jq -r .code "$folder/answer")" "412 precondition_failed"
expect "it names a version" "$(get /api/v1/models/topology-hlf/versions/champion | jq -r .ref)" topology-hlf@1
expect "its history" "$(get /api/v1/models/topology-hlf/history | jq -c '[.items[] | [.alias, .version, .reason]]')" '[["champion",1,"first"]]'

# ---- kill -9 while training -----------------------------------------------------------------------------------------
spec() { printf '{"kind":"train","spec":{"dataset":"%s","register_as":"%s","params":{"epochs":%d,"seed":5,"batch_size":16,"optimizer":"sgd","learning_rate":0.01,"schedule":"cosine","warmup_epochs":9,"clip_norm":1,"keep_best":true}}}' "$train" "$1" "$2"; }
job=$(post /api/v1/jobs "$(spec killed 1500)" | jq -r .id)
wait_progress "$job"
service_kill
service_start
expect "the menu survives a restart" "$(get /readyz | jq -r .status)" ready
expect "the killed job is alive" "$(get "/api/v1/jobs/$job" | jq -r '.state == "running" or .state == "available" or .state == "completed"')" true
killed=$(wait_final "$job")
expect "it completes" "$(printf '%s' "$killed" | jq -r .state)" completed
undisturbed=$(wait_final "$(post /api/v1/jobs "$(spec undisturbed 1500)" | jq -r .id)")
expect "with the same bits as an undisturbed run" "$(printf '%s' "$killed" | jq -r .result.sha256)" "$(printf '%s' "$undisturbed" | jq -r .result.sha256)"

# ---- cancel ----------------------------------------------------------------------------------------------------------
job=$(post /api/v1/jobs "$(spec cancelled 10000)" | jq -r .id)
wait_progress "$job"
post "/api/v1/jobs/$job:cancel" '' > /dev/null
expect "cancel" "$(wait_final "$job" | jq -r .state)" cancelled
code=$(curl -s -o /dev/null -w '%{http_code}' "$server/api/v1/models/cancelled")
expect "a cancelled job leaves no model" "$code" 404

# ---- graceful stop returns a running job unspent ------------------------------------------------------------------------
job=$(post /api/v1/jobs "$(spec stopped 1500)" | jq -r .id)
wait_progress "$job"
service_stop
service_start
stopped=$(wait_final "$job")
expect "a stop does not spend the attempt" "$(printf '%s' "$stopped" | jq -r '"\(.state) \(.attempt)"')" "completed 1"
expect "and gives the same bits" "$(printf '%s' "$stopped" | jq -r .result.sha256)" "$(printf '%s' "$undisturbed" | jq -r .result.sha256)"
service_stop
