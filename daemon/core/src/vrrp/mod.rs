//! The virtual router of RFC 9568 and RFC 3768.
//!
//! [`router`] holds the state, [`conditions`] finds out what bears on it, [`machine`] has the
//! transitions, [`receive`] the way of a packet, [`advertise`] what is sent, [`addresses`] what is
//! wanted on the interface against what is there, [`intervals`] and [`priority`] the arithmetic,
//! [`history`] what happened, [`remarks`] how much is told of it, [`view`] what people see.

mod addresses;
mod advertise;
mod conditions;
mod history;
mod intervals;
mod machine;
mod priority;
mod receive;
mod remarks;
mod router;
mod view;

pub(crate) use router::{Context, Router, Socket};
