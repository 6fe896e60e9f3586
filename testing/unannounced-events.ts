import type { Expression, Node } from 'typescript/unstable/ast'
import * as is from 'typescript/unstable/ast/is'
import { type Symbol as Declared, SymbolFlags } from 'typescript/unstable/sync'
import { type TypedProject, walk } from './type-checker.ts'

const writers = /^appendEvents?$/
/** Moves rows that are committed to the queues of their subscribers: the relay itself calls it. */
const relayOwn = /\/src\/platform\/events\/outbox-repository\.ts$/

interface MethodCall {
  readonly receiver: Expression
  readonly method: string
  readonly args: readonly Expression[]
}

const methodCall = (node: Node): MethodCall | undefined =>
  is.isCallExpression(node) && is.isPropertyAccessExpression(node.expression)
    ? { receiver: node.expression.expression, method: node.expression.name.text, args: node.arguments }
    : undefined

/** Whether this node inserts into a table called outbox, in SQL or with drizzle's builder. */
const insertsEvents = (node: Node): boolean => {
  const call = methodCall(node)
  if (call) return call.method === 'insert' && call.args[0]?.getText() === 'outbox'
  if (!is.isTemplateExpression(node)) return false
  const texts = [node.head, ...node.templateSpans.map(({ literal }) => literal)]
  return node.templateSpans.some(
    ({ expression }, n) => expression.getText() === 'outbox' && /\binsert\s+into\s*$/i.test(texts[n]?.text ?? ''),
  )
}

/** Where a name is defined, as far as it says what its value is. */
const definitionOf = (declaration: Node | undefined): Node | undefined => {
  if (!declaration) return undefined
  if (is.isVariableDeclaration(declaration) || is.isPropertyAssignment(declaration)) return declaration.initializer
  return is.isFunctionDeclaration(declaration) ? declaration.body : undefined
}

/**
 * Statements that append outbox rows and do not run with `db.write`, which wakes the relay: each with its place. Follows the names
 * in a statement to where they are defined.
 */
export const findUnannouncedEvents = ({ project: { checker }, files, placeOf }: TypedProject): string[] => {
  const known = new Map<number, boolean>()

  const appendsBy = (symbol: Declared): boolean => {
    const target = symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    if (writers.test(target.name)) return true
    const before = known.get(target.id)
    if (before !== undefined) return before
    known.set(target.id, false) // Until it is known: functions can call each other in a circle.
    const handle = target.declarations[0]
    const value = handle && !handle.path.includes('/node_modules/') ? definitionOf(handle.resolve()) : undefined
    const appends = value !== undefined && appendsIn(value)
    known.set(target.id, appends)
    return appends
  }

  const appendsIn = (node: Node): boolean => {
    const names: Node[] = []
    let inserts = false
    walk(node, (inner) => {
      if (methodCall(inner)?.method === 'write') return false
      if (is.isIdentifier(inner)) names.push(inner)
      inserts ||= insertsEvents(inner)
      return true
    })
    return inserts || checker.getSymbolAtLocation(names).some((symbol) => symbol !== undefined && appendsBy(symbol))
  }

  const isDatabase = (receiver: Expression): boolean => {
    const type = checker.getTypeAtLocation(receiver)
    return type !== undefined && checker.typeToString(type) === 'Database'
  }

  const found: string[] = []
  for (const file of files.filter(({ fileName }) => !relayOwn.test(fileName)))
    walk(file, (node) => {
      const call = methodCall(node)
      if (call && /^(run|prepare|use)$/.test(call.method) && isDatabase(call.receiver) && call.args.some(appendsIn))
        found.push(`${placeOf(node)} ${call.receiver.getText()}.${call.method}()`)
      return true
    })
  return found
}
