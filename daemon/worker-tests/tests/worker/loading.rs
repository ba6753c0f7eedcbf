//! What is refused at load, with which words.

use mainstay_protocol::{Grants, LoadFault, Subject, ToWorker};
use serde_json::json;

use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

/// The only fault of a setup.
fn fault(setup: &Setup) -> LoadFault {
    let mut faults = setup.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn fault_of_bytes(bytes: &[u8]) -> LoadFault {
    fault(&Setup::with_check(bytes))
}

#[test]
fn a_good_component_is_described_by_its_type() {
    let setup = Setup::with_check(&guest::healthy());
    let (plugins, faults) = Worker::start().load(&setup);
    assert_eq!(faults, []);
    assert_eq!(plugins[0].roles, ["check"]);
    assert_eq!(plugins[0].api.as_deref(), Some("0.1.0"));
}

#[test]
fn a_component_with_a_flipped_byte_is_refused_or_harmless() {
    let component = guest::healthy();
    let mut refused = 0;
    for position in (8..component.len()).step_by(component.len() / 40) {
        let mut bytes = component.clone();
        bytes[position] ^= 0xff;
        let mut worker = Worker::start();
        let (_, faults) = worker.load(&Setup::with_check(&bytes));
        refused += usize::from(!faults.is_empty());
    }
    assert!(refused > 10, "{refused} refused");
}

#[test]
fn every_import_that_does_not_exist_is_listed() {
    let bytes = guest::component(
        "strange",
        &guest::module(
            r#"(import "test:worlds/teleport" "beam" (func))
               (import "wasi:keyvalue/store@0.2.0" "open" (func))"#,
            &guest::run("unreachable"),
        ),
    );
    let fault = fault_of_bytes(&bytes);
    assert!(fault.message.contains("test:worlds/teleport"), "{fault:?}");
    assert!(
        fault.message.contains("wasi:keyvalue/store@0.2.0"),
        "{fault:?}"
    );
}

#[test]
fn a_plugin_of_another_world_is_refused_where_it_is_used() {
    let hook = guest::component(
        "hook",
        &guest::module(
            "",
            r#"(func (export "mainstay:plugin/hook@0.1.0#on-event") (param i32) (result i32)
                 unreachable)"#,
        ),
    );
    let fault = fault_of_bytes(&hook);
    assert_eq!(fault.subject, Subject::Check("c".into()));
    assert!(fault.message.contains("it is a hook"), "{fault:?}");

    let setup = Setup::empty().plugin("p", &guest::healthy()).hook("h", "p");
    let fault = self::fault(&setup);
    assert_eq!(fault.subject, Subject::Hook("h".into()));
    assert!(fault.message.contains("it is a check"), "{fault:?}");

    let fault = fault_of_bytes(&guest::component("nothing", "(module)"));
    assert!(fault.message.contains("nor any other"), "{fault:?}");
}

#[test]
fn an_export_of_another_type_is_refused_at_load() {
    let component = r#"(component
      (core module $m (func (export "f")))
      (core instance $i (instantiate $m))
      (func $run (canon lift (core func $i "f")))
      (instance $check (export "run" (func $run)))
      (export "mainstay:plugin/check@0.1.0" (instance $check)))"#;
    let fault = fault_of_bytes(&wat::parse_str(component).unwrap());
    assert!(fault.message.contains("instantiated"), "{fault:?}");
}

#[test]
fn all_faults_of_all_plugins_come_at_once() {
    let mut setup = Setup::empty()
        .plugin("broken", b"hello")
        .plugin("fine", &guest::healthy())
        .check("one", "broken")
        .check("two", "fine")
        .check("three", "absent")
        .hook("four", "fine");
    setup.load.plugins[1].grants.probe.addresses = vec!["web1".into()];
    let faults = setup.faults();
    let about: Vec<&str> = faults.iter().map(|f| f.plugin.as_str()).collect();
    assert_eq!(about, ["broken", "fine", "absent"], "{faults:?}");
    assert!(faults[1].message.contains("web1"), "{faults:?}");
}

const SCHEMA: &str = r#"{"type":"object","properties":{"min":{"type":"integer","minimum":1}}}"#;

/// A plugin with these bodies of `describe` and `validate`. Name, version and summary stand at the
/// start of its memory, a pointer and a message at 512, the schema on the second page.
fn described(describe: &str, validate: &str) -> Vec<u8> {
    with_schema(SCHEMA, describe, validate)
}

pub(crate) fn with_schema(schema: &str, describe: &str, validate: &str) -> Vec<u8> {
    let schema = schema.replace('"', "\\22");
    let items = format!(
        r#"(data (i32.const 0) "toy0.1.0a toy") (data (i32.const 65536) "{schema}")
           (data (i32.const 512) "/name is wrong")"#
    );
    let rest = format!(
        r#"{run}
           (func (export "mainstay:plugin/lifecycle@0.1.0#describe") (result i32) {describe})
           (func (export "mainstay:plugin/lifecycle@0.1.0#validate") (param i32 i32) (result i32)
             {validate})"#,
        run = guest::run("(call $report (i32.const 0) (i32.const 0) (i32.const 3))"),
    );
    guest::component("described", &guest::module(&items, &rest))
}

/// The result of a `describe` with name, version, summary and schema.
fn description() -> String {
    description_with(SCHEMA)
}

pub(crate) fn description_with(schema: &str) -> String {
    let length = schema.len();
    let words = [
        (0, 0),
        (4, 3),
        (8, 3),
        (12, 5),
        (16, 8),
        (20, 5),
        (32, 1),
        (36, 65536),
        (40, length),
    ];
    words
        .map(|(at, word)| format!("(i32.store offset={at} (i32.const 1024) (i32.const {word}))"))
        .concat()
        + "(i32.const 1024)"
}

/// The result of a `validate` without problems.
pub(crate) const VALID: &str = "(i32.const 1024)";

/// The result of a `validate` with one: pointer `/name`, message `is wrong`.
const INVALID: &str = "
  (i32.store8 (i32.const 1024) (i32.const 1))
  (i32.store offset=4 (i32.const 1024) (i32.const 1100))
  (i32.store offset=8 (i32.const 1024) (i32.const 1))
  (i32.store (i32.const 1100) (i32.const 512)) (i32.store (i32.const 1104) (i32.const 5))
  (i32.store (i32.const 1108) (i32.const 518)) (i32.store (i32.const 1112) (i32.const 8))
  (i32.const 1024)";

#[test]
fn a_description_is_taken_over() {
    let setup = Setup::with_check(&described(&description(), VALID));
    let (plugins, faults) = Worker::start().load(&setup);
    assert_eq!(faults, []);
    let described = plugins[0].described.clone().unwrap();
    assert_eq!(described, ("toy".into(), "0.1.0".into(), "a toy".into()));
    let schema = plugins[0].settings_schema.clone().unwrap();
    assert_eq!(schema["properties"]["min"]["minimum"], 1);
}

#[test]
fn a_wish_is_weighed_against_what_is_granted() {
    // A description that is empty but for one wish, of which both texts stand on the second page.
    let words = [
        (44, 1200),
        (48, 1),
        (176, 65536),
        (180, 5),
        (184, 65541),
        (188, 11),
    ];
    let stores = words
        .map(|(at, word)| format!("(i32.store offset={at} (i32.const 1024) (i32.const {word}))"))
        .concat();
    let component = with_schema(
        "probe10.0.0.5:80",
        &format!("{stores} (i32.const 1024)"),
        VALID,
    );
    let wish = |ports: &[u16]| {
        let setup = Setup::with_check(&component).grants(Grants {
            probe: mainstay_worker_tests::prober::grant(&["10.0.0.0/24"], ports),
            ..Grants::default()
        });
        let (plugins, faults) = Worker::start().load(&setup);
        assert_eq!(faults, []);
        let [wish] = &plugins[0].wishes[..] else {
            panic!("{plugins:?}")
        };
        assert_eq!((wish.capability.as_str(), wish.optional), ("probe", false));
        assert_eq!(wish.scope, "10.0.0.5:80");
        (wish.granted, wish.line.clone())
    };
    let line = r#"permissions.probe = { addresses = ["10.0.0.0/24"], ports = [443, 80] }"#;
    assert_eq!(wish(&[443]), (false, Some(line.to_owned())));
    assert_eq!(wish(&[80]), (true, None));
}

#[test]
fn settings_that_break_the_schema_are_refused_with_their_place() {
    let setup = Setup::with_check(&described(&description(), VALID)).settings(json!({"min": 0}));
    let fault = fault(&setup);
    assert_eq!(fault.pointer.as_deref(), Some("/min"));
    assert_eq!(fault.subject, Subject::Check("c".into()));
}

#[test]
fn settings_that_the_plugin_refuses_are_refused_with_their_place() {
    let setup = Setup::with_check(&described(&description(), INVALID)).settings(json!({"min": 1}));
    let fault = fault(&setup);
    assert_eq!(fault.pointer.as_deref(), Some("/name"));
    assert_eq!(fault.message, "is wrong");
}

#[test]
fn t02_a_description_that_never_ends_or_traps_is_a_fault_of_the_plugin() {
    let endless = "(loop $again (br $again)) unreachable";
    let fault = fault_of_bytes(&described(endless, VALID));
    assert!(fault.message.contains("no answer within"), "{fault:?}");
    let fault = fault_of_bytes(&described("unreachable", VALID));
    assert!(fault.message.contains("unreachable"), "{fault:?}");
    let fault = fault_of_bytes(&described(&description(), endless));
    assert!(fault.message.contains("cannot validate"), "{fault:?}");
}

#[test]
fn a_plugin_that_never_ends_to_start_is_refused() {
    let bytes = guest::check(
        "",
        "unreachable) (start $forever) (func $forever (loop $again (br $again))",
    );
    let fault = fault_of_bytes(&bytes);
    assert!(fault.message.contains("no answer within"), "{fault:?}");
}

#[test]
fn nothing_is_served_after_a_fault() {
    let setup = Setup::with_check(&guest::component("nothing", "(module)"));
    let mut worker = Worker::start();
    let (_, faults) = worker.load(&setup);
    assert_eq!(faults.len(), 1);
    worker.send(&ToWorker::Start);
    assert!(worker.abandon().success());
}

#[test]
fn a_schema_that_cannot_be_used_is_a_fault_of_the_plugin() {
    for schema in [
        r#"{"type":7}"#,
        r#"{"$ref":"https://example.com/x"}"#,
        "nonsense",
    ] {
        let bytes = with_schema(schema, &description_with(schema), VALID);
        let fault = fault_of_bytes(&bytes);
        assert!(fault.message.contains("schema cannot be used"), "{fault:?}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_does_not_end_the_worker() {
    for schema in [
        r##"{"$ref":"#"}"##,
        r##"{"allOf":[{"$ref":"#"}]}"##,
        r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##,
        r##"{"not":{"$ref":"#"}}"##,
    ] {
        let bytes = with_schema(schema, &description_with(schema), VALID);
        // Fine or not, but answered.
        let _ = Setup::with_check(&bytes).faults();
    }
}

#[test]
fn a_plugin_is_noted_while_it_is_loaded() {
    let endless = guest::check(
        "",
        "unreachable) (start $forever) (func $forever (loop $again (br $again))",
    );
    let setup = Setup::empty()
        .plugin("fine", &guest::healthy())
        .plugin("loop", &endless);
    let codes = [guest::healthy(), endless].map(|bytes| Worker::compile(&bytes).unwrap());
    let mut worker = Worker::start();
    worker.send_load(&setup.load);
    for (spec, code) in setup.load.plugins.iter().zip(codes) {
        let message = ToWorker::Code {
            code: spec.code.clone(),
        };
        worker.send_with(&message, code);
    }
    worker.until_in_flight(|counts| counts[0] == 0 && counts[1] > 0);
}

#[test]
fn a_component_is_examined_without_being_run() {
    let anatomy = Worker::examine(&guest::healthy());
    assert!(anatomy.modules >= 1, "{anatomy:?}");
    assert_eq!((anatomy.memories, anatomy.memory_bytes), (1, 2 << 16));
    let made_by = |name: &str| anatomy.producers.iter().any(|(_, by, _)| by == name);
    assert!(made_by("wit-component"), "{anatomy:?}");
    // What is none has nothing to tell, and the worker lives to say so.
    for broken in [&b"hello"[..], b"", &guest::healthy()[..100]] {
        let anatomy = Worker::examine(broken);
        assert_eq!(anatomy.producers, []);
    }
}
