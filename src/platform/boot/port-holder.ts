import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { promisify } from 'node:util'

export interface PortHolder {
  readonly name: string
  readonly pid: number
}

/** The commands may hang; without the name, the message is still useful. */
const commandTimeoutMs = 2000

const outputOf = (command: string, ...args: readonly string[]): Promise<string> =>
  promisify(execFile)(command, [...args], { timeout: commandTimeoutMs, windowsHide: true }).then(
    ({ stdout }) => stdout,
    () => '',
  )

const listening = '0A'

/** The inodes of sockets that listen on the port, from /proc/net/tcp or tcp6 (proc_net_tcp.txt of the kernel). */
export const listeningInodes = (table: string, port: number): string[] =>
  table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === listening && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
    .flatMap((fields) => fields[9] ?? [])

const findInProc = async (port: number): Promise<PortHolder | undefined> => {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  const sockets = new Set(tables.flatMap((table) => listeningInodes(table, port)).map((inode) => `socket:[${inode}]`))
  if (sockets.size === 0) return undefined
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // A process of another account hides its open files.
    const open = await readdir(`/proc/${pid}/fd`).catch(() => [])
    const targets = await Promise.all(open.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
    if (!targets.some((target) => sockets.has(target))) continue
    const program = await readlink(`/proc/${pid}/exe`).catch(() => 'a program')
    return { name: basename(program), pid: Number(pid) }
  }
  return undefined
}

/** Output of `lsof -Fpc`: one line per field, which begins with the field's letter. */
export const readLsof = (text: string): PortHolder | undefined => {
  const pid = /^p(\d+)$/m.exec(text)?.[1]
  const name = /^c(.+)$/m.exec(text)?.[1]
  return pid && name ? { name, pid: Number(pid) } : undefined
}

/** The process that listens on the port, from `netstat -ano`. Its words are localized; the foreign port 0 is not. */
export const readNetstat = (text: string, port: number): number | undefined => {
  const pid = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, foreign]) => local?.endsWith(`:${port}`) && foreign?.endsWith(':0'))
    ?.at(-1)
  return pid && /^\d+$/.test(pid) ? Number(pid) : undefined
}

const findOnWindows = async (port: number): Promise<PortHolder | undefined> => {
  const pid = readNetstat(await outputOf('netstat', '-ano', '-p', 'TCP'), port)
  if (pid === undefined) return undefined
  const task = await outputOf('tasklist', '/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH')
  return { name: /^"([^"]+)"/.exec(task.trim())?.[1] ?? 'a program', pid }
}

/** Which program listens on a TCP port of this machine; undefined if unknown. */
export const findPortHolder = async (
  port: number,
  platform: NodeJS.Platform = process.platform,
): Promise<PortHolder | undefined> => {
  if (platform === 'win32') return findOnWindows(port)
  const found = platform === 'linux' ? await findInProc(port) : undefined
  return found ?? readLsof(await outputOf('lsof', '-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc', '+c0'))
}
