#!/bin/sh
# The dashboard: its files over HTTP, then a newcomer's walk in Chromium (tests/browser/walk.mjs).
set -eu
. tests/e2e/service.sh
service_start

# ---- files ----------------------------------------------------------------------------------------------------------
head=$(curl -sI "$server/")
case $head in *"default-src 'self'"*) ;; *) fail "the page has no content security policy: $head" ;; esac
tag=$(curl -sI "$server/dashboard/app.js" | tr -d '\r' | sed -n 's/^ETag: //p')
expect "a script is served as one" "$(curl -so /dev/null -w '%{http_code} %{content_type}' "$server/dashboard/app.js")" "200 text/javascript; charset=utf-8"
expect "and is not sent twice" "$(curl -so /dev/null -w '%{http_code}' -H "If-None-Match: $tag" "$server/dashboard/app.js")" 304
expect "an unknown file is 404" "$(curl -so /dev/null -w '%{http_code}' "$server/dashboard/none.js")" 404
expect "nor is there a way out of the folder" "$(curl -so /dev/null -w '%{http_code}' "$server/dashboard/..%2f..%2fapi%2fopenapi.yaml")" 404
get /dashboard/demo-pipeline.json | cmp - deploy/demo/pipeline.json || fail "the demo pipeline is another"
if grep -rnE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(' server/dashboard; then fail "text could become markup"; fi

# ---- in the browser -------------------------------------------------------------------------------------------------
[ -x /usr/bin/chromium ] || { echo "skipped: chromium is not installed (group browser); the files passed"; exit 77; }
[ -d tests/node_modules/playwright-core ] || { echo "skipped: playwright-core is not installed (sh tests/node-deps.sh); the files passed"; exit 77; }
shots=$DLT_BUILD/test-logs/dashboard
mkdir -p "$shots"
"$DLT_BUILD/dltrigger" event tests/fixtures/sample/ttbar.root --entry 2 > "$folder/event.json"
node tests/browser/walk.mjs "$server" "$folder/event.json" "$shots" "$folder/profile" || fail "the walk: screenshots are in $shots"
service_stop

# ---- with keys ------------------------------------------------------------------------------------------------------
token=$("$DLT_BUILD/dltrigger" keys create --name page --scopes admin --data-dir "$folder/data" 2> /dev/null)
service_start
node tests/browser/token.mjs "$server" "$token" "$folder/profile-keys" || fail "the token"
service_stop
