// The pages of the test provider. Elements that the browser tests look for carry an id.

export function signInPage({ prompt, failed }) {
  return page('Sign in', `
    <p>This is the identity provider${prompt ? ` (asked with prompt=<span id="prompt">${escape(prompt)}</span>)` : ''}.</p>
    ${failed ? '<p id="failed" role="alert">That name and password do not go together.</p>' : ''}
    <form method="post">
      <label>Name <input name="username" autocomplete="username" autofocus></label>
      <label>Password <input name="password" type="password" autocomplete="current-password"></label>
      <button id="sign-in">Sign in</button>
    </form>`);
}

export function signOutPage(form) {
  return page('Sign out', `
    <p>Sign out of the identity provider, too?</p>
    ${form}
    <button id="sign-out" form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>`);
}

export function signedOutPage() {
  return page('Signed out', '<p id="signed-out">You are signed out of the identity provider.</p>');
}

function page(title, body) {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title} - test IdP</title></head><body><h1>${title}</h1>${body}</body></html>`;
}

function escape(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
