#!/usr/bin/env bash
# demo.sh: shows a failover in the terminal, after `make build`; `make demo` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
export MAINSTAY_BUILD=${CARGO_TARGET_DIR:-$PWD/target}
PATH=$PATH:/usr/sbin:/sbin
cargo build --quiet --package mainstay-lab --bin mainstay-demo
exec "$MAINSTAY_BUILD/debug/mainstay-demo"
