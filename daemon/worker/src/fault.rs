//! Making the faults that [`FromWorker::Loaded`](mainstay_protocol::FromWorker::Loaded) lists.

use mainstay_protocol::{LoadFault, Subject};

use crate::text::one_line;

/// Faults listed, at most; more of them tell nobody more.
const LISTED: usize = 100;
/// Bytes kept of each text.
const TEXT: usize = 1024;

/// A fault of the plugin itself.
#[must_use]
pub(crate) fn of_plugin(
    plugin: &str,
    message: impl Into<String>,
    help: Option<String>,
) -> LoadFault {
    LoadFault {
        plugin: plugin.to_owned(),
        subject: Subject::Load,
        pointer: None,
        message: message.into(),
        help,
    }
}

/// A fault of one use of a plugin, with the place in its settings when it is about one.
#[must_use]
pub(crate) fn of_use(
    plugin: &str,
    subject: Subject,
    pointer: Option<String>,
    message: impl Into<String>,
    help: Option<String>,
) -> LoadFault {
    LoadFault {
        plugin: plugin.to_owned(),
        subject,
        pointer,
        message: message.into(),
        help,
    }
}

/// The faults as they fit into one frame, with a last one that counts the others.
#[must_use]
pub(crate) fn bounded(mut faults: Vec<LoadFault>) -> Vec<LoadFault> {
    let others = faults.len().saturating_sub(LISTED);
    faults.truncate(LISTED);
    for fault in &mut faults {
        for text in [
            Some(&mut fault.message),
            fault.help.as_mut(),
            fault.pointer.as_mut(),
        ]
        .into_iter()
        .flatten()
        {
            *text = one_line(text, TEXT);
        }
    }
    if others > 0
        && let Some(last) = faults.last().cloned()
    {
        faults.push(of_plugin(
            &last.plugin,
            format!("and {others} faults more"),
            None,
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_long_faults_fit_into_a_frame() {
        let long = || "\\".repeat(10_000);
        let fault = || of_use("p", Subject::Load, Some(long()), long(), Some(long()));
        let faults = bounded((0..5000).map(|_| fault()).collect());
        assert_eq!(faults.len(), LISTED + 1);
        assert_eq!(faults[LISTED].message, "and 4900 faults more");
        let frame = mainstay_protocol::frame::encode(&mainstay_protocol::FromWorker::Loaded {
            generation: 1,
            plugins: Vec::new(),
            faults,
        });
        assert!(frame.is_ok());
    }
}
