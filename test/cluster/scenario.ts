export interface Scenario {
  readonly name: string
  /** What it shows. */
  readonly title: string
  readonly run: (say: (line: string) => void) => Promise<void>
}
