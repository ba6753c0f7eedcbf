//! The introduction's plugins are those of the crate's documentation, which the documentation tests
//! compile.

const README: &str = include_str!("../../README.md");
const DOCUMENTATION: [&str; 2] = [
    include_str!("../src/lib.rs"),
    include_str!("../src/hook.rs"),
];

/// The text of documentation comments.
fn comments(source: &str) -> String {
    source
        .lines()
        .filter_map(|line| {
            let line = line
                .strip_prefix("//!")
                .or_else(|| line.strip_prefix("///"))?;
            Some(format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        })
        .collect()
}

#[test]
fn the_plugins_of_the_introduction_are_compiled() {
    let documentation = DOCUMENTATION.map(comments);
    let plugins: Vec<&str> = README
        .split("```rust\n")
        .skip(1)
        .filter_map(|text| text.split_once("```").map(|(plugin, _)| plugin))
        .collect();
    assert_eq!(plugins.len(), 2);
    for plugin in plugins {
        let compiled = format!("```no_run\n{plugin}```");
        assert!(
            documentation.iter().any(|text| text.contains(&compiled)),
            "not an example of the documentation:\n{plugin}"
        );
    }
}
