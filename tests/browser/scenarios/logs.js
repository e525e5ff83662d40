// What the gateway wrote while all this went on: no cookie, code, token or SET, not even a part of one.
import assert from 'node:assert/strict';

/** A part of a secret that would be found by nobody's accident. */
const PART = 16;

export async function nothing_that_the_gateway_wrote_holds_a_secret_or_a_part_of_one(world) {
  await world.gateway.stop({ keepFiles: true });
  const writings = await world.gateway.writings();
  const log = writings.get('log');
  assert.match(log, /DEBUG/i, 'the search means something: the log is as chatty as it can be');
  assert.match(log, /ann@corp\.example|revo[ck]/i, 'the search means something: the log tells of revocations');

  const secrets = (await world.secrets()).filter((secret) => secret.length >= PART);
  assert.ok(secrets.some((secret) => secret.startsWith('pct1_')), 'the search means something: sealed tokens are among them');
  assert.ok(secrets.length > 100, `only ${secrets.length} secrets were noted`);
  const leaks = [];
  for (const [file, text] of writings) {
    for (const secret of secrets) {
      const part = parts(secret).find((candidate) => text.includes(candidate));
      if (part) leaks.push(`${file}: ${lineAround(text, text.indexOf(part), part.length)}`);
    }
  }
  assert.deepEqual([...new Set(leaks)].slice(0, 10), []);
  console.log(`searched ${writings.size} files and logs (${[...writings.values()].join('').length} characters) for ${secrets.length} secrets`);
}

/**
 * What to look for of a secret: short ones as a whole, long ones in pieces. The header of a JWT says only how it is
 * signed, and is the same in all of them.
 */
function parts(secret) {
  const segments = secret.split('.');
  const bare = segments.length >= 3 ? segments.slice(1) : segments;
  return bare.flatMap((text) => {
    if (text.length < 3 * PART) return text.length < PART ? [] : [text];
    const starts = Array.from({ length: Math.floor(text.length / PART) - 1 }, (_, n) => (n + 1) * PART);
    return starts.map((start) => text.slice(start, start + PART)).filter((part) => part.length === PART);
  });
}

/** The line, with the secret blacked out: this is printed. */
function lineAround(text, at, length) {
  const start = text.lastIndexOf('\n', at) + 1;
  return `${text.slice(Math.max(start, at - 80), at)}█(${length})█`;
}
