#!/bin/sh
# The command line: exit statuses, what goes to which output, that files, commands and service agree, and following jobs
# through Ctrl-C and a restart of the service.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger
sample=tests/fixtures/sample

# status COMMAND...: its exit status; standard output and error go to $folder/out and $folder/err.
status() { code=0; "$@" > "$folder/out" 2> "$folder/err" || code=$?; echo "$code"; }
# says NAME TEXT: standard error of the last `status` has the text.
says() { grep -q -- "$2" "$folder/err" || fail "$1: '$(cat "$folder/err")' does not say '$2'"; echo "ok: $1"; }

# running: waits until $follower has told that the job runs.
running() {
    until grep -q running "$folder/err"; do
        kill -0 "$follower" 2> /dev/null || fail "the follower ended: $(cat "$folder/err")"
        sleep 0.1
    done
}

# ---- usage ----------------------------------------------------------------------------------------------------------
expect "no command is wrong usage" "$(status "$dltrigger")" 2
expect "an unknown command is wrong usage" "$(status "$dltrigger" frobnicate)" 2
expect "help is not" "$(status "$dltrigger" --help)" 0
for command in inspect features event run submit jobs cancel score; do
    grep -q "^  $command " "$folder/out" || fail "--help does not list $command"
done
for command in inspect features event run submit jobs cancel score; do
    expect "$command --help" "$(status "$dltrigger" $command --help) $(head -c 6 "$folder/out")" "0 usage:"
    expect "$command with an unknown option is wrong usage" "$(status "$dltrigger" $command --frobnicate)" 2
done
for command in inspect features event run submit cancel score; do
    expect "$command without a file is wrong usage" "$(status "$dltrigger" $command)" 2
done
expect "a missing value is wrong usage" "$(status "$dltrigger" event x.root --entry)" 2
expect "features without a recipe is wrong usage" "$(status "$dltrigger" features $sample/ttbar.root)" 2
expect "an unknown recipe is wrong usage" "$(status "$dltrigger" features $sample/ttbar.root --recipe topology-9)" 2
says "and the recipes are listed" "sparkdltrigger-1"
for entries in 5:3 x 1:y "" 1-2 :; do
    expected=2
    [ "$entries" = : ] && expected=0
    expect "--entries '$entries'" "$(status "$dltrigger" features $sample/wlnu.root --recipe topology-1 --json "--entries=$entries")" $expected
done
expect "--server and --model exclude each other" "$(status "$dltrigger" score x.json --server http://x --model y)" 2

# ---- files ----------------------------------------------------------------------------------------------------------
expect "inspect" "$(status "$dltrigger" inspect $sample/ttbar.root)" 0
grep -q 'EFlowTrack.PT' "$folder/out" || fail "inspect lists no branches"
"$dltrigger" inspect $sample/ttbar.root --json | jq -e . > "$folder/inspect.json" || fail "inspect --json is not JSON"
expect "a missing file fails" "$(status "$dltrigger" inspect "$folder/nothing.root")" 1
printf 'this is not ROOT at all' > "$folder/text.root"
expect "a file that is not ROOT fails" "$(status "$dltrigger" inspect "$folder/text.root")" 1
says "with a reason" "text.root"
expect "an entry beyond the end fails" "$(status "$dltrigger" event $sample/ttbar.root --entry 500)" 1
says "and says which there are" "0 to 499"
"$dltrigger" features $sample/ttbar.root --recipe topology-1 --json | head -n 1 > "$folder/first"
expect "a closed pipe ends quietly" "$(jq .entry "$folder/first")" 0

for recipe in topology-1 sparkdltrigger-1; do
    "$dltrigger" features $sample/ttbar.root --recipe $recipe --json > "$folder/all.ndjson"
    expect "$recipe: one line an entry, in order" "$(jq -s 'length == 500 and ([.[].entry] == [range(500)])' "$folder/all.ndjson")" true
    expect "$recipe: 14 features or a reason" "$(jq -s 'all(if .reason then .hlf == null else (.hlf | length) == 14 end)' "$folder/all.ndjson")" true
    "$dltrigger" features $sample/ttbar.root --recipe $recipe --json --entries 100:120 > "$folder/some.ndjson"
    sed -n 101,120p "$folder/all.ndjson" | cmp -s - "$folder/some.ndjson" || fail "$recipe: a range of entries differs from the whole"
    "$dltrigger" features $sample/ttbar.root --recipe $recipe --json --entries 0:20 --rows --sequence > "$folder/rows.ndjson" 2> /dev/null
    expect "$recipe: rows of 19 columns" "$(jq -s '[.[] | select(.hlf)] | all((.rows | length > 0) and (.rows | all(length == 19)) and (.sequence | all(length == 19)))' "$folder/rows.ndjson")" true
    expect "$recipe: rows leave the features as they are" "$(jq -c .hlf "$folder/rows.ndjson" | cksum)" "$(head -n 20 "$folder/all.ndjson" | jq -c .hlf | cksum)"
done
expect "the published recipe's sequence has 801 rows" "$(jq -s '[.[] | select(.hlf)][0].sequence | length' "$folder/rows.ndjson")" 801

# ---- a model from a job without a server ------------------------------------------------------------------------------
"$dltrigger" run deploy/demo/pipeline.json --data-dir "$folder/data" --data-root $sample --json > "$folder/run.json" 2> /dev/null ||
    fail "dltrigger run"
model=$(echo "$folder"/data/models/*/model.dltm)
dataset=$(jq -r .steps.ft.result.test_dataset_id "$folder/run.json")
expect "inspect a model" "$("$dltrigger" inspect "$model" --json | jq -c '[.recipe, .classes]')" '["topology-1",["qcd","tt","wjets"]]'
expect "inspect a dataset" "$("$dltrigger" inspect "$folder/data/datasets/$dataset" --json | jq -r '"\(.kind) \(.split)"')" "features test"

entry=$("$dltrigger" features $sample/ttbar.root --recipe topology-1 --json | jq -s '[.[] | select(.hlf)][0].entry')
"$dltrigger" event $sample/ttbar.root --entry "$entry" > "$folder/event.json"
hlf=$("$dltrigger" features $sample/ttbar.root --recipe topology-1 --entries "$entry" --json | jq -c .hlf)
{ cat "$folder/event.json"; echo; echo '{"schema":1}'; echo "{\"schema\":\"hlf/1\",\"hlf\":$hlf}"; } > "$folder/events.ndjson"
expect "a bad line fails the whole" "$(status "$dltrigger" score "$folder/events.ndjson" --model "$model")" 1
expect "and the rest goes on" "$(jq -s '[length, .[1].errors[0].pointer]' -c "$folder/out")" '[3,"/schema"]'
expect "an event and its features have the same scores" "$(jq -s '.[0].scores == .[2].scores' "$folder/out")" true
jq -c .scores "$folder/out" | head -n 1 > "$folder/scores"
expect "by name out of a data folder too" "$("$dltrigger" score "$folder/event.json" --data-dir "$folder/data" --model topology-hlf | jq -c .scores)" "$(cat "$folder/scores")"
expect "from standard input" "$("$dltrigger" score - --model "$model" < "$folder/event.json" | jq -c .scores)" "$(cat "$folder/scores")"

# ---- with a service ------------------------------------------------------------------------------------------------------
expect "no service: fails" "$(status "$dltrigger" jobs --server http://127.0.0.1:1)" 1
says "and says what to look at" "is dltriggerd running"
service_start
expect "the data folder is the service's now" "$(status "$dltrigger" score "$folder/event.json" --data-dir "$folder/data" --model topology-hlf)" 1
says "score through the service then" "--server"
expect "no menu: the event is refused" "$(status "$dltrigger" score "$folder/event.json" --server "$server")" 1
expect "with the server's problem" "$(jq -r .code "$folder/out")" no_active_menu
revision=$(post /api/v1/menus "$(cat deploy/demo/menu.json)" | jq -r .revision)
activate demo "$revision" > /dev/null
expect "scored by the service" "$(DLTRIGGER_SERVER=$server "$dltrigger" score "$folder/event.json" | jq -c .scores)" "$(cat "$folder/scores")"

echo '{"kind":"noop","spec":{}}' > "$folder/bad.json"
expect "a refused job fails" "$(status "$dltrigger" submit "$folder/bad.json" --server "$server")" 1
says "pointing at what is wrong" "/kind"
echo '{"kind":' > "$folder/bad.json"
expect "a file that is not JSON fails" "$(status "$dltrigger" submit "$folder/bad.json" --server "$server")" 1
train=$(jq -r .steps.ft.result.dataset_id "$folder/run.json")
spec() { printf '{"kind":"train","spec":{"dataset":"%s","register_as":"%s","params":{"epochs":%d,"seed":5,"batch_size":16}}}' "$train" "$1" "$2"; }
spec short 3 > "$folder/short.json"
spec long 10000 > "$folder/long.json"
expect "submit" "$(status "$dltrigger" submit "$folder/short.json" --server "$server")" 0
expect "prints the job" "$(jq -r .kind "$folder/out")" train
expect "submit --follow" "$(status "$dltrigger" submit "$folder/short.json" --server "$server/" --follow)" 0
expect "prints the job as it ended" "$(jq -r '"\(.state) \(.result.version)"' "$folder/out")" "completed 2"
says "tells its states on the way" "train: completed"
expect "without a bar when it is no terminal" "$(tr -d '\n[:print:]' < "$folder/err" | wc -c)" 0

# Ctrl-C leaves the job alone and says how to cancel it.  (A shell's background job ignores SIGINT: hence env.)
env --default-signal=INT "$dltrigger" submit "$folder/long.json" --server "$server" --follow > "$folder/out" 2> "$folder/err" &
follower=$!
running
kill -INT $follower
code=0
wait $follower || code=$?
expect "an interrupted follower fails" $code 1
says "says how to cancel" "dltrigger cancel job_"
job=$(sed -n 's/.*dltrigger cancel \(job_[0-9A-Z]*\).*/\1/p' "$folder/err")
expect "the job goes on" "$(get "/api/v1/jobs/$job" | jq -r .state)" running
expect "jobs lists it" "$("$dltrigger" jobs --server "$server" | grep -c "$job.*running")" 1
expect "cancel" "$(status "$dltrigger" cancel "$job" --server "$server")" 0
expect "it ends cancelled" "$(wait_final "$job" | jq -r .state)" cancelled
expect "cancelling what does not exist fails" "$(status "$dltrigger" cancel job_01ARZ3NDEKTSV4RRFFQ69G5FAV --server "$server")" 1

# A follower outlives a restart of the service, on the same port.
spec restarted 3000 > "$folder/restarted.json"
"$dltrigger" submit "$folder/restarted.json" --server "$server" --follow > "$folder/out" 2> "$folder/err" &
follower=$!
running
address=$(cat "$folder/address")
service_stop
service_start --listen "$address"
code=0
wait $follower || code=$?
expect "a follower waits for a service that restarts" "$code $(jq -r .state "$folder/out")" "0 completed"
service_stop
