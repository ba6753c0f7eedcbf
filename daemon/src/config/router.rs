//! `[[router]]`: a virtual router.

mod addresses;
mod track;
mod version;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

use mainstay_core::address::Family;
use mainstay_core::settings::{
    AnnounceSettings, Authentication, ChecksumForm, RouterSettings, Version,
};

use super::names::Unique;
use super::readers::Readers;
use super::table::Table;
use super::value::Value;

/// What must be told apart among all routers.
#[derive(Debug, Default)]
pub(super) struct Identities {
    names: Unique<String>,
    ids: Unique<(String, Family, u8)>,
    addresses: Unique<(String, Ipv4Addr)>,
}

/// What a router may refer to.
pub(super) struct Surroundings<'c> {
    /// Names of all checks, right or wrong ones.
    pub(super) checks: &'c BTreeSet<String>,
    /// Where systemd puts credentials.
    pub(super) credentials: Option<&'c Path>,
    /// Who else reads the files that it names.
    pub(super) readers: &'c Readers,
}

/// Reads one `[[router]]`; `None` when so much is wrong that nothing can be made of it.
pub(super) fn read(
    mut table: Table<'_>,
    identities: &mut Identities,
    surroundings: &Surroundings<'_>,
) -> Option<RouterSettings> {
    let name = table.require("name", "\"VI_1\"");
    let interface = table.require("interface", "\"eth0\"");
    let id = table.require("id", "51");
    let version = table
        .take("version")
        .map_or(Some(Version::V3), |value| version::read(&value));
    let priority = table
        .take("priority")
        .map_or(Some(100), |value| value.number(1..=u8::MAX));
    let advert_interval = table.take("advert-interval");
    let preempt = table.take("preempt").and_then(|value| value.flag());
    let down_timer_adverts = table
        .take("down-timer-adverts")
        .and_then(|value| value.number(1..=100));
    let auth = table.take("auth");
    let checksum = table.take("checksum");
    let addresses = table.require("addresses", "[\"192.168.1.100/24\"]");
    let track = table
        .take("track")
        .map_or_else(Vec::new, |value| track::read(&value, surroundings.checks));
    let announce = table
        .take_table("announce")
        .map_or_else(AnnounceSettings::default, read_announce);
    table.finish();

    let name = read_name(name, &mut identities.names);
    let interface_spot = interface.as_ref().map(|value| value.spot.clone());
    let interface = interface.and_then(|value| read_interface(&value));
    let id_spot = id.as_ref().map(|value| value.spot.clone());
    let id: Option<u8> = id.and_then(|value| value.number(1..=u8::MAX));
    let advert_interval = advert_interval.map_or(Some(Duration::from_secs(1)), |value| {
        version.and_then(|version| version::advert_interval(&value, version))
    });
    let authentication = auth.map_or(Some(Authentication::None), |value| {
        version.and_then(|version| version::authentication(&value, version, surroundings))
    });
    let checksum = checksum.map_or(Some(ChecksumForm::PseudoHeader), |value| {
        version.and_then(|version| version::checksum(&value, version))
    });
    let addresses = addresses
        .and_then(|value| addresses::read(&value, interface.as_deref(), &mut identities.addresses));
    if let (Some(interface), Some(id), Some(spot)) = (&interface, id, &id_spot) {
        identities.ids.claim(
            (interface.clone(), Family::Ipv4, id),
            spot,
            &format!("id {id} on {interface} (ipv4)"),
            "two virtual routers on one interface need different ids",
        );
    }
    if let (Some(interface), Some(spot)) = (&interface, &interface_spot)
        && nix::net::if_::if_nametoindex(interface.as_str()).is_err()
    {
        spot.warn(
            format!("there is no interface {interface} now"),
            Some("the router is in fault until it appears".to_owned()),
        );
    }
    Some(RouterSettings {
        name: name?,
        interface: interface?,
        id: NonZeroU8::new(id?)?,
        family: Family::Ipv4,
        version: version?,
        priority: NonZeroU8::new(priority?)?,
        advert_interval: advert_interval?,
        preempt: preempt.unwrap_or(true),
        down_timer_adverts: down_timer_adverts.unwrap_or(3),
        authentication: authentication?,
        checksum: checksum?,
        addresses: addresses?,
        track,
        announce,
    })
}

fn read_name(value: Option<Value<'_>>, names: &mut Unique<String>) -> Option<String> {
    let value = value?;
    let name = value.name()?;
    names.claim(
        name.to_owned(),
        &value.spot,
        &format!("the router name \"{name}\""),
        "give each router a name of its own",
    );
    Some(name.to_owned())
}

/// A name that the kernel would take: 1 to 15 bytes without a slash or white space.
fn read_interface(value: &Value<'_>) -> Option<String> {
    const LONGEST: usize = 15;
    let name = value.text()?;
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > LONGEST || name.contains(odd) || [".", ".."].contains(&name)
    {
        value.spot.error(
            format!("\"{}\" cannot be an interface", name.escape_default()),
            Some(format!(
                "a name of 1 to {LONGEST} bytes without slash, colon or space, as ip link prints it"
            )),
        );
        return None;
    }
    Some(name.to_owned())
}

fn read_announce(mut table: Table<'_>) -> AnnounceSettings {
    let default = AnnounceSettings::default();
    let announce = AnnounceSettings {
        repeat: table
            .take("repeat")
            .and_then(|value| value.number(1..=100))
            .unwrap_or(default.repeat),
        delay: table
            .take("delay")
            .and_then(|value| value.duration(Duration::ZERO..=Duration::from_secs(300)))
            .unwrap_or(default.delay),
    };
    table.finish();
    announce
}
