import './platform/boot/node-version.ts'

const { main } = await import('./commands/audit.ts')
process.exitCode = await main(process.argv.slice(2))
