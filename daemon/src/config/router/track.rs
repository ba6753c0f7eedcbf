//! The checks that decide about a router.

use std::collections::BTreeSet;

use mainstay_core::settings::Track;
use mainstay_protocol::nearest;

use crate::config::names::Unique;
use crate::config::value::Value;

/// Reads `track`: a list of `{ check = "nginx", weight = -20 }`, or of names alone.
pub(super) fn read(value: &Value<'_>, checks: &BTreeSet<String>) -> Vec<Track> {
    let mut names = Unique::default();
    let elements = value.elements().unwrap_or_default();
    let tracks = elements.iter().filter_map(|element| {
        let (name, weight) = match element.content().as_str() {
            Some(_) => (None, None),
            None => read_table(element)?,
        };
        let named = name.as_ref().unwrap_or(element);
        let check = named.name()?;
        if !checks.contains(check) {
            let known = checks.iter().map(String::as_str);
            let help = match nearest(check, known.clone()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "declare it with [[check]]".to_owned(),
            };
            named
                .spot
                .error(format!("there is no check \"{check}\""), Some(help));
        }
        names.claim(
            check.to_owned(),
            &named.spot,
            &format!("the check \"{check}\""),
            "a router tracks a check once",
        );
        Some(Track {
            check: check.to_owned(),
            weight,
        })
    });
    tracks.collect()
}

type Entry<'a> = (Option<Value<'a>>, Option<i16>);

fn read_table<'a>(element: &Value<'a>) -> Option<Entry<'a>> {
    let mut table = element.table()?;
    let check = table.require("check", "\"nginx\"");
    let weight = table.take("weight");
    table.finish();
    let weight = match weight {
        Some(value) => Some(read_weight(&value)?),
        None => None,
    };
    Some((Some(check?), weight))
}

fn read_weight(value: &Value<'_>) -> Option<i16> {
    let weight = value.number(-253..=253)?;
    if weight == 0 {
        value.spot.error(
            "a weight of 0 changes nothing",
            Some(
                "without weight, the check is a condition: the router is in fault without it"
                    .to_owned(),
            ),
        );
        return None;
    }
    Some(weight)
}
