#!/bin/sh
# A data folder on a disk that fills up while features and exports are written: the jobs fail and say why, nothing
# half-done is to be seen, the service goes on, and the same jobs are done once there is room.
# Needs to mount a small file system: as root.
set -eu
. tests/e2e/service.sh
disk=$folder/disk
mkdir "$disk"
mount -t tmpfs -o size=80m tmpfs "$disk" 2> /dev/null || { echo "skipped: no small file system can be mounted here (not root)"; exit 77; }
cleanup() {
    [ -n "$pid" ] && kill -9 "$pid" 2> /dev/null && wait "$pid" 2> /dev/null
    pid=
    umount "$disk" 2> /dev/null || umount -l "$disk" 2> /dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
mkdir "$disk/data"
ln -s "$disk/data" "$folder/data"
service_start
submit() { post /api/v1/jobs "$1" | jq -r .id; }
done_or() { wait_final "$1" | jq -r "$2"; }
events=$(done_or "$(submit '{"kind":"ingest","spec":{"inputs":[{"path":"qcd_1.root","label":"qcd"},{"path":"ttbar.root","label":"tt"}]}}')" .result.dataset_id)
[ "$events" != null ] || fail "the ingest failed"
ballast() {                             # leaves so many kB
    free=$(df -k --output=avail "$disk" | tail -1)
    head -c $(((free - $1) * 1024)) /dev/zero > "$disk/ballast"
}
list() { find "$disk/data/datasets" "$disk/data/exports" -mindepth 1 -maxdepth 1 2> /dev/null | sort; }
for kind in features export; do
    if [ "$kind" = features ]; then
        spec="{\"dataset\":\"$events\",\"recipe\":\"sparkdltrigger-1\"}"
    else
        spec="{\"dataset\":\"$train\",\"format\":\"npy\",\"what\":\"sequence\"}"
    fi
    list > "$folder/before"
    ballast 1500
    id=$(submit "{\"kind\":\"$kind\",\"spec\":$spec,\"max_attempts\":1}")
    expect "$kind on a full disk" "$(done_or "$id" .state)" discarded
    expect "$kind says why" "$(get "/api/v1/jobs/$id" | jq -c '.errors[-1]' | grep -ci 'no space')" 1
    list > "$folder/after"
    cmp "$folder/before" "$folder/after" || fail "$kind left something to be seen"
    expect "the service lives" "$(curl -s -o /dev/null -w '%{http_code}' "$server/healthz")" 200
    rm "$disk/ballast"
    post "/api/v1/jobs/$id:retry" '' > /dev/null
    expect "$kind with room again" "$(done_or "$id" .state)" completed
    [ "$kind" = export ] || train=$(get "/api/v1/jobs/$id" | jq -r .result.dataset_id)
done
curl -sS --fail-with-body -o "$folder/list" "$server/api/v1/exports"
expect "the export" "$(jq '.items | length' "$folder/list")" 1
head -c 60000000 /dev/zero > "$folder/large"
expect "an upload on a full disk" "$(curl -s -o "$folder/answer" -w '%{http_code}' -T "$folder/large" -H 'Content-Range: bytes 0-59999999/70000000' "$server/api/v1/uploads/large")" 507 ||
    fail "$(cat "$folder/answer")"
service_stop
