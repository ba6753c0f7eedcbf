//! The names of processes, read at each look through files that stay open.
//!
//! To open and close such a file takes several times as long as to read it. It belongs to its
//! process: when that is gone it cannot be read any more, whoever has the number by then.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

/// The files that are open from one look to the next.
#[derive(Debug)]
pub(super) struct Comms {
    open: HashMap<u32, Comm>,
    /// How many there are, at most. The files of further processes are opened at each look.
    most: usize,
    /// Counts the looks.
    look: u64,
}

#[derive(Debug)]
struct Comm {
    file: OwnedFd,
    /// The last look that met the process.
    look: u64,
}

impl Comms {
    /// Keeps so many files open, at most.
    pub(super) fn new(most: usize) -> Self {
        Self {
            open: HashMap::new(),
            most,
            look: 0,
        }
    }

    /// The name of a process as it is now, read into `buffer`.
    ///
    /// # Errors
    /// When there is no such process, or its name cannot be read.
    pub(super) fn read<'a>(
        &mut self,
        proc: &OwnedFd,
        pid: &str,
        buffer: &'a mut [u8],
    ) -> io::Result<&'a [u8]> {
        let number = pid.parse().map_err(io::Error::other)?;
        let length = match self.again(number, buffer) {
            Some(length) => length,
            None => self.first(proc, number, buffer)?,
        };
        let name = &buffer[..length];
        Ok(name.strip_suffix(b"\n").unwrap_or(name))
    }

    /// Lets go of the processes that were not met since the last time.
    pub(super) fn end(&mut self) {
        self.open.retain(|_, comm| comm.look == self.look);
        self.look += 1;
    }

    fn again(&mut self, number: u32, buffer: &mut [u8]) -> Option<usize> {
        let comm = self.open.get_mut(&number)?;
        match rustix::io::pread(&comm.file, buffer, 0) {
            Ok(length) => {
                comm.look = self.look;
                Some(length)
            }
            Err(_) => {
                self.open.remove(&number);
                None
            }
        }
    }

    fn first(&mut self, proc: &OwnedFd, number: u32, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(proc, format!("{number}/comm"), flags, Mode::empty())?;
        let length = rustix::io::pread(&file, buffer, 0)?;
        if self.open.len() < self.most {
            let look = self.look;
            self.open.insert(number, Comm { file, look });
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Child, Command, Stdio};

    use rustix::fs::CWD;

    use super::*;

    /// Becomes another program, and so has another name, when it is told to.
    fn shell() -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read line; exec cat"]);
        shell.stdin(Stdio::piped()).spawn().unwrap()
    }

    fn look(comms: &mut Comms, children: &[&Child]) -> Vec<Option<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = openat(CWD, "/proc", flags, Mode::empty()).unwrap();
        let mut names = Vec::new();
        for child in children {
            let mut buffer = [0; 64];
            let name = comms.read(&proc, &child.id().to_string(), &mut buffer);
            names.push(
                name.ok()
                    .map(|name| String::from_utf8(name.to_vec()).unwrap()),
            );
        }
        comms.end();
        names
    }

    fn some(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn a_name_is_read_anew_at_each_look() {
        let mut comms = Comms::new(10);
        let mut child = shell();
        // It may not have become the shell yet.
        while look(&mut comms, &[&child]) != [some("sh")] {
            std::thread::yield_now();
        }
        assert_eq!(comms.open.len(), 1);
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        while look(&mut comms, &[&child]) != [some("cat")] {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(look(&mut comms, &[&child]), [None]);
        assert!(comms.open.is_empty());
    }

    #[test]
    fn so_many_files_are_open_and_the_others_are_read_all_the_same() {
        let mut comms = Comms::new(1);
        let mut children = [shell(), shell()];
        let [first, second] = &children;
        while look(&mut comms, &[first, second]) != [some("sh"), some("sh")] {
            std::thread::yield_now();
        }
        assert_eq!(comms.open.len(), 1);
        // One that is not met any more makes room.
        look(&mut comms, &[second]);
        look(&mut comms, &[second]);
        assert!(comms.open.contains_key(&second.id()));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
