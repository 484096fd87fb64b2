#!/bin/sh
# Models of other programs: Keras files over HTTP into a running service, scored in its trigger, out as ONNX and back; and
# hostile files, each with a clear error and the service alive.  The published models are in ../shared/data/keras; hostile
# files are made here by Debian's python3-h5py.  Each part runs where it can, and says so where not.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger
keras=../shared/data/keras
python=/usr/bin/python3         # Debian's: it sees Debian's packages
published=true hostile=true
[ -f "$keras/InclusiveClassifier.h5" ] || { published=false; echo "left out: the published models are not here"; }
"$python" -c 'import h5py' 2> /dev/null || { hostile=false; echo "left out: hostile files need python3-h5py"; }
$published || $hostile || { echo "skipped: neither ../shared/data/keras nor python3-h5py is here"; exit 77; }
if $hostile; then
    mkdir "$folder/files"
    "$python" tests/e2e/hostile_h5.py "$folder/files"
    good=$folder/files/good_dense.h5
else
    good=$keras/InclusiveClassifier.h5
fi
"$dltrigger" inspect "$good" > "$folder/out" 2>&1 || {
    grep -q 'install it' "$folder/out" && { echo "skipped: $(cat "$folder/out")"; exit 77; }
    fail "a sound file: $(cat "$folder/out")"
}
service_start

# import NAME FILE [QUERY]: status of the answer, which is in $folder/answer.
import() {
    curl -sS -o "$folder/answer" -D "$folder/headers" -w '%{http_code}' -H 'Content-Type: application/octet-stream' \
        --data-binary @"$2" "$server/api/v1/models/$1/versions${3:-}"
}
header() { tr -d '\r' < "$folder/headers" | awk -v name="$1:" 'tolower($1) == name {print $2; exit}'; }
fetch() { curl -sS -D "$folder/headers" -o "$folder/fetched" -w '%{http_code}' "$@"; }
hash_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# ---- the published models -------------------------------------------------------------------------------------------
if $published; then
    expect "Keras 2" "$(import seed $keras/InclusiveClassifier.h5)" 201
    expect "where it is" "$(header location)" /api/v1/models/seed/versions/1
    sha=$(jq -r .sha256 "$folder/answer") id=$(jq -r .id "$folder/answer")
    expect "Keras 3" "$(import seed $keras/myGRUmodel.keras) $(jq -c '[.version, .imported_from]' "$folder/answer")" '201 [2,"keras"]'
    expect "no job made it" "$(get /api/v1/models/seed | jq -c '[.latest_version, .versions[].job_id]')" '[2,null,null]'
    expect "its layers" "$(get /api/v1/models/seed/versions/1 | jq -c '[.header.params.layers[].kind]')" \
        '["gru","dropout","dropout","concatenate","dense","dense"]'

    file=$server/api/v1/models/seed/versions/1/artifact
    expect "its file" "$(fetch "$file") $(header etag) $(hash_of "$folder/fetched")" "200 \"$sha\" $sha"
    cp "$folder/fetched" "$folder/model.dltm"
    expect "unchanged" "$(fetch -H "If-None-Match: \"$sha\"" "$file")" 304
    expect "a part" "$(fetch -H 'Range: bytes=0-7' "$file") $(cat "$folder/fetched") $(header content-range)" \
        "206 DLTMODEL bytes"
    expect "a part that is not there" "$(fetch -H 'Range: bytes=99999999-' "$file")" 416
    expect "our own file back in" "$(import own "$folder/model.dltm") $(jq -r .sha256 "$folder/answer")" "201 $sha"

    expect "as ONNX" "$(fetch "$file?format=onnx&with_scaler=true") $(header etag)" "200 \"$(hash_of "$folder/fetched")\""
    cp "$folder/fetched" "$folder/model.onnx"
    expect "the same bytes again" "$(fetch -H "If-None-Match: \"$(hash_of "$folder/model.onnx")\"" "$file?format=onnx&with_scaler=true")" 304
    expect "a part of it" "$(fetch -H 'Range: bytes=-4' "$file?format=onnx") $(wc -c < "$folder/fetched")" "206 4"
    expect "ONNX back in: the same model" "$(import back "$folder/model.onnx") $(jq -r .sha256 "$folder/answer")" "201 $sha"
    expect "another format" "$(fetch "$file?format=pickle") $(jq -r .code "$folder/fetched")" "400 invalid_query"

    # The published models learned from scaled features: an event's get the scaler of a dataset.
    menu_of() { jq ".paths |= [.[1] | .model = \"$1\"]" deploy/demo/menu.json; }
    post /api/v1/menus "$(menu_of seed@1)" > /dev/null
    expect "without a scaler it scores no events" \
        "$(curl -sS -o "$folder/answer" -w '%{http_code}' -X POST -H 'If-Match: *' "$server/api/v1/menus/demo/revisions/1:activate")" 422
    post /api/v1/pipelines '{"name":"data","steps":[
        {"id":"in","kind":"ingest","spec":{"inputs":[{"path":"qcd_1.root","label":"qcd"},{"path":"ttbar.root","label":"tt"},{"path":"wlnu.root","label":"wjets"}]}},
        {"id":"ft","kind":"features","needs":["in"],"spec":{"dataset":"$in.dataset_id","recipe":"sparkdltrigger-1","sequences":false}}]}' > /dev/null
    job=$(get '/api/v1/jobs?kind=features&limit=1' | jq -r '.items[0].id')
    data=$(wait_final "$job" | jq -r .result.dataset_id)
    expect "with a scaler" "$(import scaled $keras/InclusiveClassifier.h5 "?scaler_from=$data")" 201
    expect "which is the dataset's" "$(get /api/v1/models/scaled/versions/1 | jq -r '[.header.dataset_id, .header.recipe] | join(" ")')" \
        "$data sparkdltrigger-1"
    expect "not with another recipe" "$(import bad $keras/InclusiveClassifier.h5 "?scaler_from=$data&recipe=topology-1")" 422
    revision=$(post /api/v1/menus "$(menu_of scaled@1)" | jq -r .revision)
    activate demo "$revision" > "$folder/answer" || fail "menu: $(cat "$folder/answer")"
    "$dltrigger" event tests/fixtures/sample/ttbar.root --entry 2 > "$folder/event.json"
    curl -sS --fail-with-body -d @"$folder/event.json" "$server/api/v1/trigger/decisions" > "$folder/decision.json" ||
        fail "decision: $(cat "$folder/decision.json")"
    expect "an event is decided by it" "$(jq -c '[.scores[]] | add | . > 0.9999 and . < 1.0001' "$folder/decision.json")" true

    stored=$folder/data/models/$id/model.dltm
    printf X | dd of="$stored" bs=1 seek=2000 conv=notrunc 2> /dev/null
    expect "a damaged file is not served" "$(fetch "$file") $(jq -r .code "$folder/fetched")" "500 storage_failed"
    service_kill
    service_start
    expect "versions outlive a kill -9" "$(get /api/v1/models/seed | jq .latest_version)" 2
fi

# ---- sound and hostile files ------------------------------------------------------------------------------------------
if $hostile; then
    for path in "$folder"/files/good_*.h5 "$folder"/files/good_*.keras; do
        expect "$(basename "$path")" "$(import good "$path")" 201
    done
    expect "without Masking a ragged recipe is no match" \
        "$(import bad "$folder/files/good_transformer.h5" '?recipe=topology-1') $(jq -r .detail "$folder/answer" | grep -c 'flattens all 801 rows')" "422 1"
    expect "two classes for three numbers" "$(import bad "$good" '?classes=a,b')" 422
    expect "a dataset that is not there" "$(import bad "$good" '?scaler_from=ds_00000000000000000000000000')" 404
    expect "a name that is a path" "$(import '..%2f..%2fx' "$good")" 404
    for words in "$folder"/files/bad_*.words; do
        path=${words%.words}.h5
        [ -f "$path" ] || path=${words%.words}.keras
        code=$(import bad "$path")
        [ "$code" = 422 ] && jq -e --arg words "$(cat "$words")" '.detail | contains($words)' "$folder/answer" > /dev/null ||
            fail "$(basename "$path"): $code $(cat "$folder/answer"), expected 422 with '$(cat "$words")'"
    done
    echo "ok: hostile files, each with its own error"
    for path in "$folder"/files/flip_*.h5; do
        case $(import flipped "$path") in
        201 | 422) ;;
        *) fail "$(basename "$path"): $(cat "$folder/answer")" ;;
        esac
    done
    echo "ok: flipped bits"
    grep -q root: "$folder/answer" && fail "a file of the machine in an answer"
    expect "nothing came of them" "$(curl -s -o /dev/null -w '%{http_code}' "$server/api/v1/models/bad")" 404
fi
: > "$folder/empty"
expect "no body" "$(import bad "$folder/empty")" 422
expect "the service lives" "$(get /readyz | jq -r .status)" ready
service_stop
