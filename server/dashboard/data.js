// Datasets and studies of hyperparameters.
import {el, table, panel, number, when, link, mark} from '/dashboard/dom.js';
import {get, items, curl} from '/dashboard/api.js';
import {lines, histogram} from '/dashboard/plot.js';

export async function list() {
  const section = panel('Newest first', curl('/api/v1/datasets'), table([['Dataset', (d) => link(d.id, 'dataset', d.id)], ['Kind', (d) => d.dataset_kind], ['Recipe', (d) => d.recipe],
    ['Part', (d) => d.split], ['Events', (d) => number(d.rows), true], ['Bytes', (d) => number(d.bytes), true], ['Classes', (d) => d.classes?.join(', ')], ['Created', (d) => when(d.created_at)]],
  await items('/api/v1/datasets?limit=100')));
  section.classList.add('wide');
  return [el('h1', {}, 'Datasets'), section];
}

export async function one({parts: [id], query}) {
  const path = '/api/v1/datasets/' + encodeURIComponent(id), d = await get(path), names = (d.histograms ?? []).map((h) => h.feature);
  const feature = names.includes(query.get('feature')) ? query.get('feature') : names[0], out = [el('h1', {}, 'Dataset ' + id),
    panel('Classes', curl(path), table([['Class', (c) => c.name], ['Events', (c) => number(c.events), true], ['Weight', (c) => number(c.weight), true]], d.class_counts)),
    panel('Cut-flow', curl(path), table([['Step', (c) => c.reason], ['Class', (c) => c.label], ['Events', (c) => number(c.events), true], ['Weight', (c) => number(c.weight), true]], d.cut_flow))];
  if (feature) {
    const at = (name) => `${path}/histograms?feature=${encodeURIComponent(feature)}&class=${encodeURIComponent(name)}`;
    const all = await Promise.all(d.classes.map(async (name) => ({name, ...await get(at(name))})));
    const select = el('select', {'aria-label': 'Feature', onchange: (e) => { location.hash = `#/dataset/${encodeURIComponent(id)}?feature=${encodeURIComponent(e.target.value)}`; }},
      names.map((n) => el('option', {selected: n === feature}, n)));
    out.push(panel('Feature by class', curl(at(d.classes[0])), select, histogram(all.map((h) => ({name: h.class ?? h.name, lo: h.edges[0], hi: h.edges.at(-1), counts: h.counts})),
      {title: feature, xLabel: feature + (all[0].unit ? ` [${all[0].unit}]` : '')})));
  }
  out.push(panel('Sources', curl(path), table([['File', (s) => s.path.split('/').at(-1)], ['Class', (s) => s.label], ['Entries', (s) => number(s.entries), true], ['Kept', (s) => number(s.kept), true],
    ['SHA-256', (s) => s.sha256?.slice(0, 12)]], d.sources ?? [])), panel('Files left out', curl(path), table([['File', (s) => s.path.split('/').at(-1)], ['Reason', (s) => s.reason], ['Events lost', (s) => s.events_lost, true]], d.skipped_files ?? [])));
  return out;
}

export async function studies() {
  return [el('h1', {}, 'Tuning'), panel('Studies', curl('/api/v1/studies'), table([['Study', (s) => link(s.id ?? s.job_id, 'study', s.id ?? s.job_id)], ['State', (s) => mark(s.state)],
    ['Model', (s) => s.model], ['Search', (s) => s.search], ['Trials', (s) => s.n_trials, true], ['Best', (s) => number(s.best_value), true]], await items('/api/v1/studies'), 'No tune job yet.'))];
}

export async function study({parts: [id]}) {
  const path = '/api/v1/studies/' + encodeURIComponent(id), [s, trials] = await Promise.all([get(path), items(path + '/trials?limit=500')]);
  const scored = trials.filter((t) => t.value != null).sort((a, b) => a.trial - b.trial);
  return [el('h1', {}, 'Study ' + id),
    panel('Objective by trial', curl(path + '/trials'), lines([{name: s.objectives?.[0]?.name ?? s.objectives?.[0]?.metric ?? 'objective', x: scored.map((t) => t.trial), y: scored.map((t) => t.value)}], {title: 'Objective by trial', xLabel: 'trial'})),
    panel('Best', curl(path), el('pre', {}, JSON.stringify(s.best_point, null, 1)), el('p', {}, `${s.model}, ${s.search}, ${s.folds} folds, state ${s.state}, ${number(s.best_value)} ± ${number(s.best_error)}`)),
    panel('Trials', curl(path + '/trials'), table([['Rank', (t) => t.rank || '', true], ['Trial', (t) => t.trial, true], ['State', (t) => mark(t.state)], ['Value', (t) => number(t.value), true],
      ['Error', (t) => number(t.error), true], ['Point', (t) => JSON.stringify(t.point)]], trials))];
}
