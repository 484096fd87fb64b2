// tests/parity/onnx_peer.mjs: runs the graphs in FOLDER with ONNX Runtime and compares with our own answers.
//   node onnx_peer.mjs FOLDER
import fs from 'node:fs'
import path from 'node:path'
import ort from 'onnxruntime-node'

const folder = process.argv[2]
const tolerance = 1e-5
const floats = (file) => {
  const bytes = fs.readFileSync(file)
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}
let worst = 0
let failed = 0
const files = fs.readdirSync(folder).filter((f) => f.endsWith('.onnx')).sort()
for (const file of files) {
  const name = path.join(folder, file.slice(0, -5))
  const session = await ort.InferenceSession.create(name + '.onnx', { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 })
  const expect = floats(name + '.expect')
  const events = expect.length / 3
  const feeds = {}
  for (const input of session.inputNames) {
    if (input === 'hlf') feeds.hlf = new ort.Tensor('float32', floats(name + '.hlf'), [events, 14])
    if (input === 'particles') {
      const rows = floats(name + '.particles')
      feeds.particles = new ort.Tensor('float32', rows, [events, rows.length / 19 / events, 19])
    }
    if (input === 'particle_counts') {
      const counts = new Int32Array(floats(name + '.particle_counts').buffer)
      feeds.particle_counts = new ort.Tensor('int32', counts, [events])
    }
  }
  const got = (await session.run(feeds)).probabilities
  let most = got.data.length === expect.length ? 0 : Infinity
  for (let i = 0; i < expect.length; i++) most = Math.max(most, Math.abs(got.data[i] - expect[i]) || (got.data[i] === expect[i] ? 0 : Infinity))
  if (!(most <= tolerance)) {
    failed++
    console.error(`${file}: differs by ${most}`)
  }
  worst = Math.max(worst, most)
  await session.release()
}
console.log(`onnx: ${files.length} graphs in ONNX Runtime ${ort.env?.versions?.node ?? ''}: largest difference ${worst.toExponential(2)}, at most ${tolerance}`)
process.exit(files.length > 0 && failed === 0 ? 0 : 1)
