#!/usr/bin/env bash
# freeze.sh: keeps the contract of this version, and golden components that were built from it, in tests/compat/VERSION.
#
# For a new version of the contract, before its release. What is released stays as it is: a test compares wit/ with every
# version that is kept here, and another one runs the components of every version.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
cd "$root"
version=$(sed -n 's/^package mainstay:plugin@\(.*\);/\1/p' wit/world.wit)
to=tests/compat/$version
if [ -n "$(git tag --list "v$version")" ]; then
    echo "freeze: version $version is released, and stays as it is" >&2
    exit 1
fi
# shellcheck source=/dev/null
. "$(tests/setup/wasm-target.sh)"
# As plugins/build.sh has it, so that what both depend on is compiled once.
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="${CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS:-} \
--remap-path-prefix=$root=/mainstay --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
cargo build --profile plugin --target wasm32-wasip2 --package mainstay-golden --examples
mkdir -p "$to"
rm -f "$to"/*
cp wit/*.wit "$to"
for role in check hook; do
    install -m 644 "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/plugin/examples/$role.wasm" "$to/$role.wasm"
done
cargo run --quiet --package mainstay-worker-tests --example encode -- \
    tests/compat/guest/plain.wat "mainstay:plugin/full-plugin@$version" "$to/plain.wasm"
ls -l "$to"
