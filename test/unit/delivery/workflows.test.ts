import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
}
interface Job {
  readonly uses?: string
  readonly permissions?: Readonly<Record<string, string>>
  readonly environment?: string | { readonly name: string }
  readonly steps?: readonly Step[]
  readonly 'timeout-minutes'?: number
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions?: unknown
  readonly concurrency?: { readonly group: string; readonly 'cancel-in-progress': unknown; readonly queue?: string }
  readonly jobs: Readonly<Record<string, Job>>
}

const folder = '.github/workflows'
const texts = new Map(readdirSync(folder).map((name) => [name, readFileSync(`${folder}/${name}`, 'utf8')]))
const workflow = (name: string): Workflow => parse(texts.get(name) ?? '')
const workflows = [...texts.keys()].map((name) => [name, workflow(name)] as const)
const jobs = workflows.flatMap(([file, { jobs }]) => Object.entries(jobs).map(([id, job]) => [`${file} ${id}`, job] as const))
const steps = jobs.flatMap(([id, { steps = [] }]) => steps.map((step) => [`${id}: ${step.name}`, step] as const))

t.test('the list of workflows', async (t) => {
  t.same([...texts.keys()].sort(), ['ci.yml', 'deploy.yml', 'publish.yml', 'release.yml', 'security.yml'])
})

t.test('every action is pinned to the full SHA of a version, with the version in a comment', async (t) => {
  const versions = new Map<string, string>()
  for (const [file, text] of texts) {
    for (const [line, used] of text.matchAll(/^.*\buses: *(.*)$/gm)) {
      if (used?.startsWith('./')) continue
      t.match(used, /^[\w-]+\/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, `${file}: ${line.trim()}`)
      const [action = '', pin = ''] = used?.split('@') ?? []
      t.equal(versions.get(action) ?? pin, pin, `${action} has one version`)
      versions.set(action, pin)
    }
  }
})

t.test('workflows have no permissions by default, and each job declares its own', async (t) => {
  for (const [file, { permissions }] of workflows) t.same(permissions, {}, file)
  for (const [id, { permissions }] of jobs) t.type(permissions, 'object', id)
})

t.test('only jobs that sign have an OIDC identity, and they do not run the code that they sign', async (t) => {
  const signers = jobs.filter(([, job]) => job.permissions?.['id-token'])
  t.same(signers.map(([id]) => id).sort(), ['publish.yml chart', 'publish.yml image', 'release.yml publish'])
  const builder = workflow('publish.yml').jobs.build
  t.same(builder?.permissions, { contents: 'read' })
  for (const [id, { steps = [] }] of signers) {
    for (const { run = '' } of steps) t.notMatch(run, /\b(npm|npx|docker (run|build|buildx))\b|build\.sh|scan\.sh/, id)
  }
})

t.test('a checkout does not persist credentials', async (t) => {
  for (const [id, step] of steps) {
    if (step.uses?.startsWith('actions/checkout@')) t.equal(step.with?.['persist-credentials'], false, id)
  }
})

t.test('every job has a time limit', async (t) => {
  for (const [id, job] of jobs) if (!job.uses) t.ok(Number(job['timeout-minutes']) <= 90, id)
})

t.test('a release or a deployment is never cancelled', async (t) => {
  for (const [file, { on, concurrency }] of workflows) {
    if ('workflow_call' in on) continue // it runs as part of its caller
    t.type(concurrency?.group, 'string', file)
    if (!('pull_request' in on)) t.equal(concurrency?.['cancel-in-progress'], false, file)
  }
  t.equal(workflow('deploy.yml').concurrency?.queue, 'max', 'not even while it is queued')
})

t.test('no command contains an expression: external text is passed through the environment', async (t) => {
  for (const [id, { run = '' }] of steps) t.notOk(run.includes('${{'), id)
})

t.test('no workflow runs the code of a pull request with the permissions of the repository', async (t) => {
  for (const [file, { on }] of workflows) {
    for (const event of ['pull_request_target', 'workflow_run', 'issue_comment']) t.notOk(event in on, `${file} ${event}`)
  }
})

t.test('production waits for the approval of its environment, after staging', async (t) => {
  const { production } = workflow('deploy.yml').jobs
  t.match(production, { environment: { name: 'production' }, needs: ['resolve', 'staging-check'] })
  const waiting = jobs.filter(([, { environment }]) => typeof environment === 'object' && environment.name === 'production')
  t.same(
    waiting.map(([id]) => id),
    ['deploy.yml production'],
    'only one approval is needed',
  )
})
