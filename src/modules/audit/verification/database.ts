import type { TrailRepository } from './repository.ts'
import type { Trail } from './verify.ts'
import { TamperError } from './verify.ts'

/** The trail in a database, up to its current newest checkpoint. @throws TamperError if leaves and checkpoints differ */
export const databaseTrail = async (repository: TrailRepository): Promise<Trail> => {
  const { leaves, size } = await repository.extent()
  if (leaves > size) throw new TamperError(`the entries from index ${size} on are sealed, but no checkpoint covers them`)
  return {
    size,
    leaves: repository.leaves(size),
    checkpoints: repository.checkpoints(size),
    nodes: repository.nodes,
    counts: repository.counts,
    doubled: repository.doubled,
  }
}
