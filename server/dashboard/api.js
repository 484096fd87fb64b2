// The public API: everything that the pages show comes through here.
const KEY = 'dltrigger-token';
let asking = null;

function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById('token'), form = document.getElementById('token-form');
    const value = document.getElementById('token-value');
    const end = (ok) => { asking = null; value.value = ''; dialog.close(); resolve(ok); };
    form.onsubmit = (e) => { e.preventDefault(); sessionStorage.setItem(KEY, value.value.trim()); end(true); };
    document.getElementById('token-cancel').onclick = () => end(false);
    dialog.oncancel = () => end(false);
    dialog.showModal();
  });
  return asking;
}

export async function request(path, options = {}) {
  for (;;) {
    const headers = {...options.headers}, token = sessionStorage.getItem(KEY);
    if (token) headers.Authorization = 'Bearer ' + token;
    const answer = await fetch(path, {...options, headers});
    if (answer.status === 401 && await askToken()) continue;
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw Object.assign(new Error(problem.detail ?? `${path}: status ${answer.status}`), {status: answer.status, code: problem.code});
    }
    return answer;
  }
}
export const get = async (path) => (await request(path)).json();
export const items = async (path) => (await get(path)).items;
export async function send(method, path, body, headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? {});
  return (await request(path, {method, body: text, headers: {'Content-Type': 'application/json', ...headers}})).json();
}
export const post = (path, body, headers) => send('POST', path, body, headers);

const quoted = (s) => "'" + s.replaceAll("'", "'\\''") + "'";
export function curl(path, body, method) {
  const key = sessionStorage.getItem(KEY) ? ' -H "Authorization: Bearer $DLT_TOKEN"' : '';
  return `curl -s${method ? ' -X ' + method : ''}${key}${body ? ' -d ' + quoted(typeof body === 'string' ? body : JSON.stringify(body)) : ''} ${quoted(location.origin + path)}`;
}

// The menu that runs (its name is null when there is none), and the tag that a change of it must name.
export async function runningMenu() {
  const answer = await request('/api/v1/trigger/menu');
  return {...await answer.json(), tag: answer.headers.get('ETag')};
}

// Events of a stream; fetch instead of EventSource, which cannot send an Authorization header.
export async function stream(path, signal, each) {
  const answer = await request(path, {signal, headers: {Accept: 'text/event-stream'}});
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const name = /^event: (.*)$/m.exec(part), data = /^data: (.*)$/m.exec(part);
      if (name && data) each(name[1], JSON.parse(data[1]));
    }
  }
}
