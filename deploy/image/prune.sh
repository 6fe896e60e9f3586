#!/bin/sh
# Takes out of a node_modules what Node.js never loads: prune.sh FOLDER
set -eu
cd "$1"

# Types and sources of TypeScript and Flow, source maps, and documents. Licences stay.
find . -type f ! -iname '*licen[cs]e*' ! -iname '*notice*' \
  \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.flow' -o -name '*.map' -o -name '*.tsbuildinfo' -o -iname '*.md' \) -delete

find . -type d -name @types -prune -exec rm -rf {} +

# At the top of a package alone: further down such a name can be code.
find . -type d -regextype posix-extended \
  -regex '(.*/node_modules|\.)/(@[^/]+/)?[^@/][^/]*/(tests?|__tests__|benchmarks?|examples?|docs|coverage|\.github)' \
  -prune -exec rm -rf {} +

# The same code for browsers and for another C library.
rm -rf luxon/build/amd luxon/build/cjs-browser luxon/build/es6 luxon/build/global luxon/src
find . -name '*.musl.node' -delete
