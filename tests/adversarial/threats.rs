//! The table of README.md, against the tests that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How many threats there are, and those that are not defended against.
const THREATS: u32 = 40;
const UNDEFENDED: [u32; 1] = [38];

/// Names of all functions in this tree that may be tests of a threat.
fn tests(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            tests(&path, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let functions = text.split("fn ").skip(1);
            let names = functions.filter_map(|rest| rest.split_once('(').map(|(name, _)| name));
            found.extend(names.filter(|name| is_of_a_threat(name)).map(str::to_owned));
        }
    }
}

fn is_of_a_threat(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() > 4
        && bytes[0] == b't'
        && bytes[1..3].iter().all(u8::is_ascii_digit)
        && bytes[3] == b'_'
}

#[test]
fn every_threat_of_the_table_has_its_tests_and_every_test_its_threat() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut there = BTreeSet::new();
    for directory in ["daemon", "plugins", "tests"] {
        tests(&root.join(directory), &mut there);
    }
    let table = fs::read_to_string(root.join("tests/adversarial/README.md")).unwrap();
    let mut named = BTreeSet::new();
    let mut rows = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Ok(number) = cells[1].parse::<u32>() else {
            continue;
        };
        assert!(rows.insert(number), "threat {number} has two rows");
        let tests: Vec<&str> = cells[4].split('`').skip(1).step_by(2).collect();
        assert_eq!(
            tests.is_empty(),
            UNDEFENDED.contains(&number),
            "threat {number}"
        );
        for test in tests {
            assert!(test.starts_with(&format!("t{number:02}_")), "{test}");
            assert!(there.contains(test), "there is no test {test}");
            named.insert(test.to_owned());
        }
    }
    assert_eq!(rows, (1..=THREATS).collect());
    let unnamed: Vec<&String> = there.difference(&named).collect();
    assert!(unnamed.is_empty(), "not in the table: {unnamed:?}");
}
