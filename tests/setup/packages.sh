#!/usr/bin/env bash
# packages.sh [demo|test]: installs what the demo, or all the tests, need beside Rust, as Debian's packages.
#
# What is there stays as it is. No service is started or enabled: the tests run their own nginx and keepalived. Where it
# can't install (not root, not Debian) it prints the line to run and exits 69; the caller decides whether to go on.
set -euo pipefail

# An executable or a file, and the package that has it.
demo=(cc:gcc /usr/include/stdio.h:libc6-dev make:make ip:iproute2 nginx:nginx)
test=("${demo[@]}" keepalived:keepalived ping:iputils-ping tcpdump:tcpdump nft:nftables arping:arping
    systemctl:systemd systemd-nspawn:systemd-container dbus-daemon:dbus openssl:openssl setpriv:util-linux node:nodejs npm:npm)
case ${1:-test} in
    demo) needed=("${demo[@]}") ;;
    test) needed=("${test[@]}") ;;
    *) echo "packages: demo or test, not $1" >&2; exit 64 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in "${needed[@]}"; do
    found=${need%%:*}
    [[ $found == /* && -e $found ]] || command -v "$found" > /dev/null || missing+=("${need##*:}")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "packages: everything is there"
    exit 0
fi

install="apt-get install --yes --no-install-recommends ${missing[*]}"
if ! command -v apt-get > /dev/null; then
    echo "packages: missing here, under these names in Debian: ${missing[*]}" >&2
    exit 69
fi
if [ "$(id -u)" != 0 ]; then
    echo "packages: missing: ${missing[*]}; to install them:" >&2
    echo "    sudo $install" >&2
    exit 69
fi

# Debian starts a service when its package is installed, unless this file forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
echo "packages: installing ${missing[*]}"
apt-get --quiet=2 update || echo "packages: apt-get update failed, going on with the lists that are there" >&2
# shellcheck disable=SC2086 # words, on purpose
$install > /dev/null || { echo "packages: failed: $install" >&2; exit 69; }
for service in nginx keepalived; do
    if [[ " ${missing[*]} " == *" $service "* ]] && command -v systemctl > /dev/null; then
        systemctl --quiet disable "$service" || echo "packages: $service will start at boot: systemctl could not disable it" >&2
    fi
done
