import { existsSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = [process.env.CHROMIUM, ...places].find((path) => path !== undefined && existsSync(path))

/** For the option `skip` of a test: false where there is a browser. */
export const withoutBrowser: string | false = executablePath ? false : 'Chromium is not installed (apt-get install chromium)'

export interface Visitor {
  readonly page: Page
  /** What the browser complained of: scripts, styles and images that the policy forbids, and uncaught errors. */
  readonly complaints: string[]
  /** The address of every request that the browser made. */
  readonly requests: string[]
}

export interface VisitorOptions {
  readonly locale?: string
  readonly width?: number
  readonly javaScript?: boolean
}

/** A real browser with nothing in it; ends with the test. */
export const openBrowser = async (t: Test, options: VisitorOptions = {}): Promise<Visitor> => {
  const { locale = 'en', width = 360, javaScript: javaScriptEnabled = true } = options
  const browser = await chromium.launch({ executablePath: executablePath as string })
  t.teardown(() => browser.close())
  const context = await browser.newContext({ locale, javaScriptEnabled, viewport: { width, height: 740 } })
  const page = await context.newPage()
  const complaints: string[] = []
  const requests: string[] = []
  page.on('console', (message) => {
    // An answer of 4xx is one too, and expected.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => requests.push(request.url()))
  return { page, complaints, requests }
}

/** The page offends no rule of WCAG 2.2 AA that a program can see, in both colour schemes, and needs no scrolling sideways. */
export const isAccessible = async (t: Test, page: Page, what: string): Promise<void> => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const { violations } = await new AxeBuilder({ page })
      .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
      .analyze()
    t.same(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
      [],
      `${what}, ${colorScheme}`,
    )
  }
  const sideways = await page.evaluate('document.documentElement.scrollWidth > innerWidth')
  t.equal(sideways, false, `${what}: fits its width`)
}
