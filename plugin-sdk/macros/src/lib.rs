//! The `#[settings]` attribute of `mainstay-plugin`, which re-exports and documents it.

use proc_macro::TokenStream;

/// What every type of settings gets: names as in the configuration, unknown keys refused, a JSON Schema.
const ATTRIBUTES: &str = r#"
    #[derive(::mainstay_plugin::serde::Deserialize, ::mainstay_plugin::schemars::JsonSchema)]
    #[serde(crate = "::mainstay_plugin::serde", rename_all = "kebab-case", deny_unknown_fields)]
    #[schemars(crate = "::mainstay_plugin::schemars")]
"#;

/// Makes a struct or an enum usable as a plugin's settings, or as a part of them.
///
/// It derives `Deserialize` and `JsonSchema`, spells the keys in kebab-case and refuses keys that don't exist. Doc
/// comments become descriptions in the schema; `#[serde(default)]` and the other serde attributes work as usual.
#[proc_macro_attribute]
pub fn settings(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        return error("#[settings] takes no arguments");
    }
    let Ok(mut tokens) = ATTRIBUTES.parse::<TokenStream>() else {
        return error("#[settings] could not be expanded");
    };
    tokens.extend(item);
    tokens
}

/// A compile error in place of the item.
fn error(message: &str) -> TokenStream {
    format!("::core::compile_error!({message:?});")
        .parse()
        .unwrap_or_default()
}
