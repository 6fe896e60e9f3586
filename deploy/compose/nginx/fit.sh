#!/bin/sh
# Writes the settings that depend on the gateway's configuration and on the version of nginx.
set -eu
# Longer than the gateway's timeout, so that the client gets the gateway's response.
echo "proxy_read_timeout $((REQUEST_TIMEOUT_MS / 1000 + 5))s;" > /tmp/timeouts.conf

# `http2 on` exists since 1.25.1, which deprecates the parameter of `listen`.
echo 'events {} http { server { http2 on; } }' > /tmp/probe.conf
if nginx -t -q -c /tmp/probe.conf 2>/dev/null; then
  echo 'listen 8443 ssl; http2 on;' > /tmp/listen.conf
else
  echo 'listen 8443 ssl http2;' > /tmp/listen.conf
fi
