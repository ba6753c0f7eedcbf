#!/usr/bin/env bash
# run.sh: every test that this machine can run, after `make build`; `make test` calls it.
#
# Unit tests and documentation tests first, then those of the worker in the release profile, so that wasmtime is
# compiled once, then what needs networks of its own: the kernel's tests and the lab. Who is not root is root in a user
# namespace for those, where the system allows it; that leaves out the scenarios with systemd. What is left out is said,
# with the reason: the list is printed at the end, and with CI=true it must be the one in tests/skips.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

export MAINSTAY_BUILD=${CARGO_TARGET_DIR:-$PWD/target}
PATH=$PATH:/usr/sbin:/sbin
for built in "$MAINSTAY_BUILD"/release/{mainstay,mainstay-worker} target/plugins/stock.toml; do
    [ -e "$built" ] || { echo "run: $built is missing: run \`make build\` first" >&2; exit 69; }
done

step() {
    printf '\n== %s\n' "$*"
    local begin=$SECONDS result=0
    # Where a caller looks at the result, errexit does not end this function: what comes last would be the result.
    "$@" || result=$?
    printf '== %s s\n' $((SECONDS - begin))
    return $result
}

# cargo-nextest gives each test a process of its own, which the lab needs; from the package registry it takes minutes.
if ! cargo nextest --version > /dev/null 2>&1; then
    step cargo install --locked --root "$MAINSTAY_BUILD/tools" cargo-nextest
    PATH=$MAINSTAY_BUILD/tools/bin:$PATH
fi
nextest=(cargo nextest run --config-file tests/nextest.toml)

step tests/guest/build.sh
step tests/guest/javascript/build.sh
skips=$(mktemp)
trap 'rm -f "$skips"' EXIT
export MAINSTAY_SKIPS=$skips RUST_BACKTRACE=0

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(unshare --user --map-root-user --mount --net --pid --fork --kill-child --mount-proc)
    "${as_root[@]}" true || { as_root=(); echo 'going on without user namespaces: what needs root will be skipped'; }
fi
networks=(--package mainstay-kernel --package mainstay-lab)

status=0
plugins=(--exclude mainstay-misbehaving --exclude mainstay-asker --exclude mainstay-prober --exclude mainstay-golden)
step "${nextest[@]}" --workspace --exclude mainstay-worker "${networks[@]/package/exclude}" "${plugins[@]}" || status=1
step cargo test --quiet --doc --workspace --exclude mainstay-worker "${plugins[@]}" || status=1
step "${nextest[@]}" --release --package mainstay-worker || status=1
# Compiled before, since inside there is no network to fetch anything from.
step "${nextest[@]}" --no-run "${networks[@]}" || status=1
step "${as_root[@]}" "${nextest[@]}" --package mainstay-kernel || status=1
step "${as_root[@]}" "${nextest[@]}" --profile lab --package mainstay-lab || status=1

sort -u -o "$skips" "$skips"
if [ -s "$skips" ]; then
    printf '\nLeft out on this machine:\n'
    sed 's/^/  SKIP /' "$skips"
fi
if [ "${CI:-}" = true ] && ! diff <(grep -v '^#' tests/skips.txt) "$skips" > /dev/null; then
    echo 'run: the list differs from tests/skips.txt' >&2
    status=1
fi
exit $status
