//! What a scenario needs of the machine, and how its absence is reported: by name, never as a pass
//! that nobody can tell from one.

use std::fs;
use std::process::{Command, Stdio};

pub use mainstay_skips::skip as skip_because;
use nix::unistd::geteuid;

/// Something a machine may lack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Need {
    /// To be root, for namespaces and sockets; in a user namespace will do.
    Root,
    /// To be root of the machine itself, for file systems and another systemd.
    Machine,
    /// An executable in the path.
    Executable(&'static str),
    /// A file that the build or the set-up makes.
    File(std::path::PathBuf),
}

impl Need {
    /// Why it is missing; `None` when it is there.
    fn missing(&self) -> Option<String> {
        match self {
            Self::Root => (!geteuid().is_root()).then(|| "needs root".to_owned()),
            Self::Machine => {
                (!is_root_of_the_machine()).then(|| "needs to be run with sudo".to_owned())
            }
            Self::Executable(name) => {
                let found = Command::new("sh")
                    .args(["-c", "command -v \"$0\"", name])
                    .stdout(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success());
                (!found).then(|| format!("needs {name}, which is not installed"))
            }
            Self::File(path) => (!path.exists()).then(|| format!("needs {}", path.display())),
        }
    }
}

/// Whether root here is root everywhere: every user is itself only outside of user namespaces.
fn is_root_of_the_machine() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether a scenario has to be left out, which is then reported as by [`skip_because`].
///
/// # Panics
/// As it does.
pub fn skip(scenario: &str, needs: &[Need]) -> bool {
    let Some(reason) = needs.iter().find_map(|need| need.missing()) else {
        return false;
    };
    skip_because(scenario, &reason);
    true
}
