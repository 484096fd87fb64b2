#!/bin/sh
# Bad input: each kind has its own clear error, with its exit status on the command line and its HTTP status or job state
# in the service, and leaves nothing visible.  The damaged files are made of tests/fixtures/sample.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger
sample=tests/fixtures/sample
roots=$folder/roots
mkdir "$roots" "$folder/outside"

# ---- damaged files --------------------------------------------------------------------------------------------------
# offset FILE TEXT: where the bytes begin; poke FILE OFFSET BYTES (printf escapes): overwrites them.
offset() { LC_ALL=C grep -abo -m1 -F "$2" "$1" | head -n 1 | cut -d : -f 1; }
poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null; }

good=$sample/wlnu.root
size=$(wc -c < $good)
codec_at=$(($(offset $good "Analysis treeZL") + 13))
basket_at=$(offset $good "EFlowTrack.PT")
echo "not a ROOT file" > "$roots/text.root"
: > "$roots/empty.root"
head -c $((size / 2)) $good > "$roots/half.root"
head -c 100 $good > "$roots/header.root"
head -c $((size - 1)) $good > "$roots/lacks-a-byte.root"
cp $good "$roots/codec.root"
poke "$roots/codec.root" "$codec_at" QQ
cp $good "$roots/flipped.root"
poke "$roots/flipped.root" $((basket_at + 2000)) '\000\377\000\377\000\377\000\377'
cp $good "$folder/outside/secret.root"
ln -s "$folder/outside/secret.root" "$roots/link.root"
ln -s "$folder/outside" "$roots/linked"

# ---- the command line -----------------------------------------------------------------------------------------------
# fails NAME STATUS TEXT COMMAND...: exit status, and what standard error says; standard output is in $folder/out.
fails() {
    name=$1 wanted=$2 text=$3
    shift 3
    code=0
    "$@" > "$folder/out" 2> "$folder/err" || code=$?
    [ "$code" -eq "$wanted" ] || fail "$name: status $code, not $wanted: $(cat "$folder/err")"
    grep -q -- "$text" "$folder/err" || fail "$name: '$(cat "$folder/err")' does not say '$text'"
    echo "ok: $name"
}
# Both commands that read events refuse the file, and print none of its events.
unreadable() { # FILE TEXT
    fails "features of $1" 1 "$1.*$2" "$dltrigger" features "$roots/$1" --recipe topology-1 --json
    [ ! -s "$folder/out" ] || fail "features of $1: printed $(wc -l < "$folder/out") events"
    fails "event of $1" 1 "$1.*$2" "$dltrigger" event "$roots/$1"
}
unreadable text.root "not a ROOT file"
unreadable empty.root "empty"
unreadable half.root "truncated.*$size bytes"
unreadable header.root "truncated"
unreadable lacks-a-byte.root "truncated"
unreadable codec.root 'unknown codec tag "QQ".*known: ZL XZ L4 ZS CS'
unreadable flipped.root "EFlowTrack.PT: basket 0: block 0: zlib"
for file in text empty half header lacks-a-byte; do
    fails "inspect of $file.root" 1 "$file.root" "$dltrigger" inspect "$roots/$file.root"
done
fails "missing file" 1 "none.root" "$dltrigger" inspect "$roots/none.root"
fails "missing tree" 1 "no tree Nope; the file has: Delphes" "$dltrigger" features $good --recipe topology-1 --tree Nope

# run: the same job without a server.
run() { # NAME TEXT BODY
    printf '%s' "$3" > "$folder/job.json"
    fails "run: $1" 1 "$2" "$dltrigger" run "$folder/job.json" --data-dir "$folder/local" --data-root "$roots" --data-root $sample
    for kind in datasets models evaluations; do
        [ -z "$(ls "$folder/local/$kind" 2> /dev/null)" ] || fail "run: $1: something is left in $kind"
    done
}
ingest() { printf '{"kind":"ingest","spec":{"inputs":[{"path":"%s","label":"a"}]%s}}' "$1" "${2:-}"; }
run "malformed JSON" "line 1" '{"kind":'
run "unknown member" 'inptus.*did you mean "inputs"' '{"kind":"ingest","spec":{"inptus":[]}}'
run "unknown kind" "no job kind" '{"kind":"explode","spec":{}}'
run "not a ROOT file" "text.root: not a ROOT file" "$(ingest text.root)"
run "a good and a bad file" "half.root: truncated" '{"kind":"ingest","spec":{"inputs":[{"path":"wlnu.root","label":"a"},{"path":"half.root","label":"b"}]}}'
run "path outside" "not inside a data root" "$(ingest /etc/passwd)"
run "missing file" "none.root: no such file" "$(ingest none.root)"
run "the steps after a failed one" "upstream" \
    '{"steps":[{"id":"a","kind":"ingest","spec":{"inputs":[{"path":"text.root","label":"x"}]}},{"id":"b","kind":"features","spec":{"dataset":"$a.dataset_id"}}]}'

# Unwritable output.  A superuser may write anywhere, so one becomes nobody here.
ingest wlnu.root > "$folder/job.json"
fails "data folder below a file" 1 "Not a directory" \
    "$dltrigger" run "$folder/job.json" --data-dir "$roots/text.root/data" --data-root $sample
mkdir "$folder/read-only"
chmod 555 "$folder/read-only"
chmod 755 "$folder"
as_user=
[ "$(id -u)" -ne 0 ] || as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
if $as_user test -r "$folder/job.json" -a -x "$DLT_BUILD/dltrigger" 2> /dev/null; then
    fails "read-only data folder" 1 "Permission denied" \
        $as_user "$dltrigger" run "$folder/job.json" --data-dir "$folder/read-only/data" --data-root $sample
    fails "read-only data folder of the service" 1 "Permission denied" \
        $as_user "$DLT_BUILD/dltriggerd" --data-dir "$folder/read-only/data" --listen 127.0.0.1:0
fi
fails "data root that is not there" 2 "data_root.*No such file" \
    "$DLT_BUILD/dltriggerd" --data-dir "$folder/other" --data-root "$folder/nowhere" --listen 127.0.0.1:0

# ---- the service ----------------------------------------------------------------------------------------------------
service_start --data-root "$roots"
fails "a second service on the folder" 1 "in use by process $pid" \
    "$DLT_BUILD/dltriggerd" --data-dir "$folder/data" --listen 127.0.0.1:0
fails "a job beside the service" 1 "in use by process $pid" \
    "$dltrigger" run "$folder/job.json" --data-dir "$folder/data" --data-root $sample

for file in text empty half header lacks-a-byte; do
    code=$(curl -sS -o "$folder/body" -w '%{http_code}' -d "{\"path\":\"$file.root\"}" "$server/api/v1/files:inspect")
    expect "inspect of $file.root" "$code $(jq -r .code "$folder/body")" "422 unreadable_file"
    grep -q "$file.root" "$folder/body" || fail "inspect of $file.root: the answer does not name it"
done

# refused NAME STATUS TEXT BODY: the job is not accepted, or it is discarded at once; the error has this status and text,
# and no folder of the server that the job did not name.
refused() {
    code=$(curl -sS -o "$folder/body" -w '%{http_code}' -d "$4" "$server/api/v1/jobs")
    [ "$code" -eq 202 ] || fail "$1: $code: $(cat "$folder/body")"
    wait_final "$(jq -r .id "$folder/body")" > "$folder/job"
    jq -e --arg status "$2" --arg text "$3" '.state == "discarded" and .attempt == 1 and .result == null and
        (.errors | length) == 1 and .errors[0].status == $status and .errors[0].retryable == false and
        (.errors[0].detail | test($text))' "$folder/job" > /dev/null || fail "$1: $(jq -c '[.state, .errors]' "$folder/job")"
    jq -r '.errors[].detail' "$folder/job" > "$folder/details"
    case $4 in *"$folder"*) : ;; *) ! grep -q "$folder" "$folder/details" ;; esac || fail "$1: the error names a folder of the server"
    echo "ok: $1"
}
refused "not a ROOT file" FORMAT "text.root: not a ROOT file" "$(ingest text.root)"
refused "empty file" FORMAT "empty.root: .*empty" "$(ingest empty.root)"
refused "truncated file" FORMAT "half.root: truncated" "$(ingest half.root)"
refused "file cut after its header" FORMAT "header.root: truncated" "$(ingest header.root)"
refused "unknown codec" UNSUPPORTED 'codec.root: .*unknown codec tag .QQ.' "$(ingest codec.root)"
refused "flipped bits" FORMAT "flipped.root: .*EFlowTrack.PT: basket 0: block 0: zlib" "$(ingest flipped.root)"
refused "one bad file of several" FORMAT "flipped.root" \
    '{"kind":"ingest","spec":{"inputs":[{"path":"wlnu.root","label":"a"},{"path":"flipped.root","label":"b"}]}}'
refused "missing tree" NOTFOUND "no tree Nope; the file has: Delphes" "$(ingest wlnu.root ',"tree":"Nope"')"
refused "missing branch" NOTFOUND "no branch NoJet; it has: .*Jet" "$(ingest wlnu.root ',"branches":{"jet":"NoJet"}')"
refused "no event selected" ARGUMENT "no event of 450 was kept" "$(ingest wlnu.root ',"cuts":{"electron_pt":9000,"muon_pt":9000}')"
for path in /etc/passwd ../outside/secret.root link.root linked/secret.root "$folder/outside/secret.root" "$roots/../outside/secret.root" \
    file:///etc/passwd; do
    name="outside: $(basename "$(dirname "$path")")/$(basename "$path")"
    code=$(curl -sS -o "$folder/body" -w '%{http_code}' -d "$(ingest "$path")" "$server/api/v1/jobs")
    expect "$name" "$code $(jq -r '.errors[0] | .code + " " + .pointer' "$folder/body")" "422 path_forbidden /spec/inputs/0/path"
    grep -q "not inside a data root" "$folder/body" || fail "$name: $(cat "$folder/body")"
done
refused "scheme" UNSUPPORTED "gopher:// is not known" "$(ingest gopher://localhost/x.root)"
refused "missing dataset" NOTFOUND "no dataset ds_none" '{"kind":"features","spec":{"dataset":"ds_none"}}'
refused "missing model" NOTFOUND "no model nobody" '{"kind":"evaluate","spec":{"dataset":"ds_none","model":"nobody"}}'

for kind in datasets models evaluations; do
    expect "no $kind are listed" "$(get "/api/v1/$kind" | jq '.items | length')" 0
    [ -z "$(ls "$folder/data/$kind" 2> /dev/null)" ] || fail "something is left in $kind"
done

# ---- what does not fit together --------------------------------------------------------------------------------------
"$dltrigger" submit - --server "$server" --follow > /dev/null 2>&1 <<'END' || fail "two recipes from the sample"
{"name": "two-recipes", "steps": [
  {"id": "in", "kind": "ingest", "spec": {"inputs": [{"path": "ttbar.root", "label": "tt"}, {"path": "wlnu.root", "label": "wjets"}]}},
  {"id": "one", "kind": "features", "spec": {"dataset": "$in.dataset_id", "recipe": "topology-1", "sequences": false}},
  {"id": "two", "kind": "features", "spec": {"dataset": "$in.dataset_id", "recipe": "sparkdltrigger-1", "sequences": false}},
  {"id": "tr", "kind": "train", "spec": {"dataset": "$one.dataset_id", "register_as": "m", "params": {"epochs": 2}}}]}
END
events=$(get "/api/v1/jobs?kind=ingest&state=completed&limit=1" | jq -r '.items[0].result.dataset_id')
result() { get "/api/v1/jobs?kind=features&limit=2" | jq -r --arg recipe "$1" ".items[] | select(.spec.recipe == \$recipe) | .result.$2"; }
other=$(result sparkdltrigger-1 test_dataset_id)
features=$(result topology-1 dataset_id)
evaluate() { printf '{"kind":"evaluate","spec":{"dataset":"%s","model":"%s"}}' "$1" "$2"; }
refused "wrong recipe for a model" ARGUMENT "topology-1.*sparkdltrigger-1" "$(evaluate "$other" m)"
refused "a version that is not there" NOTFOUND "m has no version 9" "$(evaluate "$other" m@9)"
refused "evaluating events" ARGUMENT "holds events" "$(evaluate "$events" m)"
refused "training on events" ARGUMENT "holds events" "{\"kind\":\"train\",\"spec\":{\"dataset\":\"$events\"}}"
refused "features of features" ARGUMENT "holds features already" "{\"kind\":\"features\",\"spec\":{\"dataset\":\"$features\"}}"

# Files that were damaged or removed behind the service's back.
mv "$folder/data/datasets/$other" "$folder/kept"
refused "a dataset whose folder is gone" NOTFOUND "$other" "$(evaluate "$other" m)"
code=$(curl -sS -o "$folder/body" -w '%{http_code}' "$server/api/v1/datasets/$other")
expect "it is not found" "$code $(jq -r .code "$folder/body")" "404 not_found"
mv "$folder/kept" "$folder/data/datasets/$other"
model=$(echo "$folder"/data/models/*/model.dltm)
post /api/v1/menus '{"name":"m","paths":[{"path":"P","model":"m","discriminant":"tt","working_point":{"target":{"threshold":0.5}}}]}' > /dev/null
activate m 1 > /dev/null
poke "$model" 3000 '\000\377\000\377'
refused "a damaged model" FORMAT "model.dltm: .*damaged" "$(evaluate "$(result topology-1 test_dataset_id)" m)"
service_stop
service_start --data-root "$roots"
code=$(curl -sS -o "$folder/body" -w '%{http_code}' "$server/readyz")
expect "not ready with a menu whose model is damaged" "$code $(jq -r '.checks[] | select(.name == "menu") | .ok' "$folder/body")" "503 false"
code=$(curl -sS -o "$folder/body" -w '%{http_code}' -d '{"schema":"hlf/1","hlf":[229.2,63.2,1.07,10473.1,4,2,41.7,0.62,-1.91,0,0,0,-1,1]}' \
    "$server/api/v1/trigger/decisions")
expect "and it decides nothing" "$code $(jq -r .code "$folder/body")" "409 no_active_menu"
fails "scoring with it" 1 "model.dltm: .*damaged" "$dltrigger" score "$folder/job.json" --model "$model"
fails "inspecting it" 1 "model.dltm: .*damaged" "$dltrigger" inspect "$model"
service_stop
