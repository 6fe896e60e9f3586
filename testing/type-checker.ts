import { relative } from 'node:path'
import type { Node, SourceFile } from 'typescript/unstable/ast'
import { API, type Project } from 'typescript/unstable/sync'

export interface TypedProject {
  readonly project: Project
  /** Its own files, without those of packages. */
  readonly files: readonly SourceFile[]
  /** As in `src/app/app.ts:12`. */
  placeOf(node: Node): string
  close(): void
}

/** Opens the project of a folder's tsconfig.json with the type checker of tsc. */
export const openProject = (folder: string): TypedProject => {
  const api = new API({ cwd: folder })
  const [project] = api.updateSnapshot({ openProjects: [`${folder}/tsconfig.json`] }).getProjects()
  if (!project) throw new Error(`no project in ${folder}`)
  return {
    project,
    files: project.program
      .getSourceFileNames()
      .filter((name) => name.startsWith(folder) && !name.includes('/node_modules/'))
      .flatMap((name) => project.program.getSourceFile(name) ?? []),
    placeOf: (node) => {
      const { fileName, text } = node.getSourceFile()
      return `${relative(folder, fileName)}:${text.slice(0, node.getStart()).split('\n').length}`
    },
    close: () => api.close(),
  }
}

/** The node and all nodes in it that `enter` does not leave out. */
export const walk = (node: Node, enter: (node: Node) => boolean | undefined): void => {
  if (enter(node) === false) return
  node.forEachChild((child) => walk(child, enter))
}
