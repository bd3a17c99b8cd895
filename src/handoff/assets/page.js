// Opens Sumsub's WebSDK when the customer presses the button, gives it fresh tokens, and follows the
// server's word about the outcome. What the frame says is shown to nobody and believed by nobody.
'use strict';
(() => {
  const AT_ONCE_MS = 2000;
  const PAUSE_MS = 1000;
  const PAUSE_LONG_MS = 15000;
  // How long the frame may take to say its first word until another try is offered. It may still come.
  const SILENCE_MAX_MS = 20000;
  // How often the page looks whether a button or link has been released.
  const RELEASE_MS = 50;
  // How long a link that the customer followed may take to load before the page moves on by itself.
  const DEPARTURE_MAX_MS = 15000;

  const print = document.querySelector('[data-print]');
  if (print) {
    print.hidden = false;
    print.addEventListener('click', () => window.print());
  }

  const sitting = document.querySelector('[data-sitting]');
  if (!sitting) return;
  const told = sitting.dataset;
  const start = document.getElementById('start');
  const live = document.getElementById('live');
  const frame = document.getElementById('frame');
  // These are shown here, without leaving the frame; any other stage is a page of its own.
  const inFrame = { verify: told.opened, review: told.inReview, hold: told.onHold };
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  let stage = told.stage;
  // From the press on: the token's session may change the stage before its answer is here.
  let isOpen = false;
  // From the frame's first word on.
  let isReady = false;
  // From the click on a link on.
  let isDeparting = false;
  let sdk;
  let silence;
  dark.addEventListener('change', () => sdk?.setTheme?.(dark.matches ? 'dark' : 'light'));

  const say = (text) => { if (live.textContent !== text) live.textContent = text; };
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // A browser reports no click on what was hidden or replaced between press and release.
  async function released() {
    while (sitting.querySelector('a:active, button:active')) await pause(RELEASE_MS);
  }

  document.addEventListener('click', (event) => {
    const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey;
    if (event.target.closest('a') && !isElsewhere) isDeparting = true;
  });

  // Moving on at once would also cancel a link that the customer has just followed.
  async function leave() {
    await released();
    if (isDeparting) await pause(DEPARTURE_MAX_MS);
    window.location.replace(told.page);
  }

  async function freshToken() {
    const answer = await fetch(told.token, { method: 'POST', cache: 'no-store' });
    if (answer.status === 409 || answer.status === 410 || answer.status === 404) {
      leave();
      throw new Error('the check is closed');
    }
    if (!answer.ok) throw new Error('no token');
    return (await answer.json()).accessToken;
  }

  function loadScript() {
    if (window.snsWebSdk) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = told.script;
      const blocked = () => { script.remove(); reject(new Error('blocked')); };
      // Some blockers answer with an empty script.
      script.addEventListener('load', () => (window.snsWebSdk ? resolve() : blocked()));
      script.addEventListener('error', blocked);
      document.head.append(script);
    });
  }

  // A frame that is blocked, or whose host is down, says nothing at all: no event tells of it.
  function launch(token) {
    const opened = window.snsWebSdk
      .init(token, freshToken)
      .withConf({ lang: told.lang, theme: dark.matches ? 'dark' : 'light' })
      .withOptions({ addViewportTag: false, adaptIframeHeight: true })
      .onMessage(() => { if (sdk === opened && !isReady) ready(); })
      .build();
    sdk = opened;
    silence = setTimeout(() => offer(told.blocked), SILENCE_MAX_MS);
    frame.hidden = false;
    sdk.launch(frame);
    frame.querySelector('iframe')?.setAttribute('title', told.frame);
  }

  async function ready() {
    clearTimeout(silence);
    isReady = true;
    say(told.opened);
    await released();
    document.getElementById('before').hidden = true;
    frame.focus();
  }

  function close() {
    clearTimeout(silence);
    sdk?.destroy();
    sdk = undefined;
    frame.replaceChildren();
    frame.hidden = true;
    isOpen = false;
  }

  // Says why there is no check to be seen, and lets the button be pressed again.
  function offer(why) {
    say(why);
    start.removeAttribute('aria-disabled');
  }

  async function open() {
    // A frame that opened during the press stays open.
    if (isReady || start.getAttribute('aria-disabled') === 'true') return;
    start.setAttribute('aria-disabled', 'true');
    close();
    say(told.opening);
    try {
      await loadScript();
    } catch {
      return offer(told.blocked);
    }
    try {
      isOpen = true;
      launch(await freshToken());
    } catch {
      close();
      offer(told.trouble);
    }
  }

  // The server answers as soon as the stage is another one; a proxy may cut a long answer short. An
  // unchanged answer at once means that nobody can wait there: asked again at once, the pages would
  // run into their own limits.
  async function follow() {
    let failures = 0;
    for (;;) {
      try {
        const address = `${told.status}?stage=${stage}&wait=25`;
        const asked = performance.now();
        const answer = await fetch(address, { cache: 'no-store' });
        if (answer.status === 404) return leave();
        if (!answer.ok) throw new Error('no status');
        failures = 0;
        const now = (await answer.json()).stage;
        if (now === stage) {
          await pause(performance.now() - asked < AT_ONCE_MS ? PAUSE_LONG_MS : PAUSE_MS);
          continue;
        }
        stage = now;
        // A session that begins turns "repeat" into "verify": that is the frame's own step.
        if (!isOpen || !(now in inFrame)) return leave();
        if (isReady) say(inFrame[now]);
      } catch {
        failures += 1;
        await pause(Math.min(2000 * 2 ** failures, 30000));
      }
    }
  }

  start.hidden = false;
  start.addEventListener('click', open);
  follow();
})();
