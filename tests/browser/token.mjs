// A service with keys: the page asks for a token, sends it in the header only, and forgets it with the tab.
//   node tests/browser/token.mjs SERVER TOKEN PROFILE
import {chromium} from 'playwright-core';

const [server, token, profile] = process.argv.slice(2);
const expect = (what, ok) => { if (!ok) throw new Error('FAIL: ' + what); console.log('ok: ' + what); };
const context = await chromium.launchPersistentContext(profile, {executablePath: '/usr/bin/chromium', headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']});
try {
  const page = context.pages()[0] ?? await context.newPage(), urls = [];
  page.setDefaultTimeout(15000);
  page.on('request', (r) => urls.push(r.url()));
  await page.goto(server + '/');
  await page.waitForSelector('#token[open]');
  await page.fill('#token-value', token);
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=Last problems');
  expect('the page asks for a token and then shows the overview', true);
  expect('the token is in no URL', !urls.some((u) => u.includes(token)) && !page.url().includes(token));
  expect('nor in what outlives the tab', !(await page.evaluate(() => JSON.stringify({...localStorage}) + document.cookie)).includes(token));
} catch (e) {
  console.error(String(e));
  process.exitCode = 1;
} finally {
  await context.close();
}
