// The unmodified WebSDK packages, the React component and the guide's own page, against the simulator.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Browser, Demo, finish, handInPerson, picture, serveHost, stopClock, until } from './rig.mjs';

const here = dirname(fileURLToPath(import.meta.url));
let demo;
let browser;
before(async () => { demo = await Demo.start(); browser = await Browser.start(); });
after(async () => { await browser.stop(); await demo.stop(); });

/** A page around one module of ours, which is bundled with what it imports. */
async function hostOf(module, { token, customer, extra = {} }) {
  const bundled = await build({
    stdin: { contents: module, resolveDir: here, loader: 'js' },
    bundle: true, write: false, format: 'iife', define: { 'process.env.NODE_ENV': '"production"' }, logLevel: 'silent',
  });
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Host</title><link rel="icon" href="data:,"></head>
    <body><main><h1>Host</h1><div id="sdk"></div></main><script>var events = []; var TOKEN = ${JSON.stringify(token)}; var CONF = ${JSON.stringify(extra)};</script>
    <script src="/host.js"></script></body></html>`;
  return serveHost({
    '/': () => ['text/html; charset=utf-8', html],
    '/host.js': () => ['text/javascript; charset=utf-8', bundled.outputFiles[0].text],
    '/fresh': async () => ['text/plain', (await demo.session(customer.id)).accessToken],
  });
}

const FRESH = "const fresh = () => fetch('/fresh').then((it) => it.text());";
const note = "(type, payload) => events.push([type, payload])";

const PACKAGES = [
  ['@sumsub/websdk', '2.9.0', '/websdk/websdk.html'],
  ['websdk-2.6', '2.6.3', '/websdk/websdk.html'],
  ['websdk-2.3', '2.3.1', '/websdk/websdk.html'],
];

for (const [name, version, path] of PACKAGES) {
  test(`npm @sumsub/websdk ${version} runs the whole flow, with a token that expires in the middle`, async (t) => {
    const manifest = JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8'));
    assert.deepEqual([manifest.name, manifest.version], ['@sumsub/websdk', version]);
    const customer = await demo.customer();
    const byToken = version === '2.9.0';
    const host = await hostOf(`
      import snsWebSdk from '${name}';
      ${FRESH}
      let sdk = snsWebSdk.init(TOKEN, fresh).withConf({ lang: 'en', theme: 'dark' }).withOptions({ adaptIframeHeight: true }).onMessage(${note});
      if (CONF.base) sdk = sdk.withBaseUrl(CONF.base);
      window.sdk = sdk.build();
      window.sdk.launch('#sdk');
    `, { token: customer.accessToken, customer, extra: byToken ? {} : { base: demo.sumsub.url } });
    t.after(() => host.close());
    const page = await browser.page();
    await page.goto(host.origin);
    const frame = page.frameLocator('#sdk iframe');
    await frame.getByRole('heading', { name: 'Choose a document' }).waitFor();
    assert.equal(new URL(await page.$eval('#sdk iframe', (it) => it.src)).pathname, path);
    await frame.getByRole('button', { name: 'Continue' }).click();
    await demo.control('/sdk/expire', { userId: customer.id });
    await picture(frame, 'Use a sample picture');
    await picture(frame, 'Use a sample selfie');
    await frame.getByRole('button', { name: 'Submit' }).click();
    await frame.getByRole('button', { name: 'Approve' }).click();
    await frame.getByRole('heading', { name: 'You are verified' }).waitFor();
    await until('APPROVED', async () => (await demo.status(customer.id)) === 'APPROVED');

    // The frame shows the outcome before its message has reached the host.
    await until('the host has heard the outcome', () => page.evaluate(() => events.some(([type]) => type === 'idCheck.onApplicantVerificationCompleted')));
    const events = await page.evaluate(() => events);
    const types = events.map(([type]) => type);
    for (const type of ['onInitialized', 'onApplicantLoaded', 'onStepInitiated', 'onStepCompleted', 'stepCompleted',
      'onVerificationProgressChanged', 'onDocumentAdded', 'onResize', 'onApplicantSubmitted', 'onApplicantStatusChanged',
      'onApplicantVerificationCompleted']) {
      assert.ok(types.includes(`idCheck.${type}`), `${type} is missing in ${types}`);
    }
    assert.ok(!types.includes('idCheck.onError'), 'the package handles invalid-token itself');
    const [, last] = events.filter(([type]) => type === 'idCheck.onApplicantStatusChanged').at(-1);
    assert.deepEqual([last.reviewStatus, last.reviewResult.reviewAnswer], ['completed', 'GREEN']);
    assert.ok(!('sessionId' in last) && !('frameId' in last));
    const height = await page.$eval('#sdk iframe', (it) => it.style.height);
    assert.match(height, /^\d+px$/);
    await page.evaluate(() => window.sdk.destroy());
    assert.equal(await page.locator('iframe').count(), 0);
    await finish(page);
  });
}

test('the legacy Builder of an old package finds its frame, also under its path for localhost', async (t) => {
  const customer = await demo.customer();
  const base = demo.sumsub.url.replace('127.0.0.1', 'localhost');
  const host = await hostOf(`
    import snsWebSdk from 'websdk-2.3';
    snsWebSdk.Builder(CONF.base, 'basic-kyc').withAccessToken(TOKEN, (swap) => fetch('/fresh').then((it) => it.text()).then(swap))
      .withConf({ lang: 'en', onMessage: ${note}, onError: (it) => events.push(['error', it]) }).build().launch('#sdk');
  `, { token: customer.accessToken, customer, extra: { base } });
  t.after(() => host.close());
  const page = await browser.page();
  await page.goto(host.origin);
  const frame = page.frameLocator('#sdk iframe');
  await frame.getByRole('heading', { name: 'Choose a document' }).waitFor();
  assert.equal(new URL(await page.$eval('#sdk iframe', (it) => it.src)).pathname, '/websdk.html');
  await demo.control('/sdk/expire', { userId: customer.id });
  await handInPerson(frame);
  await frame.getByRole('button', { name: 'Reject for good' }).click();
  await until('REJECTED', async () => (await demo.status(customer.id)) === 'REJECTED');
  await finish(page);
});

test('a refresh that fails is told to the host and can be tried again', async (t) => {
  const customer = await demo.customer();
  const host = await hostOf(`
    import snsWebSdk from '@sumsub/websdk';
    let isBroken = true;
    window.mend = () => { isBroken = false; };
    const fresh = () => isBroken ? Promise.reject(new Error('the backend is down')) : fetch('/fresh').then((it) => it.text());
    snsWebSdk.init(TOKEN, fresh).withConf({ lang: 'en' }).on('idCheck.onError', (it) => events.push(['error', it])).build().launch('#sdk');
  `, { token: customer.accessToken, customer });
  t.after(() => host.close());
  const page = await browser.page();
  await page.goto(host.origin);
  const frame = page.frameLocator('#sdk iframe');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await demo.control('/sdk/expire', { userId: customer.id });
  await picture(frame, 'Use a sample picture');
  await frame.getByText('the backend is down').waitFor();
  await until('the host has heard the error', () => page.evaluate(() => events.length > 0));
  const [[, error]] = await page.evaluate(() => events);
  assert.equal(error.error, 'the backend is down');
  await page.evaluate(() => window.mend());
  await frame.getByRole('button', { name: 'Try again', exact: true }).click();
  await handInPerson(frame);
  await frame.getByRole('button', { name: 'Approve' }).waitFor();
  await finish(page);
});

test('the React component runs a company, by the token alone', async (t) => {
  const customer = await demo.customer('BUSINESS');
  const host = await hostOf(`
    import { createElement } from 'react';
    import { createRoot } from 'react-dom/client';
    import module from '@sumsub/websdk-react';
    const SumsubWebSdk = module.default ?? module;
    ${FRESH}
    createRoot(document.getElementById('sdk')).render(createElement(SumsubWebSdk, {
      accessToken: TOKEN, expirationHandler: fresh, config: { lang: 'en' }, options: { addViewportTag: false, adaptIframeHeight: true },
      onMessage: ${note}, onError: (it) => events.push(['error', it]),
    }));
  `, { token: customer.accessToken, customer });
  t.after(() => host.close());
  const page = await browser.page();
  await page.goto(host.origin);
  const frame = page.frameLocator('#sdk iframe');
  await frame.getByLabel('Registered name').fill('Acme Trading Co.');
  await frame.getByLabel('Registry number').fill('HRB 12345');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await demo.control('/sdk/expire', { userId: customer.id });
  await frame.getByLabel('First name').fill('Bea');
  await frame.getByLabel('Last name').fill('Owner');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await frame.getByRole('button', { name: 'Submit' }).click();
  await frame.getByRole('button', { name: 'Approve' }).click();
  await until('APPROVED', async () => (await demo.status(customer.id)) === 'APPROVED');
  const types = await page.evaluate(() => events.map(([type]) => type));
  assert.ok(types.includes('idCheck.onInitialized') && !types.includes('error'), String(types));
  await finish(page);
});

/** The frame of a customer who has just pressed Submit; a host that holds the height sets it only when asked. */
async function handedIn(t, { isHeightHeld = false } = {}) {
  const customer = await demo.customer();
  const host = await hostOf(`
    import snsWebSdk from '@sumsub/websdk';
    ${FRESH}
    window.isHeightHeld = false;
    window.addEventListener('message', (event) => {
      if (!window.isHeightHeld || event.data?.method !== 'idCheck.onResize') return;
      event.stopImmediatePropagation();
      window.heldHeight = event.data.height;
    });
    window.setHeldHeight = () => { document.querySelector('#sdk iframe').style.height = window.heldHeight + 'px'; };
    snsWebSdk.init(TOKEN, fresh).withConf({ lang: 'en' }).onMessage(${note}).build().launch('#sdk');
  `, { token: customer.accessToken, customer });
  t.after(() => host.close());
  const page = await browser.page();
  if (isHeightHeld) await stopClock(t, page);
  await page.goto(host.origin);
  const frame = page.frameLocator('#sdk iframe');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await picture(frame, 'Use a sample picture');
  await picture(frame, 'Use a sample selfie');
  const submit = frame.getByRole('button', { name: 'Submit' });
  await submit.waitFor();
  await page.evaluate((it) => { window.isHeightHeld = it; }, isHeightHeld);
  await submit.click();
  return { customer, page, frame };
}

for (const [how, action, told, press, release] of [
  ['a click on a button counts even if the review is put on hold between press and release', 'hold', 'onHold',
    async (page, button) => { await button.hover(); await page.mouse.down(); }, (page) => page.mouse.up()],
  ['a click on a button counts even if the review is decided between press and release', 'retry', 'completed',
    async (page, button) => { await button.hover(); await page.mouse.down(); }, (page) => page.mouse.up()],
  ['the space bar presses a button even if the review is decided before it is released', 'retry', 'completed',
    async (page, button) => { await button.focus(); await page.keyboard.down('Space'); }, (page) => page.keyboard.up('Space')],
  ['the focus stays on a button when the review is put on hold', 'hold', 'onHold',
    (_, button) => button.focus(), (page) => page.keyboard.press('Enter')],
]) {
  test(how, async (t) => {
    const { customer, page, frame } = await handedIn(t);
    const approve = frame.getByRole('button', { name: 'Approve' });

    await press(page, approve);
    await demo.play(customer.id, action);
    await until('the frame has polled the status', () => page.evaluate(
      (status) => events.some(([type, it]) => type === 'idCheck.onApplicantStatusChanged' && it.reviewStatus === status), told));
    await release(page);

    await frame.getByRole('heading', { name: 'You are verified' }).waitFor();
    await until('APPROVED', async () => (await demo.status(customer.id)) === 'APPROVED');
    await finish(page);
  });
}

test('a click is not lost when the host is slow to set the height of the frame', async (t) => {
  const { page, frame } = await handedIn(t, { isHeightHeld: true });
  const approve = frame.getByRole('button', { name: 'Approve' });
  await until('the frame has asked for its height', () => page.evaluate(() => window.heldHeight > 0));

  // A button that is pressed now would move away when the frame grows.
  assert.equal(await approve.isVisible(), false);
  await page.evaluate(() => window.setHeldHeight());
  await approve.click();

  await frame.getByRole('heading', { name: 'You are verified' }).waitFor();
  await finish(page);
});

test('a host that fixes the height of the frame still shows every step', async (t) => {
  const { page, frame } = await handedIn(t, { isHeightHeld: true });
  await until('the frame has asked for its height', () => page.evaluate(() => window.heldHeight > 0));
  await page.clock.runFor(2000);
  await frame.getByRole('button', { name: 'Approve' }).click();
  await frame.getByRole('heading', { name: 'You are verified' }).waitFor();
  await finish(page);
});

test('a picture that is chosen does not move the buttons', async (t) => {
  const customer = await demo.customer();
  const host = await hostOf(`
    import snsWebSdk from '@sumsub/websdk';
    ${FRESH}
    snsWebSdk.init(TOKEN, fresh).withConf({ lang: 'en' }).build().launch('#sdk');
  `, { token: customer.accessToken, customer });
  t.after(() => host.close());
  const page = await browser.page();
  await page.goto(host.origin);
  const frame = page.frameLocator('#sdk iframe');
  await frame.getByRole('button', { name: 'Continue' }).click();
  const upload = frame.getByRole('button', { name: 'Upload', exact: true });
  await upload.waitFor();
  const place = await upload.boundingBox();
  await frame.getByRole('button', { name: 'Use a sample picture' }).click();
  const shown = frame.getByRole('img', { name: 'The picture that will be uploaded' });
  await until('the picture is drawn', () => shown.evaluate((it) => it.decode().then(() => it.clientHeight > 0)));
  assert.deepEqual(await upload.boundingBox(), place);
  await finish(page);
});

test("the guide's Option B page works with only the host replaced", async (t) => {
  const customer = await demo.customer();
  // The guide's snippet, its token filled in and its backend's function given.
  const guide = (token) => `<script>
      const fetchFreshTokenFromYourBackend = () => fetch('/fresh').then((it) => it.text());
    </script>
    <script src="${demo.sumsub.url}/idensic/static/sns-websdk-builder.js"></script>
    <div id="sumsub-websdk-container"></div>
    <script>
      const snsWebSdkInstance = snsWebSdk
        .init(
          "${token}",                          // accessToken from POST response
          () => fetchFreshTokenFromYourBackend()        // refresh handler
        )
        .withConf({ lang: "en" })
        .build()
        .launch("#sumsub-websdk-container");
    </script>`;
  const host = await serveHost({
    '/': () => ['text/html; charset=utf-8', `<!doctype html><html lang="en"><title>Guide</title><link rel="icon" href="data:,"><body>${guide(customer.accessToken)}</body></html>`],
    '/fresh': async () => ['text/plain', (await demo.session(customer.id)).accessToken],
  });
  t.after(() => host.close());
  const page = await browser.page();
  await page.goto(host.origin);
  const frame = page.frameLocator('#sumsub-websdk-container iframe');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await demo.control('/sdk/expire', { userId: customer.id });
  await picture(frame, 'Use a sample picture');
  await picture(frame, 'Use a sample selfie');
  await frame.getByRole('button', { name: 'Submit' }).click();
  await frame.getByRole('button', { name: 'Ask to try again' }).click();
  await until('RESUBMISSION_REQUIRED', async () => (await demo.status(customer.id)) === 'RESUBMISSION_REQUIRED');
  // Without `exact`, the reviewer's "Ask to try again" matches while it is still there.
  await frame.getByRole('button', { name: 'Try again', exact: true }).click();
  await frame.getByRole('heading', { name: 'Choose a document' }).waitFor();
  await frame.getByText('The photo is blurry. Try again.').waitFor();
  await frame.getByRole('button', { name: 'Continue' }).click();
  await picture(frame, 'Use a sample picture');
  await frame.getByRole('button', { name: 'Submit' }).click();
  await frame.getByRole('button', { name: 'Approve' }).click();
  await frame.getByRole('heading', { name: 'You are verified' }).waitFor();
  await finish(page);
});
