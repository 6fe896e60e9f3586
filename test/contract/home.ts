import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import type { Client } from './target.ts'

const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'

export const homeSuite = async (t: Test, { url }: Client): Promise<void> => {
  const home = (accept: string, language = 'en') => call(`${url}/`, 'GET', undefined, { accept, 'accept-language': language })

  await t.test('the root path is a page for browsers, in both languages', async (t) => {
    for (const [language, lang, text] of [
      ['en-GB,en;q=0.9', 'en', 'API reference'],
      ['zh-TW,zh;q=0.9,en;q=0.5', 'zh-TW', 'API 參考文件'],
    ] as const) {
      const { status, body, headers } = await home(browser, language)
      t.equal(status, 200)
      t.equal(headers.get('content-type'), 'text/html; charset=utf-8')
      t.equal(headers.get('content-language'), lang)
      t.match(headers.get('vary') ?? '', /accept\b.*accept-language/i)
      t.match(body, `<html lang="${lang}">`)
      t.match(body, text)
      t.notMatch(body, /<script>|<style|style=|\son\w+=/, 'no inline scripts or styles: the content security policy forbids them')
      t.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*style-src 'self'/)
      const linked = [...body.matchAll(/href="([^"]+)"/g)].map(([, path]) => path)
      t.ok(linked.includes('docs'))
      for (const path of linked) t.match(await call(new URL(path as string, `${url}/`).href), { status: 200 }, path)
    }
  })

  await t.test('the root path is JSON with links for programs', async (t) => {
    for (const accept of ['application/json', '*/*', 'application/json, text/html;q=0.9']) {
      const { status, body, headers } = await home(accept, 'zh-TW')
      t.equal(status, 200)
      t.match(headers.get('content-type'), /^application\/json/)
      t.match(body, { name: 'OrderHub', description: /訂單平台/, links: { reference: '/docs', sign_in: '/api/v1/auth/login' } })
    }
  })
}
