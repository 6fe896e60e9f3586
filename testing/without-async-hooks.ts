/**
 * Imported before tap: leaves its async hooks out, which follow every promise to find the subtest of an error that nobody
 * catches, and take a sixth of the CPU of a test process. Without them, such an error ends the process and the file fails.
 */
import asyncHooks from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'

const { createHook } = asyncHooks
const disabled: asyncHooks.AsyncHook = { enable: () => disabled, disable: () => disabled }
asyncHooks.createHook = (callbacks) => (new Error().stack?.includes('/async-hook-domain/') ? disabled : createHook(callbacks))
syncBuiltinESMExports()
