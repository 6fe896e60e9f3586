/** Cluster-specific commands from the environment, run by `sh`. */
export const hooks = {
  /** Takes the path of an image archive and loads it into every node: `kind load image-archive`. */
  loadImage: process.env.E2E_LOAD_IMAGE,
  /** Takes a node's name and cuts its power: `docker kill`. */
  stopNode: process.env.E2E_NODE_STOP,
  /** Takes a node's name and boots it: `docker start`. */
  startNode: process.env.E2E_NODE_START,
}

export const image = { repository: 'orderhub', tag: 'e2e' }
/** Requests per second; each costs several times as much with separate services. */
const rate = Number(process.env.E2E_RATE ?? 200)
export const rates = { monolith: rate, split: Number(process.env.E2E_SPLIT_RATE ?? rate) }

export const storesNamespace = 'orderhub-e2e-stores'
export const appNamespace = 'orderhub-e2e'
export const monolithNamespace = 'orderhub-e2e-monolith'
export const admin = { email: 'admin@orderhub.example', password: 'a quiet harbour 7' }
export const chart = new URL('../../charts/orderhub', import.meta.url).pathname
