import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { needsRoot, survivesIn } from '../../../testing/data-folder.ts'

t.setTimeout(600_000)
for (const mode of amounts.folderModes)
  t.test(
    `root, a folder of mode ${mode.toString(8)}: a second start finds the data of the first`,
    { skip: needsRoot },
    async (t) => {
      await survivesIn(t, mode, 0)
    },
  )
