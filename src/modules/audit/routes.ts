import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { AuditEntry } from '../../platform/audit/schema.ts'
import { pageQuery, pageRequest } from '../../platform/page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../../platform/route.ts'
import { Strict, Timestamp } from '../../platform/schema.ts'
import { auditContract } from './contract.ts'
import type { AuditService } from './service.ts'
import { EntryId, TrailEntry } from './stored-entry.ts'

const text = Type.String({ minLength: 1, maxLength: 200 })
const ListQuery = Strict({
  ...pageQuery,
  actor_type: Type.Optional(text),
  actor_id: Type.Optional(text),
  resource_type: Type.Optional(text),
  resource_id: Type.Optional(text),
  action: Type.Optional(text),
  decision: Type.Optional(AuditEntry.properties.decision),
  trace_id: Type.Optional(text),
  from: Type.Optional(Type.String({ ...Timestamp, description: 'recorded at this time or later' })),
  to: Type.Optional(Type.String({ ...Timestamp, description: 'recorded before this time' })),
})
const Params = Strict({ id: Type.Integer({ ...EntryId, examples: [1] }) })

const Hash = Type.String({ description: 'SHA-256, base64' })
const Note = Type.String({ description: 'C2SP tlog-checkpoint: a signed note with the size and the root hash of the tree' })
const Proof = Type.Object(
  {
    id: EntryId,
    index: Type.Integer({ description: 'leaf index' }),
    tree_size: Type.Integer(),
    leaf_hash: Type.String({
      description:
        'SHA-256 over a zero byte and the RFC 8785 form of the entry as `GET /audit/{id}` shows it, without `index`; base64',
    }),
    hashes: Type.Array(Hash, { description: 'from the leaf up' }),
    checkpoint: Note,
  },
  { title: 'InclusionProof', description: 'RFC 9162, 2.1.3' },
)
const Checkpoint = Type.Object({ size: Type.Integer(), note: Note }, { title: 'Checkpoint' })

const operation = operationsOf(auditContract, 'audit')

export const auditRoutes: FastifyPluginAsyncTypebox<{ service: AuditService }> = async (app, { service }) => {
  app.get(
    '/audit',
    {
      schema: {
        ...operation('listAuditEntries', 'Changes and denials, newest first'),
        querystring: ListQuery,
        response: { 200: Many(TrailEntry) },
      },
    },
    async ({ query }) => pageReply(await service.list(pageRequest(query, Number.MAX_SAFE_INTEGER), query)),
  )

  app.get(
    '/audit/:id',
    { schema: { ...operation('getAuditEntry', 'One entry'), params: Params, response: { 200: One(TrailEntry) } } },
    async ({ params }) => dataReply(await service.get(params.id)),
  )

  app.get(
    '/audit/:id/proof',
    {
      schema: {
        ...operation('proveAuditEntry', 'Proof that the newest checkpoint includes the entry'),
        params: Params,
        response: { 200: One(Proof) },
      },
    },
    async ({ params }) => dataReply(await service.prove(params.id)),
  )

  app.get(
    '/audit/checkpoint',
    {
      schema: {
        ...operation('getAuditCheckpoint', 'The newest signed tree head'),
        response: { 200: One(Checkpoint) },
      },
    },
    async () => dataReply(await service.checkpoint()),
  )

  app.get(
    '/audit/snapshot',
    {
      schema: {
        ...operation('getAuditSnapshot', 'Every sealed entry as JSON Lines: a header, the entries in order, their checkpoint'),
        response: { 200: { description: 'JSON Lines', content: { 'application/jsonl': { schema: Type.String() } } } },
      },
    },
    async (_request, reply) => {
      const lines = await service.snapshot()
      return reply.type('application/jsonl').send(Readable.from(lines) as never)
    },
  )
}
