#!/bin/sh
# Writes what depends on the gateway's configuration and on nginx's version.
set -eu
# The gateway gives up first, so that its own answer arrives.
echo "proxy_read_timeout $((REQUEST_TIMEOUT_MS / 1000 + 5))s;" > /tmp/timeouts.conf

# `http2 on` since 1.25.1, where the parameter of `listen` is deprecated.
echo 'events {} http { server { http2 on; } }' > /tmp/probe.conf
if nginx -t -q -c /tmp/probe.conf 2>/dev/null; then
  echo 'listen 8443 ssl; http2 on;' > /tmp/listen.conf
else
  echo 'listen 8443 ssl http2;' > /tmp/listen.conf
fi
