// The few plots that the pages have, as SVG: lines, histograms, bars.  Series: {name, x, y, color?}.
import {el, number} from '/dashboard/dom.js';

const W = 560, H = 260, L = 52, R = 12, T = 24, B = 34;
const fixed = {qcd: 0, tt: 1, wjets: 2};
export const colorOf = (name, i) => 's' + (fixed[name] ?? i % 6);

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  node.append(...children);
  return node;
}
const range = (values) => {
  let lo = Infinity, hi = -Infinity;
  for (const v of values) if (Number.isFinite(v)) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
  return lo > hi ? [0, 1] : lo === hi ? [lo - (Math.abs(lo) || 1) / 2, hi + (Math.abs(lo) || 1) / 2] : [lo, hi];
};
function ticks(lo, hi) {
  const raw = (hi - lo) / 5, p = 10 ** Math.floor(Math.log10(raw)), m = raw / p, step = (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10) * p;
  const out = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

// A tick's label has room for about seven characters.
const label = (v) => Math.abs(v) >= 1e4 ? Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 2}).format(v) : number(v);

function frame(o, series) {
  const [x0, x1] = o.xRange ?? range(series.flatMap((s) => s.x));
  let [y0, y1] = o.yRange ?? range(series.flatMap((s) => s.y).filter((v) => !o.logY || v > 0));
  if (o.fromZero && !o.logY) y0 = Math.min(0, y0);
  const f = o.logY ? Math.log10 : (v) => v, lo = f(y0), hi = f(y1) === lo ? lo + 1 : f(y1);
  const X = (x) => L + (x - x0) / (x1 - x0) * (W - L - R), Y = (y) => H - B - (f(Math.max(y, o.logY ? y0 : -Infinity)) - lo) / (hi - lo) * (H - T - B);
  const root = svg('svg', {viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': o.title ?? ''});
  for (const t of ticks(x0, x1)) {
    root.append(svg('path', {class: 'grid', d: `M${X(t)} ${T}V${H - B}`}), svg('text', {x: X(t), y: H - B + 14, 'text-anchor': 'middle'}, label(t)));
  }
  for (const t of ticks(lo, hi)) {
    const v = o.logY ? 10 ** t : t, y = Y(v);
    root.append(svg('path', {class: 'grid', d: `M${L} ${y}H${W - R}`}), svg('text', {x: L - 5, y: y + 4, 'text-anchor': 'end'}, label(v)));
  }
  root.append(svg('path', {class: 'axis', d: `M${L} ${T}V${H - B}H${W - R}`}));
  if (o.xLabel) root.append(svg('text', {x: W - R, y: H - 4, 'text-anchor': 'end'}, o.xLabel));
  let at = L;
  series.forEach((s, i) => {
    root.append(svg('text', {x: at, y: 13, class: colorOf(s.color ?? s.name, i)}, s.name));
    at += 16 + s.name.length * 6.4;
  });
  return {root, X, Y};
}

function path(s, X, Y, steps) {
  let d = '', pen = 'M';
  for (let i = 0; i < s.y.length; i++) {
    if (!Number.isFinite(s.y[i])) { pen = 'M'; continue; }
    d += `${pen}${X(s.x[i]).toFixed(1)} ${Y(s.y[i]).toFixed(1)}`;
    if (steps) d += `H${X(s.x[i + 1]).toFixed(1)}`;
    pen = 'L';
  }
  return d;
}
function data(series) {
  const rows = [];
  for (let i = 0; i < Math.min(500, Math.max(0, ...series.map((s) => s.y.length))); i++)
    rows.push(el('tr', {}, series.flatMap((s) => [el('td', {class: 'n'}, number(s.x[i])), el('td', {class: 'n'}, number(s.y[i]))])));
  const details = el('details', {}, el('summary', {}, 'As a table'));
  details.append(el('table', {}, el('tr', {}, series.flatMap((s) => [el('th', {class: 'n'}, 'x'), el('th', {class: 'n'}, s.name)])), rows));
  return details;
}

function draw(series, o, steps) {
  const shown = series.filter((s) => s.y.length);
  if (!shown.length) return el('p', {class: 'dim'}, 'No points yet.');
  const {root, X, Y} = frame(o, shown);
  shown.forEach((s, i) => root.append(svg('path', {class: 'line ' + colorOf(s.color ?? s.name, i), d: path(s, X, Y, steps), 'stroke-dasharray': s.dashed ? '5 3' : 'none'})));
  if (o.mark != null) root.append(svg('path', {class: 'axis', d: `M${X(o.mark)} ${T}V${H - B}`}));
  const box = el('div', {}, root);
  box.append(data(shown));
  return box;
}
export const lines = (series, o = {}) => draw(series, o, false);

// Series: {name, lo, hi, counts}; each button press draws again with the other scale.
export function histogram(series, o = {}) {
  const box = el('div');
  const show = (logY) => {
    const steps = series.map((s) => {
      const w = (s.hi - s.lo) / s.counts.length;
      return {...s, x: Array.from({length: s.counts.length + 1}, (_, i) => s.lo + i * w), y: s.counts};
    });
    box.replaceChildren(draw(steps, {...o, logY, fromZero: true}, true),
      el('button', {type: 'button', class: 'small', 'aria-pressed': String(logY), onclick: () => show(!logY)}, 'log y'));
  };
  show(false);
  return box;
}

// rows: {name, value, limit?}; the tick is the limit.
export function bars(rows, o = {}) {
  const max = Math.max(1e-12, ...rows.flatMap((r) => [r.value, r.limit ?? 0])) * 1.05, h = 30;
  const root = svg('svg', {viewBox: `0 0 ${W} ${rows.length * h + 4}`, role: 'img', 'aria-label': o.title ?? ''});
  rows.forEach((r, i) => {
    const x = 180, w = W - x - 90, over = r.limit != null && r.value > r.limit;
    root.append(svg('text', {x: 0, y: i * h + 18}, r.name),
      svg('rect', {x, y: i * h + 6, width: r.value / max * w, height: 16, class: over ? 's1' : 's0'}),
      svg('text', {x: x + w + 8, y: i * h + 18}, `${number(r.value)} ${o.unit ?? ''}`));
    if (r.limit != null) root.append(svg('path', {class: 's1', 'stroke-width': 3, d: `M${x + r.limit / max * w} ${i * h + 2}v24`}));
  });
  return root;
}
