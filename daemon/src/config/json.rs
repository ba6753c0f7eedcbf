//! The settings of a check or hook: a TOML table that becomes JSON for the plugin.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};
use toml::de::{DeTable, DeValue};

use super::problem::Place;
use super::table::Spot;
use super::value::Value;

/// The deepest nesting of settings.
const DEPTH: usize = 32;

/// Settings as JSON, and where each part of them stands.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// The JSON.
    pub(super) json: Json,
    /// JSON Pointer of each value to its key and place.
    pub(super) places: BTreeMap<String, (String, Place)>,
}

/// Reads a settings table; without one, the settings are empty.
pub(super) fn settings(value: Option<Value<'_>>) -> Settings {
    let mut settings = Settings {
        json: Json::Object(Map::new()),
        places: BTreeMap::new(),
    };
    if let Some(value) = value
        && let Some(table) = value.table()
    {
        let mut reader = Reader {
            places: &mut settings.places,
        };
        reader.note("", &value.spot);
        if let DeValue::Table(content) = value.content() {
            settings.json = reader.table(content, "", &table.spot, 0);
        }
    }
    settings
}

struct Reader<'p> {
    places: &'p mut BTreeMap<String, (String, Place)>,
}

impl Reader<'_> {
    fn note(&mut self, pointer: &str, spot: &Spot<'_>) {
        self.places
            .insert(pointer.to_owned(), (spot.key().to_owned(), spot.place()));
    }

    fn table(&mut self, table: &DeTable<'_>, pointer: &str, spot: &Spot<'_>, depth: usize) -> Json {
        let mut object = Map::new();
        for (name, value) in table {
            let key: &str = name.get_ref();
            let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let spot = spot.member(key, name.span().start);
            let value = self.value(value.get_ref(), &pointer, &spot, depth + 1);
            object.insert(key.to_owned(), value);
        }
        Json::Object(object)
    }

    fn value(&mut self, value: &DeValue<'_>, pointer: &str, spot: &Spot<'_>, depth: usize) -> Json {
        self.note(pointer, spot);
        if depth > DEPTH {
            spot.error(
                format!("settings are nested deeper than {DEPTH} levels"),
                None,
            );
            return Json::Null;
        }
        match value {
            DeValue::String(text) => Json::String(text.to_string()),
            DeValue::Boolean(flag) => Json::Bool(*flag),
            DeValue::Datetime(datetime) => Json::String(datetime.to_string()),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => Json::Number(number.into()),
                    Err(_) => {
                        spot.error(format!("{integer} is out of range"), None);
                        Json::Null
                    }
                }
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64);
                number.map_or_else(
                    || {
                        spot.error(format!("{float} cannot be said in JSON"), None);
                        Json::Null
                    },
                    Json::Number,
                )
            }
            DeValue::Array(array) => {
                let elements = array.iter().enumerate().map(|(index, element)| {
                    let spot = spot.element(index, element.span().start);
                    self.value(
                        element.get_ref(),
                        &format!("{pointer}/{index}"),
                        &spot,
                        depth + 1,
                    )
                });
                Json::Array(elements.collect())
            }
            DeValue::Table(table) => self.table(table, pointer, spot, depth),
        }
    }
}
