//! The words in which a run is said to have failed.

use mainstay_protocol::FaultKind;
use mainstay_worker_tests::guest;

use crate::ending::{fault, faulty, trapping_in};
use mainstay_worker_tests::harness::Setup;

#[test]
fn a_trap_is_named_with_the_function_it_happened_in() {
    let (kind, message) = faulty(&guest::check(
        "(func $inner unreachable)",
        "(call $inner) unreachable",
    ));
    assert_eq!(kind, FaultKind::Trap);
    assert!(message.contains("unreachable"), "{message}");
    assert!(message.contains("inner"), "{message}");
}

#[test]
fn a_name_of_rust_is_shown_as_it_was_written() {
    let mut worker = Setup::with_check(&trapping_in("_ZN3toy4down17h0123456789abcdefE")).loaded();
    let fault = fault(&mut worker);
    assert!(fault.message.contains("toy::down"), "{fault:?}");
}

#[test]
fn a_plugin_error_is_an_error_with_its_words() {
    let (kind, message) = faulty(&guest::check(
        r#"(data (i32.const 0) "no luck")"#,
        "(call $failed (i32.const 0) (i32.const 7))",
    ));
    assert_eq!((kind, message.as_str()), (FaultKind::Error, "no luck"));
}
