//! What the daemon knows and keeps for plugins: asked for within the grants, and secrets that stay out of the log. The
//! golden check calls every interface and reports what came of it.

use std::path::Path;

use mainstay_protocol::{
    Answer, FromWorker, Grants, Outcome, PipeAnswer, Question, Refusal, RouterRecord, RunReport,
    Secret, SecretBytes, SecretGrant, StateAnswer, StateCall, StateGrant, ToWorker,
};
use mainstay_worker_tests::harness::Setup;
use mainstay_worker_tests::{guest, prober};
use serde_json::json;

fn golden() -> Setup {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/0.1.0/check.wasm");
    Setup::with_check(&std::fs::read(file).unwrap())
        .settings(json!({"word": "hello"}))
        .timing(10_000, 10_000)
}

fn granted() -> Grants {
    Grants {
        secrets: vec![SecretGrant {
            name: "golden".to_owned(),
            file: None,
        }],
        state: Some(StateGrant::default()),
        routers: true,
        services: true,
        fifo: vec!["/run/golden".into()],
        ..Grants::default()
    }
}

fn secret(value: &str) -> Vec<Secret> {
    vec![Secret {
        name: "golden".to_owned(),
        value: SecretBytes::new(value.as_bytes().to_vec()),
    }]
}

/// Runs the check once, with a daemon that answers like this.
fn run(setup: &Setup, answer: impl Fn(&Question) -> Result<Answer, Refusal>) -> RunReport {
    setup.loaded().run_answered(|question| answer(&question))
}

fn message(report: &RunReport) -> String {
    message_of(report.outcome.clone())
}

fn message_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Report(report) => report.message,
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}

fn nobody(question: &Question) -> Result<Answer, Refusal> {
    panic!("asked without a grant: {question:?}");
}

fn daemon(question: &Question) -> Result<Answer, Refusal> {
    let router = || RouterRecord {
        name: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        family: "ipv4".to_owned(),
        id: 51,
        state: "active".to_owned(),
        base_priority: 100,
        effective_priority: 100,
        since_ms: 1,
        active_router: None,
        addresses: vec!["10.0.0.1/24".to_owned()],
    };
    match question {
        Question::State(StateCall::Increment(key, 1)) if key == "golden" => {
            Ok(Answer::State(StateAnswer::Number(7)))
        }
        Question::Routers(None) => Ok(Answer::Routers(vec![router(), router()])),
        Question::Pipe { path, line } if path == "/run/golden" && line == "golden" => {
            Ok(Answer::Pipe(PipeAnswer::Written))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_grant_nothing_is_asked_and_the_line_that_grants_is_told() {
    let report = run(&golden(), nobody);
    for call in ["fifo", "secrets", "state", "routers", "services"] {
        let denied = format!("{call}=\"not-permitted\"");
        assert!(message(&report).contains(&denied), "{report:?}");
        let line = format!("permissions.{call} = ");
        let told = report
            .denied
            .iter()
            .any(|(_, told)| told.starts_with(&line));
        assert!(told, "{:?}", report.denied);
    }
}

#[test]
fn with_a_grant_the_daemon_answers() {
    let report = run(&golden().grants(granted()), daemon);
    let said = message(&report);
    assert!(said.ends_with("state=7 routers=2 services=0"), "{said}");
    assert!(said.contains("fifo=()"), "{said}");
    // Granted, and not there.
    assert!(said.contains(r#"secrets="not-found""#), "{said}");
}

#[test]
fn a_daemon_that_answers_nothing_or_something_else_is_no_answer() {
    let setup = golden().grants(granted());
    let busy = run(&setup, |_| Err(Refusal::Busy));
    let lies = run(&setup, |_| Ok(Answer::Unit(None)));
    for report in [busy, lies] {
        let said = message(&report);
        for answer in [
            r#"state="unavailable""#,
            r#"routers="unavailable""#,
            r#"fifo="other""#,
        ] {
            assert!(said.contains(answer), "{said}");
        }
    }
}

#[test]
fn t28_a_secret_that_a_plugin_logs_or_reports_is_blotted_out() {
    let value = "hunter2-and-more";
    let mut setup = golden().grants(granted());
    setup.load.plugins[0].secrets = secret(value);
    let report = run(&setup, daemon);
    assert!(message(&report).contains(r#"secrets="***""#), "{report:?}");
    let lines: Vec<&str> = report.log.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines.contains(&"golden ***"), "{lines:?}");
    assert!(!format!("{report:?}").contains(value));
    // What the test would find otherwise.
    setup.load.plugins[0].secrets = secret("abc");
    let report = run(&setup, daemon);
    assert!(message(&report).contains(r#"secrets="abc""#), "{report:?}");
}

#[test]
fn a_value_without_a_grant_is_not_handed_out() {
    let mut setup = golden();
    setup.load.plugins[0].secrets = secret("hunter2-and-more");
    let report = run(&setup, nobody);
    assert!(
        message(&report).contains(r#"secrets="not-permitted""#),
        "{report:?}"
    );
}

#[test]
fn t28_a_secret_in_a_call_that_is_denied_is_blotted_out() {
    let value = "hunter2-and-more";
    let mut setup = prober::setup(json!([
        { "data": { "secret": value } },
        { "data": { "pipe": { "path": format!("/run/{value}"), "line": "" } } },
        { "data": { "set": { "key": value, "value": value } } },
    ]))
    .grants(Grants {
        secrets: granted().secrets,
        ..Grants::default()
    });
    setup.load.plugins[0].secrets = secret(value);
    let report = run(&setup, nobody);
    let shown: Vec<&str> = report
        .denied
        .iter()
        .map(|(call, _)| call.as_str())
        .collect();
    assert_eq!(
        shown,
        ["fifo.write /run/***", "secrets.get ***", "state.set"]
    );
    assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
}

#[test]
fn t27_a_run_makes_so_many_calls_and_no_more() {
    let mut setup = prober::setup(json!([{ "data": { "count": "key" } }])).grants(granted());
    setup.load.plugins[0].limits.log_lines_per_minute = 100_000;
    setup.load.checks[0].settings["times"] = json!(400);
    let asked = std::cell::Cell::new(0);
    run(&setup, |_| {
        asked.set(asked.get() + 1);
        Ok(Answer::State(StateAnswer::Number(asked.get())))
    });
    assert_eq!(asked.get(), 256);
}

#[test]
fn a_long_wait_for_the_daemon_gives_the_turn_to_others() {
    let mut setup = prober::setup(json!([{ "data": "routers" }]))
        .grants(granted())
        .plugin("q", &guest::healthy())
        .check("other", "q");
    setup.load.max_concurrent_runs = 1;
    let mut worker = setup.loaded();
    worker.send(&ToWorker::Start);
    let id = worker.find(|frame| match frame {
        FromWorker::Ask { id, .. } => Some(id),
        _ => None,
    });
    // The daemon takes its time; the other check is served meanwhile.
    for _ in 0..3 {
        worker.verdict("other");
    }
    worker.send(&ToWorker::Answer {
        id,
        answer: Ok(Answer::Routers(Vec::new())),
    });
    assert_eq!(message_of(worker.verdict("c").0), "all calls were made");
}

#[test]
fn what_may_still_change_is_loaded_only_where_that_is_allowed() {
    let asks = guest::unit("app.service");
    let mut setup = Setup::with_check(&asks).timing(10_000, 10_000);
    let faults = setup.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let help = faults[0].help.as_deref();
    assert_eq!(
        help,
        Some("to allow that, write unstable = [\"service-manager\"] in [plugins]")
    );
    setup.load.unstable = vec!["service-manager".to_owned()];
    let report = run(&setup, nobody);
    assert_eq!(
        report.denied,
        [(
            "units.active-state app.service".to_owned(),
            "permissions.units = [\"app.service\"]".to_owned()
        )]
    );
    setup.load.plugins[0].grants.units = vec!["app.service".to_owned()];
    let report = run(&setup, |question| match question {
        Question::Unit(unit) if unit == "app.service" => {
            Ok(Answer::Unit(Some("failed".to_owned())))
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(message(&report), "failed");
}
