#!/usr/bin/env bash
# build.sh [DIRECTORY]: builds the stock plugins into DIRECTORY (target/plugins), with stock.toml beside them.
# build.sh --needs: only says what is missing to build anything, and exits 69 if so.
#
# stock.toml pins each file by its digest and says which permissions follow from a check's settings: the latter is
# written by hand, in each plugin's grants.toml. Equal sources, compiler and standard library give equal files.
set -euo pipefail
# A stock.toml that others may write to is not believed.
umask 022
root=$(realpath "$(dirname "$0")/..")
target=wasm32-wasip2
profile=plugin

cd "$root"
if [ "${1:-}" = --needs ]; then
    missing() { echo "build: $1 is missing: $2" >&2; exit 69; }
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    rust="Rust $oldest or newer"
    command -v cargo > /dev/null || missing "$rust" 'install it with rustup, see https://rustup.rs'
    here=$(rustc --version | cut -d ' ' -f 2)
    printf '%s\n' "$oldest" "$here" | sort --check=quiet --version-sort \
        || missing "$rust" "this is $here; install it with rustup, see https://rustup.rs"
    command -v cc > /dev/null || missing 'a C compiler' 'on Debian, sudo apt-get install gcc libc6-dev'
    tests/setup/wasm-target.sh > /dev/null || missing "the target $target" "rustup target add $target"
    exit 0
fi
to=$(realpath -m "${1:-$root/target/plugins}")
names=()
packages=()
for grants in plugins/*/grants.toml; do
    name=$(basename "$(dirname "$grants")")
    names+=("$name")
    packages+=(--package "mainstay-plugin-$name")
done

# shellcheck source=/dev/null
. "$(tests/setup/wasm-target.sh)"
# shellcheck source=plugins/flags.sh
. plugins/flags.sh
cargo build --profile "$profile" --target "$target" "${packages[@]}"

mkdir -p "$to"
stock=$to/stock.toml.new
echo "# The stock plugins beside this file; written by the build." > "$stock"
for name in "${names[@]}"; do
    built=${CARGO_TARGET_DIR:-$root/target}/$target/$profile/$name.wasm
    install -m 644 "$built" "$to/$name.wasm.new"
    mv "$to/$name.wasm.new" "$to/$name.wasm"
    digest=$(sha256sum "$to/$name.wasm" | cut -d ' ' -f 1)
    printf '\n[[plugin]]\nname = "%s"\nfile = "%s.wasm"\nsha256 = "%s"\n[plugin.grants]\n' "$name" "$name" "$digest" >> "$stock"
    grep -v '^#' "plugins/$name/grants.toml" >> "$stock" || true
done
mv "$stock" "$to/stock.toml"
echo "plugins: ${names[*]} in $to"
