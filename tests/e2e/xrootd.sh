#!/bin/sh
# Remote files against a real XRootD server on loopback, which serves a copy of the sample by root://, http:// and
# https://: whatever the way, the same answers as from the local file.
set -eu
: "${DLT_BUILD:=build}"
dltrigger=$DLT_BUILD/dltrigger
sample=tests/fixtures/sample
user=nobody                                  # the server refuses to run as root
skip() { echo "skipped: $*"; exit 77; }
command -v xrootd > /dev/null || skip "xrootd is not installed (apt-get install xrootd-server xrootd-plugins xrootd-server-plugins)"
command -v openssl > /dev/null || skip "openssl is not installed"
command -v curl > /dev/null || skip "curl is not installed"
[ "$(id -u)" -ne 0 ] || command -v setpriv > /dev/null || skip "setpriv is not installed"

folder=$(mktemp -d)
server_pid=
other_pid=
fail() { printf 'FAIL: %s\n' "$*" >&2; tail -n 20 "$folder/log" >&2 2> /dev/null || true; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"; echo "ok: $1"; }
stop() {
    for one in $server_pid $other_pid; do
        kill "$one" 2> /dev/null && wait "$one" 2> /dev/null || true
    done
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# as_user COMMAND...: becomes the command, not as root.
as_user() {
    if [ "$(id -u)" -eq 0 ]; then
        exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups --no-new-privs "$@"
    fi
    exec "$@"
}

# ---- the server -------------------------------------------------------------------------------------------------------
mkdir "$folder/files" "$folder/admin" "$folder/run"
cp "$sample/ttbar.root" "$sample/wlnu.root" "$sample/qcd_1.root" "$folder/files"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2> "$folder/openssl.log" || fail "$(cat "$folder/openssl.log")"
chmod 755 "$folder" "$folder/files"
chmod 644 "$folder"/files/*
chmod 600 "$folder/key.pem"
[ "$(id -u)" -ne 0 ] || chown -R "$user" "$folder/admin" "$folder/run" "$folder/key.pem"

# A port may be taken: then the next.
for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + ($$ * 8 + attempt) % 20000))
    web=$((port + 20000))
    cat > "$folder/server.cfg" << END
all.export /
oss.localroot $folder/files
xrd.port $port
xrd.tls $folder/cert.pem $folder/key.pem
xrd.tlsca noverify
xrd.protocol http:$web libXrdHttp.so
http.httpsmode auto
all.adminpath $folder/admin
all.pidpath $folder/run
END
    (cd "$folder/run" && as_user xrootd -c "$folder/server.cfg" -n test) > "$folder/log" 2>&1 &
    server_pid=$!
    for _ in $(seq 100); do
        grep -q 'initialization completed' "$folder/log" && break 2
        kill -0 "$server_pid" 2> /dev/null || break
        sleep 0.1
    done
    kill "$server_pid" 2> /dev/null || true
    wait "$server_pid" 2> /dev/null || true
    server_pid=
done
[ -n "$server_pid" ] || fail "xrootd did not start"
root=root://localhost:$port/
http=http://localhost:$web
https=https://localhost:$web

# ---- the same answers ---------------------------------------------------------------------------------------------------
export SSL_CERT_FILE="$folder/cert.pem" X509_CERT_DIR="$folder/none"
expect "the server answers several ranges" "$(curl -sS -o "$folder/parts" -w '%{http_code}' -r 0-9,1000-1009 "$http/ttbar.root")" 206
"$dltrigger" inspect "$sample/ttbar.root" > "$folder/inspect"
"$dltrigger" features "$sample/wlnu.root" --recipe topology-1 --json > "$folder/features"
for prefix in "$root" "$http" "$https"; do
    "$dltrigger" inspect "$prefix/ttbar.root" > "$folder/remote" || fail "inspect $prefix"
    cmp -s "$folder/inspect" "$folder/remote" || fail "inspect differs through $prefix"
    echo "ok: inspect through $prefix"
    "$dltrigger" features "$prefix/wlnu.root" --recipe topology-1 --json > "$folder/remote" || fail "features $prefix"
    cmp -s "$folder/features" "$folder/remote" || fail "features differ through $prefix"
    echo "ok: features through $prefix"
done

# ---- the same dataset -----------------------------------------------------------------------------------------------------
# content PREFIX: hash of the dataset that an ingest of three files makes.
content() {
    rm -rf "$folder/data"
    printf '{"kind":"ingest","spec":{"inputs":[{"path":"%s/qcd_1.root","label":"qcd"},{"path":"%s/ttbar.root","label":"tt"},{"path":"%s/wlnu.root","label":"wjets"}]}}' \
        "$1" "$1" "$1" > "$folder/job.json"
    "$dltrigger" run "$folder/job.json" --data-dir "$folder/data" --data-root "$PWD/$sample" --source-host "localhost:$port" \
        --source-host "localhost:$web" --json > "$folder/out" 2> "$folder/err" || fail "ingest from $1: $(cat "$folder/err")"
    sed -n 's/^content_sha256 = //p' "$folder"/data/datasets/*/manifest
}
local_content=$(content "$PWD/$sample")
expect "a dataset's hash is known" "${#local_content}" 66
expect "the same dataset through $root" "$(content "$root")" "$local_content"
expect "the same dataset through $http" "$(content "$http")" "$local_content"

# ---- clear errors ---------------------------------------------------------------------------------------------------------
# says NAME TEXT COMMAND...: it fails with status 1 and says the text.
says() {
    name=$1 text=$2 code=0
    shift 2
    "$@" > "$folder/out" 2> "$folder/err" || code=$?
    expect "$name" "$code" 1
    grep -q -- "$text" "$folder/err" || fail "$name: '$(cat "$folder/err")' does not say '$text'"
}
says "a missing file by root://" "nothing.root" "$dltrigger" inspect "$root/nothing.root"
says "a port where nobody listens, by root://" "no connection to port 1: Connection refused" "$dltrigger" inspect "root://localhost:1//ttbar.root"
says "a missing file by http://" "nothing.root: localhost has no such file (HTTP 404)" "$dltrigger" inspect "$http/nothing.root"
says "without XRootD's library" "apt-get install libxrdposix3" env DLT_XROOTD_LIBRARY=/absent.so "$dltrigger" inspect "$root/ttbar.root"
says "a certificate of nobody" "certificate" env -u SSL_CERT_FILE "$dltrigger" inspect "$https/ttbar.root"
says "a password in a URL" "user name or password" "$dltrigger" inspect "http://me:secret@localhost:$web/ttbar.root"
! grep -q secret "$folder/err" || fail "the password is repeated"

# ---- the token --------------------------------------------------------------------------------------------------------------
# A server that shows what it was sent, and refuses.
token_port=$((port + 10000))
mkfifo "$folder/answer"
exec 3<> "$folder/answer"
printf 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n' >&3
openssl s_server -accept "$token_port" -cert "$folder/cert.pem" -key "$folder/key.pem" \
    < "$folder/answer" > "$folder/seen" 2> "$folder/openssl.log" &
other_pid=$!
for _ in $(seq 100); do
    ! grep -q '^ACCEPT' "$folder/seen" || break
    kill -0 "$other_pid" 2> /dev/null || fail "$(cat "$folder/openssl.log")"
    sleep 0.1
done
says "a refusal" "HTTP 403" env BEARER_TOKEN=the-token "$dltrigger" inspect "https://localhost:$token_port/a.root"
expect "the token travels over https" "$(tr -d '\r' < "$folder/seen" | grep -c '^Authorization: Bearer the-token$')" 1
