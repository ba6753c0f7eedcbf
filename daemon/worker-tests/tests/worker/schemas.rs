//! Schemas of settings that are made to cost more than a look at settings may.

use mainstay_protocol::{Subject, ToWorker};
use mainstay_worker_tests::harness::{Setup, Worker};

use crate::loading::{VALID, description_with, with_schema};

/// A check with settings of a schema that takes 2^40 steps to look at.
fn doubling() -> Setup {
    let level = |n: usize| {
        let below = format!(r##"{{"$ref":"#/$defs/{}"}}"##, n + 1);
        format!(r#""{n}":{{"allOf":[{below},{below}]}},"#)
    };
    let levels: String = (0..40).map(level).collect();
    let schema =
        format!(r##"{{"$ref":"#/$defs/0","$defs":{{{levels}"40":{{"type":"object"}}}}}}"##);
    Setup::with_check(&with_schema(&schema, &description_with(&schema), VALID))
}

#[test]
fn t02_a_schema_that_takes_years_to_check_is_given_up() {
    let setup = doubling().check("d", "p");
    let faults = setup.faults();
    let about: Vec<_> = faults.iter().map(|fault| fault.subject.clone()).collect();
    let [c, d] = ["c", "d"].map(|name| Subject::Check(name.to_owned()));
    assert_eq!(about, [c, d], "{faults:?}");
    for fault in faults {
        let expected = "its settings schema cannot be used: it takes longer than 1 s";
        assert_eq!(fault.message, expected);
    }
}

#[test]
fn t02_a_schema_that_takes_years_to_check_does_not_keep_the_worker() {
    let setup = doubling();
    let component = &setup.components["p"];
    let code = Worker::compile(component).unwrap();
    let mut worker = Worker::start();
    worker.send_load(&setup.load);
    let message = ToWorker::Code {
        code: "p".to_owned(),
    };
    worker.send_with(&message, code);
    worker.until_in_flight(|counts| counts[0] > 0);
    assert!(worker.abandon().success());
}
