// The dashboard in a real browser: a newcomer's walk from an empty service to a rate.
//   node tests/browser/walk.mjs SERVER EVENT_JSON SCREENSHOTS PROFILE
import {readFileSync} from 'node:fs';
import {chromium} from 'playwright-core';

const [server, event, shots, profile] = process.argv.slice(2);
const complaints = [], bodies = [];
const expect = (what, ok) => { if (!ok) throw new Error('FAIL: ' + what); console.log('ok: ' + what); };

const context = await chromium.launchPersistentContext(profile, {executablePath: '/usr/bin/chromium', headless: true, viewport: {width: 1280, height: 900},
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']});
const page = context.pages()[0] ?? await context.newPage();
page.setDefaultTimeout(15000);
page.on('console', (m) => {
  // The browser itself reports answers that are no success: without a menu the rates have none.
  if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) complaints.push(m.text());
});
page.on('pageerror', (e) => complaints.push(String(e)));
page.on('request', (r) => { if (!r.url().startsWith(server) && !r.url().startsWith('data:')) complaints.push('asked elsewhere: ' + r.url()); });
page.on('response', (r) => {
  const path = new URL(r.url()).pathname;
  if (r.status() === 200 && (path === '/' || path.startsWith('/dashboard/'))) bodies.push(r.body().then((b) => b.length, () => 0));
});
page.on('dialog', (d) => d.accept());
const shot = (name) => page.screenshot({path: `${shots}/${name}.png`, fullPage: true});
const nav = (name) => page.click(`nav a:text-is("${name}")`);

try {
  await page.goto(server + '/');
  await page.waitForSelector('#demo');
  const weight = (await Promise.all(bodies)).reduce((a, b) => a + b, 0);
  expect(`the page weighs ${weight} bytes, less than 300 kB`, weight > 10000 && weight < 300000);
  expect('without a menu it says so', /None: create one/.test(await page.textContent('main')));
  await shot('1-first-run');
  await nav('Trigger');
  await page.waitForSelector('text=No menu runs');
  await nav('Overview');
  await page.click('#demo');
  await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].filter((r) => r.textContent.includes('completed')).length === 4, null, {timeout: 60000});
  expect('the button runs the four jobs of the demo pipeline', true);
  await shot('2-jobs');
  await page.click('tr:has-text("train") a');
  await page.waitForSelector('svg[aria-label="Loss"] path.line');
  expect('the training job shows loss and val_loss', await page.locator('svg[aria-label="Loss"] path.line').count() === 2);
  await shot('3-training');
  await page.reload();
  await page.waitForSelector('svg[aria-label="Loss"] path.line');
  expect('a reload shows the same view', true);
  await nav('Datasets');
  await page.click('tr:has-text("features") a');
  await page.waitForSelector('svg path.line');
  expect('a dataset shows a histogram for each class', await page.locator('svg path.line').count() === 3);
  await shot('4-dataset');
  await nav('Tuning');
  await page.waitForSelector('text=No tune job yet');
  await nav('Models');
  await page.click('section:has-text("Versions") tbody a');
  await page.waitForSelector('h1:has-text("topology-hlf@1")');
  await page.click('section:has-text("Accuracy") tbody a');
  await page.waitForSelector('svg[aria-label="ROC"]');
  expect('the evaluation shows a ROC for each class', await page.locator('svg[aria-label="ROC"] path.line').count() === 3);
  await shot('5-evaluation');
  await page.click('button.menu[data-class="tt"] >> nth=0');
  await page.waitForSelector('text=dashboard, revision 1');
  expect('a working point becomes the active menu', true);
  const answer = await fetch(server + '/api/v1/trigger/decisions', {method: 'POST', body: readFileSync(event)});
  expect('an event is decided', answer.ok);
  await page.waitForFunction(() => /over 1 decisions/.test(document.body.textContent));
  expect('the overview counts it within its next turns', true);
  await shot('6-overview');
  await nav('Trigger');
  await page.waitForSelector('text=live over training');
  await shot('7-trigger');
  await page.click('#theme');
  await shot('8-other-theme');
  await page.goto(server + '/#/no-such-page');
  await page.waitForSelector('text=There is no page');
  expect('no complaint of the browser: ' + complaints.join(' | '), complaints.length === 0);
} catch (e) {
  await shot('failed').catch(() => {});
  console.error(String(e), complaints.join(' | '));
  process.exitCode = 1;
} finally {
  await context.close();
}
