// Stands in for the script on Sumsub's static host: the same global, the same calls, the same frame.
// Written from the protocol. Where the real script takes its base address from is unknown; this one
// takes the token's `url`, else the origin that it was loaded from.
'use strict';
window.snsWebSdk = (() => {
  const home = new URL(document.currentScript.src).origin;
  const CONFIGURABLE = ['lang', 'theme', 'country', 'uiConf', 'i18n', 'email', 'phone', 'customizationName', 'translationName', 'documentsByCountries', 'documentDefinitions', 'autoSelectDocumentDefinitions', 'controlledNavigationBack', 'singleStep', 'preferredCameras'];

  function baseOf(token) {
    const prefix = ['_act-sbx-jwt-', '_act-jwt-'].find((it) => token.startsWith(it));
    if (prefix === undefined) return home;
    for (const part of token.slice(prefix.length).split('.')) {
      try {
        const { url } = JSON.parse(atob(part));
        if (url) return url;
      } catch { /* Not every part is JSON. */ }
    }
    return home;
  }

  function identify(token) {
    try { return 'id_' + btoa(token); } catch { return 'id_' + token; }
  }

  class Instance {
    constructor(told) { Object.assign(this, told, { session: '', container: null, frame: null }); }

    launch(where) {
      const container = typeof where === 'string' ? document.querySelector(where) : where;
      if (!container) return console.error('The container of the WebSDK was not found');
      if (this.options.addViewportTag && !document.querySelector('meta[name=viewport]')) {
        document.head.append(Object.assign(document.createElement('meta'), { name: 'viewport', content: 'width=device-width,user-scalable=yes' }));
      }
      this.container = container;
      this.id = identify(this.token);
      this.hear = (event) => this.heard(event);
      window.addEventListener('message', this.hear);
      this.frame = Object.assign(document.createElement('iframe'), { width: '100%', scrolling: 'no', allow: 'camera; microphone; geolocation; clipboard-write; hid' });
      this.frame.setAttribute('frameborder', '0');
      const extra = ['theme', 'customizationName', 'translationName'].filter((it) => this.config[it]).map((it) => '&' + it + '=' + encodeURIComponent(this.config[it])).join('');
      container.replaceChildren(this.frame);
      this.frame.src = this.base + '/' + this.folder + '/websdk.html?_=' + this.id + extra;
      return undefined;
    }

    send(method, payload) { this.frame?.contentWindow?.postMessage({ method: 'idCheck.' + method, ...payload }, '*'); }

    heard(event) {
      if (event.origin !== this.base || typeof event.data?.method !== 'string' || !event.data.method.includes('idCheck')) return;
      const { method, sessionId, frameId, ...payload } = event.data;
      if (this.session && this.session !== sessionId) return;
      if (method === 'idCheck.onReady' && frameId === this.id) {
        this.session = sessionId;
        const config = Object.fromEntries(CONFIGURABLE.map((it) => [it, this.config[it]]));
        this.send('init', { ...config, accessToken: this.token, flowName: this.flowName, origin: location.origin, packageVersion: 'simulator', options: this.options });
      }
      if (method === 'idCheck.onResize' && this.options.adaptIframeHeight) this.frame.style.height = payload.height + 'px';
      if (method === 'idCheck.onError' && payload.code === 'invalid-token') return void this.refresh();
      this.deliver(method, payload);
    }

    refresh() {
      const fresh = (accessToken) => this.send('updateAccessToken', { accessToken });
      if (this.legacy) return this.expired(fresh);
      return this.expired().then(fresh, (why) => this.send('updateAccessToken', { accessToken: null, error: String(why?.message ?? why ?? 'Failed to update access token') }));
    }

    destroy() {
      window.removeEventListener('message', this.hear);
      this.container?.replaceChildren();
      this.container = null;
    }

    navigateBack() { this.send('callNavigationBack', {}); }
    singleStepNext(step) { this.send('callSingleStepNext', { step }); }
    setLanguage(language) { this.send('callSetLanguage', { language }); }
    setTheme(theme) { this.send('callSetTheme', { theme }); }
  }

  class Builder {
    constructor(told) {
      this.told = told;
      this.config = {};
      this.options = { adaptIframeHeight: true, addViewportTag: true, enableScrollIntoView: true };
      this.handlers = {};
      this.any = undefined;
    }

    onTestEnv() { return this; }
    debug() { return this; }
    withBaseUrl(url) { this.told.base = url; return this; }
    withConf(config) { this.config = config ?? {}; return this; }
    withOptions(options) { Object.assign(this.options, options); return this; }
    withAccessToken(token, expired) {
      if (typeof expired !== 'function') throw new Error('Invalid parameter, "expirationHandler" must be a function');
      Object.assign(this.told, { token, expired });
      return this;
    }
    on(type, handler) { this.handlers[type] = handler; return this; }
    onMessage(handler) { this.any = handler; return this; }
    onNavigationUiControlsStateChanged(handler) { return this.on('idCheck.onNavigationUiControlsStateChanged', handler); }

    build() {
      const { told, config, handlers } = this;
      const deliver = (method, payload) => {
        if (handlers[method]) return handlers[method](payload);
        if (told.legacy && method === 'idCheck.onError' && config.onError) return config.onError(payload);
        return (this.any ?? (told.legacy ? config.onMessage : undefined))?.(method, payload);
      };
      return new Instance({ ...told, base: told.base || baseOf(told.token), config, options: this.options, deliver });
    }
  }

  return {
    init(token, expired) {
      if (typeof token !== 'string') throw new Error('Access token must be a string');
      if (typeof expired !== 'function') throw new Error('updateAccessToken callback is required');
      return new Builder({ token, expired, base: '', folder: 'websdk', legacy: false });
    },
    Builder: (base, flowName) => new Builder({ base, flowName, folder: 'websdk', legacy: true }),
  };
})();
