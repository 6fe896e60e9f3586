/**
 * For `node --import`: this process' clock is CLOCK_AHEAD_MS milliseconds ahead of the machine's, as another machine's may be.
 * What is measured by performance.now() and timers goes on as it is.
 */
const aheadMs = Number(process.env.CLOCK_AHEAD_MS)
const RealDate = Date

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [RealDate.now() + aheadMs] : args, self),
  apply: () => new RealDate(RealDate.now() + aheadMs).toString(),
  get: (target, name) => (name === 'now' ? () => RealDate.now() + aheadMs : Reflect.get(target, name)),
})
