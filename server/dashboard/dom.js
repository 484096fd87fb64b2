// Elements from text: everything goes through textContent, so that no name in the data can become markup.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, value);
  for (const child of children.flat()) if (child != null) node.append(child.nodeType ? child : String(child));
  return node;
}

export function number(x, digits = 3) {
  if (x == null || !Number.isFinite(x)) return '–';
  if (Number.isInteger(x)) return x.toLocaleString('en');
  return Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(digits + 1)));
}
export const when = (t) => t ? t.replace('T', ' ').replace(/\.\d+Z$/, ' UTC') : '–';
export const button = (text, onclick, attributes = {}) => el('button', {type: 'button', onclick, ...attributes}, text);
export const link = (text, ...parts) => el('a', {href: '#/' + parts.map(encodeURIComponent).join('/')}, text);

// columns: [title, row => text or node, numeric?]
export function table(columns, rows, empty = 'None.') {
  if (!rows.length) return el('p', {class: 'dim'}, empty);
  const cell = (tag, c, content) => el(tag, c[2] ? {class: 'n'} : {}, content);
  return el('table', {}, el('thead', {}, el('tr', {}, columns.map((c) => cell('th', c, c[0])))),
    el('tbody', {}, rows.map((r) => el('tr', {}, columns.map((c) => cell('td', c, c[1](r) ?? '–'))))));
}

export const stateClass = (s) => ({completed: 'ok', running: 'ok', discarded: 'bad', cancelled: 'warn', alert: 'bad', watch: 'warn', warn: 'warn'})[s] ?? '';
export const mark = (s) => el('span', {class: stateClass(s)}, s);

export function say(text, bad = true) {
  const node = document.getElementById('said');
  node.className = bad ? 'bad' : 'ok';
  node.textContent = text;
}

// A panel says where its data come from: the command asks the same of the service.
export function panel(title, curl, ...children) {
  const copy = curl && button('copy as curl', async () => {
    const text = typeof curl === 'function' ? curl() : curl;
    try { await navigator.clipboard.writeText(text); say('Copied: ' + text, false); } catch { say(text, false); }
  }, {class: 'small', 'aria-label': 'Copy as curl: ' + title});
  return el('section', {}, el('div', {class: 'head'}, el('h2', {}, title), copy), ...children);
}
