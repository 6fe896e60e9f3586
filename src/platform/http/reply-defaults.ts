import fp from 'fastify-plugin'
import { withVary } from './problem.ts'

/** Headers of every response: caching, language and, while the server stops, the end of the connection. */
export const replyDefaults = fp<{ readonly stopping: () => boolean }>(
  async (app, { stopping }) => {
    app.addHook('onSend', (_request, reply, _payload, done) => {
      // Responses are personal (tokens among them: RFC 6749, 5.1), or short-lived: a cacheable route overrides this.
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
      if (reply.hasHeader('content-language')) reply.header('vary', withVary(reply.getHeader('vary'), 'Accept-Language'))
      // A stopping server says so in each response: the client opens its next connection elsewhere.
      if (stopping()) reply.header('connection', 'close')
      done()
    })
  },
  { name: 'reply-defaults' },
)
