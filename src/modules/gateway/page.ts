import type { Locale } from '../../platform/errors.ts'
import { escapeHtml } from '../../platform/http/html.ts'

export interface Page {
  readonly locale: Locale
  readonly title: string
  /** HTML of the `main` element, below the title. */
  readonly body: string
  /** A file of assets/. */
  readonly script?: string
}

const siteName = 'OrderHub'

const otherLanguage: Readonly<Record<Locale, { readonly locale: Locale; readonly name: string }>> = {
  en: { locale: 'zh-TW', name: '繁體中文' },
  'zh-TW': { locale: 'en', name: 'English' },
}

/**
 * A whole HTML document. Its addresses are relative, because a proxy may serve the gateway below a path prefix. The content
 * security policy of pages allows no inline script or style.
 */
export const renderPage = ({ locale, title, body, script }: Page): string => {
  const other = otherLanguage[locale]
  return `<!doctype html>
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
<footer><a href="?lang=${other.locale}" hreflang="${other.locale}" lang="${other.locale}" data-language>${other.name}</a></footer>
</body>
</html>
`
}
