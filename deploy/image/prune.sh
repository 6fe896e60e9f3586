#!/bin/sh
# prune.sh FOLDER: removes files that Node.js never loads from a node_modules folder.
set -eu
cd "$1"

# Types and sources of TypeScript and Flow, source maps, and documentation. Licences stay.
find . -type f ! -iname '*licen[cs]e*' ! -iname '*notice*' \
  \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.flow' -o -name '*.map' -o -name '*.tsbuildinfo' -o -iname '*.md' \) -delete

find . -type d -name @types -prune -exec rm -rf {} +

# Only at the top level of a package: deeper, folders with these names can be code.
find . -type d -regextype posix-extended \
  -regex '(.*/node_modules|\.)/(@[^/]+/)?[^@/][^/]*/(tests?|__tests__|benchmarks?|examples?|docs|coverage|\.github)' \
  -prune -exec rm -rf {} +

# Builds for browsers and for another C library.
rm -rf luxon/build/amd luxon/build/cjs-browser luxon/build/es6 luxon/build/global luxon/src
find . -name '*.musl.node' -delete
