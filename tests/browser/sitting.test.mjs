// The whole sitting by our own link, as a customer has it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Browser, Demo, finish, handInPerson, inspect, picture, sign, stopClock, until } from './rig.mjs';

let demo;
let browser;
before(async () => { demo = await Demo.start(); browser = await Browser.start(); });
after(async () => { await browser.stop(); await demo.stop(); });

const frameOf = (page) => page.frameLocator('#frame iframe');
const start = (page) => page.getByRole('button', { name: 'Start the check' }).click();

/** A customer who has signed, before the button; `options` are those of the page. */
async function signed(options) {
  const customer = await demo.customer();
  const page = await browser.page(options);
  await page.goto(customer.url);
  await sign(page);
  // A route that is set while a page is still on its way may miss it.
  await page.getByRole('heading', { name: 'Verify your identity' }).waitFor();
  return { customer, page };
}

test('a person signs the letter, is verified, and the LOA is effective', async () => {
  const customer = await demo.customer('INDIVIDUAL');
  const page = await browser.page();
  await page.goto(customer.url);
  assert.match(await page.textContent('main'), /Ada Lovelace.*Demo Broker Ltd\./s);
  await inspect(page, 'sign-individual');
  await sign(page);
  await page.getByRole('heading', { name: 'Verify your identity' }).waitFor();
  await inspect(page, 'verify-individual');
  assert.equal(page.requests.filter((it) => it.endsWith('/access-token')).length, 0, 'not before the button');
  assert.equal(page.requests.filter((it) => it.includes('sns-websdk')).length, 0);
  // Whoever hears the page is told only by a region that was there before its first words.
  assert.equal(await page.getByRole('status').count(), 1);
  assert.equal(await page.getByRole('status').textContent(), '');

  await start(page);
  const frame = frameOf(page);
  await frame.getByRole('heading', { name: 'Choose a document' }).waitFor();
  await inspect(page, 'verify-frame');
  await handInPerson(frame);
  await page.getByText('Everything is handed in and being checked.').waitFor();
  await frame.getByRole('button', { name: 'Approve' }).waitFor();
  await inspect(page, 'verify-waiting');
  assert.equal(await demo.mayAct(customer.id), false);

  // Whoever closes the page and comes back finds the same state, and may look into the frame again.
  await page.reload();
  await page.getByRole('heading', { name: 'Being checked' }).waitFor();
  await inspect(page, 'review');
  await page.getByRole('button', { name: 'Open the check again' }).click();
  await frame.getByRole('button', { name: 'Approve' }).click();

  await page.getByRole('heading', { name: 'You are done' }).waitFor();
  assert.equal(await demo.status(customer.id), 'APPROVED');
  assert.equal(await demo.mayAct(customer.id), true);
  await inspect(page, 'done');
  await page.getByRole('link', { name: 'See the receipt' }).click();
  await page.getByRole('heading', { name: 'Receipt of your signature' }).waitFor();
  await inspect(page, 'receipt');
  const receipt = await (await fetch(`${customer.url}/receipt.json`)).json();
  const letter = await (await fetch(`${customer.url}/letter.txt`)).text();
  assert.equal(createHash('sha256').update(letter).digest('hex'), receipt.textSha256);
  assert.ok((await page.textContent('main')).includes(receipt.textSha256));
  await finish(page);
});

test('a company gives its registry number and one beneficial owner', async () => {
  const customer = await demo.customer('BUSINESS');
  const page = await browser.page();
  await page.goto(customer.url);
  await inspect(page, 'sign-business');
  await sign(page, 'Grace Hopper', 'Director');
  await start(page);
  const frame = frameOf(page);
  await frame.getByLabel('Registered name').fill('Acme Trading Co.');
  await frame.getByLabel('Registry number').fill('HRB 12345');
  await inspect(page, 'company-frame');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await frame.getByLabel('First name').fill('Bea');
  await frame.getByLabel('Last name').fill('Owner');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await frame.getByRole('button', { name: 'Submit' }).click();
  await page.getByText('A person is looking at your case.').waitFor();

  await page.reload();
  await page.getByRole('heading', { name: 'A person is looking at it' }).waitFor();
  await inspect(page, 'hold');
  await demo.play(customer.id, 'approve');
  await page.getByRole('heading', { name: 'You are done' }).waitFor();
  assert.equal(await demo.mayAct(customer.id), true);
  await finish(page);
});

test('a resubmission brings the customer back to the failing step', async () => {
  const { customer, page } = await signed();
  await start(page);
  await handInPerson(frameOf(page));
  await frameOf(page).getByRole('button', { name: 'Ask to try again' }).click();

  await page.getByRole('heading', { name: 'One more try, please' }).waitFor();
  await inspect(page, 'repeat');
  assert.equal(await demo.status(customer.id), 'RESUBMISSION_REQUIRED');
  await page.getByRole('button', { name: 'Continue the check' }).click();
  const frame = frameOf(page);
  await frame.getByText('The photo is blurry. Try again.').waitFor();
  assert.equal(await demo.status(customer.id), 'PENDING');
  await frame.getByRole('button', { name: 'Continue' }).click();
  await picture(frame, 'Use a sample picture');
  // Only the failing step: the selfie is kept.
  await frame.getByRole('button', { name: 'Submit' }).click();
  await frame.getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('heading', { name: 'You are done' }).waitFor();
  await finish(page);
});

test('a slow token does not send the customer back to the button', async () => {
  const { page } = await signed();
  await start(page);
  await handInPerson(frameOf(page));
  await frameOf(page).getByRole('button', { name: 'Ask to try again' }).click();
  await page.getByRole('heading', { name: 'One more try, please' }).waitFor();

  // The new session is told by the status before the token's own answer arrives.
  const told = page.waitForResponse(async (it) => it.url().includes('/status?') && (await it.json()).stage === 'verify');
  await page.route('**/access-token', async (route) => {
    const response = await route.fetch();
    await told;
    await route.fulfill({ response });
  });
  await page.getByRole('button', { name: 'Continue the check' }).click();
  await frameOf(page).getByText('The photo is blurry. Try again.').waitFor();
  await finish(page);
});

test('a frame that never loads is not announced as open, and can be tried again', async (t) => {
  const { customer, page } = await signed();
  await stopClock(t, page);
  await page.reload();
  // As of a host that is down, or a blocker: the frame is there, and nothing speaks out of it.
  await page.route('**/websdk/websdk.html*', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><html lang="en"><title>Nothing</title><main><h1>Nothing</h1></main></html>' }));
  await start(page);
  await page.locator('#frame iframe').waitFor();
  await page.clock.runFor(15_000);
  await page.getByText('Opening the check…').waitFor();
  assert.ok(!(await page.textContent('main')).includes('The check is open'));
  await page.clock.runFor(6000);
  await page.getByText('The check could not be loaded.').waitFor();
  // axe waits by timers.
  await page.clock.resume();
  await inspect(page, 'blocked');

  await page.unroute('**/websdk/websdk.html*');
  await start(page);
  const frame = frameOf(page);
  await frame.getByRole('heading', { name: 'Choose a document' }).waitFor();
  await page.getByText('The check is open below.').waitFor();
  // Once it has spoken, nothing takes it away from the customer.
  await frame.getByRole('button', { name: 'Continue' }).click();
  await page.clock.runFor(60_000);
  await frame.getByRole('button', { name: 'Use a sample picture' }).waitFor();
  await finish(page);
});

test('a frame that loads slowly is not taken away', async (t) => {
  const { page } = await signed();
  await stopClock(t, page);
  await page.reload();
  let arrive;
  const slow = new Promise((resolve) => { arrive = resolve; });
  await page.route('**/websdk/websdk.html*', async (route) => { await slow; await route.continue(); });
  await start(page);
  await page.locator('#frame iframe').waitFor();
  await page.clock.runFor(21_000);
  await page.getByText('The check could not be loaded.').waitFor();

  arrive();
  await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
  await page.getByText('The check is open below.').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Start the check' }).isHidden());
  await finish(page);
});

for (const [what, answer, allowed] of [
  ['blocked', (route) => route.abort(), ['net::ERR_FAILED']],
  ['emptied by a blocker', (route) => route.fulfill({ contentType: 'text/javascript', body: '' }), []],
]) {
  test(`a script that is ${what} is told, and the button works again`, async () => {
    const { page } = await signed({ allowed });
    await page.route('**/sns-websdk-builder.js', answer);
    await start(page);
    await page.getByText('The check could not be loaded.').waitFor();
    assert.equal(page.requests.filter((it) => it.endsWith('/access-token')).length, 0, 'no token is spent');

    await page.unroute('**/sns-websdk-builder.js');
    await start(page);
    await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
    await finish(page);
  });
}

test('a token that is refused for the moment is told, and the button works again', async () => {
  const { page } = await signed({ allowed: [503] });
  await page.route('**/access-token', (route) => route.fulfill({ status: 503, contentType: 'text/html', body: 'busy' }));
  await start(page);
  await page.getByText('The check cannot be opened at the moment.').waitFor();
  assert.equal(await page.locator('iframe').count(), 0);

  await page.unroute('**/access-token');
  await start(page);
  await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
  await finish(page);
});

test('a page that cannot wait for its status asks every 15 seconds, not every second', async (t) => {
  const { customer, page } = await signed({ allowed: [410] });
  await stopClock(t, page);
  let asked = 0;
  // As the server answers when all its waits are taken.
  await page.route('**/status?*', async (route) => {
    asked += 1;
    const url = new URL(route.request().url());
    url.searchParams.set('wait', '0');
    await route.fulfill({ response: await route.fetch({ url: String(url) }) });
  });
  await page.reload();
  await until('the page has asked', () => asked === 1);
  await page.waitForLoadState('networkidle');
  await page.clock.runFor(10_000);
  // Whatever the page asked until now has come through once this has.
  await page.evaluate(() => fetch(window.location.href).then((it) => it.text()));
  assert.equal(asked, 1);
  await page.clock.runFor(6000);
  await until('the page asks again', () => asked === 2);
  // And what it is told then is told to the customer.
  await demo.revokeLoa(customer.id);
  await page.waitForLoadState('networkidle');
  await page.clock.runFor(16_000);
  await page.getByRole('heading', { name: 'The authorization was withdrawn' }).waitFor();
  await finish(page);
});

test('a link on the page works even if the status changes while it is pressed', async () => {
  const { customer, page } = await signed();
  await start(page);
  await handInPerson(frameOf(page));
  await page.getByText('Everything is handed in and being checked.').waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Being checked' }).waitFor();

  await page.getByRole('link', { name: 'See the receipt' }).hover();
  await page.mouse.down();
  const told = page.waitForResponse(async (it) => it.url().includes('/status?') && (await it.json()).stage === 'done');
  await demo.play(customer.id, 'approve');
  await (await told).finished();
  // By the time this answer is here, the page has acted on the earlier one.
  await page.evaluate(() => fetch(window.location.href).then((it) => it.text()));
  await page.mouse.up();

  await page.getByRole('heading', { name: 'Receipt of your signature' }).waitFor();
  await finish(page);
});

test('a link on the page works even if the status changes while it loads', async () => {
  const { customer, page } = await signed();
  await start(page);
  await handInPerson(frameOf(page));
  await page.getByText('Everything is handed in and being checked.').waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Being checked' }).waitFor();
  const told = page.waitForResponse('**/status?*');
  await page.route('**/receipt', async (route) => {
    await demo.play(customer.id, 'approve');
    await told;
    await route.continue();
  });

  await page.getByRole('link', { name: 'See the receipt' }).click();

  await page.getByRole('heading', { name: 'Receipt of your signature' }).waitFor();
  await finish(page);
});

test('a new text above the frame does not move the frame', async () => {
  const { customer, page } = await signed();
  await start(page);
  await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
  await page.getByText('The check is open below.').waitFor();
  const { y } = await page.locator('#frame').boundingBox();
  await handInPerson(frameOf(page));
  await page.getByText('Everything is handed in and being checked.').waitFor();
  assert.equal((await page.locator('#frame').boundingBox()).y, y);
  await demo.play(customer.id, 'hold');
  await page.getByText('A person is looking at your case.').waitFor();
  assert.equal((await page.locator('#frame').boundingBox()).y, y);
  await finish(page);
});

test('a token that expires in the middle is replaced by the link', async () => {
  const { customer, page } = await signed();
  await start(page);
  const frame = frameOf(page);
  await frame.getByRole('button', { name: 'Continue' }).click();
  const minted = () => page.requests.filter((it) => it.endsWith('/access-token')).length;
  assert.equal(minted(), 1);
  await demo.control('/sdk/expire', { userId: customer.id });
  await picture(frame, 'Use a sample picture');
  await frame.getByRole('button', { name: 'Use a sample selfie' }).waitFor();
  assert.equal(minted(), 2, 'one refresh, and the step was not lost');
  await picture(frame, 'Use a sample selfie');
  await frame.getByRole('button', { name: 'Submit' }).click();
  await frame.getByRole('heading', { name: 'Your data is being checked' }).waitFor();
  await demo.play(customer.id, 'approve');
  await page.getByRole('heading', { name: 'You are done' }).waitFor();
  await finish(page);
});

test('two tabs: the second signature is told that the first one counts', async () => {
  const customer = await demo.customer();
  const [first, second] = [await browser.page(), await browser.page({ allowed: [409] })];
  await first.goto(customer.url);
  await second.goto(customer.url);
  await sign(first);
  await first.getByRole('heading', { name: 'Verify your identity' }).waitFor();
  await sign(second, 'Somebody Else');
  await second.getByRole('heading', { name: 'The letter is signed already' }).waitFor();
  await inspect(second, 'signed-before');
  const receipt = await (await fetch(`${customer.url}/receipt.json`)).json();
  assert.equal(receipt.signerName, 'Ada Lovelace');
  await second.getByRole('link', { name: 'Continue' }).click();
  await start(second);
  await handInPerson(frameOf(second));
  await demo.play(customer.id, 'approve');
  await first.getByRole('heading', { name: 'You are done' }).waitFor();
  await second.getByRole('heading', { name: 'You are done' }).waitFor();
  await finish(first);
  await finish(second);
});

test('a withdrawn letter, a rejected customer and an unknown link each have their clear page', async () => {
  const customer = await demo.customer();
  const page = await browser.page({ allowed: [404, 410] });
  await page.goto(customer.url);
  await demo.revokeLoa(customer.id);
  await sign(page);
  await page.getByRole('heading', { name: 'The authorization was withdrawn' }).waitFor();
  await inspect(page, 'withdrawn');

  const rejected = await demo.customer();
  await page.goto(rejected.url);
  await sign(page);
  await start(page);
  await handInPerson(frameOf(page));
  await frameOf(page).getByRole('button', { name: 'Reject for good' }).click();
  await page.getByRole('heading', { name: 'The verification was declined' }).waitFor();
  await inspect(page, 'rejected');

  await page.goto(`${demo.api}/h/00000000000000000000000000000000`);
  await page.getByRole('heading', { name: 'There is nothing here' }).waitFor();
  await inspect(page, 'unknown');
  await finish(page);
});

test('an operator revokes a link while its page is open, and makes a new one', async () => {
  const { customer, page } = await signed({ allowed: [410] });
  await start(page);
  await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
  const links = demo.command('link', 'list', '--org', customer.id);
  assert.equal((links.data ?? links).length, 1);
  demo.command('link', 'revoke', (links.data ?? links)[0].linkId);
  await page.getByRole('heading', { name: 'This link was revoked' }).waitFor();
  await inspect(page, 'revoked');

  const parties = ['--granting', customer.id, '--authorized', demo.brokerOrganizationId];
  const { url } = demo.command('link', 'new', ...parties, '--public-url', demo.api);
  await page.goto(url);
  await page.getByRole('heading', { name: 'Verify your identity' }).waitFor();
  await finish(page);
});

test('a letter that is revoked while the check is open ends it', async () => {
  const { customer, page } = await signed({ allowed: [410] });
  await start(page);
  await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
  await demo.revokeLoa(customer.id);
  await page.getByRole('heading', { name: 'The authorization was withdrawn' }).waitFor();
  await finish(page);
});

test('the letter is signed without scripts, and mistakes are told at their fields', async () => {
  const customer = await demo.customer('BUSINESS');
  const page = await browser.page({ withoutScripts: true, allowed: [422] });
  await page.goto(customer.url);
  await page.getByLabel('Full name').fill('Grace Hopper');
  await page.getByRole('button', { name: 'Sign and continue' }).click();
  await page.getByText('The letter is not signed yet').waitFor();
  assert.equal(await page.getByLabel('Full name').inputValue(), 'Grace Hopper');
  await page.getByRole('link', { name: 'Enter your role' }).waitFor();
  await sign(page, 'Grace Hopper', 'Director');
  await page.getByRole('heading', { name: 'Verify the business' }).waitFor();
  assert.match(await page.locator('noscript').innerText(), /The check needs JavaScript/);
  await page.getByRole('link', { name: 'See the receipt' }).click();
  await page.getByText('Grace Hopper').first().waitFor();
  await finish(page);

  // The same mistakes once more where axe can run.
  const other = await demo.customer('BUSINESS');
  const scripted = await browser.page({ allowed: [409, 422] });
  await scripted.goto(other.url);
  await scripted.getByRole('button', { name: 'Sign and continue' }).click();
  await scripted.getByText('The letter is not signed yet').waitFor();
  await inspect(scripted, 'sign-mistakes');
  await scripted.goto(other.url);
  await scripted.$eval('input[name=letter]', (it) => { it.value = '0'.repeat(64); });
  await sign(scripted, 'Grace Hopper', 'Director');
  await scripted.getByText('The letter has changed').first().waitFor();
  await inspect(scripted, 'sign-changed');
  await finish(scripted);
});

test('everything up to the frame is done with the keyboard alone', async () => {
  const customer = await demo.customer();
  const page = await browser.page();
  await page.goto(customer.url);
  const press = async (key, times = 1) => { for (let i = 0; i < times; i += 1) await page.keyboard.press(key); };
  await press('Tab');
  await page.keyboard.type('Ada Lovelace');
  await press('Tab', 2);
  await press('Space');
  await press('Tab');
  await press('Enter');
  await page.getByRole('heading', { name: 'Verify your identity' }).waitFor();
  // It is there once the script has run.
  await page.locator('#start').waitFor();
  await press('Tab', 2);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'start');
  await press('Enter');
  await frameOf(page).getByRole('heading', { name: 'Choose a document' }).waitFor();
  await until('the frame has the focus', () => page.evaluate(() => document.activeElement.id === 'frame'));
  await finish(page);
});
