/** Before `npm run build`: what browsers load goes to dist/ beside the code that serves it. */
import { copyFileSync, globSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
for (const file of globSync('**/assets/*', { cwd: join(root, 'src') })) {
  const target = join(root, 'dist', file)
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(join(root, 'src', file), target)
}
