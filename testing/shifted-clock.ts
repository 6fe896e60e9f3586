/**
 * For `node --import`: the clock of this process is CLOCK_AHEAD_MS milliseconds ahead, like the clock of another machine.
 * performance.now() and timers are not affected.
 */
const aheadMs = Number(process.env.CLOCK_AHEAD_MS)
const RealDate = Date

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [RealDate.now() + aheadMs] : args, self),
  apply: () => new RealDate(RealDate.now() + aheadMs).toString(),
  get: (target, name) => (name === 'now' ? () => RealDate.now() + aheadMs : Reflect.get(target, name)),
})
