/** Whether long tests run at full size: `npm run test:full`. */
const full = process.env.TEST_FULL === '1'
const amount = (whole: number, part: number): number => (full ? whole : part)

/** The size of each long test: in full, and in `npm test`, where it is smaller but can still fail. */
export const amounts = {
  /** Entries of a trail, and MiB of heap for its verifier. It needs 30: the whole trail would not fit. */
  untouchedEntries: amount(100_000, 20_000),
  heapForThem: amount(48, 40),
  tamperings: amount(1000, 100),
  changesAmongKills: amount(1000, 200),
  killsAmongChanges: amount(8, 4),
  databaseKills: amount(40, 15),
  chaosSeconds: amount(16, 8),
  redisAwayMs: amount(8000, 4000),
  /** How many of the two processes of each service are restarted under load, and the requests during this time. */
  restartsOfEach: amount(2, 1),
  requestsPerSecond: amount(200, 30),
  buyersAtOnce: amount(1000, 300),
  repeatedKeys: amount(20, 5),
  erasedUsers: amount(1000, 150),
  usersOnRing: amount(2000, 500),
  usersOfFirstRelease: amount(3000, 600),
  /** With fewer, not every route returns a success. */
  fuzzRuns: 150,
  shops: amount(15, 10),
  /** Of the folder of a first start; a private one is the harder case. */
  folderModes: full ? [0o755, 0o700] : [0o700],
  /** Whether the separate services are ready when their parent process is killed, or just started: they must end in both cases. */
  readyBeforeKill: full,
  /** Who calls every route of separate services; undefined: everybody, as in one process, which has the same policy. */
  callersOfSplit: full ? undefined : (['nobody', 'owner', 'admin'] as const),
  /** Of the three callers who name each column in a body, the first is refused for its name alone. */
  callersOfColumns: amount(3, 1),
} as const
