import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command, shell } from './commands.ts'
import { hooks, image } from './settings.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const ours = `${image.repository}:${image.tag}`

export const build = (): Promise<string> => command('docker', ['build', '--tag', ours, root], { timeout: 1_800_000 })

/** Loads the images into the cluster; without E2E_LOAD_IMAGE the cluster must have them or pull them. */
export const loadImages = async (say: (line: string) => void): Promise<void> => {
  if (!hooks.loadImage) return say('E2E_LOAD_IMAGE is not set: the cluster must have the images')
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-images-'))
  try {
    for (const name of [ours, 'postgres:17', 'redis:7', 'maildev/maildev:2.2.1']) {
      const archive = join(folder, 'image.tar')
      await command('docker', ['save', '--output', archive, name])
      await shell(hooks.loadImage, archive)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
