#!/usr/bin/env bash
# build.sh [DIRECTORY]: builds the stock plugins into DIRECTORY (target/plugins), with stock.toml beside them.
#
# stock.toml pins each file by its digest and says which permissions follow from a check's settings: the latter is
# written by hand, in each plugin's grants.toml. Equal sources, compiler and standard library give equal files.
set -euo pipefail
# A stock.toml that others may write to is not believed.
umask 022
root=$(realpath "$(dirname "$0")/..")
to=$(realpath -m "${1:-$root/target/plugins}")
target=wasm32-wasip2
profile=plugin

cd "$root"
names=()
packages=()
for grants in plugins/*/grants.toml; do
    name=$(basename "$(dirname "$grants")")
    names+=("$name")
    packages+=(--package "mainstay-plugin-$name")
done

# shellcheck source=/dev/null
. "$(tests/setup/wasm-target.sh)"
# The builder's folders are nobody's business, and would make every builder's files differ.
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="${CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS:-} \
--remap-path-prefix=$root=/mainstay --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
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
