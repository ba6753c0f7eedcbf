//! `mainstay explain`: why a router is in its state, transition by transition.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use mainstay_core::status::{Explanation, Remark};

use super::text::plain;
use super::{Failure, ask, misunderstood, print, print_json, times};
use crate::control::{Request, Response};
use crate::exit;

/// Prints the transitions of one router, or of all.
pub(crate) fn explain(
    runtime_dir: &Path,
    router: Option<String>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let request = Request::Explain { router };
    let Response::Explain(explanations) = ask(runtime_dir, &request, exit::USAGE)? else {
        return Err(misunderstood());
    };
    if json {
        let mut value = serde_json::to_value(&explanations)
            .map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        times::readable(&mut value);
        return print_json(&value);
    }
    print(&render(&explanations))
}

fn render(explanations: &[Explanation]) -> String {
    let mut text = String::new();
    for explanation in explanations {
        let _ = writeln!(
            text,
            "{} is {}",
            plain(&explanation.router),
            explanation.state
        );
        let mut remarks = explanation.remarks.iter().peekable();
        for transition in &explanation.transitions {
            while let Some(remark) = remarks.next_if(|remark| remark.at <= transition.at) {
                text += &line(remark);
            }
            let _ = writeln!(
                text,
                "  {}  {} -> {}, priority {}",
                times::rfc3339(transition.at_unix_ms),
                transition.from,
                transition.to,
                transition.priority
            );
            for cause in &transition.causes {
                let _ = writeln!(text, "      {}", plain(&cause.to_string()));
            }
        }
        for remark in remarks {
            text += &line(remark);
        }
    }
    text
}

fn line(remark: &Remark) -> String {
    let at = times::rfc3339(remark.at_unix_ms);
    format!("  {at}  {}\n", plain(&remark.message))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_core::address::Family;
    use mainstay_core::event::{Cause, RouterState, Transition};
    use mainstay_core::time::{Realtime, Time};

    use super::*;

    #[test]
    fn each_transition_is_shown_with_its_causes_and_what_came_before_and_after() {
        let remark = |message: &str, seconds| Remark {
            message: message.to_owned(),
            at: Time::from_boot(Duration::from_secs(seconds)),
            at_unix_ms: Realtime(1_795_341_600_000 + seconds * 1_000),
        };
        let explanation = Explanation {
            router: "VI_1".to_owned(),
            state: RouterState::Active,
            transitions: vec![Transition {
                sequence: 1,
                router: "VI_1".to_owned(),
                interface: "eth0".to_owned(),
                family: Family::Ipv4,
                id: 51,
                from: RouterState::Backup,
                to: RouterState::Active,
                priority: 100,
                addresses: Vec::new(),
                causes: vec![
                    Cause::ActiveDown {
                        interval: Duration::from_millis(3609),
                    },
                    Cause::NeverHeard,
                ],
                at: Time::from_boot(Duration::from_secs(1)),
                at_unix_ms: Realtime(1_795_341_601_000),
            }],
            remarks: vec![remark("before", 1), remark("after", 2)],
        };
        assert_eq!(
            render(&[explanation]),
            "VI_1 is active\n  2026-11-22T10:00:01.000Z  before\n  \
             2026-11-22T10:00:01.000Z  backup -> active, priority 100\n      \
             no advertisement for the down interval of 3.609 s\n      \
             no other router has been heard\n  2026-11-22T10:00:02.000Z  after\n"
        );
    }
}
