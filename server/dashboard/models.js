// Models and their evaluations; a working point becomes a menu.
import {el, table, panel, number, when, link, button, say} from '/dashboard/dom.js';
import {get, items, post, curl, runningMenu} from '/dashboard/api.js';
import {lines, histogram} from '/dashboard/plot.js';

export async function list() {
  return [el('h1', {}, 'Models'),
    panel('Versions', curl('/api/v1/models'), table([['Model', (m) => link(`${m.name}@${m.version}`, 'model', m.name, m.version)], ['Created', (m) => when(m.created_at)], ['SHA-256', (m) => m.sha256?.slice(0, 12)]], await items('/api/v1/models?limit=100'), 'No model yet.')),
    panel('Evaluations', curl('/api/v1/evaluations'), table([['Evaluation', (e) => link(e.id, 'evaluation', e.id)], ['Created', (e) => when(e.created_at)]], await items('/api/v1/evaluations?limit=100')))];
}

export async function one({parts: [name, version]}) {
  const path = '/api/v1/models/' + encodeURIComponent(name), own = `${path}/versions/${encodeURIComponent(version)}`;
  const [model, v, history, evaluations] = await Promise.all([get(path), get(own), items(path + '/history'), items('/api/v1/evaluations?limit=100')]);
  const full = await Promise.all(evaluations.slice(0, 20).map((e) => get('/api/v1/evaluations/' + e.id)));
  const h = v.header ?? {};
  return [el('h1', {}, v.ref ?? `${name}@${version}`),
    panel('Evaluations', curl('/api/v1/evaluations'), table([['Evaluation', (e) => link(e.id, 'evaluation', e.id)], ['Events', (e) => number(e.metrics.n_events), true], ['Accuracy', (e) => number(e.metrics.accuracy), true],
      ['AUC, mean', (e) => number(e.metrics.auc_macro), true]], full.filter((e) => e.model_version === v.ref), 'None among the last 20.')),
    panel('Versions', curl(path), table([['Version', (m) => link(m.version, 'model', m.name, m.version)], ['Created', (m) => when(m.created_at)], ['Job', (m) => m.job_id ? link('job', 'job', m.job_id) : '']], model.versions)),
    panel('Aliases, moves', curl(path + '/history'), table([['At', (a) => when(a.at ?? a.moved_at)], ['Alias', (a) => a.alias], ['Version', (a) => a.version, true], ['Reason', (a) => a.reason]], history, 'No alias was moved.')),
    panel('Header', curl(own), el('p', {}, `${h.estimator ?? ''} · recipe ${h.recipe ?? ''}`), el('pre', {tabindex: 0}, JSON.stringify(h, (k, x) => Array.isArray(x) && x.length > 40 ? `${x.length} numbers` : x, 1)))];
}

// A menu of one path; activation names the menu that was seen running, so that nobody is overruled unseen.
async function createMenu(evaluation, point) {
  const target = Math.round(100 * point.target_signal_efficiency);
  const menu = {name: 'dashboard', comment: `${point.class_name} at ${target} % signal efficiency`, paths: [{path: `DLT_${point.class_name}_Eff${target}`,
    model: evaluation.model_version, discriminant: point.class_name, working_point: {target: {signal_efficiency: point.target_signal_efficiency}, evaluation: evaluation.id}}]};
  try {
    const now = await runningMenu();
    if (!confirm(`Create and activate a menu: ${menu.comment}?` + (now.name ? ` It replaces ${now.name}, revision ${now.revision}.` : ''))) return;
    const made = await post('/api/v1/menus', menu);
    await post(`/api/v1/menus/${encodeURIComponent(made.name)}/revisions/${made.revision}:activate`, {}, {'If-Match': now.tag});
    location.hash = '#/overview';
  } catch (e) { say(e.message); }
}

const percent = (v) => v == null ? '–' : typeof v === 'number' ? number(100 * v) + ' %' : `${number(100 * v.value)} % (${number(100 * v.lo)} to ${number(100 * v.hi)})`;

export async function evaluation({parts: [id], query}) {
  const path = '/api/v1/evaluations/' + encodeURIComponent(id), e = await get(path), m = e.metrics, names = m.classes.map((c) => c.name);
  const shown = m.classes.find((c) => c.name === query.get('class')) ?? m.classes[0];
  const chips = el('div', {class: 'row'}, names.map((n) => button(n, () => { location.hash = `#/evaluation/${encodeURIComponent(id)}?class=${encodeURIComponent(n)}`; }, {class: 'small', 'aria-pressed': String(n === shown.name)})));
  return [el('h1', {}, `Evaluation of ${e.model_version}`),
    panel('ROC', curl(path), el('p', {}, m.classes.map((c) => `${c.name} AUC ${number(c.auc)} ± ${number(c.auc_error)}`).join(' · ')),
      lines(m.classes.map((c) => ({name: c.name, x: c.roc.map((p) => p.background_efficiency), y: c.roc.map((p) => p.signal_efficiency)})), {title: 'ROC', xLabel: 'background efficiency', xRange: [0, 1], yRange: [0, 1]})),
    panel('Confusion matrix', curl(path), el('p', {}, `${number(m.n_events)} events, accuracy ${number(m.accuracy)}`),
      table([['True class', (r) => r.true_class], ...names.map((n, k) => ['as ' + n, (r) => number(r.counts[k]), true])], m.confusion)),
    panel(`Score of ${shown.name}`, curl(path), chips, histogram(shown.histograms.map((h) => ({name: h.true_class, lo: 0, hi: 1, counts: h.counts})), {title: 'Score by true class', xLabel: 'score'})),
    panel('Working points', curl(path), table([['Class', (p) => p.class_name], ['Target', (p) => number(100 * p.target_signal_efficiency) + ' %', true], ['Signal kept', (p) => percent(p.signal_efficiency)], ['Threshold', (p) => number(p.threshold), true],
      ['Others kept', (p) => percent(p.background_total)], ['', (p) => button('Create menu', () => createMenu(e, p), {class: 'small menu', title: 'Create a trigger menu from this point and activate it', 'data-class': p.class_name})]], m.classes.flatMap((c) => c.working_points)))];
}
