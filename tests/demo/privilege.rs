//! What it takes to make network namespaces: root, or a user namespace in which one is root.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use nix::unistd::geteuid;

/// `EX_UNAVAILABLE` of sysexits.
const UNAVAILABLE: u8 = 69;

/// As root in namespaces of one's own: what the demonstration needs of the kernel.
const UNSHARE: [&str; 7] = [
    "--user",
    "--map-root-user",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--mount-proc",
];

/// Returns as root. Who is not root becomes it in a user namespace, by starting again in there;
/// where that is refused, the line to type is printed and the answer is the exit code.
pub(crate) fn enough() -> Result<(), ExitCode> {
    if geteuid().is_root() {
        return Ok(());
    }
    let refused = |reason: String| {
        let build = env::var("MAINSTAY_BUILD").map(|build| format!("env MAINSTAY_BUILD={build} "));
        let program = env::current_exe().unwrap_or_default();
        eprintln!("This system gives users no network namespaces ({reason}). As root it works:");
        eprintln!(
            "    sudo {}{}",
            build.unwrap_or_default(),
            program.display()
        );
        Err(ExitCode::from(UNAVAILABLE))
    };
    let tried = Command::new("unshare")
        .args(UNSHARE)
        .arg("true")
        .stdout(Stdio::null())
        .output();
    match tried {
        Ok(output) if output.status.success() => {}
        Ok(output) => return refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => return refused(format!("unshare: {error}")),
    }
    let error = match env::current_exe() {
        Ok(program) => Command::new("unshare")
            .args(UNSHARE)
            .arg("--kill-child")
            .arg(program)
            .exec(),
        Err(error) => error,
    };
    refused(error.to_string())
}
