//! The state of systemd's units, over D-Bus.

use std::path::Path;
use std::time::Duration;

use mainstay_protocol::Refusal;
use tokio::sync::Semaphore;
use zbus::connection::Builder;
use zbus::{Connection, Error, OwnedObjectPath, OwnedVariant};

use super::asker::Asker;

/// How long systemd may take, connection included.
const PATIENCE: Duration = Duration::from_secs(2);

/// systemd's own socket, for root where there is no bus.
const PRIVATE: &str = "/run/systemd/private";

/// Bytes of a state; systemd's longest is `deactivating`.
const LONGEST: usize = 64;

/// The `ActiveState` of a unit that the plugin is granted; `None` when systemd knows none of that name. `turns` bounds
/// the connections.
pub(super) async fn active_state(
    asker: &Asker,
    turns: &Semaphore,
    unit: &str,
) -> Result<Option<String>, Refusal> {
    if !asker.units.iter().any(|granted| granted == unit) {
        return Err(Refusal::NotPermitted);
    }
    let asked = async {
        let _turn = turns.acquire().await.ok();
        ask(unit).await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Some(state))) if state.len() > LONGEST => {
            Err(Refusal::Unavailable("systemd says nonsense".to_owned()))
        }
        Ok(Ok(state)) => Ok(state),
        Ok(Err(error)) => Err(Refusal::Unavailable(format!("systemd: {error}"))),
        Err(_) => Err(Refusal::TimedOut),
    }
}

async fn ask(unit: &str) -> Result<Option<String>, Error> {
    let connection = connect().await?;
    // Loaded, since a unit that nobody uses has left systemd's memory.
    let body = (unit,);
    let loaded = call(
        &connection,
        "/org/freedesktop/systemd1",
        "Manager",
        "LoadUnit",
        &body,
    );
    let path: OwnedObjectPath = loaded.await?.body().deserialize()?;
    let known: String = property(&connection, &path, "LoadState").await?;
    match known.as_str() {
        "not-found" => Ok(None),
        _ => property(&connection, &path, "ActiveState").await.map(Some),
    }
}

/// The system bus, or systemd itself.
async fn connect() -> Result<Connection, Error> {
    let bus = match Builder::system().build().await {
        Ok(bus) => return Ok(bus),
        Err(error) => error,
    };
    // Only root may, and it need not be there.
    let Ok(stream) = tokio::net::UnixStream::connect(Path::new(PRIVATE)).await else {
        return Err(bus);
    };
    let stream = stream.into_std()?;
    Builder::unix_stream(stream).p2p().build().await
}

async fn call<B>(
    connection: &Connection,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> Result<zbus::Message, Error>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let destination = Some("org.freedesktop.systemd1");
    let interface = match interface {
        "Properties" => "org.freedesktop.DBus.Properties".to_owned(),
        other => format!("org.freedesktop.systemd1.{other}"),
    };
    connection
        .call_method(destination, path, Some(interface.as_str()), method, body)
        .await
}

async fn property(
    connection: &Connection,
    path: &OwnedObjectPath,
    name: &str,
) -> Result<String, Error> {
    let wanted = ("org.freedesktop.systemd1.Unit", name);
    let reply = call(connection, path.as_str(), "Properties", "Get", &wanted).await?;
    let value: OwnedVariant = reply.body().deserialize()?;
    String::try_from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_units_that_are_granted_are_asked_for() {
        let asker = Asker {
            units: vec!["nginx.service".to_owned()],
            ..Asker::default()
        };
        let turns = Semaphore::new(1);
        for unit in ["", "nginx", "nginx.service.", "sshd.service"] {
            let refused = active_state(&asker, &turns, unit).await;
            assert_eq!(refused, Err(Refusal::NotPermitted), "{unit}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_finds_no_turn_is_answered_in_time() {
        let asker = Asker {
            units: vec!["nginx.service".to_owned()],
            ..Asker::default()
        };
        let turns = Semaphore::new(0);
        let refused = active_state(&asker, &turns, "nginx.service").await;
        assert_eq!(refused, Err(Refusal::TimedOut));
    }
}
