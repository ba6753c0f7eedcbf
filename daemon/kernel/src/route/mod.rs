//! Links and addresses, over route netlink (rtnetlink(7)).
//!
//! Requests, their acknowledgements and the notifications all go over one socket, since that is
//! what gives them one order: the kernel queues the notification of a change before it acknowledges
//! the request that made it, so that a request's completion comes after everything that was to be
//! known by then. (The rtnetlink crate hands responses and notifications over in two channels,
//! unbounded and without a common order, and takes a notification whose sequence number happens to
//! fit for a response; here are only its siblings for the socket and the codec.)
//!
//! An address of a network that is on the interface already becomes a *secondary* one. When the
//! primary one of a network goes away, Linux takes its secondaries along unless the interface has
//! `promote_secondaries`. Hence secondaries are removed first, and where others' addresses would go
//! along with one of ours, promotion is switched on for the moment of the removal.

mod batch;
mod connection;
mod message;
mod release;
mod table;
#[cfg(test)]
mod tests;
mod unmarked;

use std::io;

use mainstay_core::action::ActionId;
use mainstay_core::address::{InterfaceIndex, Prefix};
use mainstay_core::input::Input;
use tokio::sync::mpsc;

pub use self::message::MARK;
pub use self::release::{Outcome, Removal, remove_listed};
pub use self::unmarked::unmarked;

use self::batch::Change;
use self::connection::{Connection, Incoming};
use self::message::{Body, Message};
use self::table::Table;

/// Something to do to addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Number of the action, for its completion.
    pub action: ActionId,
    /// What to do.
    pub effect: Effect,
}

/// What can be done to addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Put them on the interface, marked as ours. One that is there already is left as it is.
    AddAddresses {
        /// Where.
        interface: InterfaceIndex,
        /// Which.
        addresses: Vec<Prefix>,
    },
    /// Take them from the interface, whoever put them there. One that is not there is no error.
    RemoveAddresses {
        /// Where.
        interface: InterfaceIndex,
        /// Which.
        addresses: Vec<Prefix>,
    },
}

/// Room for notifications that come faster than they are read; the kernel doubles it.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Passes on what the kernel tells of links and IPv4 addresses and does what is requested, until the
/// sender of the requests is dropped. Runs in the network namespace of the thread that polls it
/// first; needs a Tokio runtime with I/O.
///
/// First comes one [`Input::Snapshot`], then every change; another snapshot follows whenever the
/// kernel had to drop notifications. A notification that changes nothing is not passed on. Each
/// request is answered with [`Input::Completed`], in the order of the requests, after every
/// notification that the kernel had sent by then. `deliver` must not block.
///
/// # Errors
///
/// When the socket can't be opened or breaks, or the kernel refuses to list links or addresses.
/// Without `CAP_NET_ADMIN` everything works but the requests, which complete with `EPERM`.
pub async fn run(
    requests: mpsc::Receiver<Request>,
    deliver: impl Fn(Input),
) -> Result<(), RouteError> {
    run_with(requests, deliver, RECEIVE_BUFFER).await
}

/// [`run`] with a receive buffer of this many bytes.
async fn run_with(
    mut requests: mpsc::Receiver<Request>,
    deliver: impl Fn(Input),
    receive_buffer: usize,
) -> Result<(), RouteError> {
    let mut route = Route {
        connection: Connection::open(receive_buffer)?,
        table: Table::default(),
        deliver,
    };
    route.refresh().await?;
    loop {
        tokio::select! {
            // Requests are carried out knowing all that can be known.
            biased;
            incoming = route.connection.receive() => match incoming? {
                Incoming::Messages(messages) => route.notice_all(messages),
                Incoming::Overrun => route.refresh().await?,
            },
            request = requests.recv() => match request {
                Some(Request { action, effect }) => {
                    let change = Change::from(effect);
                    let failures = route.execute(&change).await?;
                    let result = route.result(&change, failures);
                    (route.deliver)(Input::Completed { action, result });
                }
                None => return Ok(()),
            },
        }
    }
}

/// The socket, and what is known from it.
struct Route<D> {
    connection: Connection,
    table: Table,
    deliver: D,
}

impl<D: Fn(Input)> Route<D> {
    /// Asks for everything anew and passes it on.
    async fn refresh(&mut self) -> Result<(), RouteError> {
        self.table = self.connection.list().await?;
        (self.deliver)(Input::Snapshot(self.table.snapshot()));
        Ok(())
    }

    fn notice_all(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.notice(message.body);
        }
    }

    /// Notes a change and passes it on.
    fn notice(&mut self, body: Body) {
        if let Some(input) = self.table.apply(body) {
            (self.deliver)(input);
        }
    }
}

/// Why nothing is known of links and addresses any more.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The socket.
    #[error("route netlink: {0}")]
    Socket(#[from] io::Error),
    /// A dump.
    #[error("the kernel does not list its {what}: {reason}")]
    List {
        /// Links or addresses.
        what: &'static str,
        /// The kernel's reason.
        reason: io::Error,
    },
}
