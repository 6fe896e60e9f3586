// The image's HEALTHCHECK: exit status 0 if the container's service is ready. Runs often, so it loads little code.
const { SERVICE = 'all', PORT, TLS_CERT_FILE } = process.env
const names = SERVICE.split(',').map((name) => name.trim())
const isEdge = names.includes('all') || names.includes('gateway')

const defaultPort = async () => {
  const { ports, serviceNames } = await import('./dist/environment.js')
  return ports[isEdge ? 'gateway' : serviceNames.find((name) => names.includes(name))]
}

// Health routes need no client certificate. The server certificate is not verified, because it is this container.
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
