import t from 'tap'
import { networkOf } from '../../../../src/platform/http/client-network.ts'

t.test('a client is identified by its IPv4 address or its IPv6 network', async (t) => {
  t.equal(networkOf('203.0.113.7'), '203.0.113.7')
  t.equal(networkOf('::ffff:203.0.113.7'), '203.0.113.7')
  t.equal(networkOf('2001:db8:0:1:2:3:4:5'), '2001:db8:0:1::/64')
  t.equal(networkOf('2001:DB8::1:ffff:1:2:3'), networkOf('2001:db8:0:1::9'))
  t.not(networkOf('2001:db8:0:2::9'), networkOf('2001:db8:0:1::9'))
  t.equal(networkOf('::1'), '0:0:0:0::/64')
  t.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(networkOf('2001:db8::1'), '2001:db8:0:0::/64')
  t.equal(networkOf('2001:db8:0:0:ffff::1'), '2001:db8:0:0::/64')
})
