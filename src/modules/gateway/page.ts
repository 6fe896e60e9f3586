import { escapeHtml } from '../../platform/http/html.ts'
import { type Locale, languageNames, locales } from '../../platform/locales.ts'

export interface Page {
  readonly locale: Locale
  readonly title: string
  /** HTML of the `main` element, below the title. */
  readonly body: string
  /** A file of assets/. */
  readonly script?: string
}

const siteName = 'OrderHub'

/** Links to the page in the other languages. */
const otherLanguages = (own: Locale): string =>
  locales
    .filter((locale) => locale !== own)
    .map((locale) => `<a href="?lang=${locale}" hreflang="${locale}" lang="${locale}" data-language>${languageNames[locale]}</a>`)
    .join(' ')

/**
 * A whole HTML document. Its addresses are relative, because a proxy may serve the gateway below a path prefix. The content
 * security policy of pages allows no inline script or style.
 */
export const renderPage = ({ locale, title, body, script }: Page): string => `<!doctype html>
<html lang="${locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title === siteName ? title : `${title} – ${siteName}`)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/style.css">
${script === undefined ? '' : `<script type="module" src="assets/${script}"></script>`}
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
<footer>${otherLanguages(locale)}</footer>
</body>
</html>
`
