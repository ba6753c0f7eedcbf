#!/usr/bin/env bash
# build.sh: builds the plugin that misbehaves into target/test-plugins.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
cd "$root"
# shellcheck source=/dev/null
. "$(tests/setup/wasm-target.sh)"
cargo build --profile plugin --target wasm32-wasip2 --package mainstay-misbehaving
install -D -m 644 "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/plugin/misbehaving.wasm" target/test-plugins/misbehaving.wasm
