export interface Scenario {
  readonly name: string
  /** What it proves. */
  readonly title: string
  readonly run: (say: (line: string) => void) => Promise<void>
}
