#!/bin/sh
# Creates a certificate for this machine if there is none.
set -eu
cd /certificate
if [ -e tls.crt ] && [ -e tls.key ]; then exit 0; fi
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 825 -subj /CN=OrderHub \
  -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1' -addext 'basicConstraints=critical,CA:FALSE' \
  -addext 'extendedKeyUsage=serverAuth' -keyout tls.key -out tls.crt
chmod 640 tls.key
