//! What is there on a kernel that keeps no marks, so that nobody takes it for ours.

use mainstay_core::address::Prefix;
use mainstay_core::input::Mark;

use super::connection::Connection;
use super::table::{Table, keeps_marks};
use super::{RECEIVE_BUFFER, RouteError};

/// The addresses of which the kernel can't tell who put them there, each with the name of its
/// interface; none where it keeps marks. Needs a Tokio runtime with I/O.
///
/// # Errors
///
/// When the kernel can't be asked what is there.
pub async fn unmarked() -> Result<Vec<(String, Prefix)>, RouteError> {
    if keeps_marks() {
        return Ok(Vec::new());
    }
    let table = Connection::open(RECEIVE_BUFFER)?.list().await?;
    Ok(listed(&table))
}

fn listed(table: &Table) -> Vec<(String, Prefix)> {
    let unknown = table
        .addresses()
        .filter(|address| address.mark == Mark::Unknown);
    let named = unknown.filter_map(|address| {
        let link = table.link(address.interface)?;
        Some((link.name.clone(), address.prefix))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use mainstay_core::address::InterfaceIndex;
    use mainstay_core::input::Link;

    use super::super::message::{Body, MARK};
    use super::*;

    #[test]
    fn only_what_has_no_mark_is_listed_and_only_where_none_are_kept() {
        let interface = InterfaceIndex(2);
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let address = |text, protocol| Body::Address {
            interface,
            prefix: prefix(text),
            secondary: false,
            protocol,
        };
        let link = Body::Link(Link {
            index: interface,
            name: "eth0".to_owned(),
            mac: None,
            running: true,
        });
        let mut table = Table::without_marks();
        table.apply(link);
        table.apply(address("10.0.0.1/24", None));
        let there = [("eth0".to_owned(), prefix("10.0.0.1/24"))];
        assert_eq!(listed(&table), there);
        table.apply(address("10.0.0.2/24", Some(MARK)));
        table.apply(address("10.0.0.3/24", None));
        assert_eq!(listed(&table), there);
    }
}
