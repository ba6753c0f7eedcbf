//! One attack after the other, and what came of each.

use nix::errno::Errno;

/// Bytes of a line; a longer one is cut by who reads it.
const LINE: usize = 900;

/// Tells what came of each attack.
#[derive(Debug)]
pub(crate) struct Attacks {
    by: &'static str,
    /// Whether sockets of the internet's protocols may be made.
    pub(crate) may_probe: bool,
    refused: String,
}

impl Default for Attacks {
    fn default() -> Self {
        Self {
            by: "worker",
            may_probe: true,
            refused: String::new(),
        }
    }
}

impl Attacks {
    /// From where a component is compiled.
    pub(crate) fn of_a_compiler() -> Self {
        Self {
            by: "compiler",
            may_probe: false,
            refused: String::new(),
        }
    }

    /// Something of the confinement that this system lacks.
    pub(crate) fn lacking(&mut self, what: &str) {
        eprintln!("{} attack lacking: {what}", self.by);
    }

    /// An attack that has to be refused for lack of permission: an attack that fails for another
    /// reason, such as a wrong argument, has got through.
    pub(crate) fn refused<T>(&mut self, name: &str, result: Result<T, Errno>) {
        self.refused_with(name, &[Errno::EPERM, Errno::EACCES], result);
    }

    /// As [`Self::refused`], by one of these errors.
    pub(crate) fn refused_with<T>(
        &mut self,
        name: &str,
        errors: &[Errno],
        result: Result<T, Errno>,
    ) {
        match result {
            Err(error) if errors.contains(&error) => {
                self.note(name, &format!("{error:?}"));
            }
            Err(error) => self.loud(name, &format!("got through, to {error:?}")),
            Ok(_) => self.loud(name, "succeeded"),
        }
    }

    /// A system call that has to be refused whatever its arguments are.
    pub(crate) fn call(&mut self, name: &str, number: libc::c_long) {
        self.refused(name, syscall(number, [0; 6]));
    }

    /// An attack that takes all it can get.
    pub(crate) fn bounded(&mut self, name: &str, got: u64, most: u64) {
        if got <= most {
            self.note(name, &format!("at-{got}"));
        } else {
            self.loud(name, &format!("took {got} of at most {most}"));
        }
    }

    /// Tells what was refused so far: should the next attack end the process, that much is known.
    pub(crate) fn flush(&mut self) {
        if !self.refused.is_empty() {
            eprintln!("{} attack refused:{}", self.by, self.refused);
            self.refused.clear();
        }
    }

    /// There are no more.
    pub(crate) fn over(&mut self) {
        self.flush();
        eprintln!("{} attack over: all were tried", self.by);
    }

    fn note(&mut self, name: &str, how: &str) {
        self.refused += &format!(" {name}={how}");
        if self.refused.len() > LINE {
            self.flush();
        }
    }

    fn loud(&self, name: &str, what: &str) {
        eprintln!("{} attack successful: {name} {what}", self.by);
    }
}

/// A system call by its number.
pub(crate) fn syscall(number: libc::c_long, arguments: [i64; 6]) -> Result<i64, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: every pointer among the arguments is null or that of something alive, as long as the
    // kernel is told.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// The address of a value, for a system call.
pub(crate) fn address<T>(value: &T) -> i64 {
    std::ptr::from_ref(value) as i64
}
