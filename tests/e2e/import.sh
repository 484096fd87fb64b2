#!/bin/sh
# The published layouts as input: what was exported comes back number for number, trains the same network, and is kept
# apart from features in their units.  Spark's own constructs are written by DuckDB where it is installed.
# Usage: sh tests/e2e/import.sh [BUILD_FOLDER]
set -eu
[ $# -eq 0 ] || DLT_BUILD=$1
: "${DLT_BUILD:=build}"
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
command -v jq > /dev/null || { echo "skipped: jq is not installed"; exit 77; }
dltrigger=$DLT_BUILD/dltrigger
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
data=$folder/data
fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1: '$2', expected '$3': $(cat "$folder/err")"; echo "ok: $1"; }
# job KIND SPEC MEMBER: runs one job, prints a member of its result.
job() {
    printf '{"kind":"%s","spec":%s}' "$1" "$2" > "$folder/job.json"
    "$dltrigger" run "$folder/job.json" --data-dir "$data" --data-root / --json > "$folder/result" 2> "$folder/err" ||
        { echo "failed"; return 0; }
    jq -r "[.. | objects | select(has(\"$3\")) | .$3][0]" "$folder/result"
}
refused() {                             # TEXT KIND SPEC: fails, and says so
    expect "refused: $1" "$(job "$2" "$3" x)" failed
    grep -q -- "$1" "$folder/err" || fail "$1: $(cat "$folder/err")"
}
export_as() { "$dltrigger" export "$1" --data-dir "$data" --out "$2" --format "$3" --what "${4:-hlf}" 2> "$folder/err" || fail "$(cat "$folder/err")"; }

events=$(job ingest '{"inputs":[{"path":"tests/fixtures/sample/qcd_1.root","label":"qcd"},
  {"path":"tests/fixtures/sample/ttbar.root","label":"tt"},{"path":"tests/fixtures/sample/wlnu.root","label":"wjets"}]}' dataset_id)
train=$(job features "{\"dataset\":\"$events\",\"recipe\":\"sparkdltrigger-1\",\"split\":{\"test\":0.3}}" dataset_id)
test=$(jq -r '[.. | objects | select(has("test_dataset_id")) | .test_dataset_id][0]' "$folder/result")
export_as "$train" "$folder/train" parquet both
export_as "$test" "$folder/test" parquet both
export_as "$train" "$folder/train.tfrecord" tfrecord both
touch "$folder/train/_SUCCESS" "$folder/train/.part-00000.parquet.crc"
import() { job import "{\"inputs\":[{\"path\":\"$1\"}]$2}" dataset_id; }

# ---- there and back ---------------------------------------------------------------------------------------------------
again=$(import "$folder/train" '')
expect "what it is" "$(jq -c '[.. | objects | select(has("scaled")) | .recipe,.split,.sequences,.scaled]' "$folder/result")" '["sparkdltrigger-1","train",true,true]'
again_test=$(import "$folder/test/part-*.parquet" ',"split":"test"')
records=$(import "$folder/train.tfrecord" '')
for id in $train $again $records; do
    export_as "$id" "$folder/npy.$id" npy both
    for array in HLF_input GRU_input encoded_label; do
        cmp "$folder/npy.$train/$array.npy" "$folder/npy.$id/$array.npy" || fail "$array of $id"
    done
    echo "ok: the same numbers"
done
params='"model":"hlf","params":{"epochs":12,"batch_size":32,"learning_rate":0.003}'
model=$(job train "{\"dataset\":\"$train\",\"register_as\":\"units\",$params}" model_version)
twin=$(job train "{\"dataset\":\"$again\",\"register_as\":\"scaled\",$params}" model_version)
auc=$(job evaluate "{\"model\":\"$model\",\"dataset\":\"$test\"}" auc_macro)
expect "the same network and the same AUC, $auc" "$(job evaluate "{\"model\":\"$twin\",\"dataset\":\"$again_test\"}" auc_macro)" "$auc"
[ "$auc" != failed ] || fail "evaluation"
refused "do not fit" evaluate "{\"model\":\"$twin\",\"dataset\":\"$test\"}"
refused "do not fit" evaluate "{\"model\":\"$model\",\"dataset\":\"$again_test\"}"
small=$(job features "{\"dataset\":\"$events\",\"recipe\":\"sparkdltrigger-1\",\"split\":{\"test\":0.9}}" dataset_id)
export_as "$small" "$folder/small" parquet both
small_again=$(import "$folder/small" '')
params='"model":"inclusive","params":{"epochs":1,"units":4}'
loss=$(job train "{\"dataset\":\"$small\",$params}" train_loss)
[ "$loss" != failed ] || fail "training: $(cat "$folder/err")"
twin=$(job train "{\"dataset\":\"$small_again\",$params}" train_loss)
# Events go through the network in the order of their stored rows, which are all 801 now: sums differ in the last digits.
expect "a network of sequences learns the same" "$(jq -n "($loss - $twin) | fabs < 1e-6")" true
# Bounds: back to units, and what was scaled comes out again.
min='[0,0,-3.2,0,0,0,20,-3,-3.2,0,0,0,-1,0]' max='[3000,600,3.2,90000,12,8,700,3,3.2,0.5,0.5,0.5,1,1]'
units=$(import "$folder/test" ",\"sequences\":false,\"feature_min\":$min,\"feature_max\":$max")
expect "not marked as scaled" "$(jq -c '[.. | objects | select(has("scaled")) | .scaled, .sequences]' "$folder/result")" '[false,false]'
export_as "$units" "$folder/npy.units" npy
export_as "$test" "$folder/npy.test" npy
cat > "$folder/close.py" <<'PYTHON'
import struct, sys
a, b = (open(p + "/HLF_input.npy", "rb").read() for p in sys.argv[1:])
x, y = (struct.unpack("<%df" % ((len(r) - 128) // 4), r[128:]) for r in (a, b))
assert len(x) == len(y) and all(abs(p - q) < 1e-6 for p, q in zip(x, y))
print("close")
PYTHON
expect "scaled again" "$(python3 "$folder/close.py" "$folder/npy.test" "$folder/npy.units" 2>> "$folder/err")" close

# ---- TFRecord that is wrong ---------------------------------------------------------------------------------------------
cat > "$folder/records.py" <<'PYTHON'
import struct, sys
def crc(data):
    c = 0xFFFFFFFF
    for b in data:
        c ^= b
        for _ in range(8): c = (c >> 1) ^ 0x82F63B78 if c & 1 else c >> 1
    c ^= 0xFFFFFFFF
    return (((c >> 15) | (c << 17)) + 0xA282EAD8) & 0xFFFFFFFF
def varint(n):
    out = b""
    while n > 127: out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
def field(number, data): return bytes([number << 3 | 2]) + varint(len(data)) + data
def floats(values, packed):
    return field(2, field(1, struct.pack("<%df" % len(values), *values)) if packed else b"".join(b"\x0d" + struct.pack("<f", v) for v in values))
def integer(v): return field(3, b"\x08" + varint(v))
def example(**lists): return field(1, b"".join(field(1, field(1, k.encode()) + field(2, v)) for k, v in lists.items()))
def record(m): n = struct.pack("<Q", len(m)); return n + struct.pack("<I", crc(n)) + m + struct.pack("<I", crc(m))
good = lambda packed=True: dict(HLF_input=floats([i / 14 for i in range(14)], packed))
nan = float("nan")
files = {
    "unpacked": record(example(**good(False), encoded_label=floats([0, 1, 0], False))) * 3,
    "integer": record(example(**good(), label=integer(2), other=field(1, field(1, b"text")))) * 2,
    "width": record(example(HLF_input=floats([0] * 13, True), encoded_label=floats([0, 1, 0], True))),
    "nan": record(example(HLF_input=floats([nan] + [0] * 13, True), encoded_label=floats([0, 1, 0], True))),
    "hot": record(example(**good(), encoded_label=floats([1, 1, 0], True))),
    "cold": record(example(**good(), encoded_label=floats([0, 0, 0], True))),
    "range": record(example(**good(), label=integer(3))),
    "none": record(example(**good())),
    "bytes": record(example(HLF_input=field(1, field(1, b"text")), label=integer(0))),
    "sum": record(example(**good(), label=integer(1)))[:-1] + b"\0",
    "cut": record(example(**good(), label=integer(1)))[:-9],
    "noise": bytes(range(200)),
}
for name, data in files.items():
    open(sys.argv[1] + "/" + name + ".tfrecord", "wb").write(data)
PYTHON
python3 "$folder/records.py" "$folder"
expect "lists that are not packed" "$(job import "{\"inputs\":[{\"path\":\"$folder/unpacked.tfrecord\"}]}" events)" 3
expect "labels as integers" "$(job import "{\"inputs\":[{\"path\":\"$folder/integer.tfrecord\"}]}" events)" 2
wrong() { refused "$2" import "{\"inputs\":[{\"path\":\"$folder/$1\"}]}"; }
wrong width.tfrecord "width.tfrecord: feature HLF_input: record 0: 13 numbers, 14 are expected"
wrong nan.tfrecord "nan.tfrecord: feature HLF_input: record 0: a number is not finite"
wrong hot.tfrecord "feature encoded_label: record 0: not one-hot"
wrong cold.tfrecord "not one-hot: all numbers are zero"
wrong range.tfrecord "label 3, there are 3 classes"
wrong none.tfrecord "feature encoded_label: record 0: is not there"
wrong bytes.tfrecord "byte strings"
wrong sum.tfrecord "its sum is wrong"
wrong cut.tfrecord "cut short"
wrong noise.tfrecord "no TFRecord file"
wrong nothing "no such file"

# ---- Spark's constructs ----------------------------------------------------------------------------------------------------
if ! command -v node > /dev/null || [ ! -d tests/node_modules/@duckdb ]; then
    echo "not tried: vectors, partitions and damaged columns of Parquet (node or DuckDB is not installed)"
    exit 0
fi
cat > "$folder/duck.mjs" <<JS
import { createRequire } from 'node:module'
const { DuckDBInstance } = createRequire('$(pwd)/tests/x.js')('@duckdb/node-api')
const duck = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
const from = "read_parquet('$folder/train/part-*.parquet')"
const write = (name, sql, options = '') => duck.run("COPY (" + sql + ") TO '$folder/" + name + "' (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 2048" + options + ")")
const dense = c => "{'type': 1::TINYINT, 'size': NULL::INTEGER, 'indices': NULL::INTEGER[], 'values': " + c + "}"
const sparse = c => "{'type': 0::TINYINT, 'size': len(" + c + ")::INTEGER, 'indices': [(i - 1)::INTEGER for i in range(1, len(" + c + ") + 1) if " + c + "[i] <> 0], 'values': [x for x in " + c + " if x <> 0]}"
await write('dense.parquet', 'SELECT ' + dense('HLF_input') + ' HLF_input, GRU_input, ' + dense('encoded_label') + ' encoded_label, 7::BIGINT AS "label" FROM ' + from)
await write('sparse.parquet', 'SELECT ' + sparse('HLF_input') + ' HLF_input, flatten(GRU_input) GRU_input, ' + sparse('encoded_label') + ' encoded_label FROM ' + from)
await write('long.parquet', 'SELECT HLF_input, (list_position(encoded_label, 1) - 1)::BIGINT AS "label" FROM ' + from)
await write('parted', 'SELECT HLF_input, (list_position(encoded_label, 1) - 1)::BIGINT AS "label" FROM ' + from, ', PARTITION_BY ("label")')
const hlf = 'HLF_input', one = 'encoded_label'
for (const [name, sql] of Object.entries({
  narrow: 'HLF_input[1:13] HLF_input, encoded_label', nan: "list_concat(['nan'::DOUBLE], HLF_input[1:13]) HLF_input, encoded_label",
  hole: 'list_concat([NULL::DOUBLE], HLF_input[1:13]) HLF_input, encoded_label', empty: 'NULL::DOUBLE[] HLF_input, encoded_label',
  unlabelled: 'HLF_input', nameless: 'encoded_label', text: "'a' HLF_input, encoded_label",
  wide: 'HLF_input, list_concat(encoded_label, [0::DOUBLE]) encoded_label', soft: 'HLF_input, [0.5::DOUBLE, 0.5::DOUBLE, 0::DOUBLE] encoded_label',
  steps: 'HLF_input, encoded_label, GRU_input[1:800] GRU_input', ragged: 'HLF_input, encoded_label, list_concat([GRU_input[1][1:18], list_concat(GRU_input[2], [0::DOUBLE])], GRU_input[3:801]) GRU_input',
})) await write(name + '.parquet', 'SELECT ' + sql + ' FROM ' + from + ' LIMIT 5')
// What was exported, as DuckDB reads it.
const rows = await (await duck.run('SELECT count(*)::INTEGER, min(len(HLF_input))::INTEGER, min(len(GRU_input))::INTEGER, max(len(flatten(GRU_input)))::INTEGER, sum(list_sum(encoded_label))::INTEGER FROM ' + from)).getRows()
console.log(JSON.stringify(rows[0]))
JS
n=$(sed -n 's/^rows = //p' "$folder/train/_dltrigger_export")
expect "exported, as DuckDB reads it" "$(node "$folder/duck.mjs" 2>> "$folder/err")" "[$n,14,801,15219,$n]"
for name in dense sparse; do
    id=$(import "$folder/$name.parquet" '')
    export_as "$id" "$folder/npy.$name" npy both
    for array in HLF_input GRU_input encoded_label; do
        cmp "$folder/npy.$train/$array.npy" "$folder/npy.$name/$array.npy" || fail "$array of $name vectors"
    done
    echo "ok: $name vectors"
done
id=$(import "$folder/long.parquet" '')
export_as "$id" "$folder/npy.long" npy
cmp "$folder/npy.$train/encoded_label.npy" "$folder/npy.long/encoded_label.npy" || fail "labels as numbers"
expect "partitions" "$(job import "{\"inputs\":[{\"path\":\"$folder/parted\"}]}" class_counts | jq -c '[.[].events]')" "$("$dltrigger" inspect "$data/datasets/$train" --json | jq -c '[.. | objects | select(has("class_counts")) | .class_counts][0] | [.[].events]')"
wrong narrow.parquet "narrow.parquet: column HLF_input: row group 0: row 0: 13 numbers, 14 are expected"
wrong nan.parquet "nan.parquet: column HLF_input: row group 0: row 0: a number is not finite"
wrong hole.parquet "row 0: a number is null"
wrong empty.parquet "row 0: is null"
wrong unlabelled.parquet "unlabelled.parquet: no column encoded_label; the file has HLF_input"
wrong nameless.parquet "nameless.parquet: no column HLF_input"
wrong text.parquet "text.parquet: column HLF_input is neither an array"
wrong wide.parquet "column encoded_label: row group 0: row 0: 4 numbers, 3 are expected"
wrong soft.parquet "not one-hot"
wrong steps.parquet "column GRU_input: row group 0: row 0: 15200 numbers, 15219 are expected"
wrong ragged.parquet "a particle does not have 19 numbers"
expect "a class for files without labels" "$(job import "{\"inputs\":[{\"path\":\"$folder/unlabelled.parquet\",\"label\":\"tt\"}]}" class_counts | jq -c '[.[].events]')" "[0,5,0]"
