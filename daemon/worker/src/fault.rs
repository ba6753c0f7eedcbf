//! Making the faults that [`FromWorker::Loaded`](mainstay_protocol::FromWorker::Loaded) lists.

use mainstay_protocol::{LoadFault, Subject};

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
