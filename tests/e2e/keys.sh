#!/bin/sh
# A service with keys: made offline, asked for on every route, revoked live, noted in the audit log; over TLS.
set -eu
. tests/e2e/service.sh
dltrigger=$DLT_BUILD/dltrigger

# Without keys there is none to be had over HTTP, and nobody but this machine is listened to.
service_start
code=$(curl -s -o "$folder/answer" -w '%{http_code}' -d '{"name":"me","scopes":["admin"]}' "$server/api/v1/keys")
expect "no first key over HTTP" "$code $(jq -r .code "$folder/answer")" "403 first_key"
"$dltrigger" keys list --data-dir "$folder/data" 2> "$folder/answer" && fail "keys of a running service"
service_stop
"$DLT_BUILD/dltriggerd" --data-dir "$folder/data" --listen 0.0.0.0:0 2> "$folder/answer" && fail "open to everybody"
expect "it says how to make a key" "$(grep -c 'dltrigger keys create' "$folder/answer")" 1

admin=$("$dltrigger" keys create --name admin --scopes admin --data-dir "$folder/data" 2> /dev/null)
reader=$("$dltrigger" keys create --name reader --scopes read --expires 1 --data-dir "$folder/data" 2> /dev/null)
status=0
"$dltrigger" keys create --name x --scopes reed --data-dir "$folder/data" 2> "$folder/answer" || status=$?
expect "a scope that there is not" "$status $(grep -c "'reed' is no scope" "$folder/answer")" "1 1"
expect "two keys" "$("$dltrigger" keys list --data-dir "$folder/data" | wc -l | tr -d ' ')" 2

# The data base can be copied meanwhile, once.
"$dltrigger" backup --data-dir "$folder/data" --out "$folder/copy.db"
expect "the copy is a data base" "$(head -c 15 "$folder/copy.db")" "SQLite format 3"
"$dltrigger" backup --data-dir "$folder/data" --out "$folder/copy.db" 2> "$folder/answer" && fail "a backup over another"
expect "and says so" "$(grep -c 'copy.db exists' "$folder/answer")" 1

# ---- every route, with no key and with one that may only read ------------------------------------------------------
service_start
as() { curl -s -o "$folder/answer" -w '%{http_code}' -H "Authorization: Bearer $1" -X "$2" "$server$3"; }
"$DLT_BUILD/dltriggerd" --print-routes | while read -r method path operation; do
    at=$(printf '%s' "$path" | sed 's/{[a-z]*}/x/g')
    code=$(curl -s -o /dev/null -w '%{http_code}' -X "$method" "$server$at")
    case $path in
    / | /healthz | /readyz | /startupz | /openapi.yaml | /problems/* | /dashboard/* | /v2/health/*)
        [ "$code" != 401 ] || fail "$operation wants a key" ;;
    *)
        [ "$code" = 401 ] || fail "$operation without a key: $code" ;;
    esac
done
echo "ok: every route with a scope wants a key"
expect "a key that may read" "$(as "$reader" GET /api/v1/jobs)" 200
expect "X-API-Key too" "$(curl -s -o /dev/null -w '%{http_code}' -H "X-API-Key: $reader" "$server/api/v1/jobs")" 200
expect "but not submit" "$(as "$reader" POST /api/v1/jobs) $(jq -r .code "$folder/answer")" "403 missing_scope"
expect "an unknown key" "$(as dlt_0000 GET /api/v1/jobs) $(jq -r .code "$folder/answer")" "401 unauthenticated"
expect "the command line" "$(DLTRIGGER_KEY=$reader "$dltrigger" jobs --server "$server" > /dev/null && echo answered)" answered
"$dltrigger" jobs --server "$server" 2> "$folder/answer" && fail "the command line without a key"

# ---- keys over HTTP ------------------------------------------------------------------------------------------------
curl -sS --fail-with-body -H "Authorization: Bearer $admin" -d '{"name":"filter","scopes":["filter"],"rate_per_second":2}' \
    "$server/api/v1/keys" > "$folder/key.json"
filter=$(jq -r .token "$folder/key.json")
expect "a set of scopes" "$(jq -c .scopes "$folder/key.json")" '["trigger:score"]'
codes=$(for _ in 1 2 3 4 5; do curl -s -o /dev/null -w '%{http_code} ' -H "Authorization: Bearer $filter" -d '{}' "$server/api/v1/trigger/decisions"; done)
expect "its requests are limited" "$(printf '%s' "$codes" | grep -c 429)" 1
expect "the list has no secret" "$(curl -sS -H "Authorization: Bearer $admin" "$server/api/v1/keys" | grep -c dlt_)" 0
expect "revoked" "$(as "$admin" DELETE "/api/v1/keys/$(jq -r .id "$folder/key.json")")" 204
expect "at once" "$(as "$filter" POST /api/v1/trigger/decisions)" 401
curl -sS --fail-with-body -H "Authorization: Bearer $admin" "$server/api/v1/audit" > "$folder/audit.json"
expect "it is noted" "$(jq -c '[.items[] | [.action, .status]]' "$folder/audit.json")" '[["revokeKey",204],["createKey",201],["createKey",403]]'
service_stop

# ---- TLS ---------------------------------------------------------------------------------------------------------------
if command -v openssl > /dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$folder/key.pem" -out "$folder/cert.pem" 2> /dev/null
    service_start --tls-certificate "$folder/cert.pem" --tls-key "$folder/key.pem"
    server=https://${server#http://}
    expect "https" "$(curl -s -o /dev/null -w '%{http_code}' --cacert "$folder/cert.pem" -H "Authorization: Bearer $reader" "$server/api/v1/jobs")" 200
    expect "the command line over https" "$(DLTRIGGER_KEY=$reader DLTRIGGER_CA=$folder/cert.pem "$dltrigger" jobs --server "$server" > /dev/null && echo answered)" answered
    "$dltrigger" jobs --server "$server" 2> /dev/null && fail "an authority that nobody knows"
    service_stop
    status=0
    "$DLT_BUILD/dltriggerd" --data-dir "$folder/data" --listen 127.0.0.1:0 --tls-key "$folder/key.pem" 2> "$folder/answer" || status=$?
    expect "half of TLS" "$status $(grep -c 'go together' "$folder/answer")" "1 1"
fi
