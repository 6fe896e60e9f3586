import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { ordinary, root, survivesIn } from '../../../testing/data-folder.ts'

const account = root ? ordinary : undefined

t.setTimeout(600_000)
for (const mode of amounts.folderModes)
  t.test(`an ordinary account, a folder of mode ${mode.toString(8)}: a second start finds the data of the first`, (t) =>
    survivesIn(t, mode, account),
  )
