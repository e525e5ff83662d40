// What the provider remembers: everything, as real ones do. Its own store forgets all but the last thousand things, and
// a refresh token that is forgotten is refused like one of an account that was disabled.

const things = new Map(); // model and id → what is known of it
const byUid = new Map(); // uid of a session → its id
const byGrant = new Map(); // id of a grant → keys of what was given for it
/** What ends with its grant. A sign-in under way names its grant, too, and goes on when that is taken back. */
const GIVEN = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode', 'BackchannelAuthenticationRequest']);

export class Store {
  #model;

  constructor(model) { this.#model = model; }

  async upsert(id, payload) {
    const key = this.#key(id);
    things.set(key, payload);
    if (this.#model === 'Session') byUid.set(payload.uid, id);
    if (payload.grantId && GIVEN.has(this.#model)) {
      if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
      byGrant.get(payload.grantId).add(key);
    }
  }

  async find(id) { return things.get(this.#key(id)); }
  async findByUid(uid) { return this.find(byUid.get(uid)); }
  async consume(id) { things.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { things.delete(this.#key(id)); }

  async revokeByGrantId(grantId) {
    for (const key of byGrant.get(grantId) ?? []) things.delete(key);
    byGrant.delete(grantId);
  }

  #key(id) { return `${this.#model}:${id}`; }
}
