// The frame's side of the WebSDK's message protocol, and a flow to play. Messages go to the page
// that opened the frame; what the flow does is asked of this origin, with the page's token.
'use strict';
(() => {
  const POLL_MS = 700;
  // How often the frame looks whether a button has been released.
  const RELEASE_MS = 50;
  // How long the host may take to set the height that the frame asks for.
  const ROOM_MAX_MS = 2000;
  // What the frame asks for beyond the height of its content.
  const MARGIN_PX = 16;
  const view = document.getElementById('view');
  // The page does not encode its `_`, so it is taken raw: a decoder would turn `+` into a space.
  const parameter = (name) => {
    const found = location.search.slice(1).split('&').find((it) => it.startsWith(name + '='));
    return found === undefined ? '' : found.slice(name.length + 1);
  };
  const frameId = parameter('_');
  const sessionId = Array.from(crypto.getRandomValues(new Uint8Array(12)), (it) => it.toString(16).padStart(2, '0')).join('');
  let token = null;
  let state = null;
  let waiting = [];
  let isInitialized = false;
  let lastStatus = '';
  let lastLevel = '';
  // Changes when a poll that is still running must not draw any more.
  let following = 0;
  // Whether the host sets the height that the frame asks for.
  let isAdapted = window.parent !== window;

  const post = (method, payload) =>
    window.parent.postMessage({ method: 'idCheck.' + method, sessionId, ...payload }, '*');
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // --- The page's token, and a fresh one when it is over.

  class InvalidToken extends Error {}

  async function call(action, body) {
    for (;;) {
      const answer = await fetch('/websdk/frame/' + action, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ ...body, accessToken: token }),
      });
      const told = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(told.description || 'The simulator answered ' + answer.status);
      if (told.code !== 'invalid-token') {
        state = told;
        return state;
      }
      await freshToken();
    }
  }

  function freshToken() {
    const isFirst = waiting.length === 0;
    const fresh = new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    if (isFirst) post('onError', { code: 'invalid-token', error: 'Token is invalid or expired' });
    return fresh;
  }

  function updateToken(message) {
    const asked = waiting;
    waiting = [];
    if (typeof message.accessToken === 'string') {
      token = message.accessToken;
      asked.forEach((it) => it.resolve());
    } else {
      asked.forEach((it) => it.reject(new InvalidToken(message.error || 'no token')));
    }
  }

  window.addEventListener('message', (event) => {
    if (event.source !== window.parent || !event.data || typeof event.data.method !== 'string') return;
    const message = event.data;
    switch (message.method) {
      case 'idCheck.init': return begin(message);
      case 'idCheck.updateAccessToken': return updateToken(message);
      case 'idCheck.callSetTheme': return theme(message.theme);
      case 'idCheck.callSetLanguage': return post('onLanguageChanged', { language: message.language });
      case 'idCheck.callNavigationBack': return void (isInitialized && state.mayHandIn && start());
      default: return undefined;
    }
  });

  function theme(name) {
    document.documentElement.dataset.theme = name === 'dark' ? 'dark' : 'light';
  }

  async function begin(message) {
    if (isInitialized || token !== null) return;
    token = message.accessToken;
    isAdapted = message.options?.adaptIframeHeight !== false;
    theme(message.theme || parameter('theme'));
    await attempt(async () => {
      await call('open', {});
      isInitialized = true;
      post('onInitialized', {});
      post('onApplicantLoaded', { applicantId: state.applicantId });
      await start();
    });
  }

  // An action ends the polling: an answer that was asked for earlier must not replace its outcome.
  async function attempt(work) {
    following += 1;
    try {
      await work();
    } catch (problem) {
      post('onError', { code: problem instanceof InvalidToken ? 'token-refresh-failed' : 'unknown-error', error: problem.message });
      show([heading('This does not work'), alert(problem.message), button('Try again', () => attempt(start))]);
    }
  }

  // --- Building what is shown.

  function element(name, properties, ...children) {
    const it = Object.assign(document.createElement(name), properties);
    it.append(...children);
    return it;
  }
  const heading = (text) => element('h1', { tabIndex: -1, textContent: text });
  const words = (text, className = '') => element('p', { textContent: text, className });
  const alert = (text) => element('p', { textContent: text, className: 'alert' });
  function button(text, work, className = '') {
    const it = element('button', { type: 'button', textContent: text, className });
    it.addEventListener('click', work);
    return it;
  }
  let isFirst = true;
  function show(parts) {
    following += 1;
    view.replaceChildren(...parts);
    // Focus follows the steps, but does not jump into the frame when it opens.
    const mayFocus = !isFirst;
    isFirst = false;
    measure();
    if (hasRoom()) return appear(mayFocus);
    view.classList.add('unseen');
    return void room().then(() => appear(mayFocus));
  }
  function appear(mayFocus) {
    view.classList.remove('unseen');
    if (mayFocus) view.querySelector('h1')?.focus({ preventScroll: true });
  }

  // --- Height. The host sets it a moment after the frame has asked for it.

  // In a window that is still too small, the browser scrolls to reach a button, and scrolls back when
  // the window grows. A button that is pressed in between moves away before it is released, and the
  // click is lost. So a step stays hidden until the window is tall enough for it.
  let height = 0;
  function measure() {
    const now = Math.ceil(document.getElementById('frame').getBoundingClientRect().height);
    if (now === height) return;
    height = now;
    post('onResize', { height: height + MARGIN_PX });
  }
  const hasRoom = () => !isAdapted || window.innerHeight >= height;
  function room() {
    return new Promise((resolve) => {
      const done = () => {
        window.removeEventListener('resize', grown);
        clearTimeout(late);
        resolve();
      };
      const grown = () => { if (hasRoom()) done(); };
      // Some hosts fix the height. Such a host keeps the customer waiting once, not at every step.
      const late = setTimeout(() => { isAdapted = false; done(); }, ROOM_MAX_MS);
      window.addEventListener('resize', grown);
    });
  }

  // --- Controls.

  function form(parts, label, work) {
    const it = element('form', {}, ...parts, element('button', { type: 'submit', textContent: label }));
    it.addEventListener('submit', (event) => {
      event.preventDefault();
      it.querySelector('button[type=submit]').disabled = true;
      attempt(() => work(new FormData(it)));
    });
    return it;
  }
  function field(name, label, value) {
    const input = element('input', { type: 'text', id: name, name, value, required: true, autocomplete: 'off' });
    return element('div', { className: 'field' }, element('label', { htmlFor: name, textContent: label }), input);
  }
  const COUNTRIES = [['FRA', 'France'], ['DEU', 'Germany'], ['GBR', 'United Kingdom'], ['USA', 'United States']];
  function country() {
    const select = element('select', { id: 'country', name: 'country' }, ...COUNTRIES.map(([value, text]) => element('option', { value, textContent: text })));
    return element('div', { className: 'field' }, element('label', { htmlFor: 'country', textContent: 'Country' }), select);
  }

  // --- The steps.

  const TYPES = { IDENTITY: ['PASSPORT', 'ID_CARD', 'DRIVERS'], SELFIE: ['SELFIE'], COMPANY: ['COMPANY_DOC'], UBOS: [] };
  let steps = [];
  let total = 0;
  let isRepeat = false;

  async function start() {
    await call('open', {});
    if (!state.mayHandIn) return follow();
    isRepeat = state.isRepeat;
    steps = state.wanted;
    total = steps.length + 1;
    await next();
  }

  async function next() {
    const [step] = steps;
    post('onVerificationProgressChanged', { currentStep: total - steps.length, totalSteps: total });
    if (step === undefined) return summary();
    post('onStepInitiated', { idDocSetType: step, types: TYPES[step] });
    return { IDENTITY: chooseDocument, SELFIE: selfie, COMPANY: company, UBOS: owner }[step]();
  }

  async function completed(step) {
    // Packages know the event by its new and by its old name.
    post('onStepCompleted', { idDocSetType: step, step });
    post('stepCompleted', { idDocSetType: step, step });
    steps = steps.filter((it) => it !== step);
    await next();
  }

  function repeatNotice() {
    const comment = state.reviewResult && state.reviewResult.moderationComment;
    return isRepeat ? [alert(comment || 'Please try this step again.')] : [];
  }

  function chooseDocument() {
    const kinds = [['PASSPORT', 'Passport'], ['ID_CARD', 'Identity card'], ['DRIVERS', 'Driving licence']];
    const choices = kinds.map(([value, text], at) =>
      element('label', { className: 'choice' }, element('input', { type: 'radio', name: 'kind', value, checked: at === 0 }), text));
    show([
      heading('Choose a document'), ...repeatNotice(),
      form([country(), element('fieldset', {}, element('legend', { textContent: 'Document' }), ...choices)], 'Continue', async (given) =>
        picture('IDENTITY', given.get('kind'), given.get('country'))),
    ]);
  }

  function picture(set, kind, of) {
    // It has its size before there is a picture: the buttons below must not move when one is chosen.
    const chosen = element('div', { className: 'chosen' });
    const go = button('Upload', () => attempt(() => upload(set, kind, of)));
    go.disabled = true;
    const have = (source) => {
      chosen.replaceChildren(element('img', { src: source, alt: 'The picture that will be uploaded', className: 'picture' }));
      go.disabled = false;
    };
    const file = element('input', { type: 'file', id: 'file', accept: 'image/*' });
    file.addEventListener('change', () => file.files[0] && have(URL.createObjectURL(file.files[0])));
    show([
      heading(set === 'SELFIE' ? 'Take a picture of yourself' : 'Picture of the document'),
      words('The picture stays in this browser: the simulator only notes that there is one.', 'quiet'),
      chosen,
      element('div', { className: 'field' }, element('label', { htmlFor: 'file', textContent: 'Choose a file' }), file),
      button(set === 'SELFIE' ? 'Use a sample selfie' : 'Use a sample picture', () => have(sample(set)), 'second'),
      go,
    ]);
  }

  const selfie = () => picture('SELFIE', 'SELFIE', 'FRA');

  async function upload(set, kind, of) {
    await call('document', { set, kind, country: of });
    post('onDocumentAdded', { idDocSetType: set, idDocType: kind, imageId: String(Date.now()) });
    await completed(set);
  }

  function company() {
    show([
      heading('About the company'), ...repeatNotice(),
      form([
        field('companyName', 'Registered name', state.name || ''),
        field('registrationNumber', 'Registry number', ''),
        country(),
      ], 'Continue', async (given) => {
        await call('company', Object.fromEntries(given));
        await completed('COMPANY');
      }),
    ]);
  }

  function owner() {
    show([
      heading('Beneficial owner'),
      words('One person who owns or controls at least a quarter of the company.', 'quiet'),
      form([field('firstName', 'First name', ''), field('lastName', 'Last name', '')], 'Continue', async (given) => {
        await call('owner', Object.fromEntries(given));
        post('applicantBeneficiariesVerified', {});
        await completed('UBOS');
      }),
    ]);
  }

  function summary() {
    show([
      heading('Everything is there'),
      words('Hand it in to have it checked.'),
      button('Submit', (event) => {
        event.target.disabled = true;
        attempt(async () => {
          await call('submit', {});
          post(isRepeat ? 'onApplicantResubmitted' : 'onApplicantSubmitted', {});
          await follow();
        });
      }),
    ]);
  }

  // --- Waiting, and the result.

  function tell() {
    const { reviewStatus, reviewResult, levelName, createdAt } = state;
    const key = levelName + reviewStatus + JSON.stringify(reviewResult);
    if (key === lastStatus) return false;
    lastStatus = key;
    if (lastLevel !== '' && levelName !== lastLevel) post('onApplicantLevelChanged', { levelName });
    lastLevel = levelName;
    const payload = { reprocessing: false, levelName, creationDate: createdAt, reviewStatus, autoChecked: false };
    if (reviewResult) payload.reviewResult = reviewResult;
    post('onApplicantStatusChanged', payload);
    post('applicantStatus', payload);
    if (reviewStatus === 'completed') post('onApplicantVerificationCompleted', payload);
    return true;
  }

  async function follow() {
    tell();
    // A workflow's next level, or a reset: there is something to hand in again.
    if (state.mayHandIn && state.reviewStatus !== 'completed') return start();
    render();
    let turn = following;
    for (;;) {
      await pause(POLL_MS);
      if (turn !== following) return;
      let trouble = null;
      try {
        await call('open', {});
      } catch (problem) {
        trouble = problem;
      }
      if (turn !== following) return;
      if (trouble === null && !tell()) continue;
      await released();
      if (turn !== following) return;
      if (trouble !== null) throw trouble;
      if (state.mayHandIn && state.reviewStatus !== 'completed') return start();
      render();
      turn = following;
    }
  }

  // A browser reports no click on a button that was replaced between press and release, so nothing is
  // replaced until the button is released. Pressed by the space bar it is `:active` as well.
  async function released() {
    while (view.querySelector('button:active')) await pause(RELEASE_MS);
  }

  // What is shown while the review runs. Its buttons mean the same whatever the status, so only the
  // texts change: a press, and the focus of a keyboard, stay where they are.
  let review = null;

  function render() {
    const { reviewStatus, reviewResult } = state;
    if (reviewStatus === 'completed' && reviewResult) return result(reviewResult);
    const isHeld = reviewStatus === 'onHold';
    const title = isHeld ? 'A little more patience' : 'Your data is being checked';
    const text = isHeld ? 'Somebody is looking at it.' : 'This usually takes a minute. You may close the page.';
    if (review?.title.isConnected) {
      review.title.textContent = title;
      review.text.textContent = text;
      return undefined;
    }
    review = { title: heading(title), text: words(text, 'progress') };
    review.text.setAttribute('role', 'status');
    return show([review.title, review.text, reviewer()]);
  }

  function reviewer() {
    const decide = (label, action) => button(label, () => attempt(async () => { await call('play', { action }); await follow(); }), 'second');
    return element('section', { className: 'reviewer' },
      element('h2', { textContent: 'Only in the simulator: you are the reviewer' }),
      decide('Approve', 'approve'), decide('Ask to try again', 'retry'), decide('Put on hold', 'hold'), decide('Reject for good', 'reject'));
  }

  function result({ reviewAnswer, reviewRejectType, moderationComment }) {
    if (reviewAnswer === 'GREEN') {
      return show([heading('You are verified'), words('There is nothing left to do here.')]);
    }
    if (reviewRejectType === 'FINAL') {
      return show([heading('Not verified'), words(moderationComment || 'The application was declined.')]);
    }
    return show([
      heading('Please try again'), alert(moderationComment || 'Something could not be accepted.'),
      button('Try again', () => attempt(start)),
    ]);
  }

  // A drawn stand-in for a photograph, so that nothing has to be fetched.
  function sample(set) {
    const canvas = element('canvas', { width: 320, height: 200 });
    const draw = canvas.getContext('2d');
    draw.fillStyle = '#dfe7ee';
    draw.fillRect(0, 0, 320, 200);
    draw.fillStyle = '#5b6b7b';
    const [x, y] = set === 'SELFIE' ? [160, 80] : [70, 80];
    draw.beginPath();
    draw.arc(x, y, 36, 0, 7);
    draw.arc(x, y + 100, 56, 3.14, 6.29);
    draw.fill();
    if (set !== 'SELFIE') [50, 80, 110, 160].forEach((line) => draw.fillRect(150, line, 140, 10));
    draw.font = '14px sans-serif';
    draw.fillText('SPECIMEN', 12, 190);
    return canvas.toDataURL();
  }

  new ResizeObserver(measure).observe(document.getElementById('frame'));

  if (window.parent === window) {
    show([heading('Verification'), words('This page belongs into a frame of the WebSDK.')]);
  } else {
    post('onReady', { frameId });
  }
})();
