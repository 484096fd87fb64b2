// The router: the part of the URL behind # is the whole state of the view.
import {el, say} from '/dashboard/dom.js';
import {request} from '/dashboard/api.js';
import * as operate from '/dashboard/operate.js';
import * as jobs from '/dashboard/jobs.js';
import * as data from '/dashboard/data.js';
import * as models from '/dashboard/models.js';

const pages = {overview: operate.overview, trigger: operate.trigger, jobs: jobs.list, job: jobs.one, datasets: data.list,
  dataset: data.one, studies: data.studies, study: data.study, models: models.list, model: models.one, evaluation: models.evaluation};
let leave = new AbortController();

async function show() {
  leave.abort();
  leave = new AbortController();
  const {signal} = leave, [where, query = ''] = location.hash.slice(2).split('?');
  const parts = where.split('/').filter(Boolean).map(decodeURIComponent), name = parts[0] ?? 'overview';
  const main = document.getElementById('main'), page = pages[name];
  for (const a of document.querySelectorAll('nav a'))
    if (a.hash.slice(2).startsWith(name.slice(0, 4))) a.setAttribute('aria-current', 'page'); else a.removeAttribute('aria-current');
  document.title = name + ' · dltrigger';
  say('');
  try {
    if (!page) throw new Error(`There is no page '${name}'.`);
    const draw = async () => {
      const nodes = await page({parts: parts.slice(1), query: new URLSearchParams(query), signal});
      if (!signal.aborted) main.replaceChildren(...nodes.filter(Boolean));
    };
    await draw();
    // Watching pages draw again, but never under a hand that is in a form of theirs.
    if (['overview', 'trigger', 'jobs'].includes(name)) {
      const timer = setInterval(() => {
        if (!document.hidden && !main.contains(document.activeElement)) draw().catch((e) => say(e.message));
      }, 2000);
      signal.addEventListener('abort', () => clearInterval(timer));
    }
  } catch (e) {
    if (!signal.aborted) main.replaceChildren(el('h1', {}, 'Not shown'), el('p', {class: 'bad wide'}, e.message));
  }
}

async function health() {
  const node = document.getElementById('health');
  try {
    const answer = await fetch('/readyz'), ready = await answer.json();
    const wrong = (ready.checks ?? []).filter((c) => !c.ok).map((c) => c.name);
    node.className = answer.ok ? 'ok' : 'bad';
    node.textContent = answer.ok ? '● ready' : '▲ not ready: ' + wrong.join(', ');
  } catch {
    node.className = 'bad';
    node.textContent = '▲ no answer';
  }
}

const root = document.documentElement;
root.dataset.theme = localStorage.getItem('dltrigger-theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
document.getElementById('theme').addEventListener('click', () => {
  root.dataset.theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem('dltrigger-theme', root.dataset.theme);
});
addEventListener('hashchange', show);
addEventListener('unhandledrejection', (e) => { e.preventDefault(); if (e.reason?.name !== 'AbortError') say(e.reason?.message ?? String(e.reason)); });
setInterval(health, 5000);
health();
show();
