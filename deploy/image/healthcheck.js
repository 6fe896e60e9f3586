// Exit status 0 when this container's service is ready: the image's HEALTHCHECK. Runs often, so it loads little.
const { SERVICE = 'all', PORT, TLS_CERT_FILE } = process.env
const names = SERVICE.split(',').map((name) => name.trim())
const isEdge = names.includes('all') || names.includes('gateway')

const defaultPort = async () => {
  const { ports, serviceNames } = await import('./dist/environment.js')
  return ports[isEdge ? 'gateway' : serviceNames.find((name) => names.includes(name))]
}

// Health is there for those without a certificate, and it is this container itself that answers.
const { request } = await import(TLS_CERT_FILE && !isEdge ? 'node:https' : 'node:http')
const options = {
  host: '127.0.0.1',
  port: PORT || (await defaultPort()),
  path: '/health/ready',
  timeout: 4000,
  rejectUnauthorized: false,
}
request(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))
  .on('timeout', () => process.exit(1))
  .on('error', () => process.exit(1))
  .end()
