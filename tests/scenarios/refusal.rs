//! Fail closed: what cannot be right is refused with its place, what is wrong and what to do, and
//! the old configuration stays in force.

use std::fs;
use std::process::Output;

use anyhow::Result;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router, VIRTUAL};
use mainstay_lab::wait::SOON;
use mainstay_lab::watch::AddressWatch;

use crate::setup::{LONG, Stage, Which, lacking};

/// `EX_CONFIG` of sysexits.
const INVALID: i32 = 78;

/// A configuration that is refused.
struct Refused {
    what: &'static str,
    /// Follows a valid configuration.
    text: String,
    /// The message has it, on the line that also has the place.
    says: &'static str,
}

/// Everything about a plugin that makes a configuration invalid, and some of what else does.
fn refused(node: &Node) -> Result<Vec<Refused>> {
    let files = node.host().files();
    let broken = |name: &str, bytes: &[u8]| -> Result<String> {
        let path = files.join(name);
        fs::write(&path, bytes)?;
        Ok(format!(
            "[[plugin]]\nname = \"own\"\nfile = {path:?}\n[[check]]\nname = \"own\"\nplugin = \"own\"\n"
        ))
    };
    let process = mainstay::plugins().join("process.wasm");
    let wrong_digest = format!(
        "[[plugin]]\nname = \"own\"\nfile = {process:?}\nsha256 = \"{}\"\n[[check]]\nname = \"own\"\nplugin = \"own\"\nsettings = {{ name = \"nginx\" }}\n",
        "0".repeat(64)
    );
    let check = |settings: &str| {
        format!("[[check]]\nname = \"own\"\nplugin = \"process\"\nsettings = {settings}\n")
    };
    let router = |lines: &str| {
        format!(
            "[[router]]\nname = \"VI_2\"\ninterface = \"eth0\"\nid = 52\naddresses = [\"192.168.1.120/24\"]\n{lines}\n"
        )
    };
    Ok(vec![
        Refused {
            what: "a plugin file that is missing",
            text: "[[plugin]]\nname = \"own\"\nfile = \"nowhere.wasm\"\n[[check]]\nname = \"own\"\nplugin = \"own\"\n".to_owned(),
            says: "nowhere.wasm",
        },
        Refused {
            what: "a plugin that is no WebAssembly",
            text: broken("text.wasm", b"#!/bin/sh\nexit 0\n")?,
            says: "text.wasm",
        },
        Refused {
            what: "a core module",
            text: broken("module.wasm", b"\0asm\x01\0\0\0")?,
            says: "module",
        },
        Refused {
            what: "a component of neither world",
            text: broken("empty.wasm", b"\0asm\x0d\0\x01\0")?,
            says: "check",
        },
        Refused {
            what: "a truncated component",
            text: broken("half.wasm", &fs::read(&process)?[..4000])?,
            says: "half.wasm",
        },
        Refused {
            what: "a hook where a check is wanted",
            text: "[[check]]\nname = \"own\"\nplugin = \"log\"\n".to_owned(),
            says: "check",
        },
        Refused {
            what: "another digest",
            text: wrong_digest,
            says: "sha256",
        },
        Refused {
            what: "settings that its plugin refuses",
            text: check("{ name = \"nginx\", min = 0 }"),
            says: "min",
        },
        Refused {
            what: "settings without what is needed",
            text: check("{}"),
            says: "settings",
        },
        Refused {
            what: "settings with an unknown key",
            text: check("{ name = \"nginx\", nmae = \"nginx\" }"),
            says: "nmae",
        },
        Refused {
            what: "settings of another type",
            text: check("{ name = 7 }"),
            says: "name",
        },
        Refused {
            what: "a check that no plugin is for",
            text: "[[check]]\nname = \"own\"\nplugin = \"proces\"\n".to_owned(),
            says: "process",
        },
        Refused {
            what: "an unknown key",
            text: router("prioritty = 7"),
            says: "priority",
        },
        Refused {
            what: "another type",
            text: router("priority = \"high\""),
            says: "priority",
        },
        Refused {
            what: "a name used twice",
            text: router("").replace("VI_2", "VI_1"),
            says: "VI_1",
        },
        Refused {
            what: "an id used twice on one interface",
            text: router("").replace("52", "51"),
            says: "51",
        },
        Refused {
            what: "a check that does not exist",
            text: router("track = [\"nothing\"]"),
            says: "nothing",
        },
    ])
}

/// The output must name a place in the configuration on a line that says what is wrong.
fn assert_message(what: &str, node: &Node, said: &str, says: &str, first_line: usize) {
    let file = node.configuration().display().to_string();
    let places: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(&format!("{file}:")))
        .collect();
    assert!(!places.is_empty(), "{what}: no place in {said}");
    assert!(said.contains(says), "{what}: nothing of {says} in {said}");
    for line in places {
        let after = line
            .split_once(&format!("{file}:"))
            .map_or("", |(_, after)| after);
        let mut numbers = after
            .split(':')
            .map(|number| number.trim().parse::<usize>());
        let (Some(Ok(line_number)), Some(Ok(column))) = (numbers.next(), numbers.next()) else {
            panic!("{what}: not file:line:column: {line}");
        };
        assert!(line_number > 0 && column > 0, "{line}");
        // One of two that clash may be blamed; else it is in what was added.
        assert!(
            line_number >= first_line || what.contains("twice"),
            "{what}: another place: {line}"
        );
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn validate_run_and_reload_refuse() -> Result<()> {
    if lacking("validate_run_and_reload_refuse", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let good = mainstay::configuration(&Router::fast(100)) + "\n";
    let first_line = good.lines().count();
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let watch = AddressWatch::on(stage.a.host())?;
    let before = stage.a.status()?;
    for Refused {
        what,
        text: added,
        says,
    } in refused(&stage.a)?
    {
        stage.a.configure(&(good.clone() + &added))?;
        let output = stage.a.validate()?;
        assert_eq!(
            output.status.code(),
            Some(INVALID),
            "{what}: {}",
            text(&output)
        );
        assert_message(what, &stage.a, &text(&output), says, first_line);

        let output = stage.a.reload()?;
        assert!(
            !output.status.success(),
            "reload with {what}: {}",
            text(&output)
        );
        assert_message(what, &stage.a, &text(&output), says, first_line);

        // Another daemon would not start with it; b has the same file, and does not run.
        stage.b.configure(&(good.clone() + &added))?;
        let (code, said) = stage.b.run_to_its_end()?;
        assert_eq!(code, Some(INVALID), "{what}: {said}");
        assert_message(what, &stage.b, &said, says, first_line);
        fs::remove_file(stage.b.host().files().join("refused"))?;
    }
    let after = stage.a.status()?;
    assert_eq!(
        after["checks"], before["checks"],
        "the old configuration is in force"
    );
    assert_eq!(after["routers"][0]["state"], "active");
    assert_eq!(after["routers"].as_array().map(Vec::len), Some(1));
    assert_eq!(watch.of(VIRTUAL), []);
    let refused = &after["refused-reload"];
    assert!(refused["problems"][0].is_string(), "{refused}");
    assert!(before["refused-reload"].is_null());
    // And what is valid is taken again.
    stage.a.configure(&good)?;
    let output = stage.a.reload()?;
    assert!(output.status.success(), "{}", text(&output));
    assert!(stage.a.status()?["refused-reload"].is_null());
    stage.until_only(Which::A, SOON)
}

#[test]
fn every_error_at_once() -> Result<()> {
    if lacking("every_error_at_once", &[Mainstay]) {
        return Ok(());
    }
    let stage = Stage::pair(Router::fast)?;
    let text_of_three = mainstay::configuration(&Router::fast(100))
        + "prioritty = 1\n[[check]]\nname = \"a\"\nplugin = \"process\"\nsettings = {}\ninterval = 7\n[[hook]]\nplugin = \"nowhere\"\n";
    stage.a.configure(&text_of_three)?;
    let output = stage.a.validate()?;
    assert_eq!(output.status.code(), Some(INVALID));
    let said = text(&output);
    for part in ["prioritty", "interval", "nowhere"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read() -> Result<()> {
    if lacking("a_file_that_cannot_be_read", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    fs::remove_file(stage.a.configuration())?;
    for output in [stage.a.validate()?, stage.a.reload()?] {
        assert!(!output.status.success());
        let said = text(&output);
        assert!(
            said.contains(&stage.a.configuration().display().to_string()),
            "{said}"
        );
    }
    // A directory in its place.
    fs::create_dir(stage.a.configuration())?;
    assert!(!stage.a.validate()?.status.success());
    stage.until_only(Which::A, SOON)
}
