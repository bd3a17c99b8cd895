// Starts the demo, a server for host pages, and a browser that fails a test on console errors and on
// requests that leave this machine.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const axeSource = createRequire(import.meta.url)('axe-core').source;
const BINARY = process.env.COUNTERSIGN ?? join(here, '../../target/release/countersign');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 800 };

/** The demo: an appliance, a simulator and a broker. */
export class Demo {
  static async start() {
    const demo = new Demo();
    demo.directory = mkdtempSync(join(tmpdir(), 'countersign-demo-'));
    demo.child = spawn(BINARY, ['demo', '--json', '--directory', demo.directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise((resolve, reject) => {
      createInterface(demo.child.stdout).once('line', resolve);
      demo.child.once('exit', (code) => reject(new Error(`the demo ended with ${code}`)));
    });
    Object.assign(demo, JSON.parse(line));
    return demo;
  }

  async stop() {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await gone;
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The operator's command line on the demo's register. */
  command(...words) {
    const register = join(this.directory, 'countersign.db');
    const ran = spawnSync(BINARY, [...words, '--json', '--database', register], { encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stderr);
    return JSON.parse(ran.stdout);
  }

  async call(method, path, { of, body } = {}) {
    const headers = { Authorization: `Bearer ${this.brokerKey}` };
    if (of) headers['Nxos-On-Behalf-Of'] = of;
    if (body) headers['Content-Type'] = 'application/json';
    const answer = await fetch(this.api + path, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  }

  /** A customer with an open session. */
  async customer(type = 'INDIVIDUAL', name = type === 'BUSINESS' ? 'Acme Trading Co.' : 'Ada Lovelace') {
    const created = await this.call('POST', '/v1/organizations', { body: { name, type } });
    const id = created.body.organizationId;
    return { id, ...(await this.session(id)) };
  }

  async session(id) {
    const { status, body } = await this.call('POST', '/v1/organizations/verification', { of: id });
    assert.equal(status, 200, JSON.stringify(body));
    return { url: body.url, accessToken: body.accessToken };
  }

  async status(id) {
    return (await this.call('GET', '/v1/organizations/verification', { of: id })).body.status;
  }

  /** Whether the broker may act for the customer: the LOA is effective. */
  async mayAct(id) {
    return (await this.call('GET', '/v1/organizations', { of: id })).status === 200;
  }

  async revokeLoa(id) {
    const body = { grantingOrganizationId: id, authorizedOrganizationId: this.brokerOrganizationId, type: 'LOA' };
    assert.equal((await this.call('POST', '/v1/authorizations/revoke', { body })).status, 200);
  }

  /** Plays Sumsub or its reviewer. */
  async control(path, body = {}) {
    const answer = await fetch(this.sumsub.controlUrl + path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  }

  play(id, action) {
    return this.control(`/applicants/-;externalUserId=${id}/${action}`);
  }
}

export async function until(what, check) {
  for (let turn = 0; turn < 600; turn += 1) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`waited in vain until ${what}`);
}

/** Serves host pages: `pages` maps a path to a function of the request that answers `[kind, text]`. */
export async function serveHost(pages) {
  const server = createServer(async (request, response) => {
    const page = pages[new URL(request.url, 'http://host').pathname];
    if (!page) return response.writeHead(404).end();
    const [kind, text] = await page(request);
    return response.writeHead(200, { 'Content-Type': kind, 'Cache-Control': 'no-store' }).end(text);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return { origin: `http://localhost:${port}`, close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }) };
}

export class Browser {
  static async start() {
    const it = new Browser();
    it.profile = mkdtempSync(join(tmpdir(), 'countersign-browser-'));
    it.context = await chromium.launchPersistentContext(it.profile, {
      executablePath: CHROMIUM,
      headless: true,
      viewport: PHONE,
      args: [
        '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync',
      ],
    });
    return it;
  }

  async stop() {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }

  /** A page of its own; `allowed` are the refusals that the test provokes: a status, or a network error's name. */
  async page({ allowed = [], withoutScripts = false } = {}) {
    const context = withoutScripts
      ? await (this.plain ??= this.#plain())
      : this.context;
    const page = await context.newPage();
    page.wrongs = [];
    page.requests = [];
    page.on('console', (message) => {
      const text = message.text();
      const isAllowed = allowed.some((it) => text.includes(typeof it === 'number' ? `status of ${it}` : it));
      if (message.type() === 'error' && !isAllowed) page.wrongs.push(`console: ${text}`);
    });
    page.on('pageerror', (error) => page.wrongs.push(`script: ${error.message}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      page.requests.push(`${request.method()} ${url.pathname}`);
      const isOurs = ['127.0.0.1', 'localhost'].includes(url.hostname) || ['data:', 'blob:', 'about:'].includes(url.protocol);
      if (!isOurs) page.wrongs.push(`left the machine: ${url.origin}`);
    });
    return page;
  }

  async #plain() {
    const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] });
    const context = await browser.newContext({ javaScriptEnabled: false, viewport: PHONE });
    const close = this.context.close.bind(this.context);
    this.context.close = async () => { await browser.close(); await close(); };
    return context;
  }
}

/** Ends a test's page, and fails if anything was wrong on it. */
export async function finish(page) {
  await page.close();
  assert.deepEqual(page.wrongs, []);
}

/** axe-core on the page and on its frames, in light and dark; then pictures of both, small and large. */
export async function inspect(page, name) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const frame of page.frames()) {
      if (frame.isDetached() || frame.url() === 'about:blank') continue;
      // A frame of Sumsub's is told of the scheme by a message.
      await until(`the frame is ${scheme}`, () => frame.evaluate((it) => [undefined, it].includes(document.documentElement.dataset.theme), scheme));
      await frame.evaluate(axeSource);
      const found = await frame.evaluate(async () => {
        const { violations } = await globalThis.axe.run(document, {
          runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], iframes: false,
        });
        return violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(' | ')}`);
      });
      assert.deepEqual(found, [], `${name}, ${scheme}, ${new URL(frame.url()).pathname.slice(0, 16)}`);
    }
    mkdirSync(join(here, 'shots'), { recursive: true });
    for (const [size, viewport] of [['phone', PHONE], ['desk', DESK]]) {
      await page.setViewportSize(viewport);
      await page.screenshot({ path: join(here, 'shots', `${name}-${size}-${scheme}.png`), fullPage: size === 'phone' });
      const isWide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      assert.ok(!isWide, `${name} scrolls sideways at ${size}`);
    }
    await page.setViewportSize(PHONE);
    // A frame that becomes narrower becomes taller, and what the test presses meanwhile moves away.
    for (const frame of page.frames()) {
      if (frame === page.mainFrame() || frame.isDetached()) continue;
      await until('the frame is tall enough', () => frame.evaluate(() => document.documentElement.scrollHeight <= window.innerHeight));
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Stops the clock of a test's page: its timers fire only when the test runs them. */
export async function stopClock(t, page) {
  await page.clock.install({ time: 0 });
  // An installed clock still runs by itself: on a busy machine, a page would reach its own limits.
  await page.clock.pauseAt(3_600_000);
  // The clock is that of every page of the browser, the next tests' too.
  t.after(() => page.clock.resume());
}

/** The steps in the simulator's frame, for a person, until everything is handed in. */
export async function handInPerson(frame) {
  await frame.getByRole('button', { name: 'Continue' }).click();
  await picture(frame, 'Use a sample picture');
  await picture(frame, 'Use a sample selfie');
  await frame.getByRole('button', { name: 'Submit' }).click();
  // A verdict that arrives before the submission makes the simulator refuse the submission.
  await frame.getByRole('heading', { name: 'Your data is being checked' }).waitFor();
}

export async function picture(frame, sample) {
  await frame.getByRole('button', { name: sample }).click();
  await frame.getByRole('button', { name: 'Upload', exact: true }).click();
}

/** Signs the letter that a page shows. */
export async function sign(page, name = 'Ada Lovelace', role) {
  await page.getByLabel('Full name').fill(name);
  if (role) await page.getByLabel('Role').fill(role);
  await page.getByRole('checkbox').check();
  await page.getByRole('button', { name: 'Sign and continue' }).click();
}
