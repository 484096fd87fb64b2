#!/bin/sh
# Stops the service that demo-run.sh started (and only that one), waiting for its graceful end.
set -eu
cd "$(dirname "$0")/.."
data=${DLT_DEMO_DIR:-demo-data}
[ -f "$data/pid" ] || { echo "demo-stop: no service was started"; exit 0; }
pid=$(cat "$data/pid")
case $(cat "/proc/$pid/comm" 2> /dev/null || true) in
dltriggerd) ;;
*) rm -f "$data/pid" "$data/address"; echo "demo-stop: it is not running any more"; exit 0 ;;
esac
kill -TERM "$pid"
for _ in $(seq 400); do
    kill -0 "$pid" 2> /dev/null || { rm -f "$data/pid" "$data/address"; echo "demo-stop: stopped"; exit 0; }
    sleep 0.1
done
echo "demo-stop: process $pid did not end within 40 s" >&2
exit 1
