#!/bin/sh
# The whole chain on the sample that ships with the project: starts the service, submits the jobs, activates a menu and
# posts one real event of each class.  A second run finds the model and skips to the events.
#   sh deploy/demo-run.sh BUILD        (make demo calls it; make demo-stop ends the service)
# DLT_DEMO_DIR: where its data go (default demo-data); DLT_DEMO_LISTEN: address (default 127.0.0.1:8080).
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
data=${DLT_DEMO_DIR:-demo-data}
sample=tests/fixtures/sample
started=$(date +%s)

say() { printf '%s\n' "$*"; }
title() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
for tool in curl jq; do
    command -v "$tool" > /dev/null || die "$tool is missing: run 'make deps' first"
done
mkdir -p "$data"

running() { [ -f "$data/pid" ] && kill -0 "$(cat "$data/pid")" 2> /dev/null && [ -s "$data/address" ]; }

start_service() {
    rm -f "$data/address"
    "$build/dltriggerd" --data-dir "$data" --data-root "$sample" --listen "$1" --port-file "$data/address" \
        > "$data/dltriggerd.log" 2>&1 &
    echo $! > "$data/pid"
    for _ in $(seq 100); do
        [ -s "$data/address" ] && return 0
        kill -0 "$(cat "$data/pid")" 2> /dev/null || return 1
        sleep 0.1
    done
    return 1
}

title "Service"
if running; then
    say "already running"
else
    start_service "${DLT_DEMO_LISTEN:-127.0.0.1:8080}" ||
        { [ -z "${DLT_DEMO_LISTEN:-}" ] && start_service 127.0.0.1:0; } ||
        { cat "$data/dltriggerd.log" >&2; die "the service did not start"; }
fi
server=http://$(cat "$data/address")
say "$server"

if ! curl -sf "$server/api/v1/models/topology-hlf" > /dev/null; then
    title "Jobs: ingest, features, train, evaluate (deploy/demo/pipeline.json)"
    "$build/dltrigger" submit deploy/demo/pipeline.json --server "$server" --follow > "$data/jobs.json" ||
        die "a job failed: see $data/jobs.json"
fi

title "Cut-flow (events by class)"
features=$(curl -sf "$server/api/v1/jobs?kind=features&state=completed&limit=1" | jq -r '.items[0].result.dataset_id')
events=$(curl -sf "$server/api/v1/jobs?kind=ingest&state=completed&limit=1" | jq -r '.items[0].result.dataset_id')
cut_flow() {
    curl -sf "$server/api/v1/datasets/$1" |
        jq -r '.cut_flow[] | [.reason, .label, .events] | @tsv' |
        awk -F '\t' '!($1 in seen) { seen[$1] = 1; order[++n] = $1 }
            { count[$1 "," $2] = $3; sum[$1] += $3 }
            END { for (i = 1; i <= n; i++) printf "  %-22s %6d %6d %6d %8d\n", order[i], count[order[i] ",qcd"],
                      count[order[i] ",tt"], count[order[i] ",wjets"], sum[order[i]] }'
}
printf '  %-22s %6s %6s %6s %8s\n' "ingest" qcd tt wjets all
cut_flow "$events"
printf '  %-22s %6s %6s %6s %8s\n' "features (topology-1)" qcd tt wjets all
cut_flow "$features"

title "Classifier hlf on the test part"
evaluation=$(curl -sf "$server/api/v1/jobs?kind=evaluate&state=completed&limit=1" | jq -r '.items[0].result.evaluation_id')
curl -sf "$server/api/v1/evaluations/$evaluation" | jq -r '
    "  model \(.model_version), \(.metrics.n_events) events, accuracy \(.metrics.accuracy * 1000 | round / 1000)",
    "  class        AUC   the other classes that pass at 99 % signal efficiency",
    (.metrics.classes[] | "  \(.name + "          " | .[0:10])\(.auc * 1000 | round / 1000 | tostring + "  " | .[0:6])  " +
        ([.working_points[] | select(.target_signal_efficiency == 0.99) | .background_efficiency[] |
          "\(.name) \(.value * 1000 | round / 10) %"] | join(", ")))'

if ! curl -sf "$server/api/v1/menus" | jq -e 'any(.items[]; .active)' > /dev/null; then
    title "Menu (deploy/demo/menu.json)"
    menu=$(curl -sS --fail-with-body -d @deploy/demo/menu.json "$server/api/v1/menus") || die "the menu was refused: $menu"
    revision=$(printf '%s' "$menu" | jq -r .revision)
    menu=$(curl -sS --fail-with-body -H 'If-Match: *' -d '{}' "$server/api/v1/menus/demo/revisions/$revision:activate") ||
        die "the menu was not activated: $menu"
    say "  active: demo, revision $revision"
fi

title "The trigger's answer to three real events"
for event in qcd:qcd_1:0 tt:ttbar:2 wjets:wlnu:0; do
    class=${event%%:*}; rest=${event#*:}; file=${rest%%:*}; entry=${rest#*:}
    "$build/dltrigger" event "$sample/$file.root" --entry "$entry" > "$data/event-$class.json"
    decision=$(curl -sS --fail-with-body -d @"$data/event-$class.json" "$server/api/v1/trigger/decisions") ||
        die "no decision: $decision"
    printf '%s' "$decision" | jq -r --arg class "$class" '
        "  \($class + "     " | .[0:6]) \(if .accept then "ACCEPT" else "reject" end)  \(.paths_accepted | join(",") | if . == "" then "-" else . end)" +
        (if .scores then "  scores " + ([.scores | to_entries[] | "\(.key) \(.value * 1000 | round / 1000)"] | join(", ")) else "  \(.preselection.reason)" end) +
        "  in \(.timing.total_us) us"'
done

title "Ready after $(($(date +%s) - started)) s"
say "  service     $server"
say "  an event    curl -d @$data/event-tt.json $server/api/v1/trigger/decisions | jq"
say "  jobs        curl $server/api/v1/jobs | jq"
say "  stop it     make demo-stop"
