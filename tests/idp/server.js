// A certified OpenID provider for the tests, on free loopback ports, with knobs.
//
//   node server.js '{"clients":[{"client_id":"…","client_secret":"…","redirect_uris":["…"],
//                    "backchannel_logout_uri":"…","post_logout_redirect_uris":["…"]}],
//                    "resources":[{"resource":"https://api…","format":"jwt|opaque","says":["auth_time","sid","email","groups"]}]}'
//
// `resources` are APIs that access tokens can be for (`resource=`, RFC 8707): JWTs (RFC 9068) or opaque ones, to be asked
// about at /token/introspection by any client with a secret; bound to a key where the token request has a DPoP proof. Their
// scopes are `read` and `write`. `says` lists what their tokens tell besides the usual.
//
// `"serve":{"issuer":"https://…","host":"…","port":443,"cert_file":"…","key_file":"…"}` has the provider stand at an address with
// TLS, under that name, and `"people":{"you":{"email":"…","name":"…","groups":[…]}}` adds people.
//
// Prints one JSON line when it is ready: {"issuer":"…","control":"…","pid":…}. It ends with its standard input, so
// that it never outlives the test run that started it.
//
// The people are ann, ben and eve, and p0, p1, p2… for crowds; a password is the name with `-password` behind it.
//
// Control endpoints (second port; JSON in, JSON out):
//   GET  /sessions                     who is signed in: [{uid, sub, auth_time, sids: {client: sid}}]
//   POST /kill?sid=…                   an administrator ends that session: the OP forgets it and posts the logout token
//   POST /kill-sub?sub=…               … ends all sessions of that person: one logout token per client, with `sub` only
//   POST /set                          signs and pushes a SET: {url, authorization, claims, typ?} → {status, body}
//   POST /grant                        a person lets a client act for her, without a browser:
//                                      {client_id, sub, resource, scope?, auth_time?, sid?} → {refresh_token}
//   POST /sign                         signs a JWT with the OP's key: {typ, claims} → {token}
//   POST /frozen-auth-time?on=1        logins keep the person's first auth_time: an IdP that ignores prompt=login
//   POST /deaf-introspection?on=1      who asks about a token is hung up on: an IdP that is half down
//   POST /disable?sub=…&on=1           an administrator disables that account (or enables it): nothing is sent to anybody
//   POST /revoke-grants?sub=…          … takes back all that the person allowed clients: nothing is sent to anybody
//   GET  /refreshes                    when refresh tokens were used: [{client_id, at, status}]
//   GET  /authorizations               every authorization request: [{client_id, prompt, max_age, at}]
//   GET  /secrets                      every code, token and SET that was issued (for the search of the logs)
import dns from 'node:dns';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { randomUUID } from 'node:crypto';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import Provider, { errors } from 'oidc-provider';

import { signInPage, signedOutPage, signOutPage } from './pages.js';
import { Store } from './store.js';

const PEOPLE = new Map([
  ['ann', { email: 'ann@corp.example', name: 'Ann Archer', groups: ['staff'] }],
  ['ben', { email: 'ben@corp.example', name: 'Ben Baker', groups: ['staff', 'admins'] }],
  ['eve', { email: 'eve@elsewhere.example', name: 'Eve Else', groups: [] }],
]);
/** Nobody knows the people of a crowd but by their name. */
function personOf(name) {
  return PEOPLE.get(name) ?? (/^p\d{1,4}$/.test(name) ? { email: `${name}@corp.example`, name, groups: ['staff'] } : undefined);
}
const SCOPES = ['openid', 'email', 'profile', 'groups', 'offline_access'];
const RESOURCE_SCOPES = ['read', 'write'];
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

// Browsers know that *.localhost is this machine; this process has to be told.
const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest);

const settings = JSON.parse(process.argv[2] ?? '{}');
const resources = new Map((settings.resources ?? []).map((one) => [one.resource, one]));
for (const [name, person] of Object.entries(settings.people ?? {})) PEOPLE.set(name, person);
const op = await (settings.serve ? listenWithTls(settings.serve) : listen());
const control = await listen();
const rsa = await signingKey('RS256', 'idp-rsa');
const ec = await signingKey('ES256', 'idp-ec');

const sessions = new Map(); // uid → jti of the session as last saved
const authorizations = [];
const refreshes = [];
const grants = new Map(); // accountId → ids of grants
const disabled = new Set();
const secrets = new Set();
const firstLogin = new Map(); // sub → auth_time of the first login, for the frozen mode
let frozen = false;
let deaf = false;

const provider = new Provider(op.url, {
  adapter: Store,
  clients: (settings.clients ?? []).map(client),
  jwks: { keys: [rsa.jwk, ec.jwk] },
  scopes: SCOPES,
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
    groups: ['groups'],
    sid: null,
    auth_time: null,
  },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  // Without a page that asks for consent nobody is granted `offline_access`; phones need to refresh all the same.
  issueRefreshToken: (_, client, code) => client.applicationType === 'native' || code.scopes.has('offline_access'),
  // As IdPs do for browsers and phones alike: each use gives a new one, and the old one used again ends the grant.
  rotateRefreshToken: () => true,
  cookies: { keys: [randomUUID()] },
  ttl: { Session: 86_400, Grant: 86_400, Interaction: 600, IdToken: 3600, AccessToken: 3600, AuthorizationCode: 60, RefreshToken: 86_400 },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer, useGrantedResource: () => true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => { ctx.body = signOutPage(form); },
      postLogoutSuccessSource: (ctx) => { ctx.body = signedOutPage(); },
    },
  },
  extraTokenClaims: whatAccessTokensSay,
  findAccount: (_, sub) => {
    const person = disabled.has(sub) ? undefined : personOf(sub);
    return person && {
      accountId: sub,
      claims: () => ({ sub, email_verified: true, preferred_username: sub, ...person }),
    };
  },
  loadExistingGrant: consentOf,
  fetch: postOnLoopback,
});
provider.on('session.saved', (session) => sessions.set(session.uid, session.jti));
provider.on('grant.saved', (grant) => {
  if (!grants.has(grant.accountId)) grants.set(grant.accountId, new Set());
  grants.get(grant.accountId).add(grant.jti);
});
provider.on('session.destroyed', (session) => sessions.delete(session.uid));
provider.on('server_error', (_, error) => console.error('idp: server error', error));
provider.use(noteWhatIsIssued);
provider.use(transmitterMetadata);
provider.use(hangUp);
provider.use(signIn);

op.server.on('request', provider.callback());
control.server.on('request', answerControl);
process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ issuer: provider.issuer, control: control.url, pid: process.pid }));

// --- the provider's parts

function client(given) {
  return {
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: given.client_secret ? 'client_secret_basic' : 'none',
    backchannel_logout_session_required: Boolean(given.backchannel_logout_uri),
    ...given,
  };
}

/** The consent is always there: these tests are about sessions. */
async function consentOf(ctx) {
  const { client: { clientId }, session, result } = ctx.oidc;
  const id = result?.consent?.grantId ?? session.grantIdFor(clientId);
  const known = id && await provider.Grant.find(id);
  if (known && known.accountId === session.accountId) return known;
  return granted(clientId, session.accountId);
}

async function granted(clientId, accountId) {
  const grant = new provider.Grant({ clientId, accountId });
  grant.addOIDCScope(SCOPES.join(' '));
  for (const resource of resources.keys()) grant.addResourceScope(resource, RESOURCE_SCOPES.join(' '));
  await grant.save();
  return grant;
}

function resourceServer(_, resource) {
  if (!resources.has(resource)) throw new errors.InvalidTarget();
  const accessTokenFormat = resources.get(resource).format ?? 'jwt';
  return { audience: resource, scope: RESOURCE_SCOPES.join(' '), accessTokenFormat, jwt: { sign: { alg: 'RS256' } } };
}

function whatAccessTokensSay(ctx, token) {
  const says = resources.get(token.resourceServer?.identifier())?.says ?? [];
  const { RefreshToken, AuthorizationCode } = ctx?.oidc?.entities ?? {};
  const source = RefreshToken ?? AuthorizationCode;
  const facts = { auth_time: source?.authTime, sid: source?.sid, ...personOf(token.accountId) };
  return Object.fromEntries(says.filter((name) => facts[name] !== undefined).map((name) => [name, facts[name]]));
}

/** The provider refuses loopback receivers by way of a dispatcher; here every receiver is on loopback. */
function postOnLoopback(url, { dispatcher, ...options }) {
  const token = options.body instanceof URLSearchParams && options.body.get('logout_token');
  if (token) secrets.add(token);
  return fetch(url, options);
}

async function noteWhatIsIssued(ctx, next) {
  if (ctx.method === 'GET' && ctx.path === '/auth') {
    const { client_id, prompt, max_age } = ctx.query;
    authorizations.push({ client_id, prompt, max_age, at: Date.now() });
  }
  const at = Date.now();
  await next();
  if (ctx.path === '/token' && ctx.oidc?.params?.grant_type === 'refresh_token') {
    refreshes.push({ client_id: ctx.oidc.client?.clientId, at, status: ctx.status });
  }
  const sent = ctx.response.get('location');
  const code = sent && URL.canParse(sent) && new URL(sent).searchParams.get('code');
  if (code) secrets.add(code);
  if (ctx.path === '/token') {
    for (const name of ['id_token', 'access_token', 'refresh_token']) {
      if (ctx.body?.[name]) secrets.add(ctx.body[name]);
    }
  }
}

/** What a receiver needs to know of a transmitter whose stream was set up by hand: where its keys are (SSF §7.1). */
function transmitterMetadata(ctx, next) {
  if (ctx.path !== '/.well-known/ssf-configuration') return next();
  ctx.body = {
    spec_version: '1_0',
    issuer: provider.issuer,
    jwks_uri: `${provider.issuer}/jwks`,
    delivery_methods_supported: ['urn:ietf:rfc:8935'],
  };
  return undefined;
}

function hangUp(ctx, next) {
  if (!deaf || ctx.path !== '/token/introspection') return next();
  ctx.respond = false;
  ctx.req.socket.destroy();
  return undefined;
}

/** Our own sign-in form: `GET /interaction/<uid>` shows it, `POST` takes name and password. */
async function signIn(ctx, next) {
  if (!/^\/interaction\/[\w-]+$/.test(ctx.path)) return next();
  const { prompt, params } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === 'consent') {
    // Native clients ask for it every time.
    ctx.respond = false;
    return provider.interactionFinished(ctx.req, ctx.res, { consent: {} });
  }
  if (prompt.name !== 'login') ctx.throw(501, `no page for the prompt ${prompt.name}`);
  if (ctx.method !== 'POST') {
    ctx.body = signInPage({ prompt: params.prompt, failed: false });
    return undefined;
  }
  const form = new URLSearchParams(await text(ctx.req));
  const name = form.get('username');
  if (!personOf(name) || disabled.has(name) || form.get('password') !== `${name}-password`) {
    ctx.status = 401;
    ctx.body = signInPage({ prompt: params.prompt, failed: true });
    return undefined;
  }
  const now = Math.floor(Date.now() / 1000);
  if (!firstLogin.has(name)) firstLogin.set(name, now);
  const ts = frozen ? firstLogin.get(name) : now;
  ctx.respond = false;
  return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: name, ts } });
}

// --- the control endpoints

async function answerControl(request, response) {
  const url = new URL(request.url, control.url);
  const handler = CONTROL[`${request.method} ${url.pathname}`];
  try {
    if (!handler) throw new Error(`no such control: ${request.method} ${url.pathname}`);
    const body = await text(request);
    const answer = await handler(url.searchParams, body && JSON.parse(body));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: error.message }));
  }
}

const CONTROL = {
  'GET /sessions': async () => (await signedIn()).map(describe),
  'GET /authorizations': async () => authorizations,
  'GET /secrets': async () => [...secrets],
  'GET /refreshes': async () => refreshes,

  'POST /disable': async (query) => {
    const sub = query.get('sub');
    disabled[query.get('on') === '1' ? 'add' : 'delete'](sub);
    // Whoever is signed in there with the account is so no more.
    for (const session of await signedIn()) if (disabled.has(session.accountId)) await session.destroy();
    return { disabled: [...disabled] };
  },

  'POST /revoke-grants': async (query) => {
    const ids = [...grants.get(query.get('sub')) ?? []];
    for (const id of ids) {
      await provider.RefreshToken.revokeByGrantId(id);
      await (await provider.Grant.find(id))?.destroy();
    }
    return { revoked: ids.length };
  },
  'POST /deaf-introspection': async (query) => ({ deaf: (deaf = query.get('on') === '1') }),
  'POST /frozen-auth-time': async (query) => ({ frozen: (frozen = query.get('on') === '1') }),

  'POST /kill': async (query) => {
    const sid = query.get('sid');
    const session = (await signedIn()).find((candidate) => Object.values(describe(candidate).sids).includes(sid));
    if (!session) throw new Error('no session has this sid');
    const answers = [];
    for (const [clientId, its] of Object.entries(describe(session).sids)) {
      const receiver = await provider.Client.find(clientId);
      if (!receiver.backchannelLogoutUri) continue;
      answers.push(await receiver.backchannelLogout(session.accountId, its).then(() => 'accepted', (error) => error.message));
    }
    await session.destroy();
    return { answers };
  },

  'POST /kill-sub': async (query) => {
    const sub = query.get('sub');
    const receivers = (settings.clients ?? []).filter((one) => one.backchannel_logout_uri);
    const answers = [];
    for (const one of receivers) {
      const token = await sign('logout+jwt', { aud: one.client_id, sub, exp: epoch() + 120, events: { [LOGOUT_EVENT]: {} } });
      const answer = await fetch(one.backchannel_logout_uri, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
      answers.push(answer.status);
    }
    for (const session of await signedIn()) if (session.accountId === sub) await session.destroy();
    return { answers };
  },

  'POST /set': async (_, { url, authorization, claims, typ = 'secevent+jwt' }) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/secevent+jwt',
        accept: 'application/json',
        ...(authorization && { authorization }),
      },
      body: await sign(typ, claims),
    });
    return { status: answer.status, body: await answer.text() };
  },

  'POST /grant': async (_, { client_id, sub, resource, scope = RESOURCE_SCOPES.join(' '), auth_time, sid }) => {
    const grant = await granted(client_id, sub);
    const token = new provider.RefreshToken({
      accountId: sub,
      authTime: auth_time ?? epoch(),
      client: await provider.Client.find(client_id),
      grantId: grant.jti,
      gty: 'authorization_code',
      resource,
      rotations: 0,
      scope: `offline_access ${scope}`,
      sid,
    });
    const refresh_token = await token.save();
    secrets.add(refresh_token);
    return { refresh_token };
  },

  'POST /sign': async (_, { typ, claims }) => ({ token: await sign(typ, claims) }),
};

async function signedIn() {
  const found = await Promise.all([...sessions.values()].map((jti) => provider.Session.find(jti)));
  return found.filter((session) => session?.accountId);
}

function describe(session) {
  const sids = Object.entries(session.authorizations ?? {}).map(([clientId, { sid }]) => [clientId, sid]);
  return { uid: session.uid, sub: session.accountId, auth_time: session.authTime(), sids: Object.fromEntries(sids) };
}

/** A JWT under the OP's RSA key; `iss`, `iat` and `jti` are filled in unless the claims say otherwise. */
async function sign(typ, claims) {
  const token = await new SignJWT({ iss: provider.issuer, iat: epoch(), jti: randomUUID(), ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: rsa.jwk.kid, typ })
    .sign(rsa.privateKey);
  secrets.add(token);
  return token;
}

// --- small things

function epoch() {
  return Math.floor(Date.now() / 1000);
}

async function signingKey(alg, kid) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
  return { privateKey, jwk: { ...await exportJWK(privateKey), alg, kid, use: 'sig' } };
}

async function listen() {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

async function listenWithTls({ issuer, host, port, cert_file, key_file }) {
  const server = https.createServer({ cert: readFileSync(cert_file), key: readFileSync(key_file) }).listen(port, host);
  await once(server, 'listening');
  return { server, url: issuer };
}

async function text(stream) {
  stream.setEncoding('utf8');
  let whole = '';
  for await (const part of stream) whole += part;
  return whole;
}
