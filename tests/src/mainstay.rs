//! Mainstay as it is built in this tree: where it is, its configuration, its commands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::lab::INTERFACE;
use crate::node::{Implementation, Node, Router};
use crate::process::{HostCommand, Process};
use crate::wait::{self, SOON};

/// The executable, in cargo's target directory or in that of `MAINSTAY_BUILD`.
pub fn executable() -> PathBuf {
    target().join("release/mainstay")
}

/// The plugin worker, beside it.
pub fn worker() -> PathBuf {
    target().join("release/mainstay-worker")
}

/// The directory of the stock plugins.
pub fn plugins() -> PathBuf {
    tree().join("target/plugins")
}

/// The plugin that misbehaves in every way.
pub fn misbehaving() -> PathBuf {
    tree().join("target/test-plugins/misbehaving.wasm")
}

/// A check in JavaScript, of 12 MB.
pub fn javascript() -> PathBuf {
    tree().join("target/test-plugins/javascript.wasm")
}

/// The plugin that asks for what it is told to.
pub fn asker() -> PathBuf {
    tree().join("target/test-plugins/asker.wasm")
}

/// The plugin that makes the calls in its settings.
pub fn prober() -> PathBuf {
    tree().join("target/test-plugins/prober.wasm")
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    std::env::var_os("MAINSTAY_BUILD").map_or_else(|| tree().join("target"), PathBuf::from)
}

/// The source tree.
pub fn tree() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// The configuration of a virtual router named `VI_1`.
pub fn configuration(router: &Router) -> String {
    let mut text = preamble();
    if let Some(check) = router.nginx {
        let _ = write!(
            text,
            "[[check]]\nname = \"nginx\"\nplugin = \"process\"\nsettings = {{ name = \"nginx\" }}\ninterval = \"{}ms\"\n",
            check.interval.as_millis()
        );
        if let Some(stale_after) = check.stale_after {
            let _ = writeln!(text, "stale-after = \"{}ms\"", stale_after.as_millis());
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "[[router]]\nname = \"VI_1\"\ninterface = \"{INTERFACE}\"\nid = {}\npriority = {}\nversion = {}\nadvert-interval = \"{}ms\"\npreempt = {}\naddresses = {:?}\n",
        router.id,
        router.priority,
        router.version,
        router.interval.as_millis(),
        router.preempt,
        router.addresses,
    );
    if let Some(password) = router.password {
        let _ = writeln!(
            text,
            "auth = {{ type = \"pass\", password = \"{password}\" }}"
        );
    }
    if let Some(check) = router.nginx {
        let weight = check
            .weight
            .map(|weight| format!(", weight = {weight}"))
            .unwrap_or_default();
        let _ = writeln!(text, "track = [{{ check = \"nginx\"{weight} }}]");
    }
    text
}

/// What every configuration begins with: where the plugins of this build are.
pub fn preamble() -> String {
    format!("[plugins]\ndirectory = {:?}\n\n", plugins())
}

/// A command of `mainstay` on a node, for the daemon that runs there.
pub fn command<'a>(node: &'a Node, name: &str) -> HostCommand<'a> {
    node.host().command(executable()).arg(name)
}

/// Starts the daemon.
pub(crate) fn run(node: &Node) -> Result<Process> {
    command(node, "run")
        .args(locations(node))
        .spawn(&node.log_file())
}

/// Starts the daemon behind another command, such as one that changes its user or its limits, and
/// with this worker.
///
/// # Errors
/// When it cannot be started.
pub fn run_behind(node: &Node, before: &[&str], worker: &Path) -> Result<Process> {
    let daemon = executable().display().to_string();
    let mut words = before.iter().copied().chain([daemon.as_str(), "run"]);
    let first = words.next().context("no command")?;
    let mut options = locations(node);
    options.pop();
    options.push(format!("--worker={}", worker.display()));
    node.host()
        .command(first)
        .args(words)
        .args(options)
        .spawn(&node.log_file())
}

/// The options that say where a node's files are, the worker last.
fn locations(node: &Node) -> Vec<String> {
    let files = node.host().files().display();
    vec![
        "--config".to_owned(),
        node.configuration().display().to_string(),
        format!("--runtime-dir={files}/run"),
        format!("--state-dir={files}/state"),
        format!("--cache-dir={files}/cache"),
        format!("--worker={}", worker().display()),
    ]
}

impl Node {
    /// The document of `mainstay status --json`.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn status(&self) -> Result<Value> {
        let text = self.control("status").arg("--json").text()?;
        serde_json::from_str(&text).context("status is not JSON")
    }

    /// The router of that name in the status.
    ///
    /// # Errors
    /// When the daemon does not answer, or has no such router.
    pub fn router(&self, name: &str) -> Result<Value> {
        let status = self.status()?;
        let found = status["routers"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|router| router["name"] == name);
        found
            .cloned()
            .with_context(|| format!("no router {name} in {status}"))
    }

    /// The check of that name in the status.
    ///
    /// # Errors
    /// When the daemon does not answer, or has no such check.
    pub fn check(&self, name: &str) -> Result<Value> {
        let status = self.status()?;
        let found = status["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|check| check["name"] == name);
        found
            .cloned()
            .with_context(|| format!("no check {name} in {status}"))
    }

    /// Tells the daemon to read its configuration again.
    ///
    /// # Errors
    /// When the command cannot be run; a refusal is in the output.
    pub fn reload(&self) -> Result<Output> {
        self.control("reload").output()
    }

    /// Looks at the configuration as `mainstay validate` does.
    ///
    /// # Errors
    /// When the command cannot be run; what it finds is in the output.
    pub fn validate(&self) -> Result<Output> {
        command(self, "validate")
            .arg(self.configuration())
            .arg("--worker")
            .arg(worker())
            .output()
    }

    /// Compiles the plugins of the configuration as `mainstay plugin compile` does.
    ///
    /// # Errors
    /// When that fails.
    pub fn compile(&self) -> Result<String> {
        command(self, "plugin")
            .arg("compile")
            .args(locations(self))
            .text()
    }

    /// Runs the daemon to its end, for a configuration that it refuses.
    ///
    /// # Errors
    /// When it goes on instead.
    pub fn run_to_its_end(&self) -> Result<(Option<i32>, String)> {
        let log = self.host().files().join("refused");
        let process = command(self, "run").args(locations(self)).spawn(&log)?;
        let status = process.wait(SOON)?;
        Ok((status.code(), process.log()?))
    }

    /// A command for the running daemon.
    pub fn control(&self, name: &str) -> HostCommand<'_> {
        command(self, name).arg(format!(
            "--runtime-dir={}/run",
            self.host().files().display()
        ))
    }

    /// Runs `mainstay release`: lets go of everything that the manifest says is ours.
    ///
    /// # Errors
    /// When it fails.
    pub fn release(&self) -> Result<String> {
        let files = self.host().files().display();
        command(self, "release")
            .arg(format!("--runtime-dir={files}/run"))
            .arg(format!("--state-dir={files}/state"))
            .text()
    }

    /// Waits until the router is in a state; of keepalived nothing is known but the address.
    ///
    /// # Errors
    /// When that is not so within `limit`.
    pub fn until_state(&self, limit: Duration, state: &str) -> Result<()> {
        if self.implementation() != Implementation::Mainstay {
            bail!("only Mainstay tells its state");
        }
        let mut last = Value::Null;
        wait::until_true(limit, &format!("{} is {state}", self.host().name()), || {
            self.check_alive()?;
            // It may not have made its control socket yet.
            last = self.router("VI_1").unwrap_or_default();
            Ok(last["state"] == state)
        })
        .with_context(|| format!("in the end: {last}"))
    }
}
