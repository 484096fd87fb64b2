#!/bin/sh
# Exported datasets, read by readers of this test's own: TFRecord, .npy and CSV with Python's standard library, Parquet
# with hyparquet where it is installed.  Usage: sh tests/e2e/export.sh [BUILD_FOLDER]
set -eu
[ $# -eq 0 ] || DLT_BUILD=$1
: "${DLT_BUILD:=build}"
command -v python3 > /dev/null || { echo "skipped: python3 is not installed"; exit 77; }
dltrigger=$DLT_BUILD/dltrigger
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }
# status COMMAND...: its exit status; what it says is in $folder/err.
status() { code=0; "$@" > "$folder/out" 2> "$folder/err" || code=$?; echo "$code"; }
expect() { [ "$2" = "$3" ] || fail "$1: '$2', expected '$3': $(cat "$folder/err")"; echo "ok: $1"; }

cat > "$folder/jobs.json" <<'JSON'
{"name":"export","steps":[
 {"id":"in","kind":"ingest","spec":{"inputs":[
   {"path":"tests/fixtures/sample/qcd_1.root","label":"qcd"},{"path":"tests/fixtures/sample/ttbar.root","label":"tt"},
   {"path":"tests/fixtures/sample/wlnu.root","label":"wjets"}]}},
 {"id":"ft","kind":"features","needs":["in"],"spec":{"dataset":"$in.dataset_id","recipe":"sparkdltrigger-1","sequences":false}}]}
JSON
"$dltrigger" run "$folder/jobs.json" --data-dir "$folder/data" > "$folder/run" 2> "$folder/err" || fail "$(cat "$folder/err")"
for id in "$folder"/data/datasets/*; do
    case $("$dltrigger" inspect "$id" | sed -n 's/^\(kind\|split\) *\([a-z]*\).*/\2/p' | tr '\n' ' ') in
    "features train ") train=$(basename "$id") ;;
    "events ") events=$(basename "$id") ;;
    esac
done
export_as() { status "$dltrigger" export "$1" --format "$2" --out "$3" --data-dir "$folder/data"; }
for format in parquet tfrecord npy csv; do
    expect "$format" "$(export_as "$train" "$format" "$folder/$format")" 0
done

cat > "$folder/compare.py" <<'PYTHON'
import ast, csv, glob, struct, sys
folder = sys.argv[1]

def crc32c(data, table=[]):
    if not table:
        for i in range(256):
            for _ in range(8):
                i = (i >> 1) ^ 0x82F63B78 if i & 1 else i >> 1
            table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF

def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

def fields(message):                    # of protobuf: (number, bytes), all with a length
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
    while at < len(message):
        tag = varint(); assert tag & 7 == 2
        n = varint(); assert at + n <= len(message)
        yield tag >> 3, message[at:at + n]; at += n

def example(message):
    (number, features), = fields(message); assert number == 1
    out = {}
    for number, entry in fields(features):
        assert number == 1
        (k, name), (v, feature) = fields(entry); assert (k, v) == (1, 2)
        (kind, float_list), = fields(feature); assert kind == 2
        (number, packed), = fields(float_list); assert number == 1
        out[name.decode()] = struct.unpack("<%df" % (len(packed) // 4), packed)
    return out

rows = []
for path in sorted(glob.glob(folder + "/tfrecord/*.tfrecord")):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        length, sum_ = struct.unpack_from("<QI", data, at)
        assert sum_ == masked(data[at:at + 8]), "sum of a length"
        message = data[at + 12:at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(message), "sum of a record"
        rows.append(example(message)); at += 16 + length
assert rows and all(sorted(r) == ["HLF_input", "encoded_label"] for r in rows)

def npy(name):
    raw = open(folder + "/npy/" + name, "rb").read()
    assert raw[:8] == b"\x93NUMPY\x01\x00"
    n, = struct.unpack("<H", raw[8:10]); assert (10 + n) % 64 == 0
    head = ast.literal_eval(raw[10:10 + n].decode()); assert head["descr"] == "<f4" and not head["fortran_order"]
    width = head["shape"][1] if len(head["shape"]) > 1 else 1
    values = [v for v, in struct.iter_unpack("<f", raw[10 + n:])]
    assert len(values) == head["shape"][0] * width
    return [tuple(values[i * width:(i + 1) * width]) for i in range(head["shape"][0])]

hlf, labels, weights = npy("HLF_input.npy"), npy("encoded_label.npy"), npy("weight.npy")
assert [r["HLF_input"] for r in rows] == hlf and [r["encoded_label"] for r in rows] == labels
assert all(len(h) == 14 for h in hlf) and all(sum(l) == 1 and max(l) == 1 and len(l) == 3 for l in labels)
assert all(-1e-6 <= v <= 1 + 1e-6 for h in hlf for v in h), "sparkdltrigger-1 scales to [0, 1]"
table = list(csv.reader(open(folder + "/csv/rows.csv", newline="")))
names, table = table[0], table[1:]
assert len(table) == len(rows) and len(names) == 20
f32 = lambda x: struct.unpack("<f", struct.pack("<f", float(x)))[0]
for line, label, weight in zip(table, labels, weights):
    assert label.index(1) == int(line[1]) == ["qcd", "tt", "wjets"].index(line[0]) and f32(line[2]) == weight[0]
# Scaling is monotonic: what is larger in the table is not smaller in HLF_input.
for c in range(14):
    order = sorted(range(len(rows)), key=lambda i: float(table[i][6 + c]))
    assert all(hlf[a][c] <= hlf[b][c] for a, b in zip(order, order[1:])), names[6 + c]
with open(folder + "/expected", "w") as out:
    for h, l in zip(hlf, labels):
        out.write(" ".join("%.9g" % v for v in h + l) + "\n")
print("agree")
PYTHON
expect "TFRecord, .npy and CSV" "$(python3 "$folder/compare.py" "$folder" 2>> "$folder/err")" agree

if command -v node > /dev/null && [ -d tests/node_modules/hyparquet ]; then
    cat > "$folder/read.mjs" <<JS
import { readdirSync, readFileSync } from 'node:fs'
const { asyncBufferFromFile, parquetReadObjects, parquetMetadataAsync } = await import('$(pwd)/tests/node_modules/hyparquet/src/node.js')
const { compressors } = await import('$(pwd)/tests/node_modules/hyparquet-compressors/src/index.js')
const wanted = readFileSync('$folder/expected', 'utf8').trim().split('\n').map(l => l.split(' ').map(Number))
let at = 0
for (const name of readdirSync('$folder/parquet').filter(n => n.startsWith('part')).sort()) {
  const file = await asyncBufferFromFile('$folder/parquet/' + name)
  for (const row of await parquetReadObjects({ file, compressors })) {
    const got = [...row.HLF_input, ...row.encoded_label]
    if (Object.keys(row).join() !== 'HLF_input,encoded_label') throw new Error('columns ' + Object.keys(row))
    const w = wanted[at++]
    if (got.length !== w.length || got.some((v, i) => Math.fround(v) !== Math.fround(w[i]))) throw new Error('row ' + at)
  }
}
console.log(at === wanted.length ? 'agree' : 'rows ' + at)
JS
    expect "Parquet" "$(node "$folder/read.mjs" 2>> "$folder/err")" agree
else
    echo "not read back: Parquet (node or hyparquet is not installed)"
fi

expect "a folder that is there" "$(export_as "$train" csv "$folder/csv")" 1
expect "no such dataset" "$(export_as ds_none csv "$folder/none")" 1
expect "an id is not a path" "$(export_as "../datasets/$train" csv "$folder/none")" 1
expect "events" "$(export_as "$events" npy "$folder/none")" 1
grep -q "make features" "$folder/err" || fail "events: $(cat "$folder/err")"
[ ! -e "$folder/none" ] && [ ! -e "$folder/none.partial" ] || fail "a failed export left something"
expect "no such format" "$(export_as "$train" xml "$folder/none")" 2
expect "no sequences" "$(status "$dltrigger" export "$train" --format parquet --what both --out "$folder/none" --data-dir "$folder/data")" 1
grep -q "make features with sequences" "$folder/err" || fail "no sequences: $(cat "$folder/err")"
expect "no table of sequences" "$(status "$dltrigger" export "$train" --format csv --what both --out "$folder/none" --data-dir "$folder/data")" 1

# ---- sequences: the same 801 x 19 numbers in every format and layout --------------------------------------------------
cat > "$folder/jobs.json" <<'JSON'
{"name":"sequences","steps":[
 {"id":"in","kind":"ingest","spec":{"inputs":[
   {"path":"tests/fixtures/sample/qcd_1.root","label":"qcd"},{"path":"tests/fixtures/sample/ttbar.root","label":"tt"}]}},
 {"id":"ft","kind":"features","needs":["in"],"spec":{"dataset":"$in.dataset_id","recipe":"sparkdltrigger-1","split":{"test":0.9}}},
 {"id":"ex","kind":"export","needs":["ft"],"spec":{"dataset":"$ft.dataset_id","what":"both","compression":"zstd"}}]}
JSON
"$dltrigger" run "$folder/jobs.json" --data-dir "$folder/more" --json > "$folder/run" 2> "$folder/err" || fail "$(cat "$folder/err")"
export=$(ls "$folder/more/exports")
train=$(sed -n 's/^dataset_id = "\(.*\)"/\1/p' "$folder/more/exports/$export/_dltrigger_export")
to() { out=$1; shift; expect "$out" "$(status "$dltrigger" export "$train" "$@" --out "$folder/$out" --data-dir "$folder/more")" 0; }
to nested --format parquet --what both --compression zstd
to flat --format parquet --what both --layout flat --compression gzip
to records --format tfrecord --what both
to arrays --format npy --what both
to only --format npy --what sequence
for file in "$folder"/nested/part-*; do
    cmp "$file" "$folder/more/exports/$export/$(basename "$file")" || fail "the job's file is another than the command's"
done
echo "ok: job and command write the same files"
cat > "$folder/sequences.py" <<'PYTHON'
import ast, glob, struct, sys
sys.argv.append("")
source = open(sys.argv[1] + "/compare.py").read().split("rows = []")[0]
exec(source)                            # the reader of records above
rows = []
for path in sorted(glob.glob(folder + "/records/*.tfrecord")):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        length, sum_ = struct.unpack_from("<QI", data, at)
        message = data[at + 12:at + 12 + length]
        assert sum_ == masked(data[at:at + 8])
        rows.append(example(message)); at += 16 + length
assert sorted(rows[0]) == ["GRU_input", "HLF_input", "encoded_label"] and all(len(r["GRU_input"]) == 801 * 19 for r in rows)
def npy(name):
    raw = open(folder + "/" + name, "rb").read()
    n, = struct.unpack("<H", raw[8:10])
    head = ast.literal_eval(raw[10:10 + n].decode())
    return head["shape"], raw[10 + n:]
for name in "arrays/GRU_input.npy", "only/GRU_input.npy":
    shape, raw = npy(name)
    assert shape == (len(rows), 801, 19), shape
    assert raw == b"".join(struct.pack("<15219f", *r["GRU_input"]) for r in rows), name
assert npy("arrays/HLF_input.npy")[1] == b"".join(struct.pack("<14f", *r["HLF_input"]) for r in rows)
# Standardised per event and column: mean 0, deviation 1 or a constant column.
for r in rows:
    for c in range(19):
        column = r["GRU_input"][c::19]
        mean = sum(column) / 801
        square = sum((v - mean) ** 2 for v in column) / 801
        assert abs(mean) < 1e-4 and (abs(square - 1) < 1e-3 or square < 1e-9), (c, mean, square)
with open(folder + "/sequences", "wb") as out:
    out.write(raw)
print("agree", len(rows))
PYTHON
n=$(sed -n 's/^rows = //p' "$folder/more/exports/$export/_dltrigger_export")
expect "records and arrays" "$(python3 "$folder/sequences.py" "$folder" 2>> "$folder/err")" "agree $n"
if command -v node > /dev/null && [ -d tests/node_modules/hyparquet ]; then
    cat > "$folder/sequences.mjs" <<JS
import { readdirSync, readFileSync } from 'node:fs'
const { asyncBufferFromFile, parquetReadObjects, parquetMetadataAsync } = await import('$(pwd)/tests/node_modules/hyparquet/src/node.js')
const { compressors } = await import('$(pwd)/tests/node_modules/hyparquet-compressors/src/index.js')
const raw = readFileSync('$folder/sequences'), want = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length))
for (const layout of ['nested', 'flat']) {
  let at = 0
  for (const name of readdirSync('$folder/' + layout).filter(n => n.startsWith('part')).sort()) {
    const file = await asyncBufferFromFile('$folder/' + layout + '/' + name)
    const leaves = (await parquetMetadataAsync(file)).schema.map(s => s.name).join('/')
    const wanted = layout === 'nested' ? 'list/element/list/element' : 'GRU_input/list/element/encoded_label'
    if (!leaves.includes(wanted)) throw new Error('names ' + leaves)
    for (const row of await parquetReadObjects({ file, compressors })) {
      if (layout === 'nested' && (row.GRU_input.length !== 801 || row.GRU_input.some(p => p.length !== 19))) throw new Error('shape')
      for (const v of row.GRU_input.flat()) if (Math.fround(v) !== want[at++]) throw new Error(layout + ' number ' + at)
    }
  }
  if (at !== want.length) throw new Error(layout + ' holds ' + at)
}
console.log('agree')
JS
    expect "Parquet with sequences" "$(node "$folder/sequences.mjs" 2>> "$folder/err")" agree
fi
