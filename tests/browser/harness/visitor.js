// A person with a browser of their own: a cookie jar that nobody shares.
import assert from 'node:assert/strict';

export class Visitor {
  /** `idp`: the issuer's URL. `noteSecret` is told every cookie value that a server sets. */
  constructor(context, { idp, noteSecret }) {
    this.context = context;
    this.idp = idp;
    context.setDefaultTimeout(10_000);
    context.on('response', async (response) => {
      const cookies = await response.headerValues('set-cookie').catch(() => []);
      for (const cookie of cookies) noteSecret(cookie.slice(cookie.indexOf('=') + 1).split(';')[0]);
    });
  }

  /** Opens `url` in a new tab and gives the tab, wherever it ended up. */
  async opens(url) {
    const tab = await this.context.newPage();
    await tab.goto(url);
    return tab;
  }

  /** The tab shows the sign-in form of the IdP; gives the `prompt` that the gateway asked with. */
  async isAskedToSignIn(tab) {
    await tab.waitForURL((url) => url.origin === this.idp);
    await tab.locator('#sign-in').waitFor();
    const prompt = tab.locator('#prompt');
    return await prompt.count() ? prompt.textContent() : null;
  }

  /** Fills in the form and waits until the tab has left the IdP. */
  async signsIn(tab, name) {
    await this.#fillsInTheForm(tab, name);
    await tab.waitForURL((url) => url.origin !== this.idp);
  }

  async #fillsInTheForm(tab, name) {
    await this.isAskedToSignIn(tab);
    await tab.fill('[name=username]', name);
    await tab.fill('[name=password]', `${name}-password`);
    await tab.click('#sign-in');
  }

  /**
   * Opens `url` in a new tab that is sent on to an address below `beyond` that no browser can open, after a sign-in as
   * `name` where the IdP asks for one. Gives that address: an app on the same device would be handed it.
   */
  async isSentOutOfTheBrowser(url, beyond, name) {
    const tab = await this.context.newPage();
    const sent = tab.waitForRequest((request) => request.url().startsWith(beyond));
    // A page that ends nowhere is an error to the browser.
    const page = tab.goto(url).then(() => this.#fillsInTheForm(tab, name)).catch(() => {});
    const address = (await sent).url();
    await page;
    await tab.close();
    return address;
  }

  /** The tab has arrived at `url`, and stays. */
  async isAt(tab, url) {
    await tab.waitForURL(url);
    await tab.waitForLoadState('networkidle');
    assert.equal(tab.url(), url);
  }

  /** The tab shows a page of the app at `origin`, past the gateway's own pages. */
  async isBackIn(tab, origin) {
    await tab.waitForURL((url) => url.origin === origin && !url.pathname.startsWith('/oauth2/'));
    await tab.waitForLoadState('networkidle');
  }

  /** Opens `url`, signs in where the IdP asks for it, and gives the tab once it is there. */
  async opensAs(name, url) {
    const tab = await this.opens(url);
    if (tab.url() !== url) await this.signsIn(tab, name);
    await this.isAt(tab, url);
    return tab;
  }

  /** What `fetch` gives a script of the page: {status, type, text}. */
  fetches(tab, path) {
    return tab.evaluate(async (where) => {
      // Not what the browser remembers: what it is told now.
      const answer = await fetch(where, { redirect: 'manual', cache: 'no-store' });
      return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
    }, path);
  }
}
