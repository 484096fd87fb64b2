// Jobs: the table, and one job with its progress, curves and log, live.
import {el, table, panel, number, when, link, button, mark, say} from '/dashboard/dom.js';
import {get, items, post, curl, stream, request} from '/dashboard/api.js';
import {lines} from '/dashboard/plot.js';

const STATES = ['', 'available', 'pending', 'running', 'completed', 'cancelled', 'discarded'];
const KINDS = ['', 'ingest', 'features', 'train', 'evaluate', 'tune', 'export', 'import'];
const final = (j) => ['completed', 'cancelled', 'discarded'].includes(j.state);
const percent = (j) => j.progress?.fraction == null ? '' : Math.floor(100 * j.progress.fraction) + ' %';

export async function list({query}) {
  const api = '/api/v1/jobs?limit=100' + ['state', 'kind'].filter((k) => query.get(k)).map((k) => `&${k}=${encodeURIComponent(query.get(k))}`).join('');
  const chip = (key, value) => {
    const q = new URLSearchParams(query);
    if (value) q.set(key, value); else q.delete(key);
    return button(value || `any ${key}`, () => { document.activeElement.blur(); location.hash = '#/jobs?' + q; }, {class: 'small', 'aria-pressed': String((query.get(key) ?? '') === value)});
  };
  const section = panel('Newest first', curl(api), el('div', {class: 'row'}, STATES.map((s) => chip('state', s))), el('div', {class: 'row'}, KINDS.map((k) => chip('kind', k))),
    table([['Job', (j) => link(j.id, 'job', j.id)], ['Kind', (j) => j.kind], ['State', (j) => mark(j.state)], ['Phase', (j) => j.progress?.phase],
      ['Done', percent, true], ['Attempt', (j) => `${j.attempt} of ${j.max_attempts}`], ['Created', (j) => when(j.created_at)]], await items(api)));
  section.classList.add('wide');
  return [el('h1', {}, 'Jobs'), section];
}

const GROUPS = [['Loss', /loss$/], ['Accuracy and AUC', /accuracy$|auc$/], ['Learning rate', /^learning_rate$/], ['Gradient norm', /^gradient_norm$/], ['Samples a second', /^samples_per_second$/]];
function curves(series) {
  const left = new Set(series), plots = [];
  const add = (title, some) => some.length && plots.push(el('h2', {}, title), lines(some.map((s, i) => ({name: s.key, color: String(i), x: s.points.map((p) => p[0]), y: s.points.map((p) => p[1])})), {title, xLabel: 'step'}));
  for (const [title, names] of GROUPS) {
    const some = series.filter((s) => names.test(s.key));
    some.forEach((s) => left.delete(s));
    add(title, some);
  }
  for (const s of left) add(s.key, [s]);
  return plots.length ? plots : [el('p', {class: 'dim'}, 'This job has written no series.')];
}

function summary(j) {
  const act = (verb) => button(verb, () => post(`/api/v1/jobs/${j.id}:${verb}`).then(() => say('Asked for: ' + verb, false), (e) => say(e.message)));
  const p = j.progress ?? {};
  return [el('p', {}, `${j.kind}: `, mark(j.state), ` · attempt ${j.attempt} of ${j.max_attempts} · created ${when(j.created_at)}` + (j.finished_at ? ` · ended ${when(j.finished_at)}` : '')),
    el('progress', {max: 1, value: p.fraction ?? 0, 'aria-label': 'progress'}),
    el('p', {}, [p.phase, `${number(p.done)} of ${number(p.total)} ${p.unit ?? ''}`, p.rate_per_second && `${number(p.rate_per_second)} a second`,
      p.eta_seconds != null && `${number(p.eta_seconds)} s to go`, p.message].filter(Boolean).join(' · ')),
    el('div', {class: 'row'}, !final(j) ? act('cancel') : null, ['discarded', 'cancelled'].includes(j.state) ? act('retry') : null),
    j.errors.length ? el('pre', {class: 'bad'}, JSON.stringify(j.errors, null, 1)) : null,
    j.result ? el('details', {}, el('summary', {}, 'Result'), el('pre', {}, JSON.stringify(j.result, null, 1))) : null,
    el('p', {}, j.result?.dataset_id ? link('dataset', 'dataset', j.result.dataset_id) : '', ' ', j.result?.evaluation_id ? link('evaluation', 'evaluation', j.result.evaluation_id) : '', ' ',
      j.result?.model_version ? link('model', 'model', ...j.result.model_version.split('@')) : '')].filter(Boolean);
}

export async function one({parts: [id], signal}) {
  const path = '/api/v1/jobs/' + encodeURIComponent(id);
  const job = panel('Job', curl(path)), log = el('pre', {tabindex: 0, 'aria-label': 'Log'}), plots = panel('Training curves and other series', curl(path + '/metrics?max_points=500'));
  const heads = [job.firstChild, plots.firstChild];
  let now = {}, busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      do {
        again = false;
        const [j, metrics, text] = await Promise.all([get(path), get(path + '/metrics?max_points=500'), request(path + '/logs?limit=500').then((a) => a.text())]);
        now = j;
        job.replaceChildren(heads[0], ...summary(j));
        plots.replaceChildren(heads[1], ...curves(metrics.series));
        log.textContent = text.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l)).map((l) => `${l.at.slice(11, 19)} ${l.level} ${l.text}`).slice(-200).join('\n') || 'Nothing yet.';
      } while (again && !signal.aborted);
    } finally { busy = false; }
  };
  await refresh();
  if (!final(now)) {
    // Events say that something is new; a timer holds them to twice a second, and alone does when there is no stream.
    let dirty = false, live = true, ticks = 0;
    stream(path + '/events', signal, () => { dirty = true; }).catch(() => {}).finally(() => { live = false; });
    const timer = setInterval(async () => {
      if (!dirty && live && ++ticks % 10) return;
      dirty = false;
      await refresh().catch((e) => say(e.message));
      if (final(now)) clearInterval(timer);
    }, 500);
    signal.addEventListener('abort', () => clearInterval(timer));
  }
  return [el('h1', {}, 'Job ' + id), el('div', {class: 'column'}, job, panel('Log, last lines', curl(path + '/logs?limit=500'), log),
    panel('Spec', curl(path), el('pre', {tabindex: 0}, JSON.stringify(now.spec, null, 1)))), plots];
}
