import './platform/boot/node-version.ts'

const { main } = await import('./commands/keys.ts')
process.exitCode = await main(process.argv.slice(2), process.env)
