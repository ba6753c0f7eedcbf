#!/usr/bin/env bash
# build.sh: builds the plugins of the tests into target/test-plugins: one misbehaves, two do what they are told to.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
cd "$root"
# shellcheck source=/dev/null
. "$(tests/setup/wasm-target.sh)"
# shellcheck source=plugins/flags.sh
. plugins/flags.sh
cargo build --profile plugin --target wasm32-wasip2 --package mainstay-misbehaving --package mainstay-asker --package mainstay-prober
for plugin in misbehaving asker prober; do
    install -D -m 644 "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/plugin/$plugin.wasm" "target/test-plugins/$plugin.wasm"
done
