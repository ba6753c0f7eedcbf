//! Which processes, and how many of them.

use mainstay_plugin::prelude::*;

/// The kernel's `TASK_COMM_LEN` without the terminating zero: longer names never match.
const NAME_BYTES: usize = 15;

/// Exactly one of name, command, pid-file and unit says what to look for.
#[settings]
#[derive(Default)]
pub(crate) struct Settings {
    /// The process's name as the kernel has it (`ps -o comm`), at most 15 bytes.
    name: Option<String>,
    /// The base name of the program in the command line.
    command: Option<String>,
    /// A file with the process's id; an absolute path.
    pid_file: Option<String>,
    /// A systemd unit with its suffix, such as "nginx.service".
    unit: Option<String>,
    /// How many processes are enough.
    #[serde(default = "one")]
    #[schemars(extend("minimum" = 1))]
    pub(crate) min: u32,
}

fn one() -> u32 {
    1
}

impl Settings {
    /// What to look for, or why that isn't clear.
    pub(crate) fn selector(&self) -> Result<Selector, String> {
        match (&self.name, &self.command, &self.pid_file, &self.unit) {
            (Some(name), None, None, None) => Ok(Selector::Name(name.clone())),
            (None, Some(command), None, None) => Ok(Selector::Command(command.clone())),
            (None, None, Some(file), None) => Ok(Selector::PidFile(file.clone())),
            (None, None, None, Some(unit)) => Ok(Selector::Unit(unit.clone())),
            (None, None, None, None) => {
                Err("one of name, command, pid-file and unit is needed".to_owned())
            }
            _ => Err("only one of name, command, pid-file and unit can be given".to_owned()),
        }
    }

    /// Everything that would make the check fail for ever.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.min == 0 {
            problems.push(Problem::at(
                "/min",
                "0 processes are always there; the least is 1",
            ));
        }
        match self.selector() {
            Ok(selector) => problems.extend(unmatchable(&selector)),
            Err(message) => problems.push(Problem::at("", message)),
        }
        problems
    }
}

/// Why nothing can ever match the selector, if so.
fn unmatchable(selector: &Selector) -> Option<Problem> {
    let (pointer, message) = match selector {
        Selector::Name(name) if name.is_empty() => ("/name", "is empty".to_owned()),
        Selector::Name(name) if name.len() > NAME_BYTES => {
            let message = format!(
                "has {} bytes, but the kernel keeps {NAME_BYTES} of a process's name; give the first {NAME_BYTES}, or `command`",
                name.len()
            );
            ("/name", message)
        }
        Selector::Command(command) if command.is_empty() => ("/command", "is empty".to_owned()),
        Selector::Command(command) if command.contains('/') => (
            "/command",
            "is a path; give the part after the last slash".to_owned(),
        ),
        Selector::PidFile(file) if !file.starts_with('/') => {
            ("/pid-file", "is not an absolute path".to_owned())
        }
        Selector::Unit(unit) if !unit.contains('.') => {
            ("/unit", format!("lacks its suffix; is it {unit}.service?"))
        }
        _ => return None,
    };
    Some(Problem::at(pointer, message))
}

/// The selector's value, for messages.
pub(crate) fn sought(selector: &Selector) -> &str {
    match selector {
        Selector::Name(sought)
        | Selector::Command(sought)
        | Selector::PidFile(sought)
        | Selector::Unit(sought) => sought,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Settings {
        Settings {
            name: Some(name.to_owned()),
            min: 1,
            ..Settings::default()
        }
    }

    fn pointers(settings: &Settings) -> Vec<String> {
        settings
            .problems()
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    }

    #[test]
    fn exactly_one_selector() {
        assert_eq!(
            name("nginx").selector(),
            Ok(Selector::Name("nginx".to_owned()))
        );
        assert_eq!(pointers(&name("nginx")), Vec::<String>::new());

        let none = Settings {
            min: 1,
            ..Settings::default()
        };
        assert!(none.selector().is_err());
        assert_eq!(pointers(&none), [""]);

        let two = Settings {
            unit: Some("nginx.service".to_owned()),
            ..name("nginx")
        };
        assert!(two.selector().is_err());
        assert_eq!(pointers(&two), [""]);
    }

    #[test]
    fn every_problem_is_named() {
        let settings = Settings { min: 0, ..name("") };
        assert_eq!(pointers(&settings), ["/min", "/name"]);
    }
}
