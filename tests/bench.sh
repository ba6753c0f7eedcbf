#!/usr/bin/env bash
# bench.sh [WHAT [HOW MUCH]]: measures beside keepalived, after `make build`; `make bench` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
export MAINSTAY_BUILD=${CARGO_TARGET_DIR:-$PWD/target}
PATH=$PATH:/usr/sbin:/sbin
tests/guest/build.sh
cargo build --quiet --package mainstay-lab --bin mainstay-bench
exec "$MAINSTAY_BUILD/debug/mainstay-bench" "$@"
