import { existsSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = [process.env.CHROMIUM, ...places].find((path) => path !== undefined && existsSync(path))

/** For the option `skip` of a test: false if a browser is installed. */
export const withoutBrowser: string | false = executablePath ? false : 'Chromium is not installed (apt-get install chromium)'

export interface Visitor {
  readonly page: Page
  /** Errors in the browser: scripts, styles and images that the content security policy forbids, and uncaught errors. */
  readonly complaints: string[]
  /** The URL of every request of the browser. */
  readonly requests: string[]
}

export interface VisitorOptions {
  readonly locale?: string
  readonly width?: number
  readonly javaScript?: boolean
}

/** A real browser with a new profile; closed when the test ends. */
export const openBrowser = async (t: Test, options: VisitorOptions = {}): Promise<Visitor> => {
  const { locale = 'en', width = 360, javaScript: javaScriptEnabled = true } = options
  const browser = await chromium.launch({ executablePath: executablePath as string })
  t.teardown(() => browser.close())
  const context = await browser.newContext({ locale, javaScriptEnabled, viewport: { width, height: 740 } })
  const page = await context.newPage()
  const complaints: string[] = []
  const requests: string[] = []
  page.on('console', (message) => {
    // The browser logs 4xx responses too; tests expect some.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => requests.push(request.url()))
  return { page, complaints, requests }
}

/** The page passes the automatic checks of WCAG 2.2 AA in both colour schemes, and does not scroll horizontally. */
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
  t.equal(sideways, false, `${what}: does not scroll horizontally`)
}
