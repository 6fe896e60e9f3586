import type { Expression, Node } from 'typescript/unstable/ast'
import { SyntaxKind } from 'typescript/unstable/ast'
import * as is from 'typescript/unstable/ast/is'
import { type Type, TypeFlags } from 'typescript/unstable/sync'
import { type TypedProject, walk } from './type-checker.ts'

const conditionOf = (node: Node): Expression | undefined => {
  if (is.isIfStatement(node) || is.isWhileStatement(node) || is.isDoStatement(node)) return node.expression
  if (is.isForStatement(node) || is.isConditionalExpression(node)) return node.condition
  if (is.isPrefixUnaryExpression(node)) return node.operator === SyntaxKind.ExclamationToken ? node.operand : undefined
  if (!is.isBinaryExpression(node)) return undefined
  const { kind } = node.operatorToken
  return kind === SyntaxKind.AmpersandAmpersandToken || kind === SyntaxKind.BarBarToken ? node.left : undefined
}

const isObject = (type: Type): boolean =>
  type.isUnionType() ? type.getTypes().every(isObject) : (type.flags & TypeFlags.Object) !== 0

/** Conditions whose value is always an object, such as an outcome or a promise: each with its place and its type. */
export const findAlwaysTrue = ({ project: { checker }, files, placeOf }: TypedProject): string[] =>
  files.flatMap((file) => {
    const conditions: Expression[] = []
    walk(file, (node) => {
      const condition = conditionOf(node)
      if (condition) conditions.push(condition)
      return true
    })
    const types = checker.getTypeAtLocation(conditions)
    return conditions.flatMap((condition, n) => {
      const type = types[n]
      return type && isObject(type) ? `${placeOf(condition)} ${condition.getText()} is ${checker.typeToString(type)}` : []
    })
  })
