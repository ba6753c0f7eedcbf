//! Components for the tests, from core modules in text form.
//!
//! The layouts are those of the canonical ABI: a request comes by pointer, a result goes back by
//! pointer.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Worlds of the tests, and as much of WASI as they use.
const WORLDS: &str = r#"
package test:worlds;

world check { include mainstay:plugin/host@0.1.0; include wasi; export mainstay:plugin/check@0.1.0; }
world hook { include mainstay:plugin/host@0.1.0; include wasi; export mainstay:plugin/hook@0.1.0; }
world described {
    include mainstay:plugin/host@0.1.0;
    export mainstay:plugin/check@0.1.0;
    export mainstay:plugin/lifecycle@0.1.0;
}
world nothing {}
world strange { import teleport; import wasi:keyvalue/store@0.2.0; export mainstay:plugin/check@0.1.0; }

world wasi {
    import wasi:cli/exit@0.2.0;
    import wasi:cli/stdout@0.2.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:filesystem/preopens@0.2.0;
    import wasi:sockets/tcp-create-socket@0.2.0;
}

interface teleport { beam: func(); }
"#;

const WASI: &str = r#"
package test:wasi;
package wasi:keyvalue@0.2.0 { interface store { open: func(); } }
package wasi:io@0.2.0 {
    interface error { resource error; }
    interface poll {
        resource pollable { block: func(); }
        poll: func(in: list<borrow<pollable>>) -> list<u32>;
    }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
    }
}
package wasi:cli@0.2.0 {
    interface exit { exit: func(status: result); }
    interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
}
package wasi:clocks@0.2.0 {
    interface monotonic-clock {
        use wasi:io/poll@0.2.0.{pollable};
        subscribe-duration: func(when: u64) -> pollable;
    }
}
package wasi:filesystem@0.2.0 {
    interface types { resource descriptor; }
    interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
}
package wasi:sockets@0.2.0 {
    interface network {
        enum ip-address-family { ipv4, ipv6 }
        enum error-code {
            unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout,
            concurrency-conflict, not-in-progress, would-block, invalid-state, new-socket-limit,
            address-not-bindable, address-in-use, remote-unreachable, connection-refused,
            connection-reset, connection-aborted, datagram-too-large, name-unresolvable,
            temporary-resolver-failure, permanent-resolver-failure
        }
    }
    interface tcp { resource tcp-socket; }
    interface tcp-create-socket {
        use network.{ip-address-family, error-code};
        use tcp.{tcp-socket};
        create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
    }
}
"#;

/// A component of one of the worlds above, from a core module in text form.
pub fn component(world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve {
        all_features: true,
        ..Resolve::default()
    };
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    resolve.push_dir(wit).unwrap();
    resolve.push_str("wasi.wit", WASI).unwrap();
    let package = resolve.push_str("worlds.wit", WORLDS).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut bytes = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default()
        .module(&bytes)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

/// The check that asks for what it is told to, as `tests/asker` has it.
///
/// # Panics
/// When it has not been built: a test that finds nothing to test must not pass.
pub fn asker() -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-plugins/asker.wasm");
    std::fs::read(built).expect("run tests/guest/build.sh first")
}

/// A component, or whatever else is written in text form.
pub fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Memory, allocation, and functions that build results:
///
/// - `$report status ptr len` gives an `ok(report)` with a message,
/// - `$failed ptr len` gives an `err(failed(message))`.
///
/// Bytes 1024 to 2047 hold the result; the tests' own data is free to use 0 to 1023.
const COMMON: &str = r#"
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 2048))
  (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func $report (param $status i32) (param $ptr i32) (param $len i32) (result i32)
    (i32.store8 offset=4 (i32.const 1024) (local.get $status))
    (i32.store offset=16 (i32.const 1024) (local.get $ptr))
    (i32.store offset=20 (i32.const 1024) (local.get $len))
    (i32.const 1024))
  (func $failed (param $ptr i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 offset=4 (i32.const 1024) (i32.const 3))
    (i32.store offset=8 (i32.const 1024) (local.get $ptr))
    (i32.store offset=12 (i32.const 1024) (local.get $len))
    (i32.const 1024))
"#;

/// A core module with the common functions; `items` come first, so they may hold imports.
pub fn module(items: &str, rest: &str) -> String {
    format!("(module {items} {COMMON} {rest})")
}

/// A check whose `run` has this body; `$request` points to the request.
pub fn check(items: &str, body: &str) -> Vec<u8> {
    component("check", &module(items, &run(body)))
}

/// The export `run` of a check.
pub fn run(body: &str) -> String {
    format!(
        r#"(func (export "mainstay:plugin/check@0.1.0#run") (param $request i32) (result i32)
             {body})"#
    )
}

/// A check that is always healthy.
pub fn healthy() -> Vec<u8> {
    check(
        r#"(data (i32.const 0) "fine")"#,
        "(call $report (i32.const 0) (i32.const 0) (i32.const 4))",
    )
}

/// A check whose message is the state of a systemd unit, or `error` and the number of the error.
pub fn unit(name: &str) -> Vec<u8> {
    let length = name.len();
    check(
        &format!(
            r#"(import "mainstay:plugin/units@0.1.0" "active-state" (func $state (param i32 i32 i32)))
               (data (i32.const 0) "error 0")
               (data (i32.const 16) "{name}")"#
        ),
        &format!(
            "(call $state (i32.const 16) (i32.const {length}) (i32.const 512))
             (i32.store8 (i32.const 6) (i32.add (i32.const 48) (i32.load8_u (i32.const 516))))
             (if (result i32) (i32.load8_u (i32.const 512))
               (then (call $report (i32.const 0) (i32.const 0) (i32.const 7)))
               (else (call $report (i32.const 0) (i32.load (i32.const 516)) (i32.load (i32.const 520)))))"
        ),
    )
}

/// A check that never ends.
pub fn endless() -> Vec<u8> {
    check("", "(loop $again (br $again)) unreachable")
}
