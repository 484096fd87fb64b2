#!/bin/sh
# A search over parameters through the service: the example pipeline from files to an evaluated model; all that is wrong
# with a space at once; a study that is read while it runs; kill -9, and the same table as an undisturbed search without
# a fit done twice; cancel.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger
service_start

# ---- the example pipeline ---------------------------------------------------------------------------------------
"$dltrigger" submit deploy/examples/tune_pipeline.json --server "$server" --follow > "$folder/jobs.json" 2> "$folder/progress" ||
    { cat "$folder/progress" >&2; fail "the pipeline failed"; }
expect "the best are told at the end" "$(grep -c 'the best of 4 trials\| 1. trial' "$folder/progress")" 2
job_of() { get "/api/v1/jobs?kind=$1&limit=1" | jq -c ".items[0]$2"; }
train=$(job_of features .result.dataset_id | tr -d '"')
study=$(job_of tune .result.study_id | tr -d '"')
expect "all trials ended well" "$(job_of tune .result.n_ok)" 4
expect "train took the best parameters" "$(job_of train .spec.params)" "$(job_of tune .result.best_params)"
expect "they are those of the best point" "$(job_of tune '.result | .best_params.batch_size == .best_point.batch_size and .best_params.hidden == .best_point.hidden')" true
expect "its model is evaluated" "$(job_of evaluate '.result.auc_macro > 0.9')" true

# ---- the study --------------------------------------------------------------------------------------------------------
expect "the study by both ids" "$(get "/api/v1/studies/$study" | jq -c '[.id, .n_trials, .state]')" "$(get "/api/v1/studies/$(job_of tune .id | tr -d '"')" | jq -c '[.id, .n_trials, .state]')"
expect "studies are listed" "$(get /api/v1/studies | jq -r '.items[0].id')" "$study"
get "/api/v1/studies/$study/trials?limit=3" > "$folder/page"
expect "the first page has the best" "$(jq -c '[.items[].rank]' "$folder/page")" "[1,2,3]"
expect "the second page the rest" "$(get "/api/v1/studies/$study/trials?limit=3&cursor=$(jq -r .next_cursor "$folder/page")" | jq -c '[.next_cursor, .items[].rank]')" "[null,4]"
expect "by number, falling" "$(get "/api/v1/studies/$study/trials?sort=-trial" | jq -c '[.items[].trial]')" "[3,2,1,0]"
expect "a point is as it was given" "$(get "/api/v1/studies/$study/trials?sort=trial" | jq -c '.items[3].point')" '{"hidden":[100,50,20],"batch_size":128}'
expect "five folds of two objectives" "$(get "/api/v1/studies/$study/trials?sort=trial" | jq -c '[.items[0].objectives[].folds | length]')" '[5,5]'
expect "its lineage leads to the dataset" "$(get "/api/v1/lineage/$study" | jq -c --arg d "$train" '[.nodes[].id] | index($d) != null')" true
code=$(curl -s -o "$folder/answer" -w '%{http_code}' "$server/api/v1/studies/$study/trials?sort=colour")
expect "an unknown order" "$code $(jq -r .code "$folder/answer")" "400 invalid_query"
code=$(curl -s -o "$folder/answer" -w '%{http_code}' "$server/api/v1/studies/$(job_of train .id | tr -d '"')")
expect "a train job has no study" "$code" 404

expect "times are kept" "$(get "/api/v1/studies/$study/trials" | jq '[.items[].seconds > 0] | all')" true
again=$(wait_final "$(post "/api/v1/jobs/$(job_of tune .id | tr -d '"'):verify" '' | jq -r .id)")
expect "done again it is the same" "$(printf '%s' "$again" | jq -c '[.state, .verification.equal]')" '["completed",true]'

# ---- a space with mistakes ------------------------------------------------------------------------------------------------
code=$(curl -s -o "$folder/answer" -w '%{http_code}' -d '{"kind":"tune","spec":{"dataset":"ds_x","space":{"batchsize":[1],"epochs":[],"hidden":[[5],"x"],"learning_rate":[2]}}}' "$server/api/v1/jobs")
expect "all mistakes at once" "$code $(jq -c '[.errors[].pointer]' "$folder/answer")" '422 ["/spec/space/batchsize","/spec/space/epochs","/spec/space/hidden/1","/spec/space/learning_rate/0"]'
code=$(curl -s -o "$folder/answer" -w '%{http_code}' -d '{"kind":"tune","spec":{"dataset":"ds_x","space":{"hidden/0":[5,5000]}}}' "$server/api/v1/jobs")
expect "what only the whole can say" "$code $(jq -r '.errors[0].pointer' "$folder/answer")" "422 /spec/space/hidden~10"
jq '.steps[2].spec.space = {"hidden/0": [5, 5000]}' deploy/examples/tune_pipeline.json > "$folder/wrong.json"
code=$(curl -s -o "$folder/answer" -w '%{http_code}' -d @"$folder/wrong.json" "$server/api/v1/pipelines")
expect "also in a step that refers to others" "$code $(jq -r '.errors[0].pointer' "$folder/answer")" "422 /steps/2/spec/space/hidden~10"
expect "the published grid is accepted" "$(curl -s -d @deploy/examples/grid_published.json "$server/api/v1/jobs?dry_run=true" | jq -c '.spec.space | [.[] | length]')" "[3,3,3,3,3]"

# ---- kill -9 in the middle --------------------------------------------------------------------------------------------------
spec() { printf '{"kind":"tune","spec":{"dataset":"%s","folds":3,"params":{"epochs":%d},"space":{"batch_size":[4,8],"hidden/0":[20,40,60]}}}' "$train" "$1"; }
job=$(post /api/v1/jobs "$(spec 60)" | jq -r .id)
while [ "$(get "/api/v1/studies/$job/trials" | jq '[.items[].folds_done] | add')" -lt 2 ]; do sleep 0.05; done
expect "a running search has a table" "$(get "/api/v1/studies/$job" | jq -c '[.n_trials, .id, .state]')" '[6,null,"running"]'
service_kill
service_start
killed=$(wait_final "$job")
expect "it completes" "$(printf '%s' "$killed" | jq -r .state)" completed
undisturbed=$(wait_final "$(post /api/v1/jobs "$(spec 60)" | jq -r .id)")
result() { printf '%s' "$1" | jq -c '.result | del(.study_id)'; }
expect "with the same result as an undisturbed search" "$(result "$killed")" "$(result "$undisturbed")"
table() { get "/api/v1/studies/$(printf '%s' "$1" | jq -r .result.study_id)/trials?limit=500" | jq -c '[.items[] | del(.seconds)]'; }
expect "and the same table" "$(table "$killed")" "$(table "$undisturbed")"

# ---- cancel -------------------------------------------------------------------------------------------------------------------
job=$(post /api/v1/jobs "$(spec 10000)" | jq -r .id)
wait_progress "$job"
post "/api/v1/jobs/$job:cancel" '' > /dev/null
expect "cancel" "$(wait_final "$job" | jq -r .state)" cancelled
service_stop
echo "tune: ok"
