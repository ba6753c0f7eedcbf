//! Configurations that are right, and what becomes of them.

use std::net::IpAddr;
use std::time::Duration;

use mainstay_core::address::{Family, Prefix};
use mainstay_core::settings::{
    AnnounceSettings, Authentication, ChecksumForm, Initial, OnError, Password, Track, Version,
};
use mainstay_protocol::{Limits, PluginInfo, Subject, Wish};
use serde_json::json;

use super::readers::Account;
use super::*;
use crate::hooks::Kind;

fn good(text: &str) -> (Fixture, Config) {
    let fixture = Fixture::new(text);
    let config = fixture
        .load()
        .unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
    (fixture, config)
}

#[test]
fn the_introduction_is_read_as_it_is_meant() {
    let (fixture, config) = good(INTRODUCTION);
    assert_eq!(config.warnings, []);

    let [router] = &config.settings.routers[..] else {
        panic!("{:?}", config.settings.routers);
    };
    assert_eq!(router.name, "VI_1");
    assert_eq!(router.interface, "lo");
    assert_eq!(router.id.get(), 51);
    assert_eq!(router.version, Version::V2);
    assert_eq!(router.priority.get(), 100);
    assert_eq!(router.advert_interval, Duration::from_secs(1));
    assert_eq!(
        router.authentication,
        Authentication::Pass(Password::new("1234").unwrap())
    );
    assert_eq!(
        router.addresses,
        ["192.168.1.100/24".parse::<Prefix>().unwrap()]
    );
    assert_eq!(
        router.track,
        [Track {
            check: "nginx".to_owned(),
            weight: Some(-20)
        }]
    );

    let [check] = &config.plan.load.checks[..] else {
        panic!("{:?}", config.plan.load.checks);
    };
    assert_eq!(check.settings, json!({ "name": "nginx" }));
    assert_eq!((check.interval_ms, check.timeout_ms), (2000, 1000));
    let [plugin] = &config.plan.load.plugins[..] else {
        panic!("{:?}", config.plan.load.plugins);
    };
    assert_eq!(plugin.name, check.plugin);
    assert!(plugin.code.ends_with("0a"), "{}", plugin.code);
    let component = &config.plan.components[&plugin.code];
    assert_eq!(component.path, fixture.path("plugins/process.wasm"));
    assert!(component.pinned);
    assert_eq!(plugin.grants.process.names, ["nginx"]);
    assert!(plugin.grants.process.pid_files.is_empty());
    assert!(plugin.grants.probe.ports.is_empty());
}

#[test]
fn what_is_left_out_has_its_default() {
    let (_fixture, config) = good(
        r#"
[[check]]
name = "c"
plugin = "process"
[[hook]]
plugin = "log"
[[router]]
name = "a"
interface = "lo"
id = 1
addresses = ["10.0.0.1"]
track = ["c"]
"#,
    );
    let router = &config.settings.routers[0];
    assert_eq!(router.family, Family::Ipv4);
    assert_eq!(router.version, Version::V3);
    assert_eq!(router.priority.get(), 100);
    assert_eq!(router.advert_interval, Duration::from_secs(1));
    assert!(router.preempt);
    assert_eq!(router.down_timer_adverts, 3);
    assert_eq!(router.authentication, Authentication::None);
    assert_eq!(router.checksum, ChecksumForm::PseudoHeader);
    assert_eq!(router.announce, AnnounceSettings::default());
    assert_eq!(router.addresses[0].length(), 32);
    assert_eq!(router.track[0].weight, None);

    let check = &config.settings.checks[0];
    assert_eq!((check.rise, check.fall), (2, 3));
    assert_eq!(check.initial, Initial::Unhealthy);
    assert_eq!(check.on_error, OnError::Keep);
    assert_eq!(check.stale_after, Duration::from_secs(7));
    assert_eq!(config.plan.load.checks[0].settings, json!({}));
    assert_eq!(config.plan.load.checks[0].interval_ms, 2000);
    assert_eq!(config.plan.load.checks[0].timeout_ms, 1000);
    assert_eq!(config.plan.load.checks[0].jitter_ms, 0);
    assert_eq!(config.plan.load.checks[0].target, None);
    assert_eq!(config.plan.load.checks[0].quarantine_after, 5);
    assert_eq!(config.plan.load.checks[0].quarantine_ms, 60_000);
    assert_eq!(config.plan.load.hooks[0].name, "log");
    assert_eq!(config.plan.load.hooks[0].timeout_ms, 5000);
    assert_eq!(config.plan.load.max_concurrent_runs, 4);
    assert_eq!(config.plan.load.plugins[0].limits, Limits::default());
    assert_eq!(config.node, search::host_name());
}

#[test]
fn a_timeout_is_at_most_the_interval_and_the_limit_of_the_plugin() {
    let (_fixture, config) = good(
        "[[check]]\nname = \"a\"\nplugin = \"process\"\ninterval = \"300ms\"\n\
         [[check]]\nname = \"b\"\nplugin = \"tcp\"\n\
         [[plugin]]\nname = \"tcp\"\nlimits.timeout = \"400ms\"",
    );
    assert_eq!(config.plan.load.checks[0].timeout_ms, 300);
    assert_eq!(config.plan.load.checks[1].timeout_ms, 400);
}

#[test]
fn each_check_of_a_stock_plugin_gets_the_grants_of_its_own_settings() {
    let (_fixture, config) = good(
        r#"
[[check]]
name = "web"
plugin = "process"
settings = { name = "nginx" }
[[check]]
name = "web-again"
plugin = "process"
settings = { name = "nginx", min = 2 }
[[check]]
name = "db"
plugin = "process"
settings = { pid-file = "/run/db.pid" }
[[check]]
name = "port"
plugin = "tcp"
settings = { address = "10.0.0.1", port = 80 }
[[check]]
name = "odd"
plugin = "tcp"
settings = { address = "somewhere", port = "http" }
"#,
    );
    let plugins: Vec<&str> = config
        .plan
        .load
        .checks
        .iter()
        .map(|check| check.plugin.as_str())
        .collect();
    assert_eq!(
        plugins,
        ["process", "process", "process@db", "tcp", "tcp@odd"]
    );
    assert_eq!(plugin_name(plugins[2]), "process");
    let grants: Vec<_> = config
        .plan
        .load
        .plugins
        .iter()
        .map(|spec| &spec.grants)
        .collect();
    assert_eq!(grants[0].process.names, ["nginx"]);
    assert!(grants[1].process.names.is_empty());
    assert_eq!(grants[1].process.pid_files, [PathBuf::from("/run/db.pid")]);
    assert_eq!(grants[2].probe.addresses, ["10.0.0.1"]);
    assert_eq!(grants[2].probe.ports, [80]);
    assert_eq!(grants[3], &mainstay_protocol::Grants::default());
}

#[test]
fn a_declared_stock_plugin_keeps_its_grants_unless_others_are_given() {
    let check = "[[check]]\nname = \"a\"\nplugin = \"process\"\nsettings = { name = \"nginx\" }\n";
    let limited = "[[plugin]]\nname = \"process\"\nlimits.memory = \"8MiB\"\n";
    let (_fixture, config) = good(&format!("{check}{limited}"));
    assert_eq!(config.plan.load.plugins[0].limits.memory, 8 << 20);
    assert_eq!(config.plan.load.plugins[0].grants.process.names, ["nginx"]);
    let code = &config.plan.load.plugins[0].code;
    assert!(config.plan.components[code].pinned);

    let (_fixture, config) = good(&format!("{check}{limited}permissions = {{}}\n"));
    assert!(config.plan.load.plugins[0].grants.process.names.is_empty());
}

#[test]
fn t39_a_plugin_of_ones_own_is_found_in_the_directory_and_pinned_by_its_content() {
    let text = r#"
[plugins]
directory = "mine"
[[plugin]]
name = "own"
permissions.process = { names = ["a"], commands = ["b"], pid-files = ["/c"], units = ["d"], command-line = true }
permissions.probe = { addresses = ["10.0.0.0/24", "::1"], ports = [80], sources = ["10.0.0.9"], fwmarks = [0xffffffff], icmp = true, unverified-tls = true }
permissions.http = { urls = ["http://10.0.0.0/24:80/healthz", "https://Www.Example.Com"], max-body = "1KiB", unverified-tls = true, sources = ["10.0.0.9"], fwmarks = [7] }
permissions.wasi-http.urls = ["http://[2001:db8::1]:8080/a"]
permissions.wasi-sockets = { addresses = ["10.1.0.0/16"], ports = [53] }
permissions.files = ["/srv/app/health"]
[[check]]
name = "check"
plugin = "own"
quarantine-after = 3
quarantine = "10s"
"#;
    let fixture = Fixture::new(text);
    fs::create_dir(fixture.path("mine")).unwrap();
    fixture.write("mine/own.wasm", "one");
    let config = fixture.load().unwrap();
    let spec = &config.plan.load.plugins[0];
    let component = &config.plan.components[&spec.code];
    assert_eq!(component.path, fixture.path("mine/own.wasm"));
    assert!(!component.pinned);
    assert_eq!(spec.grants.process.commands, ["b"]);
    assert!(spec.grants.process.command_line);
    let probe = &spec.grants.probe;
    assert_eq!(probe.addresses, ["10.0.0.0/24", "::1"]);
    assert_eq!(probe.sources, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(probe.fwmarks, [u32::MAX]);
    assert!(probe.icmp && probe.unverified_tls);
    let http = &spec.grants.http;
    assert_eq!(
        http.urls
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["http://10.0.0.0/24:80/healthz", "https://www.example.com/"]
    );
    assert_eq!((http.max_body, http.unverified_tls), (1024, true));
    assert_eq!(http.fwmarks, [7]);
    let wasi = &spec.grants.wasi_http;
    assert_eq!(wasi.urls[0].to_string(), "http://[2001:db8::1]:8080/a");
    assert_eq!((wasi.max_body, wasi.unverified_tls), (64 << 10, false));
    assert_eq!(spec.grants.wasi_sockets.ports, [53]);
    assert_eq!(spec.grants.files, [Path::new("/srv/app/health")]);
    let check = &config.plan.load.checks[0];
    assert_eq!(check.quarantine_after, 3);
    assert_eq!(check.quarantine_ms, 10_000);

    let before = config.settings.checks[0].identity;
    fixture.write("mine/own.wasm", "two");
    assert_ne!(fixture.load().unwrap().settings.checks[0].identity, before);
}

#[test]
fn a_check_is_the_same_under_another_name_but_not_with_other_settings_or_another_target() {
    let identity = |name: &str, settings: &str| {
        let text = format!(
            "[[check]]\nname = \"{name}\"\nplugin = \"process\"\nsettings = {settings}\nrise = 9"
        );
        good(&text).1.settings.checks[0].identity
    };
    let one = identity("a", "{ name = \"x\", min = 1 }");
    assert_eq!(one, identity("b", "{ min = 1, name = \"x\" }"));
    assert_ne!(one, identity("a", "{ name = \"y\", min = 1 }"));
    let at = |target: &str| {
        identity(
            "a",
            &format!("{{ name = \"x\", min = 1 }}\ntarget = \"{target}\""),
        )
    };
    assert_ne!(one, at("10.0.0.5:80"));
    assert_ne!(at("10.0.0.5:80"), at("10.0.0.5:81"));
    assert_eq!(at("10.0.0.5:80"), at("[::ffff:10.0.0.5]:80"));
}

#[test]
fn a_check_says_its_policies_and_keeps_the_entry_of_its_plugin() {
    let (_fixture, config) = good(
        r#"
[[check]]
name = "a"
plugin = "tcp"
settings = { address = "10.0.0.5", port = 80 }
target = "[::ffff:10.0.0.5]:80"
interval = "10s"
timeout = "2s"
jitter = "5s"
initial = "healthy"
on-error = "pass"
quarantine-after = 1
quarantine = "5m"
[[check]]
name = "b"
plugin = "tcp"
settings = { address = "10.0.0.5", port = 80 }
"#,
    );
    let load = &config.plan.load;
    let check = &load.checks[0];
    assert_eq!(check.target, Some("10.0.0.5:80".parse().unwrap()));
    assert_eq!((check.interval_ms, check.jitter_ms), (10_000, 5_000));
    assert_eq!((check.quarantine_after, check.quarantine_ms), (1, 300_000));
    let settings = &config.settings.checks[0];
    assert_eq!(settings.initial, Initial::Healthy);
    assert_eq!(settings.on_error, OnError::Pass);
    assert_eq!(settings.stale_after, Duration::from_secs(37));
    assert_eq!(load.plugins.len(), 1, "{:?}", load.plugins);
}

#[test]
fn a_hook_hears_of_what_its_events_name() {
    let (_fixture, config) = good(
        r#"
[[hook]]
plugin = "log"
timeout = "10s"
events = ["daemon", "check", "check"]
[[hook]]
name = "routers"
plugin = "log"
"#,
    );
    let [one, other] = &config.subscriptions[..] else {
        panic!("{:?}", config.subscriptions);
    };
    assert_eq!(one.hook, "log");
    assert_eq!(one.kinds, [Kind::Check, Kind::Daemon].into());
    assert_eq!(one.deadline, Duration::from_secs(10));
    assert_eq!(other.kinds, [Kind::Router].into());
    assert_eq!(other.deadline, Duration::from_secs(5));
}

#[test]
fn a_check_that_twenty_routers_track_is_run_once() {
    let mut text = "[[check]]\nname = \"c\"\nplugin = \"process\"\n".to_owned();
    for id in 1..=20 {
        text += &format!(
            "[[router]]\nname = \"r{id}\"\ninterface = \"lo\"\nid = {id}\naddresses = [\"10.0.0.{id}\"]\ntrack = [\"c\"]\n"
        );
    }
    let (_fixture, config) = good(&text);
    assert_eq!(config.settings.routers.len(), 20);
    assert_eq!(config.plan.load.checks.len(), 1);
    assert_eq!(config.settings.checks.len(), 1);
}

#[test]
fn further_files_are_included_in_order() {
    let fixture = Fixture::new("include = [\"conf.d/*.toml\", \"none/*.toml\"]\nnode = \"n1\"");
    fs::create_dir(fixture.path("conf.d")).unwrap();
    fixture.write(
        "conf.d/2.toml",
        "[[hook]]\nname = \"second\"\nplugin = \"log\"",
    );
    fixture.write(
        "conf.d/1.toml",
        "[[hook]]\nname = \"first\"\nplugin = \"log\"",
    );
    fixture.write("conf.d/ignored", "nonsense");
    let config = fixture.load().unwrap();
    let names: Vec<&str> = config
        .plan
        .load
        .hooks
        .iter()
        .map(|hook| hook.name.as_str())
        .collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(config.node, "n1");

    fixture.write(
        "conf.d/2.toml",
        "node = \"n2\"\n[[hook]]\nname = \"first\"\nplugin = \"log\"",
    );
    assert_eq!(
        fixture.errors(),
        [
            "conf.d/2.toml:1:1: node: there is no such key; what can stand here: plugin, check, router, hook",
            "conf.d/2.toml:3:8: hook[0].name: the hook name \"first\" is used twice, first at conf.d/1.toml:2:8; give each hook a name of its own; without one it is called like its plugin",
        ]
    );
    fixture.write("mainstay.toml", "include = [\"none.toml\"]");
    assert_eq!(
        fixture.errors(),
        [
            "mainstay.toml:1:12: include[0]: none.toml cannot be read: No such file or directory (os error 2)"
        ]
    );
}

#[test]
fn a_password_comes_from_a_file_or_a_credential() {
    let router = |password: &str| {
        format!(
            "[[router]]\nname = \"a\"\ninterface = \"lo\"\nid = 1\nversion = 2\naddresses = [\"10.0.0.1/24\"]\n\
             auth = {{ type = \"pass\", password = {password} }}"
        )
    };
    let fixture = Fixture::new(&router("{ file = \"secret\" }"));
    fixture.write("secret", "from\u{1}\n");
    let password = |config: &Config| config.settings.routers[0].authentication.clone();
    let expected = Authentication::Pass(Password::new("from\u{1}").unwrap());
    assert_eq!(password(&fixture.load().unwrap()), expected);

    fixture.write("mainstay.toml", &router("{ credential = \"secret\" }"));
    let options = Options {
        credentials: Some(fixture.path("")),
        ..fixture.options()
    };
    let config = load(&fixture.path("mainstay.toml"), &options).unwrap();
    assert_eq!(password(&config), expected);
    assert!(
        !format!("{config:?}").contains("from"),
        "a password is shown"
    );
}

#[test]
fn what_somebody_should_look_at_is_a_warning_and_with_strictness_an_error() {
    let text = INTRODUCTION.replace("\"lo\"", "\"absent0\"");
    let fixture = Fixture::new(&text);
    fixture.chmod("mainstay.toml", 0o644);
    let warnings: Vec<String> = fixture
        .load()
        .unwrap()
        .warnings
        .iter()
        .map(|warning| fixture.relative(warning))
        .collect();
    assert_eq!(
        warnings,
        [
            "mainstay.toml:10:13: warning: router[0].interface: there is no interface absent0 now; the router is in fault until it appears",
            "mainstay.toml:15:36: warning: router[0].auth.password: any user of this machine can read this password; take that right away with chmod o-r, or use { file = \"…\" }",
        ]
    );
    let options = Options {
        strict: true,
        ..fixture.options()
    };
    assert_eq!(
        load(&fixture.path("mainstay.toml"), &options)
            .unwrap_err()
            .len(),
        2
    );
}

#[test]
fn stock_plugins_that_others_can_change_are_not_used() {
    let fixture = Fixture::new(INTRODUCTION);
    fixture.chmod("plugins", 0o775);
    assert_eq!(
        fixture.errors(),
        [
            "mainstay.toml:4:10: check[0].plugin: there is no plugin \"process\"; stock plugins: plugins is left out: others can change plugins; take that right away with chmod go-w"
        ]
    );
    fixture.chmod("plugins", 0o755);
    fs::remove_file(fixture.path("plugins/process.wasm")).unwrap();
    assert_eq!(
        fixture.errors(),
        [
            "mainstay.toml:4:10: check[0].plugin: the plugin file plugins/process.wasm cannot be used: No such file or directory (os error 2)"
        ]
    );
}

#[test]
fn a_fault_that_the_worker_finds_is_given_its_place() {
    let (fixture, config) = good(
        "[[check]]\nname = \"a\"\nplugin = \"process\"\n[check.settings]\nmin = 0\nlist = [1, { x = 2 }]\n\
         [[check]]\nname = \"b\"\nplugin = \"process\"\n[[plugin]]\nname = \"own\"\nfile = \"log.wasm\"\n",
    );
    let locate = |plugin: &str, subject: Subject, pointer: Option<&str>| {
        let problem = config.locate(&LoadFault {
            plugin: plugin.to_owned(),
            subject,
            pointer: pointer.map(str::to_owned),
            message: "wrong".to_owned(),
            help: Some("do it right".to_owned()),
        });
        fixture.relative(&problem)
    };
    let check = |name: &str| Subject::Check(name.to_owned());
    for (located, expected) in [
        (
            locate("process", check("a"), Some("/min")),
            "mainstay.toml:5:1: check[0].settings.min: plugin \"process\": wrong; do it right",
        ),
        (
            locate("process", check("a"), Some("/list/1/x")),
            "mainstay.toml:6:14: check[0].settings.list[1].x: plugin \"process\": wrong; do it right",
        ),
        (
            locate("process", check("a"), Some("/list/7/y")),
            "mainstay.toml:6:1: check[0].settings.list: plugin \"process\": wrong; do it right",
        ),
        (
            locate("process@b", check("b"), Some("/name")),
            "mainstay.toml:7:1: check[1]: plugin \"process\": wrong; do it right",
        ),
        (
            locate("own", Subject::Load, None),
            "mainstay.toml:12:8: plugin[0].file: plugin \"own\": wrong; do it right",
        ),
        (
            locate("process", Subject::Load, None),
            "mainstay.toml:3:10: check[0].plugin: plugin \"process\": wrong; do it right",
        ),
    ] {
        assert_eq!(located, expected);
    }
}

#[test]
fn durations_carry_their_unit() {
    for (text, milliseconds) in [
        ("10ms", 10),
        ("1s", 1000),
        ("1s 500ms", 1500),
        ("2m", 120_000),
        ("1h", 3_600_000),
    ] {
        let config = good(&format!(
            "[[check]]\nname = \"a\"\nplugin = \"process\"\ninterval = \"{text}\""
        ));
        assert_eq!(
            config.1.plan.load.checks[0].interval_ms, milliseconds,
            "{text}"
        );
    }
    for text in [
        "",
        "5",
        "0",
        "1.5.5s",
        "-1s",
        "1 fortnight",
        "9ms",
        "99999999999999999999s",
    ] {
        let fixture = Fixture::new(&format!(
            "[[check]]\nname = \"a\"\nplugin = \"process\"\ninterval = \"{text}\""
        ));
        let errors = fixture.errors();
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].starts_with("mainstay.toml:4:12: check[0].interval: "));
    }
}

/// By a user that is neither the owner nor in the group of anything here.
#[test]
fn what_the_units_users_cannot_read_is_a_warning() {
    let configuration = INTRODUCTION.replace("\"1234\"", "{ file = \"secret\" }");
    let fixture = Fixture::new(&configuration);
    fixture.write("secret", "1234");
    let account = Account {
        name: "mainstay".to_owned(),
        user: 0x7fff_fff0,
        groups: Vec::new(),
    };
    let options = Options {
        readers: Readers {
            daemon: Some(account.clone()),
            worker: Some(account),
        },
        ..fixture.options()
    };
    let warnings = || {
        let config = load(&fixture.path("mainstay.toml"), &options).unwrap();
        let warnings = config.warnings.iter();
        warnings
            .map(|warning| fixture.relative(warning))
            .collect::<Vec<_>>()
    };
    // A directory that is closed closes all that is in it.
    fixture.chmod("", 0o700);
    let closed = warnings();
    assert_eq!(closed.len(), 3, "{closed:?}");
    assert!(
        closed.iter().all(|warning| warning.contains("g+x")),
        "{closed:?}"
    );

    fixture.chmod("", 0o755);
    assert_eq!(
        warnings(),
        [
            "mainstay.toml: warning: the user mainstay cannot read mainstay.toml; for example chgrp mainstay mainstay.toml && chmod g+r mainstay.toml",
            "mainstay.toml:4:10: warning: check[0].plugin: the user mainstay cannot read plugins/process.wasm; for example chgrp mainstay plugins/process.wasm && chmod g+r plugins/process.wasm",
            "mainstay.toml:15:45: warning: router[0].auth.password.file: the user mainstay cannot read secret; for example chgrp mainstay secret && chmod g+r secret",
        ]
    );
    for file in ["mainstay.toml", "plugins/process.wasm", "secret"] {
        fixture.chmod(file, 0o644);
    }
    assert_eq!(warnings(), Vec::<String>::new());
}

#[test]
fn the_example_is_right_as_it_is_installed() {
    let example = include_str!("../../../dist/mainstay.toml");
    let (_, config) = good(&example.replace("eth0", "lo"));
    assert_eq!(config.warnings, []);
}

#[test]
fn the_configurations_of_the_introduction_are_right() {
    let readme = include_str!("../../../../README.md").replace("eth0", "lo");
    let blocks: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|text| text.split_once("```").map(|(block, _)| block))
        .collect();
    let [first, _manifest, own, hook] = blocks[..] else {
        panic!("other blocks: {blocks:?}");
    };
    good(first);
    let (_, routers) = first.split_once("[[router]]").unwrap();
    let fixture = Fixture::new(&format!("{own}{hook}[[router]]{routers}"));
    for plugin in ["running", "shout"] {
        fixture.write(&format!("plugins/{plugin}.wasm"), plugin);
    }
    assert_eq!(fixture.errors(), Vec::<String>::new());
}

#[test]
fn what_a_plugin_cannot_do_without_and_is_not_granted_is_a_warning_with_the_line() {
    let (fixture, config) =
        good("[[plugin]]\nname = \"own\"\nfile = \"log.wasm\"\n[[hook]]\nplugin = \"own\"\n");
    let wish = |scope: &str, optional, granted| Wish {
        capability: "process".to_owned(),
        scope: scope.to_owned(),
        optional,
        granted,
        line: (!granted).then(|| format!("permissions.process = {{ names = [\"{scope}\"] }}")),
    };
    let plugin = PluginInfo {
        name: "own".to_owned(),
        api: None,
        roles: Vec::new(),
        imports: Vec::new(),
        described: None,
        settings_schema: None,
        wishes: vec![
            wish("granted", false, true),
            wish("optional", true, false),
            wish("nginx", false, false),
            Wish {
                line: None,
                ..wish("what the settings name", false, false)
            },
            Wish {
                capability: "teleport".to_owned(),
                line: None,
                ..wish("mars", false, false)
            },
        ],
    };
    let unmet = config.unmet(&[plugin]);
    let lines: Vec<String> = unmet.iter().map(|one| fixture.relative(one)).collect();
    assert_eq!(
        lines,
        [
            "mainstay.toml:3:8: warning: plugin[0].file: plugin \"own\": it asks for process nginx, which is not granted; to grant it: permissions.process = { names = [\"nginx\"] }",
            "mainstay.toml:3:8: warning: plugin[0].file: plugin \"own\": it asks for process what the settings name, which is not granted; permissions.process says what it may use",
            "mainstay.toml:3:8: warning: plugin[0].file: plugin \"own\": it asks for teleport mars, which is not granted; this version has nothing of that kind to grant",
        ]
    );
}
