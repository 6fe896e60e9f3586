import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { createAccessTokenVerifier, issueAccessToken } from '../../../../src/platform/auth/access-tokens.ts'
import { createServiceTokens, isServiceToken } from '../../../../src/platform/auth/service-tokens.ts'
import { createCache } from '../../../../src/platform/cache.ts'
import { type CallContext, ownerOf } from '../../../../src/platform/context.ts'
import { initKeys, type PublicKeys, type Purpose } from '../../../../src/platform/keys/key-files.ts'
import { createKeyStore, type KeyStore } from '../../../../src/platform/keys/key-store.ts'
import { eventually } from '../../../../testing/eventually.ts'

const madeKeys = async (t: Test): Promise<{ folder: string; keys: KeyStore }> => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-tokens-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  await initKeys(folder, ['user', 'order', 'gateway'])
  return { folder, keys: createKeyStore({ folder, strict: true }) }
}

/** Removes the published keys of a purpose. */
const withdraw = (folder: string, purpose: Purpose): void => {
  const file = join(folder, 'public.json')
  const published: PublicKeys = JSON.parse(readFileSync(file, 'utf8'))
  writeFileSync(file, JSON.stringify({ ...published, [purpose]: { keys: [] } }))
}

/** Counts the uses of signing keys. */
const counting = (keys: KeyStore) => {
  const counted = { signed: 0 }
  const signer: KeyStore['signer'] = (purpose) => {
    counted.signed++
    return keys.signer(purpose)
  }
  return { counted, keys: { ...keys, signer } }
}

const person = { actor: { type: 'user', id: '3' }, role: 'support' } as const
const refused = { code: 'auth.invalid_token' }

t.test('a service token names caller, audience and actor, and is valid for at most a minute', async (t) => {
  const { keys } = await madeKeys(t)
  const token = await createServiceTokens(keys, 'gateway').mint('order', person)
  t.ok(isServiceToken(token))
  const { exp = 0, iat = 0 } = decodeJwt(token)
  t.ok(exp - iat <= 60)
  const order = createServiceTokens(keys, 'order')
  t.strictSame(await order.verify(token, ['order']), { caller: 'gateway', ...person })
  t.strictSame(await order.verify(token, ['order', 'user']), { caller: 'gateway', ...person })
  await t.rejects(order.verify(token, ['user']), refused, 'for another audience, even after it was accepted')
  await t.rejects(order.verify(token, []), refused)
})

t.test('calls for the same person to the same service share a token', async (t) => {
  const made = await madeKeys(t)
  const { counted, keys } = counting(made.keys)
  const tokens = createServiceTokens(keys, 'gateway')
  const token = await tokens.mint('order', person)
  t.equal(await tokens.mint('order', { ...person }), token)
  t.equal(counted.signed, 1)
  const others = [
    await tokens.mint('user', person),
    await tokens.mint('order', { ...person, role: 'user' }),
    await tokens.mint('order', { ...person, actor: { type: 'user', id: '4' } }),
    await tokens.mint('order', { ...person, actor: { type: 'service', id: '3' } }),
  ]
  t.equal(new Set([token, ...others]).size, 5)
})

t.test('malformed service tokens are refused', async (t) => {
  const { keys } = await madeKeys(t)
  const order = createServiceTokens(keys, 'order')
  const { kid, key } = keys.signer('service-gateway')
  const sign = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, signer = key) => {
    const now = Math.floor(Date.now() / 1000)
    const usual = { iss: 'urn:orderhub:service:gateway', aud: 'urn:orderhub:service:order', iat: now, exp: now + 50 }
    return new SignJWT({ ...usual, ...person, ...claims })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'orderhub-service+jwt', kid, ...header })
      .sign(signer)
  }
  const now = Math.floor(Date.now() / 1000)
  t.match(await order.verify(await sign(), ['order']), { caller: 'gateway' })
  for (const ahead of [-25, 8, 25])
    t.match(
      await order.verify(await sign({ iat: now + ahead, exp: now + ahead + 1 }), ['order']),
      { caller: 'gateway' },
      `${ahead} s`,
    )
  const user = keys.signer('service-user')
  const bad: Record<string, Promise<string>> = {
    expired: sign({ iat: now - 91, exp: now - 31 }),
    'without exp': sign({ exp: undefined }),
    'without iat': sign({ iat: undefined }),
    'valid for an hour': sign({ exp: now + 3600 }),
    'issued in the future': sign({ iat: now + 35, exp: now + 65 }),
    'not valid yet': sign({ nbf: now + 35 }),
    'bound to another credential': sign({ ath: 'hash' }),
    'from an unknown service': sign({ iss: 'urn:orderhub:service:nobody' }),
    'from a service in the name of another': sign({}, { kid: user.kid }, user.key),
    'from a service without its prefix': sign({ iss: 'gateway' }),
    'from an empty service name': sign({ iss: 'urn:orderhub:service:' }),
    'for another audience': sign({ aud: 'urn:orderhub:service:user' }),
    'for all audiences': sign({ aud: 'urn:orderhub:service:*' }),
    'an access token': sign({}, { typ: 'at+jwt' }),
    'with an unknown actor type': sign({ actor: { type: 'root', id: '1' } }),
    'without an actor': sign({ actor: undefined }),
    'with a number as actor id': sign({ actor: { type: 'user', id: 3 } }),
    'with an unknown role': sign({ role: 'root' }),
  }
  for (const [what, token] of Object.entries(bad)) await t.rejects(order.verify(await token, ['order']), refused, what)
})

t.test('an accepted token is refused after its key is withdrawn', async (t) => {
  const { folder, keys } = await madeKeys(t)
  const verify = createAccessTokenVerifier(keys)
  const { token } = await issueAccessToken(keys, { userId: 3, sessionVersion: 7 })
  t.strictSame(await verify(token), { userId: 3, sessionVersion: 7, amr: ['pwd'], reauthenticated: false })
  t.strictSame(await verify(token), { userId: 3, sessionVersion: 7, amr: ['pwd'], reauthenticated: false })
  const order = createServiceTokens(keys, 'order')
  const called = await createServiceTokens(keys, 'gateway').mint('order', person)
  await order.verify(called, ['order'])
  withdraw(folder, 'access-token')
  withdraw(folder, 'service-gateway')
  await eventually(() =>
    verify(token).then(
      () => false,
      (error) => error.code === 'auth.invalid_token',
    ),
  )
  await eventually(() =>
    order.verify(called, ['order']).then(
      () => false,
      (error) => error.code === 'auth.invalid_token',
    ),
  )
})

t.test('the token cache is bounded, and entries expire with their tokens', (t) => {
  const cache = createCache<number>(3)
  for (const n of [1, 2, 3]) cache.set(String(n), n, Date.now() + 60_000)
  t.equal(cache.get('1'), 1)
  cache.set('4', 4, Date.now() + 60_000)
  t.strictSame(['1', '2', '3', '4'].map(cache.get), [1, undefined, 3, 4], 'the least recently used entry was evicted')
  cache.set('1', 1, Date.now())
  t.equal(cache.get('1'), undefined)
  t.end()
})

t.test('an actor without a local account owns nothing', (t) => {
  const owner = (type: CallContext['actor']['type'], id: string | null) => ownerOf({ scope: 'own', actor: { type, id } })
  t.equal(owner('user', '3'), 3)
  for (const id of ['oidc:3', 'oidc:x', '', '0', '-1', '1e3', '0x3', ' 3', '3.5', '99999999999999999999', null])
    t.equal(owner('user', id), 0, String(id))
  t.equal(owner('service', '3'), 0)
  t.equal(owner('anonymous', null), 0)
  t.equal(ownerOf({ scope: 'all', actor: { type: 'user', id: 'oidc:3' } }), undefined)
  t.end()
})
