# For build.sh here and in tests/guest, which source it: with the same flags, what both depend on is compiled once.
#
# The builder's folders are nobody's business, and would make every builder's files differ. A stack of 128 KiB in place of
# 1 MiB: memory that a run may touch is set back after it.
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="${CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS:-} \
--remap-path-prefix=$root=/mainstay --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo -C link-arg=-zstack-size=131072"
