// tests/parity/parquet_peers.mjs TOOL FOLDER
//
// Exchanges Parquet files with DuckDB, hyparquet and hyparquet-writer.  TOOL is test_roundtrip (see its head for the
// JSON lines that it prints): every value is compared as text, floats by their bits.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { DuckDBInstance, DuckDBTypeId } from '@duckdb/node-api'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { parquetWriteBuffer } from 'hyparquet-writer'

const [tool, folder] = process.argv.slice(2)
const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
const duck = await instance.connect()
let passed = 0, failed = 0

async function test(name, fn) {
  try {
    await fn()
    passed++
  } catch (error) {
    failed++
    console.error(`FAILED ${name}: ${error.message.slice(0, 2000)}`)
  }
}

// ---- values as text ------------------------------------------------------------------------------------------

const view = new DataView(new ArrayBuffer(8))
function hexOfFloat(value, bits) {
  if (Number.isNaN(value)) return 'nan'
  if (bits === 32) view.setFloat32(0, value)
  else view.setFloat64(0, value)
  return Buffer.from(view.buffer, 0, bits / 8).toString('hex')
}

// kind: bool, int, f32, f64 or text
function textOf(kind, value) {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) return value.map(item => textOf(kind, item))
  if (kind === 'f32' || kind === 'f64') return hexOfFloat(Number(value), kind === 'f32' ? 32 : 64)
  if (kind === 'text') return Buffer.from(value, 'utf8').toString('hex')
  return String(value)
}

function parseLines(text) {
  return text.split('\n').filter(Boolean).map(line => JSON.parse(line))
}

const dump = file => parseLines(execFileSync(tool, ['dump', file], { encoding: 'utf8', maxBuffer: 1 << 30 }))

function sameRows(got, expected) {
  assert.equal(got.length, expected.length, 'number of rows')
  for (let i = 0; i < expected.length; i++) {
    for (const name of Object.keys(expected[i])) {
      assert.deepEqual(got[i][name], expected[i][name], `row ${i}, column ${name}`)
    }
  }
}

// ---- DuckDB ----------------------------------------------------------------------------------------------------

function duckKind(type) {
  switch (type.typeId) {
    case DuckDBTypeId.LIST: return duckKind(type.valueType)
    case DuckDBTypeId.BOOLEAN: return 'bool'
    case DuckDBTypeId.FLOAT: return 'f32'
    case DuckDBTypeId.DOUBLE: return 'f64'
    case DuckDBTypeId.VARCHAR: return 'text'
    default: return 'int'
  }
}

const plainOf = value => value && typeof value === 'object' && 'items' in value ? value.items.map(plainOf) : value

async function duckRows(query) {
  const result = await duck.runAndReadAll(query)
  const names = result.columnNames(), kinds = result.columnTypes().map(duckKind)
  return result.getRows().map(row => Object.fromEntries(row.map((value, i) =>
    [names[i], textOf(kinds[i], plainOf(value))])))
}

const duckValues = async query => (await duck.runAndReadAll(query)).getRowsJson()

// ---- hyparquet ---------------------------------------------------------------------------------------------------

const leafKinds = { BOOLEAN: 'bool', INT32: 'int', INT64: 'int', FLOAT: 'f32', DOUBLE: 'f64', BYTE_ARRAY: 'text' }

// Kind by top-level column, from the flattened schema.
function hyKinds(schema) {
  const kinds = {}
  for (let i = 1; i < schema.length;) {
    const { name } = schema[i]
    let open = 1
    while (open > 0) {
      open += (schema[i].num_children ?? 0) - 1
      if (schema[i].type) kinds[name] = leafKinds[schema[i].type]
      i++
    }
  }
  return kinds
}

async function hyRows(path) {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const kinds = hyKinds(metadata.schema)
  const rows = await parquetReadObjects({ file, metadata, compressors })
  return rows.map(row => Object.fromEntries(Object.entries(row).map(([name, value]) =>
    [name, textOf(kinds[name], value)])))
}

// ---- our files, read by others -----------------------------------------------------------------------------------

async function checkOurs(path, expected) {
  await test(`DuckDB reads ${path}`, async () => sameRows(await duckRows(`SELECT * FROM '${path}'`), expected))
  await test(`hyparquet reads ${path}`, async () => sameRows(await hyRows(path), expected))
  await test(`footer of ${path}`, async () => {
    const [[by, rows, groups]] = await duckValues(
      `SELECT created_by, num_rows, num_row_groups FROM parquet_file_metadata('${path}')`)
    assert.match(by, /^dltrigger \d/)
    assert.deepEqual([rows, groups], ['1000', '3'])
    const meta = await duckValues(
      `SELECT key::VARCHAR, decode(value) FROM parquet_kv_metadata('${path}') ORDER BY 1`)
    assert.deepEqual(meta, [['recipe', 'topology1'], ['units', 'GeV λ']])
  })
  await test(`types of ${path}`, async () => {
    const types = Object.fromEntries((await duckValues(`DESCRIBE SELECT * FROM '${path}'`)).map(r => [r[0], r[1]]))
    const scalar = { flag: 'BOOLEAN', i8: 'TINYINT', u16: 'USMALLINT', i32: 'INTEGER', u32: 'UINTEGER', i64: 'BIGINT',
      u64: 'UBIGINT', f32: 'FLOAT', f64: 'DOUBLE', text: 'VARCHAR' }
    for (const [name, type] of Object.entries(scalar)) {
      assert.equal(types[name], type)
      assert.equal(types[`list_${name}`], `${type}[]`)
      assert.equal(types[`nested_${name}`], `${type}[][]`)
    }
  })
}

// Statistics as DuckDB parses them against bounds computed by DuckDB from the rows of each row group.
async function checkStatistics(path) {
  const ends = [0, 1, 301, 1000]
  for (const name of ['flag', 'i8', 'u16', 'i32', 'u32', 'i64', 'u64', 'f32', 'f64', 'text']) {
    for (let group = 0; group < 3; group++) {
      await test(`statistics of ${name}, row group ${group}`, async () => {
        const [[min, max, nulls]] = await duckValues(`SELECT stats_min_value, stats_max_value, stats_null_count
          FROM parquet_metadata('${path}') WHERE path_in_schema = '${name}' AND row_group_id = ${group}`)
        const real = name.startsWith('f3') || name.startsWith('f6')
        const [[low, high]] = await duckValues(`SELECT min(${name})::VARCHAR, max(${name})::VARCHAR
          FROM (SELECT * FROM read_parquet('${path}', file_row_number = true))
          WHERE file_row_number >= ${ends[group]} AND file_row_number < ${ends[group + 1]}
          ${real ? `AND NOT isnan(${name})` : ''}`)
        const finite = text => /inf/.test(text) ? null : text      // DuckDB shows no infinite bounds
        assert.deepEqual([min, max, nulls], [finite(low), finite(high), '0'])
      })
    }
  }
}

async function ours() {
  execFileSync(tool, ['write', folder])
  const expected = parseLines(readFileSync(join(folder, 'rows.jsonl'), 'utf8'))
  const files = readdirSync(folder).filter(name => name.endsWith('.parquet')).sort()
  assert.equal(files.length, 8)
  for (const name of files) await checkOurs(join(folder, name), expected)
  for (const name of files.slice(0, 2)) await checkStatistics(join(folder, name))
}

// ---- files of others, read by us ---------------------------------------------------------------------------------

const duckColumns = `
  i % 3 = 0 AS flag, (i % 100)::TINYINT AS i8, (i - 10000)::SMALLINT AS i16, (i % 50)::INTEGER AS i32_dictionary,
  (hash(i) % 1000000007)::BIGINT - 500000000 AS i64, hash(i) AS u64, (i * 3)::UINTEGER AS u32, (hash(i) % 1000 / 7)::FLOAT AS f32,
  CASE i % 5 WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN '-infinity'::DOUBLE ELSE i / 3 END AS f64,
  'word ' || (i % 11) AS text_dictionary, md5(i::VARCHAR) || repeat('λ', (i % 4)::INTEGER) AS text,
  CASE WHEN i % 4 = 0 THEN NULL ELSE i::INTEGER END AS i32_null, CASE WHEN i % 9 < 4 THEN NULL ELSE i % 2 = 0 END AS flag_null,
  CASE WHEN i % 7 < 3 THEN NULL ELSE 'n' || i END AS text_null, CASE WHEN i < 5000 THEN NULL ELSE i / 2 END AS f64_late,
  NULL::DOUBLE AS all_null,
  list_transform(range(i % 13), k -> (hash(k + i) % 1000 / 3)::FLOAT) AS list_f32,
  CASE WHEN i % 6 = 0 THEN NULL ELSE list_transform(range(i % 5), k -> (k * i)::INTEGER) END AS list_i32_null,
  list_transform(range(i % 3), k -> 'item ' || (k + i) % 17) AS list_text, list_transform(range(i % 6), k -> CASE WHEN hash(i + k) % 3 = 0 THEN NULL ELSE 'x' || k END) AS list_text_null,
  list_transform(range(i % 9), k -> CASE WHEN i > 3000 AND hash(i + k) % 4 = 0 THEN NULL ELSE k / 3 END) AS list_f64_null,
  list_transform(range(i % 3), k -> list_transform(range((i + k) % 4), m -> CASE WHEN m = 1 THEN NULL ELSE m + i END)) AS nested_i64_null, list_transform(range(i % 20), k -> k % 3 = 0) AS list_flag,
  CASE WHEN i % 8 = 0 THEN NULL ELSE list_transform(range(i % 5), k -> list_transform(range((i + k) % 4), m -> (hash(k + m + i) % 1000 / 3)::FLOAT)) END AS nested_f32,
  list_transform(range(i % 3), k -> list_transform(range((i + k) % 3), m -> 'item ' || (k + m + i) % 17)) AS nested_text`

async function duckFiles() {
  for (const codec of ['uncompressed', 'snappy', 'zstd', 'gzip', 'lz4_raw']) {
    const path = join(folder, `duck_${codec}.parquet`)
    const query = `SELECT ${duckColumns} FROM range(20000) t(i)`
    await duck.run(`COPY (${query}) TO '${path}' (FORMAT parquet, COMPRESSION ${codec}, ROW_GROUP_SIZE 6000)`)
    await test(`we read DuckDB's ${codec}`, async () => sameRows(dump(path), await duckRows(query)))
  }
}

// Encodings and constructs that are refused must be named, and must not hinder the other columns.
async function duckRefusals() {
  const path = join(folder, 'duck_refused.parquet')
  await duck.run(`COPY (SELECT i::INTEGER AS plain, [[[i, 1]]] AS nested, [[i], NULL] AS null_list, MAP {i: 'x'} AS map,
    [{'a': i}] AS structs, (i / 3)::DECIMAL(9, 2) AS "decimal", uuid() AS uuid FROM range(50) t(i))
    TO '${path}' (FORMAT parquet)`)
  await test('constructs of DuckDB that are refused by name', () => {
    const row = dump(path)[7]
    assert.equal(row.plain, '7')
    for (const [name, why] of Object.entries({ nested: 'lists nested deeper', null_list: 'null list', map: 'maps', structs: 'lists of structs',
      decimal: 'DECIMAL', uuid: 'FIXED_LEN_BYTE_ARRAY' })) {
      assert.match(row[name], new RegExp(`^!.*${why}`))
    }
  })
}

// DuckDB's "version v2" means newer encodings in data pages v1; each of them must have been among those read.
async function duckVersion2() {
  const path = join(folder, 'duck_v2.parquet')
  const query = `SELECT (hash(i) % 1000000007)::INTEGER AS delta, hash(i)::BIGINT AS wide, i * 3 AS even, sin(i) AS split,
    sin(i)::FLOAT AS split32, md5(i::VARCHAR) AS delta_text, CASE WHEN i % 5 = 0 THEN NULL ELSE (hash(i) % 10007)::INTEGER END AS delta_null,
    list_transform(range(i % 13), k -> (hash(k + i) % 100003)::INTEGER) AS delta_list,
    i % 7 = 0 AS flag, (i % 5)::INTEGER AS few, 'word ' || i % 3 AS text
    FROM (SELECT i::BIGINT AS i FROM range(30000) t(i))`.replace('hash(i)::BIGINT', '(hash(i) >> 1)::BIGINT - 4611686018427387904')
  for (const codec of ['uncompressed', 'zstd', 'lz4_raw']) {
    await duck.run(`COPY (${query}) TO '${path}' (FORMAT parquet, PARQUET_VERSION v2, COMPRESSION ${codec})`)
    await test(`encodings of DuckDB's version v2, ${codec}`, async () => {
      const used = new Set((await duckValues(`SELECT encodings FROM parquet_metadata('${path}')`)).flat().join(',').split(/, */))
      for (const name of ['DELTA_BINARY_PACKED', 'DELTA_LENGTH_BYTE_ARRAY', 'BYTE_STREAM_SPLIT', 'RLE_DICTIONARY']) assert(used.has(name), name)
      sameRows(dump(path), await duckRows(query))
    })
  }
  await duck.run(`COPY (${query}) TO '${path}' (FORMAT parquet, COMPRESSION brotli)`)
  await test('brotli is refused by name', () => assert.match(dump(path)[7].delta, /^!.*BROTLI/))
}

// Spark's vectors as DuckDB writes the same struct: dense ones are `values` alone, sparse ones have indices too.
async function duckStructs() {
  const path = join(folder, 'duck_structs.parquet')
  const query = `SELECT i AS plain, CASE WHEN i % 5 = 0 THEN NULL ELSE {'type': (i % 2)::TINYINT,
    'size': CASE WHEN i % 2 = 1 THEN NULL ELSE 9::INTEGER END,
    'indices': CASE WHEN i % 2 = 1 THEN NULL ELSE list_transform(range(i % 4), k -> (2 * k)::INTEGER) END,
    'values': list_transform(range(i % 4), k -> k / 3 + i)} END AS features,
    {'a': {'b': CASE WHEN i % 3 = 0 THEN NULL ELSE {'c': 'x' || i} END}} AS outer FROM range(5000) t(i)`
  const expected = `SELECT plain, features.type AS "features.type", features.size AS "features.size",
    features.indices AS "features.indices", features.values AS "features.values", "outer".a.b.c AS "outer.a.b.c" FROM (${query})`
  await duck.run(`COPY (${query}) TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`)
  await test('members of structs of DuckDB', async () => sameRows(dump(path), await duckRows(expected)))
}

// hyparquet-writer writes data pages v2, and lists of any shape that a schema describes.
const n = 3000
const plainColumns = {
  flag: ['BOOLEAN', i => i % 3 === 0], i32: ['INT32', i => i * 3 - 400], few: ['INT32', i => i % 5], i64: ['INT64', i => BigInt(i) ** 4n],
  f32: ['FLOAT', i => Math.fround(i / 7)], f64: ['DOUBLE', i => Math.sin(i)], text: ['STRING', i => `text ${i % 13} λ`],
}
const kindOf = { BOOLEAN: 'bool', INT32: 'int', INT64: 'int', FLOAT: 'f32', DOUBLE: 'f64', STRING: 'text' }
const encodingOf = { BOOLEAN: ['PLAIN', 'RLE', 'RLE', 'RLE'],
  INT32: ['PLAIN', 'RLE_DICTIONARY', 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'],
  INT64: ['PLAIN', 'PLAIN', 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'],
  FLOAT: ['PLAIN', 'PLAIN', 'BYTE_STREAM_SPLIT', 'BYTE_STREAM_SPLIT'],
  DOUBLE: ['PLAIN', 'PLAIN', 'BYTE_STREAM_SPLIT', 'BYTE_STREAM_SPLIT'],
  STRING: ['PLAIN', 'RLE_DICTIONARY', 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY'] }

async function hyFlat() {
  for (const codec of ['UNCOMPRESSED', 'SNAPPY', 'GZIP']) {
    for (const choice of [0, 1, 2, 3]) {
      const columnData = []
      for (const [name, [type, fn]] of Object.entries(plainColumns)) {
        const values = Array.from({ length: n }, (_, i) => fn(i))
        const encoding = encodingOf[type][choice]
        columnData.push({ name, type, encoding, nullable: false, data: values })
        columnData.push({ name: `${name}_null`, type, encoding, data: values.map((v, i) => i % 4 === 1 ? null : v) })
      }
      const path = join(folder, `hy_${codec}_${choice}.parquet`)
      const buffer = parquetWriteBuffer({ columnData, codec, compressors: { GZIP: bytes => gzipSync(bytes) }, pageSize: 2000,
        rowGroupSize: 1300 })
      writeFileSync(path, Buffer.from(buffer))
      const expected = Array.from({ length: n }, (_, i) => Object.fromEntries(columnData.map(c => [c.name, textOf(kindOf[c.type], c.data[i])])))
      await test(`we read hyparquet-writer's ${codec}, encodings ${choice}`, () => sameRows(dump(path), expected))
    }
  }
}

const listShapes = {
  'three levels': [{ name: 'x', num_children: 1, repetition_type: 'OPTIONAL', converted_type: 'LIST' },
    { name: 'list', num_children: 1, repetition_type: 'REPEATED' }, { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' }],
  'required levels': [{ name: 'x', num_children: 1, repetition_type: 'REQUIRED', converted_type: 'LIST' },
    { name: 'list', num_children: 1, repetition_type: 'REPEATED' }, { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' }],
  'bag of array_element': [{ name: 'x', num_children: 1, repetition_type: 'OPTIONAL', converted_type: 'LIST' },
    { name: 'bag', num_children: 1, repetition_type: 'REPEATED' }, { name: 'array_element', type: 'FLOAT', repetition_type: 'OPTIONAL' }],
}

async function hyLists() {
  for (const [shape, elements] of Object.entries(listShapes)) {
    const required = elements[0].repetition_type === 'REQUIRED'
    const data = Array.from({ length: n }, (_, i) => !required && i % 10 === 3 ? null
      : Array.from({ length: i % 7 }, (_unused, k) => Math.fround(i / (k + 1))))
    const schema = [{ name: 'root', num_children: 1 }, ...elements]
    const path = join(folder, 'hy_list.parquet')
    writeFileSync(path, Buffer.from(parquetWriteBuffer({ columnData: [{ name: 'x', data }], schema, pageSize: 1000, rowGroupSize: 1100 })))
    await test(`we read lists of hyparquet-writer: ${shape}`, () => sameRows(dump(path), data.map(x => ({ x: textOf('f32', x) }))))
  }
}

// GRU_input as published: an array of arrays a row.
async function hyNested() {
  for (const [outer, inner] of [['OPTIONAL', 'OPTIONAL'], ['REQUIRED', 'REQUIRED']]) {
    const data = Array.from({ length: n }, (_, i) => outer === 'OPTIONAL' && i % 10 === 3 ? null
      : Array.from({ length: i % 7 }, (_unused, k) => Array.from({ length: (i + k) % 4 }, (_v, m) => i / (k + m + 1))))
    const schema = [{ name: 'root', num_children: 1 }, { name: 'x', num_children: 1, repetition_type: outer, converted_type: 'LIST' },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
      { name: 'element', num_children: 1, repetition_type: inner, converted_type: 'LIST' },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' }, { name: 'element', type: 'DOUBLE', repetition_type: inner }]
    const path = join(folder, 'hy_nested.parquet')
    writeFileSync(path, Buffer.from(parquetWriteBuffer({ columnData: [{ name: 'x', data }], schema, pageSize: 1000, rowGroupSize: 1100 })))
    await test(`we read lists of lists of hyparquet-writer: ${inner}`, () => sameRows(dump(path), data.map(x => ({ x: textOf('f64', x) }))))
  }
}

await ours()
await duckFiles()
await duckRefusals()
await duckVersion2()
await duckStructs()
await hyFlat()
await hyLists()
await hyNested()
console.log(`parquet_peers: ${passed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0
