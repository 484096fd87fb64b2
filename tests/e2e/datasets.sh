#!/bin/sh
# Datasets over HTTP: rows as JSON, CSV and .npy agree; histograms add up; lineage from files to evaluation; deletion only
# of what nothing was made of.
set -eu
. tests/e2e/service.sh
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
service_start

"$DLT_BUILD/dltrigger" submit deploy/demo/pipeline.json --server "$server" --follow > "$folder/jobs.json" 2> "$folder/progress" ||
    { cat "$folder/progress" >&2; fail "the pipeline failed"; }
job_of() { get "/api/v1/jobs?kind=$1&limit=1" | jq -r ".items[0]$2"; }
events=$(job_of ingest .result.dataset_id)
train=$(job_of features .result.dataset_id)
test=$(job_of features .result.test_dataset_id)
model=$(job_of train .result.model_id)
evaluation=$(job_of evaluate .result.evaluation_id)

# ---- rows -------------------------------------------------------------------------------------------------------
n=$(get "/api/v1/datasets/$test" | jq .rows)
cursor=
: > "$folder/rows"
while :; do
    get "/api/v1/datasets/$test/rows?limit=17${cursor:+&cursor=$cursor}" > "$folder/page"
    jq -c '.items[]' "$folder/page" >> "$folder/rows"
    cursor=$(jq -r '.next_cursor // empty' "$folder/page")
    [ -n "$cursor" ] || break
done
expect "pages hold every row once" "$(jq -s -c '[.[].row] == [range(length)] and length == '"$n" "$folder/rows")" true
curl -sS --fail-with-body -H 'Accept: text/csv' "$server/api/v1/datasets/$test/rows?limit=40" > "$folder/rows.csv"
curl -sS --fail-with-body -D "$folder/head" -H 'Accept: application/x-npy' "$server/api/v1/datasets/$test/rows?limit=40" > "$folder/rows.npy"
expect "the next page is in the Link header" "$(grep -ci '^link: .*cursor=.*rel="next"' "$folder/head")" 1
cat > "$folder/compare.py" <<'PYTHON'
# The formats read by themselves, without NumPy: .npy is a header that is a Python literal, and packed records.
import ast, csv, json, struct, sys
folder = sys.argv[1]
rows = [json.loads(line) for line in open(folder + "/rows")][:40]
table = list(csv.DictReader(open(folder + "/rows.csv", newline="")))
raw = open(folder + "/rows.npy", "rb").read()
assert raw[:8] == b"\x93NUMPY\x01\x00"
length, = struct.unpack("<H", raw[8:10])
assert (10 + length) % 64 == 0
head = ast.literal_eval(raw[10:10 + length].decode())
assert head["fortran_order"] is False and head["shape"] == (40,)
code = {"<i4": "i", "<i8": "q", "<f4": "f"}
record = struct.Struct("<" + "".join(code[t] for _, t in head["descr"]))
records = list(record.iter_unpack(raw[10 + length:]))
assert len(rows) == len(table) == len(records) == 40
f32 = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
for j, c, r in zip(rows, table, records):
    assert c["class"] == j["class"] and int(c["row"]) == j["row"]
    for (name, kind), value in zip(head["descr"], r):
        assert f32(j[name]) == f32(float(c[name])) == value if kind == "<f4" else j[name] == int(c[name]) == value
assert len(head["descr"]) == 19
print("agree")
PYTHON
expect "JSON, CSV and .npy" "$(python3 "$folder/compare.py" "$folder")" agree
expect "rows of events" "$(get "/api/v1/datasets/$events/rows?limit=1" | jq -c '.items[0] | [has("nTracks"), has("MET"), .entry]')" "[true,true,$(get "/api/v1/datasets/$events/rows?limit=1" | jq '.items[0].entry')]"
expect "particles on request" "$(get "/api/v1/datasets/$test/rows?limit=3&particles=true" | jq -c '[.items[] | (.particles | length > 0), (.particles | all(length == 19)), ((.particles[0][4] / .lepPt - 1) | fabs < 1e-5)] | unique')" '[true]'
expect "not so many" "$(curl -s "$server/api/v1/datasets/$test/rows?limit=100&particles=true" | jq -r .code)" invalid_query
code=$(curl -s -o "$folder/answer" -w '%{http_code}' -H 'Accept: image/png' "$server/api/v1/datasets/$test/rows")
expect "no such format" "$code $(jq -r .code "$folder/answer")" "406 not_acceptable"
code=$(curl -s -o "$folder/answer" -w '%{http_code}' "$server/api/v1/datasets/$test/rows?cursor=5.0")
expect "a cursor of one's own" "$code $(jq -r .code "$folder/answer")" "400 invalid_cursor"

# ---- histograms ---------------------------------------------------------------------------------------------------
histogram() { get "/api/v1/datasets/$train/histograms?$1"; }
expect "bins and edges" "$(histogram 'feature=HT&bins=60' | jq -c '[(.counts | length), (.edges | length), .unit]')" '[60,61,"GeV"]'
total=$(get "/api/v1/datasets/$train" | jq .rows)
expect "all events are in it" "$(histogram 'feature=MET&weighted=false' | jq '(.counts | add) + .underflow + .overflow')" "$total"
parts=0
for class in qcd tt wjets; do
    parts=$((parts + $(histogram "feature=MET&weighted=false&class=$class" | jq .events)))
done
expect "classes add up" "$parts" "$total"
weight=$(get "/api/v1/datasets/$train" | jq '[.class_counts[].weight] | add')
expect "weights add up" "$(histogram feature=lepPt | jq --argjson w "$weight" '(.sum / $w - 1) | fabs < 1e-6')" true
for query in feature=nope 'feature=HT&bins=0' 'feature=HT&bins=1001' 'feature=HT&class=nope' 'feature=HT&weighted=1' bins=3; do
    expect "histogram $query" "$(curl -s "$server/api/v1/datasets/$train/histograms?$query" | jq -r .code)" invalid_query
done
expect "histogram of events" "$(curl -s "$server/api/v1/datasets/$events/histograms?feature=HT" | jq -r .code)" invalid_request

# ---- lineage ------------------------------------------------------------------------------------------------------
get "/api/v1/lineage/$train" > "$folder/lineage"
expect "up and down" "$(jq -c '[.nodes[].kind] | group_by(.) | map([.[0], length])' "$folder/lineage")" \
    '[["dataset",2],["evaluation",1],["file",4],["model",1]]'
for edge in "$events $train" "$train $model" "$model $evaluation"; do
    expect "edge $edge" "$(jq --arg a "${edge% *}" --arg b "${edge#* }" '[.edges[] | select(.from == $a and .to == $b)] | length' "$folder/lineage")" 1
done
expect "every edge joins two nodes" "$(jq '[.nodes[].id] as $ids | [.edges[] | select((.from as $x | $ids | index($x) | not) or (.to as $x | $ids | index($x) | not))] | length' "$folder/lineage")" 0
expect "down from the events" "$(get "/api/v1/lineage/$events" | jq '[.nodes[] | select(.kind != "file")] | length')" 5
expect "nothing unknown" "$(curl -s "$server/api/v1/lineage/ds_none" | jq -r .code)" not_found

# ---- deletion ------------------------------------------------------------------------------------------------------
remove() { curl -s -o "$folder/answer" -w '%{http_code}' -X DELETE "$server/api/v1/datasets/$1"; }
expect "events that features were made of" "$(remove "$events") $(jq -r .code "$folder/answer")" "409 conflict"
expect "features that a model was made of" "$(remove "$train") $(jq -r .code "$folder/answer")" "409 conflict"
expect "the conflict names the model" "$(jq -r .detail "$folder/answer" | grep -c "$model")" 1
expect "features of an evaluation only" "$(remove "$test")" 204
expect "it is gone" "$(curl -s "$server/api/v1/datasets/$test" | jq -r .code)" not_found
[ ! -e "$folder/data/datasets/$test" ] || fail "its folder is still there"
expect "again" "$(remove "$test")" 404
expect "lineage names what is gone" "$(get "/api/v1/lineage/$evaluation" | jq --arg id "$test" '[.nodes[] | select(.id == $id)] | map(.kind) | join(" ")')" '"gone"'
service_stop
