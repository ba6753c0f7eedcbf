# The few commands that a person types. PREFIX and DESTDIR say where `make install` puts things.

PREFIX = /usr
DESTDIR =

cargo-target = $(or $(CARGO_TARGET_DIR),target)
plugins = target/plugins
to = $(DESTDIR)$(PREFIX)

# Files that name paths below /usr, with those that they are installed to.
put = sed -e 's|/usr/bin/mainstay|$(PREFIX)/bin/mainstay|g' -e 's|/usr/lib/mainstay|$(PREFIX)/lib/mainstay|g' $(1) \
    | install -D -m 644 /dev/stdin $(to)/$(2)

SHELL = /bin/bash
.SHELLFLAGS = -euo pipefail -c
.PHONY: build demo test bench check install help

# One after the other: together they would share features, and wasmtime would be compiled again for the worker's tests.
build:
	@plugins/build.sh --needs
	cargo build --release --package mainstay-worker
	cargo build --release --package mainstay --config daemon/profile.toml
	plugins/build.sh

demo:
	tests/setup/packages.sh demo
	$(MAKE) --no-print-directory build
	tests/demo.sh

test:
	tests/setup/packages.sh test || echo 'going on without: the tests that need them will be skipped'
	$(MAKE) --no-print-directory build
	tests/run.sh

bench:
	tests/setup/packages.sh test
	$(MAKE) --no-print-directory build
	tests/bench.sh $(BENCH)

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

install:
	@test -x $(cargo-target)/release/mainstay -a -x $(cargo-target)/release/mainstay-worker -a -f $(plugins)/stock.toml \
	    || { echo 'not built yet: run `make build` first' >&2; exit 1; }
	install -d $(DESTDIR)/etc/mainstay/conf.d
	install -D -m 755 $(cargo-target)/release/mainstay $(to)/bin/mainstay
	install -D -m 755 $(cargo-target)/release/mainstay-worker $(to)/lib/mainstay/mainstay-worker
	install -D -m 644 -t $(to)/lib/mainstay/plugins $(plugins)/*.wasm $(plugins)/stock.toml
	$(call put,daemon/dist/mainstay.service,lib/systemd/system/mainstay.service)
	$(call put,daemon/dist/mainstay-release.service,lib/systemd/system/mainstay-release.service)
	$(call put,daemon/dist/mainstay-stopped.target,lib/systemd/system/mainstay-stopped.target)
	$(call put,daemon/dist/mainstay-worker.socket,lib/systemd/system/mainstay-worker.socket)
	$(call put,daemon/dist/mainstay-worker@.service,lib/systemd/system/mainstay-worker@.service)
	$(call put,daemon/dist/mainstay.sysusers,lib/sysusers.d/mainstay.conf)
	$(call put,daemon/dist/mainstay.tmpfiles,lib/tmpfiles.d/mainstay.conf)
	$(call put,daemon/dist/mainstay.toml,share/doc/mainstay/mainstay.toml)
	$(call put,daemon/man/mainstay.8,share/man/man8/mainstay.8)
	$(call put,daemon/man/mainstay.toml.5,share/man/man5/mainstay.toml.5)

help:
	@echo 'make build    target/release/mainstay, target/release/mainstay-worker and the plugins in target/plugins'
	@echo 'make demo     two nodes and a client: watch the address move'
	@echo 'make test     every test that this machine can run; says which it cannot'
	@echo 'make bench    figures, measured beside keepalived; BENCH="advertisements 600" is one of them'
	@echo 'make check    formatting and lints'
	@echo 'make install  what was built, into DESTDIR and PREFIX ($(to))'
