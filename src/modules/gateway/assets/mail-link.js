// The pages /activate and /reset-password. The token is in the fragment, which a browser never sends to a server.

const form = document.querySelector('form')
const tokenField = form.querySelector('[data-token]')
const { token, password } = form.elements
const show = form.querySelector('#show')
const button = form.querySelector('button')
const problem = form.querySelector('#problem')
const done = document.querySelector('[data-done]')

/** Without a token in the address, show a field to type it in. */
const readToken = () => {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  token.value = given ?? ''
  tokenField.hidden = given !== null
  done.hidden = true
  form.hidden = false
  // The other language's page keeps the same token.
  for (const link of document.querySelectorAll('[data-language]')) link.hash = location.hash
}

const showProblem = (text, field) => {
  problem.textContent = text
  for (const each of [token, password]) each.setAttribute('aria-invalid', String(each === field))
  field?.focus()
}

/** The error texts of the API: per field if there are any, otherwise the detail. */
const wordsOf = (body) => {
  if (body.code === 'auth.invalid_mail_token') return form.dataset.useless
  const messages = (body.errors ?? []).map(({ message }) => message)
  return messages.length > 0 ? messages.join('\n') : body.detail
}

const send = async () => {
  const answer = await fetch(form.dataset.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'accept-language': document.documentElement.lang },
    body: JSON.stringify({ token: token.value.trim(), password: password.value }),
    credentials: 'omit',
    cache: 'no-store',
  })
  const body = await answer.json()
  if (answer.ok) return undefined
  const ofPassword = body.code === 'auth.invalid_credentials' || JSON.stringify([body.errors, body.field]).includes('/password')
  const field = ofPassword ? password : tokenField.hidden ? undefined : token
  return { text: wordsOf(body), field }
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  button.disabled = true
  showProblem('')
  const failure = await send().catch(() => ({ text: form.dataset.offline }))
  button.disabled = false
  if (failure) return showProblem(failure.text, failure.field ?? button)
  // Remove a used token from the browser's history.
  history.replaceState(null, '', location.pathname + location.search)
  form.reset()
  form.hidden = true
  for (const link of document.querySelectorAll('[data-language]')) link.hash = ''
  done.hidden = false
  done.focus()
})
show.addEventListener('change', () => {
  password.type = show.checked ? 'text' : 'password'
})
addEventListener('hashchange', readToken)
readToken()
