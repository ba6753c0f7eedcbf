//! An event as one line, and its parts as fields.

use mainstay_plugin::hook::{DaemonPhase, RouterTransition};
use mainstay_plugin::prelude::*;
use mainstay_plugin::{Attribute, Family};

/// One line for people.
pub(crate) fn text(event: &Event) -> String {
    let mut line = match &event.payload {
        Payload::Router(transition) => router(transition),
        Payload::Quorum(change) => {
            let (state, verb) = if change.up {
                ("up", "meets")
            } else {
                ("down", "misses")
            };
            let (service, alive, quorum) = (&change.service, change.alive_weight, change.quorum);
            format!("service {service} {state}: weight {alive} {verb} the quorum of {quorum}")
        }
        Payload::Server(change) => {
            let state = if change.up { "up" } else { "down" };
            let (service, address, port) = (
                &change.service,
                &change.address.address,
                change.address.port,
            );
            let (weight, check, message) = (change.weight, &change.check, &change.message);
            format!(
                "service {service}, server {address} port {port} {state}, weight {weight}: {check}: {message}"
            )
        }
        Payload::Check(change) => {
            let from = change.from.as_deref().unwrap_or("unknown");
            format!(
                "check {}: {from} -> {}: {}",
                change.check, change.to, change.message
            )
        }
        Payload::Daemon(phase) => {
            let phase = match phase {
                DaemonPhase::Started => "started",
                DaemonPhase::Reloaded => "reloaded",
                DaemonPhase::Stopping => "stopping",
            };
            format!("daemon {phase}")
        }
        Payload::Other(other) => format!("{}: {}", other.kind, other.json),
    };
    if event.coalesced {
        line.push_str(" (earlier events merged)");
    }
    line
}

/// The same for machines.
pub(crate) fn fields(event: &Event) -> Vec<Attribute> {
    let mut fields = vec![
        field("source", &event.source),
        field("sequence", event.sequence),
        field("at-unix-ms", event.at_unix_ms),
    ];
    if let Payload::Router(transition) = &event.payload {
        fields.extend([
            field("from", transition.from),
            field("to", transition.to),
            field("priority", transition.priority),
            field("addresses", transition.addresses.join(" ")),
            field("cause", &transition.cause),
        ]);
    }
    fields
}

fn router(transition: &RouterTransition) -> String {
    let family = match transition.family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    };
    format!(
        "router {} ({} {family} id {}): {} -> {}, priority {}, addresses {}: {}",
        transition.router,
        transition.interface_name,
        transition.id,
        transition.from,
        transition.to,
        transition.priority,
        transition.addresses.join(" "),
        transition.cause,
    )
}

fn field(key: &str, value: impl ToString) -> Attribute {
    Attribute {
        key: key.to_owned(),
        value: value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use mainstay_plugin::RouterState;
    use mainstay_plugin::hook::CheckChange;

    use super::*;

    fn event(payload: Payload) -> Event {
        Event {
            sequence: 7,
            source: "VI_1".to_owned(),
            at_unix_ms: 1_795_341_600_000,
            queued_ms: 3,
            coalesced: false,
            payload,
            settings: "{}".to_owned(),
            deadline_ms: 5000,
            attributes: Vec::new(),
        }
    }

    fn takeover() -> Payload {
        Payload::Router(RouterTransition {
            router: "VI_1".to_owned(),
            family: Family::Ipv4,
            group: None,
            interface_name: "eth0".to_owned(),
            id: 51,
            from: RouterState::Backup,
            to: RouterState::Active,
            priority: 90,
            addresses: vec!["192.168.1.100/24".to_owned(), "192.168.1.101/24".to_owned()],
            cause: "192.168.1.1 gave up (priority 0)".to_owned(),
            attributes: Vec::new(),
        })
    }

    #[test]
    fn a_transition_says_what_and_why() {
        let expected = "router VI_1 (eth0 IPv4 id 51): backup -> active, priority 90, \
                        addresses 192.168.1.100/24 192.168.1.101/24: 192.168.1.1 gave up (priority 0)";
        assert_eq!(text(&event(takeover())), expected);
    }

    #[test]
    fn a_transition_has_its_parts_as_fields() {
        let fields = fields(&event(takeover()));
        let fields: Vec<_> = fields
            .iter()
            .map(|field| (field.key.as_str(), field.value.as_str()))
            .collect();
        let expected = [
            ("source", "VI_1"),
            ("sequence", "7"),
            ("at-unix-ms", "1795341600000"),
            ("from", "backup"),
            ("to", "active"),
            ("priority", "90"),
            ("addresses", "192.168.1.100/24 192.168.1.101/24"),
            ("cause", "192.168.1.1 gave up (priority 0)"),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn merged_events_are_said_to_be() {
        let change = CheckChange {
            check: "nginx".to_owned(),
            from: None,
            to: "healthy".to_owned(),
            message: "1 running".to_owned(),
        };
        let mut event = event(Payload::Check(change));
        assert_eq!(text(&event), "check nginx: unknown -> healthy: 1 running");
        event.coalesced = true;
        assert_eq!(
            text(&event),
            "check nginx: unknown -> healthy: 1 running (earlier events merged)"
        );
    }
}
