//! keepalived as a peer: its configuration and how it is run.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;

use anyhow::Result;

use crate::lab::INTERFACE;
use crate::node::{Node, Router};
use crate::process::Process;

/// Its configuration of a virtual router.
pub(crate) fn configuration(name: &str, router: &Router) -> String {
    let Router {
        priority,
        version,
        id,
        interval,
        ..
    } = router;
    let mut text = format!(
        "global_defs {{\n router_id {name}\n vrrp_version {version}\n script_user root\n enable_script_security\n}}\n"
    );
    if let Some(check) = router.nginx {
        let weight = check
            .weight
            .map(|weight| format!(" weight {weight}\n"))
            .unwrap_or_default();
        let seconds = check.interval.as_secs().max(1);
        let _ = write!(
            text,
            "vrrp_script nginx {{\n script \"/usr/bin/pgrep nginx\"\n interval {seconds}\n{weight}}}\n"
        );
    }
    let _ = write!(
        text,
        "vrrp_instance VI_1 {{\n state BACKUP\n interface {INTERFACE}\n virtual_router_id {id}\n priority {priority}\n advert_int {}\n",
        interval.as_secs_f64()
    );
    if let Some(password) = router.password {
        let _ = write!(
            text,
            " authentication {{\n  auth_type PASS\n  auth_pass {password}\n }}\n"
        );
    }
    if !router.preempt {
        text.push_str(" nopreempt\n");
    }
    let _ = write!(
        text,
        " virtual_ipaddress {{\n  {}\n }}\n",
        router.addresses.join("\n  ")
    );
    if router.nginx.is_some() {
        text.push_str(" track_script {\n  nginx\n }\n");
    }
    text.push_str("}\n");
    text
}

/// Starts it, with nothing on the host that an earlier one has left.
pub(crate) fn run(node: &Node) -> Result<Process> {
    let mut command = node
        .host()
        .command("keepalived")
        .args(["-n", "-l", "-D", "-P", "-f"])
        .arg(node.configuration());
    for (option, name) in [("-p", "pid"), ("-r", "vrrp.pid"), ("-c", "check.pid")] {
        let file = node.host().files().join(name);
        // A file that a killed keepalived left keeps the next one from starting once its number is
        // in use again.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => command = command.arg(option).arg(file),
        }
    }
    command.spawn(&node.log_file())
}
