//! `[metrics]`: where metrics are served.

use std::net::SocketAddr;

use super::table::Table;

/// Reads the table.
pub(super) fn read(mut table: Table<'_>) -> Option<SocketAddr> {
    let listen = table.require("listen", "\"127.0.0.1:9650\"");
    table.finish();
    let listen = listen?;
    let text = listen.text()?;
    let address = text
        .parse::<SocketAddr>()
        .ok()
        .filter(|address| address.port() != 0);
    if address.is_none() {
        listen.spot.error(
            format!("\"{}\" is nothing to listen at", text.escape_default()),
            Some("expected an address and a port, such as \"127.0.0.1:9650\"".to_owned()),
        );
    }
    address
}
