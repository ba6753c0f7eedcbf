#!/usr/bin/env bash
# wasm-target.sh: makes `cargo build --target wasm32-wasip2` work with the installed rustc, and prints the name of a
# file to source before it:
#
#     . "$(tests/setup/wasm-target.sh)" && cargo build --target wasm32-wasip2
#
# The target may be there already; else rustup adds it; else the standard library is built from Debian's source of
# exactly this rustc, with Debian's wasi-libc, into target/wasm-sysroot. Nothing is installed for that: about 50 MB are
# downloaded, and it takes about a minute. WASM_SYSROOT=DIRECTORY puts it elsewhere; WASM_TARGET_FROM=rustup or =source
# allows only that way. Exits 69 where none works.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
target=wasm32-wasip2
prefix=$(realpath -m "${WASM_SYSROOT:-$root/target/wasm-sysroot}")
version=$(rustc --version | cut -d ' ' -f 2)
sysroot=$prefix/$version
from=${WASM_TARGET_FROM:-any}

say() { echo "wasm-target: $*" >&2; }
give_up() { say "$*"; exit 69; }
has_std() { compgen -G "$1/lib/rustlib/$target/lib/libstd-*.rlib" > /dev/null; }

# Prints the file to source, which sets the one variable that a guest's build needs, if any.
finish() {
    mkdir -p "$prefix"
    local file
    file=$(mktemp "$prefix/env.XXXXXX")
    [ $# -eq 0 ] || echo "export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS='--sysroot=$1'" > "$file"
    mv "$file" "$prefix/env"
    echo "$prefix/env"
    exit 0
}

# Somebody has arranged for it: their variable stays as it is.
arranged=${CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS:-}
case $arranged in
    *--sysroot=*)
        arranged=${arranged##*--sysroot=}
        arranged=${arranged%% *}
        has_std "$arranged" && finish
        ;;
esac
if [ "$from" = any ]; then
    has_std "$(rustc --print sysroot)" && finish
fi
has_std "$sysroot" && finish "$sysroot"
if [ "$from" != source ] && command -v rustup > /dev/null; then
    say "rustup target add $target"
    timeout 300 rustup target add "$target" >&2 && finish
fi
[ "$from" != rustup ] || give_up "rustup could not add $target"
command -v apt-get > /dev/null || give_up "install the target with \`rustup target add $target\`"

# An apt state of our own: the machine's mirror and keyring, newer suites.
say "building the standard library of Rust $version for $target from Debian's source, into $sysroot"
work=$(mktemp -d "${TMPDIR:-/tmp}/wasm-target.XXXXXX")
trap 'rm -rf "$work"' EXIT
# _apt fetches as long as it may write here.
chmod 755 "$work"
mkdir -p "$work"/{lists,archives}/partial "$work/packages"
# shellcheck disable=SC2016 # apt's own variable
mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | awk '!/security/ && !found++'; }
if [ -z "$(mirror)" ] && [ "$(id -u)" = 0 ]; then
    apt-get -qq update >&2
fi
mirror=$(mirror)
[ -n "$mirror" ] || give_up "apt knows no Debian mirror; install the target with \`rustup target add $target\`"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
for suite in trixie-backports bookworm-backports sid; do
    echo "deb [signed-by=$keyring] $mirror $suite main"
done > "$work/sources.list"
private_apt() {
    "apt-$1" -q -o Dir::State::lists="$work/lists" -o Dir::Cache="$work" -o Dir::Cache::archives=archives \
        -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root "${@:2}"
}
# PACKAGE=VERSION of the first version that matches.
candidate() { private_apt cache madison "$1" | awk -F '[| ]+' -v want="$2" '$3 ~ want && !found++ { print $2 "=" $3 }'; }
private_apt get update > /dev/null
std_source=$(candidate rust-src "^${version//./[.]}[+]")
wasi_libc=$(candidate wasi-libc 'git202[5-9]')
if [ -z "$std_source" ] || [ -z "$wasi_libc" ]; then
    give_up "Debian has no source of Rust $version's standard library, or no wasi-libc for WASI 0.2"
fi
(cd "$work/packages" && private_apt get download "$std_source" "$wasi_libc" > /dev/null)
for package in "$work"/packages/*.deb; do
    dpkg -x "$package" "$work/source"
done
source=$work/source/usr/src/rustc-$version
[ -d "$source/library" ] || give_up "$std_source is not laid out as expected"

# The standard library, with the very rustc that will use it; plugins themselves are built as plain stable Rust.
build=$work/build
mkdir -p "$build/src"
: > "$build/src/lib.rs"
cat > "$build/Cargo.toml" << 'EOF'
[package]
name = "empty"
version = "0.0.0"
edition = "2024"
[profile.release]
opt-level = "s"
codegen-units = 1
[workspace]
EOF
new=$prefix/$version.new
rm -rf "$new"
mkdir -p "$new/lib/rustlib/$target/lib/self-contained"
cp "$work/source/usr/lib/$target"/{crt1-command.o,crt1-reactor.o,libc.a} "$new/lib/rustlib/$target/lib/self-contained/"
(
    cd "$build"
    unset CARGO_TARGET_DIR CARGO_BUILD_TARGET RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$source/library"
    export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-Cembed-bitcode=yes --sysroot=$new --remap-path-prefix=$source=/rustc/$version"
    cargo build --quiet --release --target "$target" -Zbuild-std=std,panic_abort --target-dir "$build/target" >&2
)
cp "$build/target/$target/release/deps"/*.rlib "$new/lib/rustlib/$target/lib/"
rm -f "$new/lib/rustlib/$target/lib"/libempty-*.rlib
rm -rf "$sysroot"
mv "$new" "$sysroot"
finish "$sysroot"
