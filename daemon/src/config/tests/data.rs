//! What plugins may know and have kept: secrets, state, routers, units, pipes.

use std::os::unix::fs::symlink;

use mainstay_protocol::{SecretGrant, StateGrant};

use super::*;

/// A plugin with these permissions, and one line of `[plugins]`.
fn plugin(plugins: &str, permissions: &str) -> Fixture {
    let text = format!(
        "[plugins]\n{plugins}\n[[plugin]]\nname = \"log\"\n[plugin.permissions]\n{permissions}"
    );
    Fixture::new(&text)
}

fn only<T>(mut list: Vec<T>) -> T {
    assert_eq!(list.len(), 1);
    list.remove(0)
}

#[test]
fn permissions_are_read_as_they_are_meant() {
    let fixture = plugin(
        "unstable = [\"service-manager\"]",
        "state = { size = \"1KiB\", persist = true }\nrouters = true\nservices = true\n\
         units = [\"nginx.service\", \"getty@tty1.service\"]\nfifo = [\"/run/app/events\", \"here\"]",
    );
    let load = fixture.load().unwrap().plan.load;
    assert_eq!(load.unstable, ["service-manager"]);
    let grants = only(load.plugins.clone()).grants;
    let state = StateGrant {
        size: 1024,
        persist: true,
    };
    assert_eq!(grants.state, Some(state));
    assert!(grants.routers && grants.services);
    assert_eq!(grants.units, ["nginx.service", "getty@tty1.service"]);
    let pipes = [PathBuf::from("/run/app/events"), fixture.path("here")];
    assert_eq!(grants.fifo, pipes);
}

#[test]
fn nothing_of_it_is_granted_by_itself() {
    let load = plugin("", "").load().unwrap().plan.load;
    assert!(load.unstable.is_empty());
    let plugin = only(load.plugins.clone());
    assert_eq!(plugin.grants, mainstay_protocol::Grants::default());
    assert!(plugin.secrets.is_empty());
    let by_itself = plugin_state("state = {}");
    assert_eq!(by_itself, Some(StateGrant::default()));
}

fn plugin_state(permissions: &str) -> Option<StateGrant> {
    let load = plugin("", permissions).load().unwrap().plan.load;
    only(load.plugins.clone()).grants.state
}

#[test]
fn t28_no_copy_of_a_secret_is_among_what_the_daemon_prints() {
    let fixture = plugin(
        "",
        "secrets = [\"credential\", { name = \"token\", file = \"token\" }]",
    );
    fixture.write("credential", "hunter2-credential");
    fixture.write("token", "hunter2-token\n");
    let options = Options {
        credentials: Some(fixture.path("")),
        ..fixture.options()
    };
    let config = load(&fixture.path("mainstay.toml"), &options).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    let plugin = only(config.plan.load.plugins.clone());
    let grant = |name: &str, file: Option<PathBuf>| SecretGrant {
        name: name.to_owned(),
        file,
    };
    let granted = [
        grant("credential", None),
        grant("token", Some(fixture.path("token"))),
    ];
    assert_eq!(plugin.grants.secrets, granted);
    let values: Vec<&[u8]> = plugin.secrets.iter().map(|s| s.value.reveal()).collect();
    // As it is in the file: what a line break means is for the plugin to know.
    assert_eq!(values, [&b"hunter2-credential"[..], b"hunter2-token\n"]);
}

#[test]
fn a_secret_is_a_file_that_nobody_else_reads_or_writes() {
    let refused = |prepare: &dyn Fn(&Fixture)| {
        let fixture = plugin("", "secrets = [{ name = \"token\", file = \"token\" }]");
        fixture.write("token", "hunter2");
        prepare(&fixture);
        fixture.errors()
    };
    let error = |what: &str| {
        [format!(
            "mainstay.toml:6:37: plugin[0].permissions.secrets[0].file: {what}"
        )]
    };
    assert!(refused(&|_| ()).is_empty());
    assert!(refused(&|fixture| fixture.chmod("token", 0o440)).is_empty());
    for mode in [0o644, 0o642, 0o660, 0o601] {
        assert_eq!(
            refused(&|fixture| fixture.chmod("token", mode)),
            error("token can be read or changed by others; chmod g-w,o= token"),
            "{mode:o}"
        );
    }
    assert_eq!(
        refused(&|fixture| fixture.write("token", "")),
        error("token is empty")
    );
    assert_eq!(
        refused(&|fixture| fixture.write("token", &"x".repeat((16 << 10) + 1))),
        error("token is longer than 16 KiB")
    );
    let gone = |fixture: &Fixture| fs::remove_file(fixture.path("token")).unwrap();
    assert_eq!(
        refused(&gone),
        error("token cannot be read: No such file or directory (os error 2)")
    );
    assert_eq!(
        refused(&|fixture| {
            gone(fixture);
            symlink("/dev/null", fixture.path("token")).unwrap();
        }),
        error("token is not a regular file")
    );
}

/// Lines of permissions, and what is said about them.
const BAD: &[(&str, &[&str])] = &[
    (
        "secrets = [\"../shadow\", \".hidden\", \"\", 1, { name = \"a\" }]",
        &[
            "6:12: plugin[0].permissions.secrets[0]: \"../shadow\" cannot name a secret; 1 to 64 letters, digits, dots, dashes or underscores, no dot in front",
            "6:25: plugin[0].permissions.secrets[1]: \".hidden\" cannot name a secret; 1 to 64 letters, digits, dots, dashes or underscores, no dot in front",
            "6:36: plugin[0].permissions.secrets[2]: \"\" cannot name a secret; 1 to 64 letters, digits, dots, dashes or underscores, no dot in front",
            "6:40: plugin[0].permissions.secrets[3]: this is an integer; expected a name or { name = \"…\", file = \"…\" }",
            "6:43: plugin[0].permissions.secrets[4]: the key \"file\" is missing; for example file = \"/etc/mainstay/db-password\"",
        ],
    ),
    (
        "secrets = [\"db\"]",
        &[
            "6:12: plugin[0].permissions.secrets[0]: systemd passed no credentials; add LoadCredential=db:/path/to/secret to the unit, or use { name = \"db\", file = \"…\" }",
        ],
    ),
    (
        "state = { size = \"1MiB\", persist = 1 }",
        &[
            "6:18: plugin[0].permissions.state.size: 1.0 MiB is out of range; from 64 B to 128.0 KiB",
            "6:36: plugin[0].permissions.state.persist: this is an integer; expected true or false",
        ],
    ),
    (
        "units = [\"nginx\", \"*.service\", \"a/b.service\", \".service\"]",
        &[
            "6:10: plugin[0].permissions.units[0]: \"nginx\" is no unit of systemd; the whole name of one, such as \"nginx.service\"",
            "6:19: plugin[0].permissions.units[1]: \"*.service\" is no unit of systemd; the whole name of one, such as \"nginx.service\"",
            "6:32: plugin[0].permissions.units[2]: \"a/b.service\" is no unit of systemd; the whole name of one, such as \"nginx.service\"",
            "6:47: plugin[0].permissions.units[3]: \".service\" is no unit of systemd; the whole name of one, such as \"nginx.service\"",
        ],
    ),
    (
        "fifo = [\"\"]\nrouters = \"all\"",
        &[
            "6:9: plugin[0].permissions.fifo[0]: this is no path",
            "7:11: plugin[0].permissions.routers: this is a string; expected true or false",
        ],
    ),
];

#[test]
fn what_is_wrong_with_permissions_is_said() {
    for (permissions, expected) in BAD {
        let expected: Vec<String> = expected
            .iter()
            .map(|line| format!("mainstay.toml:{line}"))
            .collect();
        assert_eq!(plugin("", permissions).errors(), expected, "{permissions}");
    }
}

#[test]
fn only_features_that_there_are_can_be_allowed() {
    assert_eq!(
        plugin("unstable = [\"service-manger\"]", "").errors(),
        [
            "mainstay.toml:2:13: plugins.unstable[0]: \"service-manger\" cannot stand here; did you mean \"service-manager\"?"
        ]
    );
}

#[test]
fn all_secrets_together_fit_a_frame() {
    let mut text = String::new();
    for plugin in 0..9 {
        text += &format!(
            "[[plugin]]\nname = \"log{plugin}\"\nfile = \"log.wasm\"\n\
             permissions.secrets = [{{ name = \"a\", file = \"token\" }}]\n"
        );
    }
    let fixture = Fixture::new(&text);
    fixture.write("token", &"x".repeat(16 << 10));
    let errors = fixture.errors();
    assert_eq!(
        errors,
        ["mainstay.toml:35:8: plugin[8].file: all secrets together are over 128 KiB"]
    );
}
