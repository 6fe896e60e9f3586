import { defineModule } from '../../platform/module.ts'
import { userContract } from './contract.ts'
import { optionalDependencies } from './dependencies.ts'
import { createPersonalData } from './personal-data.ts'
import { createEncryptionMaintenance } from './privacy/encryption-maintenance.ts'
import { createEncryptionMaintenanceRepository } from './privacy/encryption-maintenance-repository.ts'
import { createExportService } from './privacy/export.ts'
import { createExportRepository } from './privacy/export-repository.ts'
import { exportRoutes } from './privacy/export-routes.ts'
import { createUserRepository } from './repository.ts'
import { userRoutes } from './routes.ts'
import { sampleUsers } from './sample.ts'
import { createUserService } from './service.ts'
import { createAccountRepository } from './sign-in/account-repository.ts'
import { createAccounts } from './sign-in/accounts.ts'
import { createAdminRepository } from './sign-in/admin-repository.ts'
import { createAttemptRepository } from './sign-in/attempt-repository.ts'
import { authRoutes } from './sign-in/auth-routes.ts'
import { createFirstAdmin, createResetAdmin } from './sign-in/first-admin.ts'
import { createMailTokenRepository } from './sign-in/mail-token-repository.ts'
import { createMailbox } from './sign-in/mailbox.ts'
import { createPasswords } from './sign-in/passwords.ts'
import { createSecondFactor } from './sign-in/second-factor.ts'
import { createSecondFactorRepository } from './sign-in/second-factor-repository.ts'
import { createSessionRepository } from './sign-in/session-repository.ts'
import { createSessions } from './sign-in/sessions.ts'
import { createSignInThrottle } from './sign-in/sign-in-throttle.ts'
import { createTokenIssuer } from './sign-in/tokens.ts'
import { outbox } from './tables.ts'

export default defineModule({
  contract: userContract,
  optionalDependencies,
  tables: { outbox },
  config: ['requireAdminMfa', 'registration', 'admin'],
  uses: ['db', 'keys'],
  create: ({ optionalClients, db, config, keys, log, onStop }) => {
    const data = createPersonalData(keys)
    const repository = createUserRepository(db, data)
    const encryptionMaintenance = createEncryptionMaintenance({
      repository: createEncryptionMaintenanceRepository(db, data),
      data,
      keys,
      log,
    })
    onStop('encryption maintenance', encryptionMaintenance.close)
    const exports = createExportService({ repository: createExportRepository(db, data), ...optionalClients })
    const stored = createAccountRepository(db, data)
    const admins = createAdminRepository(db, data)
    const throttle = createSignInThrottle({ repository: createAttemptRepository(db), keyOf: data.lookup, log })
    onStop('sign-in throttle', throttle.close)
    const secondFactor = createSecondFactor({ repository: createSecondFactorRepository(db), data })
    const service = createUserService({
      ...{ repository, admins, secondFactor, throttle },
      requireAdminMfa: config.requireAdminMfa,
    })
    const passwords = createPasswords()
    const proving = { passwords, secondFactor, throttle, tokens: createTokenIssuer(keys) }
    const started = createSessionRepository(db)
    const sessions = createSessions({ repository: started, accounts: stored, ...proving })
    const accounts = createAccounts({
      ...{ repository: stored, sessions: started, users: service, data, registration: config.registration },
      ...proving,
    })
    const mailbox = createMailbox({ repository: createMailTokenRepository(db, data), data, ...proving })
    return {
      api: {
        getUser: ({ id }) => service.get(id),
        getUsers: ({ ids }) => service.getMany(ids),
        getSessions: ({ ids }) => service.sessions(ids),
        issueMailToken: ({ event_id }) => mailbox.issueToken(event_id),
      },
      routes: async (app) => {
        await app.register(userRoutes, { service, accounts })
        await app.register(authRoutes, { sessions, accounts, mailbox })
        await app.register(exportRoutes, { service: exports })
      },
      seed: () => repository.seed(sampleUsers),
      firstSignIn: createFirstAdmin({ repository: admins, passwords, configured: config.admin }),
      resetAdmin: createResetAdmin({ repository: admins, passwords }),
      start: () => {
        encryptionMaintenance.start()
        throttle.start()
      },
    }
  },
})
