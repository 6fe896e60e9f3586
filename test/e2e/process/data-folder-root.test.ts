import t from 'tap'
import { needsRoot, survivesIn } from '../../../testing/data-folder.ts'

t.setTimeout(600_000)
t.test('root, a public folder: a second start finds the data of the first', { skip: needsRoot }, (t) => survivesIn(t, 0o755, 0))
t.test('root, a private folder: a second start finds the data of the first', { skip: needsRoot }, (t) => survivesIn(t, 0o700, 0))
