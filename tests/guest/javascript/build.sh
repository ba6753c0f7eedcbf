#!/usr/bin/env bash
# build.sh: builds target/test-plugins/javascript.wasm, a check of 12 MB, with a compiler from the npm registry.
#
# Where there is no npm or no registry it says so, builds nothing and exits 0: the scenario is then skipped, which is
# reported there.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../../..")
component=$root/target/test-plugins/javascript.wasm
work=$root/target/javascript

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    echo 'javascript: node or npm is not installed: the check in JavaScript is not built' >&2
    exit 0
fi
mkdir -p "$work/wit/deps/mainstay" "$(dirname "$component")"
cp "$here"/{package.json,build.mjs,check.js} "$work/"
cp "$here/world.wit" "$work/wit/"
cp "$root"/wit/*.wit "$work/wit/deps/mainstay/"
made_of=$(cd "$work" && find ./*.js* ./*.mjs wit -type f -exec sha256sum {} + | sort | sha256sum)
if [ -f "$component" ] && [ "$(cat "$work/made-of" 2> /dev/null)" = "$made_of" ]; then
    exit 0
fi
cd "$work"
# Not upon what an earlier installation left, which may be in parts. No script of any package is run.
rm -rf node_modules
if ! npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error > /dev/null; then
    echo 'javascript: npm cannot install the compiler: the check in JavaScript is not built' >&2
    exit 0
fi
nice node build.mjs check.js wit "$component" > /dev/null
printf '%s\n' "$made_of" > made-of
