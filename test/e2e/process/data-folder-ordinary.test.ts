import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { isRefused, needsRoot, ordinary, root, survivesIn } from '../../../testing/data-folder.ts'

const account = root ? ordinary : undefined

t.setTimeout(600_000)
for (const mode of amounts.folderModes)
  t.test(`an ordinary account, a folder of mode ${mode.toString(8)}: a second start finds the data of the first`, async (t) => {
    const dataDir = await survivesIn(t, mode, account)

    await t.test('its folder is reported on one line to root', { skip: needsRoot }, (t) =>
      isRefused(t, dataDir, 0, `the account with the id ${ordinary}`),
    )
  })
