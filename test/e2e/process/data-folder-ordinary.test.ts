import t from 'tap'
import { ordinary, root, survivesIn } from '../../../testing/data-folder.ts'

const account = root ? ordinary : undefined

t.setTimeout(600_000)
t.test('an ordinary account, a public folder: a second start finds the data of the first', (t) => survivesIn(t, 0o755, account))
t.test('an ordinary account, a private folder: a second start finds the data of the first', (t) => survivesIn(t, 0o700, account))
