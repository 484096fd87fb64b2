// tests/peers/root_js.mjs
//
// JSROOT reading the columns of the pipeline into memory: the peer of tests/bench/bench_root.
//   node root_js.mjs FILE      prints events a second of the fastest of four passes (the first ones warm the compiler)
import { readFileSync } from 'node:fs';
import { openFile } from '../node_modules/jsroot/modules/io.mjs';
import { TSelector, treeProcess } from '../node_modules/jsroot/modules/tree.mjs';

const leaves = {
  EFlowTrack: ['PT', 'Eta', 'Phi', 'X', 'Y', 'Z', 'PID', 'Charge'],
  EFlowPhoton: ['ET', 'Eta', 'Phi'],
  EFlowNeutralHadron: ['ET', 'Eta', 'Phi'],
  Electron: ['PT', 'Eta', 'Phi', 'Charge'],
  MuonTight: ['PT', 'Eta', 'Phi', 'Charge'],
  Jet: ['PT', 'Eta', 'Phi', 'Mass', 'BTag'],
  MissingET: ['MET', 'Phi'],
  Event: ['Number', 'Weight'],
};

class Columns extends TSelector {
  constructor(names) {
    super();
    this.names = names;
    this.columns = names.map(() => []);
    names.forEach((name, i) => this.addBranch(name, `v${i}`));
  }
  Process() {
    for (let i = 0; i < this.names.length; i++) {
      const values = this.tgtobj[`v${i}`], column = this.columns[i];
      if (typeof values === 'number') column.push(values);
      else for (const v of values) column.push(v);
    }
  }
}

const bytes = readFileSync(process.argv[2]);
const file = await openFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const tree = await file.readObject('Delphes');
const names = Object.entries(leaves).flatMap(([branch, parts]) => parts.map((part) => `${branch}.${part}`));
let best = 0;
for (let pass = 0; pass < 4; pass++) {
  const selector = new Columns(names), start = process.hrtime.bigint();
  await treeProcess(tree, selector, {});
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (!selector.columns.every((c) => c.length > 0)) throw Error('a column is empty');
  best = Math.max(best, Number(tree.fEntries) / seconds);
}
console.log(best.toFixed(1));
