#!/bin/sh
# Files from the client's side: uploaded whole, in pieces, broken off and gone on with; ingested by their name; and dropped
# into a watched folder.  Exports as jobs: listed, downloaded whole and in ranges, deleted.
set -eu
. tests/e2e/service.sh
file=tests/fixtures/sample/ttbar.root
size=$(stat -c %s "$file")
sha=$(sha256sum "$file" | cut -d' ' -f1)
drop=$folder/drop
mkdir -p "$drop/tt" "$drop/plain"
start() { service_start --drop-folder "$drop" --drop-folder "$drop/plain=qcd" --drop-settle-seconds 0.3 --upload-mb 30 --uploads-mb 40; }
start
# put NAME FILE [curl options]: status and code of the answer; its body is in $folder/answer.
put() {
    name=$1 body=$2
    shift 2
    curl -sS -D "$folder/head" -o "$folder/answer" -w '%{http_code}' -T "$body" "$@" "$server/api/v1/uploads/$name"
}
said() { jq -r "$1" "$folder/answer"; }

# ---- whole ----------------------------------------------------------------------------------------------------------
expect "whole" "$(put ttbar.root "$file")" 201
expect "its hash and size" "$(said '"\(.sha256) \(.received) \(.complete)"')" "$sha $size true"
digest=$(openssl dgst -sha256 -binary "$file" 2> /dev/null | base64) || digest=
if [ -n "$digest" ]; then
    expect "with its digest" "$(put again.root "$file" -H "Content-Digest: sha-256=:$digest:")" 201
    head -c 100 "$file" > "$folder/piece"
    expect "another digest" "$(put wrong.root "$folder/piece" -H "Content-Digest: sha-256=:$digest:") $(said .code)" "422 digest_mismatch"
    expect "nothing of it is kept" "$(get /api/v1/uploads/wrong.root | jq .received)" 0
fi
expect "two names, one file" "$(find "$folder/data/uploads" -name "$sha" | wc -l)" 1
for name in ..%2Fetc%2Fpasswd up_x %2e%2e 'a%2Ab'; do
    code=$(curl -sS -o "$folder/answer" -w '%{http_code}' --path-as-is -T "$file" "$server/api/v1/uploads/$name")
    case $code in 4??) ;; *) fail "name $name: $code" ;; esac
done
[ ! -e "$folder/data/passwd" ] || fail "a name was a path"
echo "ok: names are not paths"

# ---- in pieces --------------------------------------------------------------------------------------------------------
half=$((size / 2))
head -c "$half" "$file" > "$folder/first"
tail -c +$((half + 1)) "$file" > "$folder/second"
expect "the first half" "$(put pieces.root "$folder/first" -H "Content-Range: bytes 0-$((half - 1))/$size")" 200
expect "how far it is" "$(grep -i '^range:' "$folder/head" | tr -d '\r')" "Range: bytes=0-$((half - 1))"
expect "the same again" "$(put pieces.root "$folder/first" -H "Content-Range: bytes 0-$((half - 1))/$size") $(said .code)" "409 offset_mismatch"
expect "what is there" "$(grep -i '^range:' "$folder/head" | tr -d '\r')" "Range: bytes=0-$((half - 1))"
expect "not to be read yet" "$(post /api/v1/jobs '{"kind":"ingest","spec":{"inputs":[{"path":"upload:pieces.root","label":"tt"}]},"max_attempts":1}' | jq -r .id > "$folder/id"; wait_final "$(cat "$folder/id")" | jq -r '.errors[-1].error // .errors[-1].detail // .errors[-1]' | grep -c 'not complete')" 1
service_kill
start
expect "after a kill" "$(get /api/v1/uploads/pieces.root | jq .received)" "$half"
expect "the second half" "$(put pieces.root "$folder/second" -H "Content-Range: bytes $half-$((size - 1))/$size")" 201
expect "the whole" "$(said .sha256)" "$sha"
# A connection that breaks: what came is kept.
cat > "$folder/broken.py" <<'PYTHON'
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
s = socket.create_connection((host, int(port)))
s.sendall(b"PUT /api/v1/uploads/broken.root HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % int(sys.argv[2]) + open(sys.argv[3], "rb").read())
time.sleep(1)                           # what is on its way when a connection breaks may be lost
s.close()
PYTHON
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
python3 "$folder/broken.py" "${server#http://}" "$size" "$folder/first"
for _ in $(seq 100); do
    got=$(curl -s "$server/api/v1/uploads/broken.root" | jq '.received // 0')
    [ "$got" = "$half" ] && break
    sleep 0.1
done
expect "a broken connection" "$got" "$half"
expect "goes on" "$(put broken.root "$folder/second" -H "Content-Range: bytes $half-$((size - 1))/$size") $(said .sha256)" "201 $sha"
head -c 31000000 /dev/zero > "$folder/large"
expect "too large" "$(put large "$folder/large")" 413
head -c 29000000 /dev/zero > "$folder/large"
expect "room for one" "$(put one "$folder/large")" 201
tr '\0' 'x' < "$folder/large" > "$folder/larger"
expect "the quota" "$(put two "$folder/larger") $(said .code)" "507 storage_full"
rm "$folder/large" "$folder/larger"
expect "wrong range" "$(put x "$folder/first" -H 'Content-Range: bytes 5-1/3') $(said .code)" "422 invalid_request"

# ---- used and deleted ---------------------------------------------------------------------------------------------------
job=$(post /api/v1/jobs '{"kind":"ingest","spec":{"inputs":[{"path":"upload:pieces.root","label":"tt"}]}}' | jq -r .id)
expect "ingested" "$(wait_final "$job" | jq -r '.state, .result.events_read' | tr '\n' ' ')" "completed 500 "
expect "listed" "$(get '/api/v1/uploads?limit=500' | jq -c '[.items[] | select(.complete and .sha256 == "'"$sha"'") | .name] | sort')" \
    "$([ -n "$digest" ] && echo '["again.root","broken.root","pieces.root","ttbar.root"]' || echo '["broken.root","pieces.root","ttbar.root"]')"
for name in again.root broken.root pieces.root; do curl -s -o /dev/null -X DELETE "$server/api/v1/uploads/$name"; done
[ -e "$folder/data/uploads/$sha" ] || fail "a file that has a name is gone"
expect "deleted" "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$server/api/v1/uploads/ttbar.root")" 204
[ ! -e "$folder/data/uploads/$sha" ] || fail "a file without a name is there"
expect "gone" "$(curl -s "$server/api/v1/uploads/ttbar.root" | jq -r .code)" not_found

# ---- dropped ------------------------------------------------------------------------------------------------------------
dropped() { get /api/v1/dropped-files | jq -c "$1"; }
wait_dropped() { for _ in $(seq 100); do [ "$(dropped '.items | length')" -ge "$1" ] && return; sleep 0.1; done; fail "no dropped file: $(dropped .)"; }
head -c "$half" "$file" > "$drop/tt/growing.root"
cp "$file" "$drop/tt/.hidden.root"
cp "$file" "$drop/lost.root"
cp "$file" "$drop/tt/notes.txt"
for _ in $(seq 6); do sleep 0.1; tail -c +$((half + 1)) "$file" | head -c 1000 >> "$drop/tt/growing.root"; done
cat "$file" > "$drop/tt/growing.root"
cp "$file" "$drop/plain/whole.root"
wait_dropped 3
expect "what was dropped" "$(dropped '[.items[] | [(.path | split("/")[-1]), .class, (.job_id != null), (.error != null)]] | sort' | sed 's/^\(.*\)$/\1/' | jq -c '[.[] | select(.[0] != "lost.root")] | unique')" \
    '[["growing.root","tt",true,false],["whole.root","plain",true,false]]'
expect "a file without a class" "$(dropped '[.items[] | select(.path | endswith("/lost.root")) | [.job_id, (.error | length > 0)]]')" '[[null,true]]'
for id in $(dropped '.items[].job_id // empty' | tr -d '"'); do
    expect "its job" "$(wait_final "$id" | jq -r '.state, .result.events_read, .tags[0]' | tr '\n' ' ')" "completed 500 dropped "
done
jobs=$(get '/api/v1/jobs?kind=ingest&limit=500' | jq '.items | length')
service_kill
start
sleep 1
expect "not twice after a restart" "$(get '/api/v1/jobs?kind=ingest&limit=500' | jq '.items | length')" "$jobs"
cp tests/fixtures/sample/qcd_1.root "$drop/tt/growing.root"
for _ in $(seq 100); do [ "$(get '/api/v1/jobs?kind=ingest&limit=500' | jq '.items | length')" -gt "$jobs" ] && break; sleep 0.1; done
expect "a file that was replaced" "$(get '/api/v1/jobs?kind=ingest&limit=500' | jq '.items | length')" "$((jobs + 1))"

# ---- exports, and what lists say -------------------------------------------------------------------------------------------
"$DLT_BUILD/dltrigger" submit deploy/demo/pipeline.json --server "$server" --follow > "$folder/jobs.json" 2> "$folder/progress" || fail "the pipeline"
train=$(get '/api/v1/jobs?kind=features&limit=1' | jq -r '.items[0].result.dataset_id')
id=$(post /api/v1/jobs "{\"kind\":\"export\",\"spec\":{\"dataset\":\"$train\",\"format\":\"csv\"}}" | jq -r .id)
export=$(wait_final "$id" | jq -r .result.export_id)
rows=$(get "/api/v1/datasets/$train" | jq .rows)
expect "listed with its counts" "$(get /api/v1/exports | jq -c '.items[0] | [.id, .format, .rows, .n_files, .dataset_id]')" "[\"$export\",\"csv\",$rows,1,\"$train\"]"
expect "datasets listed with theirs" "$(get /api/v1/datasets | jq -c '[.items[] | select(.id == "'"$train"'") | .rows, .split, .recipe, (.class_counts | length), (.content_sha256 | length)]')" "[$rows,\"train\",\"topology-1\",3,64]"
path=/api/v1/exports/$export/files/rows.csv
curl -sS --fail-with-body -D "$folder/head" -o "$folder/rows.csv" "$server$path"
expect "downloaded" "$(sha256sum "$folder/rows.csv" | cut -d' ' -f1)" "$(get "/api/v1/exports/$export" | jq -r '.files[0].sha256')"
expect "lines" "$(wc -l < "$folder/rows.csv")" "$((rows + 1))"
tag=$(grep -i '^etag:' "$folder/head" | tr -d '\r' | cut -d' ' -f2)
expect "not changed" "$(curl -s -o /dev/null -w '%{http_code}' -H "If-None-Match: $tag" "$server$path")" 304
for range in 0-99 100- -50; do
    curl -sS --fail-with-body -D "$folder/head" -H "Range: bytes=$range" -o "$folder/part" "$server$path"
    case $range in
    0-99) head -c 100 "$folder/rows.csv" > "$folder/want" ;;
    100-) tail -c +101 "$folder/rows.csv" > "$folder/want" ;;
    *) tail -c 50 "$folder/rows.csv" > "$folder/want" ;;
    esac
    cmp "$folder/part" "$folder/want" || fail "range $range"
    head -1 "$folder/head" | grep -q 206 || fail "range $range: $(head -1 "$folder/head")"
done
expect "behind the end" "$(curl -s -o "$folder/answer" -w '%{http_code}' -H 'Range: bytes=99999999-' "$server$path") $(said .code)" "416 range_not_satisfiable"
expect "another tag" "$(curl -s -o /dev/null -w '%{http_code}' -H 'If-Range: "x"' -H 'Range: bytes=0-9' "$server$path")" 200
expect "no other file" "$(curl -s "$server/api/v1/exports/$export/files/_dltrigger_export" | jq -r .code)" not_found
expect "in the lineage" "$(get "/api/v1/lineage/$export" | jq -c '[.nodes[] | select(.kind != "file") | .kind] | unique')" '["dataset","export"]'
expect "quantiles" "$(get "/api/v1/datasets/$train" | jq -c '[(.quantiles | length), (.quantiles[0] | .p01 <= .p05 and .p05 <= .p50 and .p50 <= .p95 and .min <= .p01 and .p99 <= .max), (.correlations | length), (.correlations[0].matrix | length)]')" '[14,true,3,196]'
test=$(get '/api/v1/jobs?kind=features&limit=1' | jq -r '.items[0].result.test_dataset_id')
id=$(post /api/v1/jobs "{\"kind\":\"export\",\"spec\":{\"dataset\":\"$test\"}}" | jq -r .id)
copy=$(wait_final "$id" | jq -r .result.export_id)
expect "an export does not hold its dataset" "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$server/api/v1/datasets/$test")" 204
expect "and outlives it" "$(get "/api/v1/exports/$copy" | jq '.files | length')" 1
expect "deleted export" "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$server/api/v1/exports/$export")" 204
[ ! -e "$folder/data/exports/$export" ] || fail "the export's folder is there"
service_stop
