// An app with an OAuth server of its own, as old ones have it for their phone apps: oidc-provider, as npm ships it. It
// knows nothing of the gateway but the header that says who somebody is. tests/apps/oauth starts it.
//
//   node oauth-app.js PORT URL
//
// Two programs may ask for tokens, each with PKCE and a redirect that no browser can open: `phone` gets opaque ones for
// /me, `tablet` gets JWTs for /api/me. Both answer {"sub":…} to `Authorization: Bearer …`, and to nothing else. Refresh
// tokens are always given, and used once.
import { randomUUID } from 'node:crypto';
import * as http from 'node:http';

import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const [port, url] = process.argv.slice(2);
const API = `${url}/api`;
const WHO = 'x-forwarded-user';

const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
const key = { kid: 'oauth-app', alg: 'RS256', use: 'sig' };
const keys = createLocalJWKSet({ keys: [{ ...await exportJWK(publicKey), ...key }] });

const provider = new Provider(url, {
  clients: ['phone', 'tablet'].map((name) => ({
    client_id: name,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: [`com.corp.${name}:/cb`],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  })),
  jwks: { keys: [{ ...await exportJWK(privateKey), ...key }] },
  cookies: { keys: [randomUUID()] },
  pkce: { required: () => true },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  ttl: { Session: 86_400, Grant: 86_400, Interaction: 600, IdToken: 3600, AccessToken: 3600, AuthorizationCode: 60, RefreshToken: 86_400 },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_, client) => (client.clientId === 'tablet' ? API : undefined),
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => {
        if (resource !== API) throw new errors.InvalidTarget();
        return { audience: API, scope: 'read', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
      },
    },
  },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  loadExistingGrant: everythingIsGranted,
});
provider.proxy = true;
provider.on('server_error', (_, error) => console.error('server error', error));
provider.use(signIn);
provider.use(api);
http.createServer(provider.callback()).listen(Number(port), '127.0.0.1');

async function everythingIsGranted(ctx) {
  const { client: { clientId }, session } = ctx.oidc;
  const known = session.grantIdFor(clientId) && await provider.Grant.find(session.grantIdFor(clientId));
  if (known) return known;
  const { accountId } = session;
  const grant = new provider.Grant({ clientId, accountId });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(API, 'read');
  await grant.save();
  return grant;
}

/** Nobody is asked for a password: people are who the header says. */
async function signIn(ctx, next) {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const accountId = ctx.get(WHO);
  if (!accountId) ctx.throw(403, `no ${WHO}`);
  ctx.respond = false;
  return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId }, consent: {} });
}

async function api(ctx, next) {
  if (ctx.path !== '/api/me') return next();
  const [scheme, token] = ctx.get('authorization').split(' ');
  if (scheme !== 'Bearer') ctx.throw(401, 'no token');
  const { payload } = await jwtVerify(token, keys, { issuer: url, audience: API, typ: 'at+jwt' }).catch((error) => ctx.throw(401, error.message));
  ctx.body = { sub: payload.sub };
  return undefined;
}
