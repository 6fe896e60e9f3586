import type { Test } from 'tap'
import { bodySuite } from './bodies.ts'
import { homeSuite } from './home.ts'
import { inventorySuite } from './inventory.ts'
import { lifeCycleSuite } from './life-cycle.ts'
import { messageSuite } from './messages.ts'
import { normalFormSuite } from './normal-forms.ts'
import { notificationSuite } from './notifications.ts'
import { orderSuite } from './orders.ts'
import { parameterSuite } from './parameters.ts'
import { platformSuite } from './platform.ts'
import { productSuite } from './products.ts'
import { sampleSuite } from './sample.ts'
import { clientOf, type Target } from './target.ts'
import { textSuite } from './text.ts'
import { userSuite } from './users.ts'
import { validationSuite } from './validation.ts'

/** The public API of OrderHub, the same in every topology. Needs unchanged sample data. */
export const contractSuite = async (t: Test, target: Target): Promise<void> => {
  const client = clientOf(target)
  const suites = {
    sample: sampleSuite,
    platform: platformSuite,
    home: homeSuite,
    text: textSuite,
    validation: validationSuite,
    bodies: bodySuite,
    parameters: parameterSuite,
    'normal forms': normalFormSuite,
    users: userSuite,
    products: productSuite,
    inventory: inventorySuite,
    orders: orderSuite,
    'life cycle': lifeCycleSuite,
    messages: messageSuite,
    notifications: notificationSuite,
  }
  for (const [name, suite] of Object.entries(suites)) await t.test(name, (t) => suite(t, client))
}
