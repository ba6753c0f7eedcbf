//! The secrets of one plugin, and how they are kept out of what it writes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use mainstay_protocol::{Secret, SecretBytes};
use zeroize::Zeroizing;

use crate::bindings::check::Report;
use crate::bindings::common::{Attribute, PluginError};
use crate::text::one_line;

/// The shortest text that is blotted out: fewer bytes stand everywhere by chance.
const SHORTEST: usize = 4;
/// The same for a line of a secret with several.
const SHORTEST_LINE: usize = 8;
/// What stands in its place.
const BLOT: &str = "***";

/// What a plugin was given to know.
#[derive(Default)]
pub(crate) struct Secrets {
    values: BTreeMap<String, SecretBytes>,
    /// What must not be shown, the longest first.
    texts: Vec<Zeroizing<String>>,
}

impl Secrets {
    /// Takes over the secrets of a load.
    #[must_use]
    pub(crate) fn new(secrets: Vec<Secret>) -> Self {
        let mut texts = BTreeSet::new();
        for secret in &secrets {
            let whole = String::from_utf8_lossy(secret.value.reveal());
            let lines = whole.lines().filter(|line| line.len() >= SHORTEST_LINE);
            for text in lines.chain([whole.as_ref(), whole.trim_end()]) {
                // Raw, as it is logged, and as it looks once it is escaped.
                texts.insert(text.to_owned());
                texts.insert(one_line(text, usize::MAX));
            }
        }
        let mut texts: Vec<Zeroizing<String>> = texts
            .into_iter()
            .filter(|text| text.len() >= SHORTEST)
            .map(Zeroizing::new)
            .collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let values = secrets.into_iter();
        Self {
            values: values.map(|secret| (secret.name, secret.value)).collect(),
            texts,
        }
    }

    /// A value, for a plugin that is granted it.
    #[must_use]
    pub(crate) fn find(&self, name: &str) -> Option<&SecretBytes> {
        self.values.get(name)
    }

    /// The text with every secret in it blotted out. Call it before the text is cut: a part of a secret is not found.
    #[must_use]
    pub(crate) fn blot<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut blotted = Cow::Borrowed(text);
        for secret in &self.texts {
            if blotted.contains(secret.as_str()) {
                blotted = Cow::Owned(blotted.replace(secret.as_str(), BLOT));
            }
        }
        blotted
    }

    /// The same for all texts of a report. A metric whose name has a secret in it is left out.
    pub(crate) fn blot_report(&self, report: &mut Report) {
        self.hide(&mut report.message);
        self.hide_all(&mut report.attributes);
        report
            .metrics
            .retain(|metric| matches!(self.blot(&metric.name), Cow::Borrowed(_)));
        for metric in &mut report.metrics {
            self.hide_all(&mut metric.labels);
        }
    }

    /// The same for an error.
    pub(crate) fn blot_error(&self, error: &mut PluginError) {
        match error {
            PluginError::InvalidSettings(text)
            | PluginError::NotPermitted(text)
            | PluginError::Failed(text) => self.hide(text),
            PluginError::Timeout => {}
        }
    }

    fn hide_all(&self, attributes: &mut [Attribute]) {
        for attribute in attributes {
            self.hide(&mut attribute.key);
            self.hide(&mut attribute.value);
        }
    }

    fn hide(&self, text: &mut String) {
        if let Cow::Owned(blotted) = self.blot(text) {
            *text = blotted;
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let secret = |(number, value): (usize, &&str)| Secret {
            name: format!("s{number}"),
            value: SecretBytes::new(value.as_bytes().to_vec()),
        };
        Secrets::new(values.iter().enumerate().map(secret).collect())
    }

    #[test]
    fn a_secret_is_blotted_out_wherever_it_stands() {
        let secrets = secrets(&["hunter2\n", "hunter2-long", "abc"]);
        assert_eq!(
            secrets.blot("hunter2 or hunter2-long, abc, xhunter2x"),
            "*** or ***, abc, x***x"
        );
        assert!(matches!(secrets.blot("nothing"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_of_a_secret_and_its_escaped_form_are_blotted_out() {
        let secrets = secrets(&["first line\nsecond line\n\tx\n", "tab\there"]);
        assert_eq!(secrets.blot("a second line b"), "a *** b");
        assert_eq!(secrets.blot("tab\there tab\\there"), "*** ***");
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", secrets(&["hunter2"])), r#"{"s0"}"#);
    }
}
