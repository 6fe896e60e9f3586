/** Runs before `npm run build`: copies the files for browsers to dist/, next to the code that serves them. */
import { copyFileSync, globSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
for (const file of globSync('**/assets/*', { cwd: join(root, 'src') })) {
  const target = join(root, 'dist', file)
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(join(root, 'src', file), target)
}
