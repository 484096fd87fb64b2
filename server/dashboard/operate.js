// Overview and Trigger: is it healthy, is the rate right, what fires and why.
import {el, table, panel, number, when, link, button, mark, say} from '/dashboard/dom.js';
import {get, items, request, post, send, curl, runningMenu} from '/dashboard/api.js';
import {bars, histogram} from '/dashboard/plot.js';

// What needs a running menu; null without one.
async function ofMenu(path) {
  try { return await get(path); } catch (e) { if (e.status === 404 || e.status === 409 || e.status === 503) return null; throw e; }
}

// Quantiles from the cumulative buckets of the histogram with stage="total": the bucket's upper edge.
function latency(text) {
  const buckets = [...text.matchAll(/^dltrigger_trigger_latency_seconds_bucket\{stage="total",le="([^"]+)"\} (\d+)/gm)]
    .map((m) => [m[1] === '+Inf' ? Infinity : Number(m[1]), Number(m[2])]);
  const n = buckets.at(-1)?.[1] ?? 0;
  if (!n) return 'No decision yet.';
  return [.5, .95, .99].map((p) => `p${p * 100} ≤ ${number(1e3 * buckets.find((b) => b[1] >= p * n)[0])} ms`).join(' · ') + ` over ${number(n)} decisions`;
}

async function firstRun() {
  const text = await (await request('/dashboard/demo-pipeline.json')).text();
  return panel('Nothing here yet', () => curl('/api/v1/pipelines', JSON.stringify(JSON.parse(text))),
    el('p', {}, 'The demo pipeline reads the sample ROOT files, computes features, trains a classifier and evaluates it.'),
    button('Run the demo pipeline', async () => {
      try { await post('/api/v1/pipelines', text); location.hash = '#/jobs'; } catch (e) { say(e.message); }
    }, {class: 'main', id: 'demo'}));
}

const rateBars = (rates) => bars(rates.paths.map((p) => ({name: p.path, value: p.shadow ? p.shadow_hz : p.accepted_hz, limit: p.rate_budget_hz})),
  {title: 'Accept rate per path, tick: budget', unit: 'Hz'});
const worst = (drift) => (drift?.models ?? []).flatMap((m) => m.features.map((f) => ({...f, model: m.model, events: m.events}))).sort((a, b) => b.psi - a.psi);

export async function overview() {
  const [all, running, bad, menu, rates, drift, metrics] = await Promise.all([items('/api/v1/jobs?limit=1'), items('/api/v1/jobs?state=running&limit=20'),
    items('/api/v1/jobs?state=discarded&limit=10'), runningMenu(), ofMenu('/api/v1/trigger/rates'), ofMenu('/api/v1/trigger/drift'),
    request('/metrics').then((a) => a.text()).catch(() => '')]);
  const top = worst(drift)[0];
  return [el('h1', {}, 'Overview'), !all.length && await firstRun(),
    panel('Active menu', curl('/api/v1/trigger/menu'), menu.name
      ? el('p', {}, `${menu.name}, revision ${menu.revision}` + (menu.prescale_column ? `, column ${menu.prescale_column}` : '') + `, since ${when(menu.since)}`)
      : el('p', {class: 'dim'}, 'None: create one on the page of an evaluation (Models).')),
    panel('Accept rate', curl('/api/v1/trigger/rates'), rates
      ? [el('p', {}, `${number(rates.accept_hz)} of ${number(rates.input_hz)} Hz over ${number(rates.window_seconds)} s`), rateBars(rates)] .reduce((box, n) => (box.append(n), box), el('div'))
      : el('p', {class: 'dim'}, 'No menu runs.')),
    panel('Latency of decisions', curl('/metrics'), el('p', {}, metrics ? latency(metrics) : 'The key may not read metrics.')),
    panel('Drift', curl('/api/v1/trigger/drift'), top
      ? el('p', {}, mark(top.status), ` ${top.feature}: PSI ${number(top.psi)} over ${number(top.events)} events of ${top.model}`)
      : el('p', {class: 'dim'}, 'No scored event in the window.')),
    panel('Running jobs', curl('/api/v1/jobs?state=running'), jobRows(running)),
    panel('Last problems', curl('/api/v1/jobs?state=discarded&limit=10'), jobRows(bad, 'No discarded job.'))];
}

const jobRows = (rows, empty) => table([['Job', (j) => link(j.kind, 'job', j.id)], ['State', (j) => mark(j.state)],
  ['Phase', (j) => j.progress?.phase], ['Done', (j) => j.progress?.fraction == null ? '' : Math.floor(100 * j.progress.fraction) + ' %', true],
  ['Created', (j) => when(j.created_at)]], rows, empty);

async function change(menu, method, path, body) {
  try {
    await send(method, path, body, {'If-Match': menu.tag});
    say('Done.', false);
    document.activeElement.blur();
  } catch (e) { say(e.status === 412 ? 'Somebody changed the menu meanwhile; look at it and try again.' : e.message); }
}

function control(menu, document_) {
  const columns = document_?.columns ?? [], reason = el('input', {'aria-label': 'Reason', placeholder: 'reason'});
  const select = el('select', {'aria-label': 'Prescale column'}, columns.map((c) => el('option', {selected: c === menu.prescale_column}, c)));
  return el('div', {}, el('p', {}, `${menu.name}, revision ${menu.revision}, since ${when(menu.since)}`), el('div', {class: 'row'}, reason,
    columns.length ? select : null,
    columns.length ? button('Switch column', () => change(menu, 'PUT', '/api/v1/trigger/prescale-column', {prescale_column: select.value, reason: reason.value || null})) : null,
    button('Roll back', () => change(menu, 'POST', '/api/v1/menus:rollback', {reason: reason.value || null}))));
}

export async function trigger({query}) {
  const menu = await runningMenu();
  const history = panel('History', curl('/api/v1/trigger/menu/history'), table([['At', (h) => when(h.at)], ['What', (h) => h.action],
    ['Menu', (h) => `${h.name} ${h.revision}`], ['Column', (h) => h.prescale_column], ['Reason', (h) => h.reason]], await items('/api/v1/trigger/menu/history?limit=20')));
  if (!menu.name) return [el('h1', {}, 'Trigger'), el('p', {class: 'wide'}, 'No menu runs. Create one on the page of an evaluation (Models).'), history];
  const own = `/api/v1/menus/${encodeURIComponent(menu.name)}/revisions/${menu.revision}`;
  const [rates, drift, doc] = await Promise.all([ofMenu('/api/v1/trigger/rates'), ofMenu('/api/v1/trigger/drift'), get(own)]);
  if (!rates) return [el('h1', {}, 'Trigger'), history];
  const features = worst(drift), chosen = features.find((f) => f.feature === query.get('feature')) ?? features[0];
  const n = rates.overlap.paths, share = (counts) => counts.reduce((a, b) => a + b, 0) || 1;
  const scaled = (c) => c.map((v) => v / share(c));
  const perPath = panel('Rate per path, Hz', curl('/api/v1/trigger/rates'), rateBars(rates), table([['Path', (p) => p.path + (p.shadow ? ' (shadow)' : '')],
      ['Threshold', (p) => number(p.threshold), true], ['Prescale', (p) => p.prescale, true], ['Raw', (p) => number(p.raw_hz), true],
      ['Prescaled', (p) => number(p.prescaled_hz), true], ['Accepted', (p) => number(p.accepted_hz), true], ['Limited', (p) => number(p.limited_hz), true],
      ['Unique', (p) => number(p.unique_hz), true], ['Budget', (p) => number(p.rate_budget_hz), true], ['Accepted, all', (p) => number(p.counts.accepted), true]], rates.paths));
  perPath.classList.add('wide');
  return [el('h1', {}, 'Trigger'), perPath,
    panel('Menu', curl(own), control(menu, doc.menu ?? doc.document ?? doc)),
    panel('Why events were kept or not', curl('/api/v1/trigger/rates'), bars(Object.entries(rates.reasons).map(([name, value]) => ({name, value})), {unit: 'events', title: 'Reasons'})),
    panel('Accepted by both', curl('/api/v1/trigger/rates'), table([['', (i) => n[i]], ...n.map((name, k) => [name, (i) => number(rates.overlap.accepted_by_both[i][k]), true])], n.map((_, i) => i))),
    panel('Drift, worst first', curl('/api/v1/trigger/drift'), table([['Feature', (f) => el('a', {href: '#/trigger?feature=' + encodeURIComponent(f.feature)}, f.feature)],
      ['Status', (f) => mark(f.status)], ['PSI', (f) => number(f.psi), true], ['KS', (f) => number(f.ks), true], ['Below', (f) => f.below, true], ['Above', (f) => f.above, true],
      ['Model', (f) => f.model]], features, 'No scored event in the window.')),
    chosen && panel(`${chosen.feature}: live over training`, curl('/api/v1/trigger/drift'), histogram([{name: 'training', lo: chosen.lo, hi: chosen.hi, counts: scaled(chosen.training), dashed: true},
      {name: 'live', lo: chosen.lo, hi: chosen.hi, counts: scaled(chosen.live)}], {title: chosen.feature, xLabel: chosen.feature})),
    history];
}
