//! Where the engine's actions go.

use std::collections::VecDeque;
use std::io;

use mainstay_core::action::{Action, Effect};
use mainstay_core::event::{Event, Notice};
use mainstay_core::input::{Failure, Input};
use mainstay_kernel::frame_socket::FrameSocket;
use mainstay_kernel::route;
use tokio::sync::mpsc;

use super::sockets::Sockets;
use crate::hooks::EventSender;
use crate::resume::ResumePage;

/// Everything that the engine thread can do, none of which waits.
pub(super) struct Outlets {
    pub(super) sockets: Sockets,
    pub(super) frames: FrameSocket,
    pub(super) route: mpsc::Sender<route::Request>,
    /// What the hooks are to be told.
    pub(super) hooks: EventSender,
    /// Lines for people.
    pub(super) log: mpsc::Sender<Event>,
    pub(super) page: ResumePage,
    /// Failures that were told last, so that one that repeats with each advertisement is told once.
    pub(super) troubles: Troubles,
}

impl Outlets {
    /// Does one action. What ends at once goes back as an input into `completed`.
    pub(super) fn perform(&mut self, action: Action, completed: &mut VecDeque<Input>) {
        let id = action.id;
        match action.effect {
            Effect::Listen {
                interface,
                name,
                ids,
            } => {
                let result = self.sockets.listen(interface, &name, &ids);
                completed.push_back(Input::Completed { action: id, result });
            }
            Effect::Send {
                interface,
                source,
                destination,
                bytes,
            } => {
                let result = self.sockets.send(interface, source, destination, &bytes);
                self.trouble(Trouble::Advertisement, result);
            }
            Effect::Announce { interface, frames } => {
                let result = frames
                    .iter()
                    .try_for_each(|frame| self.frames.send(interface, frame));
                self.trouble(Trouble::Announcement, result);
            }
            Effect::AddAddresses {
                interface,
                addresses,
            } => {
                let effect = route::Effect::AddAddresses {
                    interface,
                    addresses,
                };
                self.request(route::Request { action: id, effect }, completed);
            }
            Effect::RemoveAddresses {
                interface,
                addresses,
            } => {
                let effect = route::Effect::RemoveAddresses {
                    interface,
                    addresses,
                };
                self.request(route::Request { action: id, effect }, completed);
            }
            Effect::Remember(record) => {
                let result = self.page.remember(&record);
                self.trouble(Trouble::Page, result);
            }
            Effect::Event(event) => {
                match &event {
                    Event::Transition(transition) => self.hooks.transition(transition),
                    // What people are told of it is a notice.
                    Event::Check(change) => return self.hooks.check(change),
                    Event::Notice(_) => {}
                }
                self.tell(event);
            }
        }
    }

    fn request(&mut self, request: route::Request, completed: &mut VecDeque<Input>) {
        if let Err(error) = self.route.try_send(request) {
            let request = match error {
                mpsc::error::TrySendError::Full(request)
                | mpsc::error::TrySendError::Closed(request) => request,
            };
            let failure = Failure {
                errno: None,
                message: "changes of addresses are held up".to_owned(),
            };
            completed.push_back(Input::Completed {
                action: request.action,
                result: Err(failure),
            });
        }
    }

    fn trouble(&mut self, trouble: Trouble, result: io::Result<()>) {
        if let Some(message) = self.troubles.note(trouble, result) {
            self.tell(Event::Notice(Notice {
                subject: "daemon".to_owned(),
                loud: true,
                message,
            }));
        }
    }

    /// Tells people.
    pub(super) fn tell(&self, event: Event) {
        // Only lines for people: when so many wait already, one more says little.
        let _ = self.log.try_send(event);
    }
}

/// What can fail without an answer to the engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    Advertisement,
    Announcement,
    Page,
}

/// The failures under way, by what they hit.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<(Trouble, Option<i32>)>);

impl Troubles {
    /// Tells of a failure when it begins or becomes another one, and when it is over.
    fn note(&mut self, trouble: Trouble, result: io::Result<()>) -> Option<String> {
        let what = match trouble {
            Trouble::Advertisement => "advertisements",
            Trouble::Announcement => "gratuitous ARP",
            Trouble::Page => "the page for a restart",
        };
        let known = self.0.iter().position(|(known, _)| *known == trouble);
        match (result, known) {
            (Ok(()), None) => None,
            (Ok(()), Some(known)) => {
                self.0.swap_remove(known);
                Some(format!("{what} can be written again"))
            }
            (Err(error), known) => {
                let code = error.raw_os_error();
                match known {
                    Some(known) if self.0[known].1 == code => return None,
                    Some(known) => self.0[known].1 = code,
                    None => self.0.push((trouble, code)),
                }
                Some(format!("{what} can't be written: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_when_it_begins_changes_and_ends() {
        let mut troubles = Troubles::default();
        let mut note = |code: Option<i32>| {
            let result = code.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)));
            troubles.note(Trouble::Advertisement, result).is_some()
        };
        assert!(!note(None));
        assert!(note(Some(1)));
        assert!(!note(Some(1)));
        assert!(note(Some(100)));
        assert!(note(None));
        assert!(!note(None));
    }
}
