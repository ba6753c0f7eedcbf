#!/usr/bin/env bash
# build.sh: builds the plugins of the tests into target/test-plugins: one misbehaves, two do what they are told to.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
cd "$root"
# shellcheck source=/dev/null
. "$(tests/setup/wasm-target.sh)"
# As plugins/build.sh has it, so that what both depend on is compiled once.
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="${CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS:-} \
--remap-path-prefix=$root=/mainstay --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo -C link-arg=-zstack-size=131072"
cargo build --profile plugin --target wasm32-wasip2 --package mainstay-misbehaving --package mainstay-asker --package mainstay-prober
for plugin in misbehaving asker prober; do
    install -D -m 644 "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/plugin/$plugin.wasm" "target/test-plugins/$plugin.wasm"
done
