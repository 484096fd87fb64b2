#!/bin/sh
# Open Inference Protocol v2: a client in Python drives metadata, repository and infer, binary and JSON, on a classifier
# of features and on one of particles.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
service_start

jq '.steps[1].spec.sequences = true | .steps[2].spec.params.epochs = 3 |
    .steps += [{"id": "sq", "kind": "train", "needs": ["ft"], "spec": {"dataset": "$ft.dataset_id", "model": "inclusive",
               "register_as": "topology-inclusive", "params": {"epochs": 1, "units": 8}}}]' deploy/demo/pipeline.json > "$folder/pipeline.json"
"$dltrigger" submit "$folder/pipeline.json" --server "$server" --follow > /dev/null 2> "$folder/progress" ||
    { cat "$folder/progress" >&2; fail "the pipeline failed"; }
revision=$(post /api/v1/menus "$(cat deploy/demo/menu.json)" | jq -r .revision)
activate demo "$revision" > /dev/null
curl -sS --fail-with-body -o /dev/null -X PUT -H 'If-Match: *' -d '{"version":1}' "$server/api/v1/models/topology-hlf/aliases/champion"
"$dltrigger" features tests/fixtures/sample/ttbar.root --recipe topology-1 --entries 0:12 --rows --json |
    jq -c 'select(.reason == null)' > "$folder/rows.json"
expect "events to infer" "$(wc -l < "$folder/rows.json" | awk '$1 >= 5 {print "enough"}')" enough
python3 tests/e2e/oip_client.py "${server#http://}" topology-hlf topology-inclusive "$folder/rows.json"
service_stop
