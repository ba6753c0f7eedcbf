//! Configurations that are wrong, and what is said about them.

use super::*;

/// Lines of a configuration, and the lines that it is answered with.
type Case = (&'static str, &'static [&'static str]);

const ROUTER: &str =
    "[[router]]\nname = \"a\"\ninterface = \"lo\"\nid = 1\naddresses = [\"10.0.0.1/24\"]\n";

const WHOLE: &[Case] = &[
    (
        "[[vrrp_instance]]\n[[router]]\nvirtual_router_id = 51\nstate = \"MASTER\"\nunicast_peer = []\nname = \"a\"\ninterface = \"lo\"\nid = 1\naddresses = [\"10.0.0.1/24\"]",
        &[
            "mainstay.toml:1:3: vrrp_instance: there is no such key; this is keepalived's; write [[router]], with the name in `name`",
            "mainstay.toml:3:1: router[0].virtual_router_id: there is no such key; this is keepalived's; write id",
            "mainstay.toml:4:1: router[0].state: there is no such key; this is keepalived's; leave it out: each router starts as backup, and priority decides",
            "mainstay.toml:5:1: router[0].unicast_peer: there is no such key; this is keepalived's; leave it out: Mainstay has nothing in its place",
        ],
    ),
    (
        "x = ",
        &["mainstay.toml:1:5: string values must be quoted, expected literal string"],
    ),
    (
        "b = [1,,2]\nc = \"\\q\"\n[[router]\n",
        &[
            "mainstay.toml:1:8: extra comma in array, expected value",
            "mainstay.toml:2:7: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`",
            "mainstay.toml:3:10: unclosed array table, expected `]`",
        ],
    ),
    (
        "[[ruter]]\nname = \"a\"",
        &["mainstay.toml:1:3: ruter: there is no such key; did you mean \"router\"?"],
    ),
    (
        "zzz = 1",
        &[
            "mainstay.toml:1:1: zzz: there is no such key; what can stand here: include, node, plugins, metrics, plugin, check, router, hook",
        ],
    ),
    (
        "[router]\nname = \"a\"",
        &[
            "mainstay.toml:1:2: router: this is a table; expected [[router]], which may stand more than once",
        ],
    ),
    (
        "router = [1]",
        &["mainstay.toml:1:11: router[0]: this is an integer; expected a table"],
    ),
    (
        "node = \"two words\"",
        &[
            "mainstay.toml:1:8: node: \"two words\" cannot be a name; a name has 1 to 64 letters, digits, dots, colons, dashes or underscores",
        ],
    ),
    (
        "[[router]]",
        &[
            "mainstay.toml:1:1: router[0]: the key \"name\" is missing; for example name = \"VI_1\"",
            "mainstay.toml:1:1: router[0]: the key \"interface\" is missing; for example interface = \"eth0\"",
            "mainstay.toml:1:1: router[0]: the key \"id\" is missing; for example id = 51",
            "mainstay.toml:1:1: router[0]: the key \"addresses\" is missing; for example addresses = [\"192.168.1.100/24\"]",
        ],
    ),
    (
        "[[router]]\nname = 5\ninterface = \"lo\"\nid = \"51\"\naddresses = \"192.168.1.100/24\"\npriorty = 100",
        &[
            "mainstay.toml:2:8: router[0].name: this is an integer; expected a text in quotes",
            "mainstay.toml:4:6: router[0].id: this is a string; expected a whole number from 1 to 255",
            "mainstay.toml:5:13: router[0].addresses: this is a string; expected a list in brackets",
            "mainstay.toml:6:1: router[0].priorty: there is no such key; did you mean \"priority\"?",
        ],
    ),
    (
        "[[router]]\nname = \"a b\"\ninterface = \"interface-too-long\"\nid = 256\npriority = 0\nversion = 4\naddresses = []",
        &[
            "mainstay.toml:2:8: router[0].name: \"a b\" cannot be a name; a name has 1 to 64 letters, digits, dots, colons, dashes or underscores",
            "mainstay.toml:3:13: router[0].interface: \"interface-too-long\" cannot be an interface; a name of 1 to 15 bytes without slash, colon or space, as ip link prints it",
            "mainstay.toml:4:6: router[0].id: 256 is out of range; a whole number from 1 to 255",
            "mainstay.toml:5:12: router[0].priority: 0 is out of range; a whole number from 1 to 255",
            "mainstay.toml:6:11: router[0].version: 4 is out of range; a whole number from 2 to 3",
            "mainstay.toml:7:1: router[0].addresses: a router cannot have 0 addresses; give it 1 to 255",
        ],
    ),
    (
        "[[router]]\nname = \"a\"\ninterface = \"lo\"\nid = 1\naddresses = [\"10.0.0.1/33\", \"x\", \"::1/128\", \"127.0.0.1/8\", \"224.0.0.18/4\", \"0.0.0.0/0\", \"10.0.0.1/0\", \"10.0.0.1/24\", \"10.0.0.1/24\", \"192.0.2.0/24\", \"192.0.2.255/24\", \"192.0.2.6/31\", \"192.0.2.0/32\"]",
        &[
            "mainstay.toml:5:14: router[0].addresses[0]: \"10.0.0.1/33\": a prefix length of 33 is over 32; expected an IPv4 address with the length of its network, such as 192.168.1.100/24",
            "mainstay.toml:5:29: router[0].addresses[1]: \"x\": not an IPv4 address; expected an IPv4 address with the length of its network, such as 192.168.1.100/24",
            "mainstay.toml:5:34: router[0].addresses[2]: \"::1/128\": IPv6 is not supported yet; expected an IPv4 address with the length of its network, such as 192.168.1.100/24",
            "mainstay.toml:5:45: router[0].addresses[3]: 127.0.0.1/8 cannot be a virtual address: this is a loopback address",
            "mainstay.toml:5:60: router[0].addresses[4]: 224.0.0.18/4 cannot be a virtual address: this is a multicast address",
            "mainstay.toml:5:76: router[0].addresses[5]: 0.0.0.0/0 cannot be a virtual address: this is the address of nobody",
            "mainstay.toml:5:89: router[0].addresses[6]: 10.0.0.1/0 cannot be a virtual address: a network of length 0 would take in every address",
            "mainstay.toml:5:118: router[0].addresses[8]: the address 10.0.0.1 on lo is used twice, first at mainstay.toml:5:103; an address belongs to one virtual router",
            "mainstay.toml:5:133: router[0].addresses[9]: 192.0.2.0/24 cannot be a virtual address: this is the address of its network",
            "mainstay.toml:5:149: router[0].addresses[10]: 192.0.2.255/24 cannot be a virtual address: this is the broadcast address of its network",
        ],
    ),
    (
        "[[router]]\nname = \"a\"\ninterface = \"lo\"\nid = 1\nadvert-interval = \"41s\"\naddresses = [\"10.0.0.1/24\"]\n[[router]]\nname = \"a\"\ninterface = \"lo\"\nid = 1\naddresses = [\"10.0.0.1/32\"]",
        &[
            "mainstay.toml:5:19: router[0].advert-interval: version 3 cannot advertise every 41s; version 3 advertises every 10ms to 40s 950ms, in steps of 10ms",
            "mainstay.toml:8:8: router[1].name: the router name \"a\" is used twice, first at mainstay.toml:2:8; give each router a name of its own",
            "mainstay.toml:10:6: router[1].id: id 1 on lo (ipv4) is used twice, first at mainstay.toml:4:6; two virtual routers on one interface need different ids",
            "mainstay.toml:11:14: router[1].addresses[0]: the address 10.0.0.1 on lo is used twice, first at mainstay.toml:6:14; an address belongs to one virtual router",
        ],
    ),
    (
        "[[check]]\nname = \"nginx\"\nplugin = \"proces\"\n[[check]]\nname = \"nginx\"\nplugin = \"process\"\ninterval = \"1s\"\ntimeout = \"2s\"\nrise = 0\nfall = -1\ninitial = \"good\"\non-error = \"retry\"\nquarantine = \"1h 1ns\"\nquarantine-after = 1.5\njitter = \"501ms\"\ntarget = \"web1:80\"",
        &[
            "mainstay.toml:3:10: check[0].plugin: there is no plugin \"proces\"; did you mean \"process\"?",
            "mainstay.toml:5:8: check[1].name: the check name \"nginx\" is used twice, first at mainstay.toml:2:8; give each check a name of its own",
            "mainstay.toml:8:11: check[1].timeout: a timeout of 2s is longer than the interval of 1s; shorten the timeout or lengthen the interval",
            "mainstay.toml:9:8: check[1].rise: 0 is out of range; a whole number from 1 to 1000",
            "mainstay.toml:10:8: check[1].fall: -1 is out of range; a whole number from 1 to 1000",
            "mainstay.toml:11:11: check[1].initial: \"good\" cannot stand here; expected \"unhealthy\" or \"healthy\"",
            "mainstay.toml:12:12: check[1].on-error: \"retry\" cannot stand here; expected \"keep\" or \"fail\" or \"pass\"",
            "mainstay.toml:14:20: check[1].quarantine-after: this is a float; expected a whole number from 1 to 1000",
            "mainstay.toml:15:10: check[1].jitter: 501ms is out of range; from 0s to 500ms",
            "mainstay.toml:16:10: check[1].target: \"web1:80\" is no endpoint; expected an address and a port, such as \"10.0.0.5:80\" or \"[2001:db8::5]:443\"",
        ],
    ),
    (
        "[[check]]\nname = \"a\"\nplugin = \"process\"\nstale-after = \"2s\"\nsettings = { n = nan, list = [99999999999999999999] }",
        &[
            "mainstay.toml:4:15: check[0].stale-after: 2s is out of range; from 3s to 4days",
            "mainstay.toml:5:14: check[0].settings.n: nan cannot be said in JSON",
            "mainstay.toml:5:31: check[0].settings.list[0]: 99999999999999999999 is out of range",
        ],
    ),
    (
        "[[check]]\nname = \"a\"\nplugin = \"wholly-unknown\"",
        &[
            "mainstay.toml:3:10: check[0].plugin: there is no plugin \"wholly-unknown\"; declare it with [[plugin]], or use one that is known: log, process, tcp",
        ],
    ),
    (
        "[[plugin]]\nname = \"own\"\nsha256 = \"12\"\npermissions.telepathy = {}\npermissions.probe = { addresses = [\"10.0.0.300\"], ports = [0], sources = [\"10.0.0.0/24\"], fwmarks = [0], icmp = 1 }\nlimits.memory = \"64\"",
        &[
            "mainstay.toml:2:8: plugin[0].name: the plugin file own.wasm is missing; put it at plugins/own.wasm, or name it by its absolute path in `file`",
            "mainstay.toml:3:10: plugin[0].sha256: this is no SHA-256 digest; expected 64 hexadecimal digits, as sha256sum prints them",
            "mainstay.toml:4:13: plugin[0].permissions.telepathy: there is no such key; what can stand here: secrets, process, probe, http, wasi-http, wasi-sockets, files, state, routers, services, units, fifo",
            "mainstay.toml:5:36: plugin[0].permissions.probe.addresses[0]: \"10.0.0.300\" is no address; an address such as 10.0.0.21 or a network such as 10.0.0.0/24",
            "mainstay.toml:5:60: plugin[0].permissions.probe.ports[0]: 0 is out of range; a whole number from 1 to 65535",
            "mainstay.toml:5:75: plugin[0].permissions.probe.sources[0]: \"10.0.0.0/24\" is no address; an address of this machine, such as 10.0.0.11",
            "mainstay.toml:5:102: plugin[0].permissions.probe.fwmarks[0]: 0 is out of range; a whole number from 1 to 4294967295",
            "mainstay.toml:5:113: plugin[0].permissions.probe.icmp: this is an integer; expected true or false",
            "mainstay.toml:6:17: plugin[0].limits.memory: \"64\" is no size; expected a size with its unit, such as \"64MiB\"",
        ],
    ),
    (
        "[[plugin]]\nname = \"process\"\n[[plugin]]\nname = \"process\"\nlimits.timeout = \"500ms\"\n[plugins]\nmax-concurrent-runs = 0\n",
        &[
            "mainstay.toml:4:8: plugin[1].name: the plugin name \"process\" is used twice, first at mainstay.toml:2:8; give each plugin a name of its own",
            "mainstay.toml:7:23: plugins.max-concurrent-runs: 0 is out of range; a whole number from 1 to 64",
        ],
    ),
    (
        "[[plugin]]\nname = \"process\"\nlimits.timeout = \"500ms\"\n[[check]]\nname = \"a\"\nplugin = \"process\"\ntimeout = \"1s\"",
        &[
            "mainstay.toml:7:11: check[0].timeout: a timeout of 1s is over the plugin's limit of 500ms; raise timeout in [plugin.limits], or shorten this one",
        ],
    ),
    (
        "[plugins]\nrequire-sha256 = true\n[[plugin]]\nname = \"own\"\nfile = \"log.wasm\"\n",
        &[
            "mainstay.toml:5:8: plugin[0].file: the plugin \"own\" is not pinned, and require-sha256 is set; add sha256 = \"…\", as sha256sum prints it",
        ],
    ),
    (
        "[metrics]\nlisten = \"localhost:9650\"\npath = \"/\"",
        &[
            "mainstay.toml:2:10: metrics.listen: \"localhost:9650\" is nothing to listen at; expected an address and a port, such as \"127.0.0.1:9650\"",
            "mainstay.toml:3:1: metrics.path: there is no such key; what can stand here: listen",
        ],
    ),
    (
        "[[hook]]\nplugin = \"log\"\nevents = [\"rooter\", \"quorum\"]\n[[hook]]\nplugin = \"log\"\nevents = []",
        &[
            "mainstay.toml:3:11: hook[0].events[0]: \"rooter\" cannot stand here; did you mean \"router\"?",
            "mainstay.toml:3:21: hook[0].events[1]: there are no virtual servers yet, so this would never happen; there are \"router\", \"check\" and \"daemon\"",
            "mainstay.toml:5:10: hook[1].plugin: the hook name \"log\" is used twice, first at mainstay.toml:2:10; give each hook a name of its own; without one it is called like its plugin",
            "mainstay.toml:6:1: hook[1].events: a hook without events is never called; for example events = [\"router\"]",
        ],
    ),
];

/// Lines that follow a router that is right otherwise, from line 6 on.
const IN_ROUTER: &[Case] = &[
    (
        "advert-interval = 1",
        &[
            "mainstay.toml:6:19: router[0].advert-interval: this is an integer; expected a duration with its unit, such as \"2s\" or \"100ms\"",
        ],
    ),
    (
        "advert-interval = \"1\"",
        &[
            "mainstay.toml:6:19: router[0].advert-interval: \"1\" is no duration: its unit is missing; expected a duration with its unit, such as \"2s\" or \"100ms\"",
        ],
    ),
    (
        "advert-interval = \"15ms\"",
        &[
            "mainstay.toml:6:19: router[0].advert-interval: version 3 cannot advertise every 15ms; version 3 advertises every 10ms to 40s 950ms, in steps of 10ms",
        ],
    ),
    (
        "version = 2\nadvert-interval = \"1500ms\"",
        &[
            "mainstay.toml:7:19: router[0].advert-interval: version 2 cannot advertise every 1s 500ms; version 2 advertises every 1s to 255s, in whole seconds; use version = 3 for less",
        ],
    ),
    (
        "auth = { type = \"pass\", password = \"x\" }",
        &[
            "mainstay.toml:6:1: router[0].auth: version 3 has no authentication; remove auth, or say version = 2",
        ],
    ),
    (
        "version = 2\nauth = { type = \"ah\", password = \"x\" }",
        &["mainstay.toml:7:17: router[0].auth.type: \"ah\" cannot stand here; expected \"pass\""],
    ),
    (
        "version = 2\nauth = { type = \"pass\", password = \"123456789\" }",
        &[
            "mainstay.toml:7:36: router[0].auth.password: a password of 9 bytes does not fit; version 2 carries 1 to 8 bytes",
        ],
    ),
    (
        "version = 2\nauth = { type = \"pass\", password = { credential = \"vrrp\" } }",
        &[
            "mainstay.toml:7:51: router[0].auth.password.credential: systemd passed no credentials; add LoadCredential=vrrp:/path/to/secret to the unit, or use { file = \"…\" }",
        ],
    ),
    (
        "version = 2\nauth = { type = \"pass\", password = { file = \"none\" } }",
        &[
            "mainstay.toml:7:45: router[0].auth.password.file: none cannot be read: No such file or directory (os error 2)",
        ],
    ),
    (
        "version = 2\nchecksum = \"message-only\"",
        &[
            "mainstay.toml:7:12: router[0].checksum: version 2 has only one form of checksum; remove checksum",
        ],
    ),
    (
        "track = [\"ngins\", { check = \"nginx\", weight = 300 }, { check = \"nginx\", wieght = 3 }, { check = \"nginx\", weight = 0 }]\n[[check]]\nname = \"nginx\"\nplugin = 5",
        &[
            "mainstay.toml:6:10: router[0].track[0]: there is no check \"ngins\"; did you mean \"nginx\"?",
            "mainstay.toml:6:47: router[0].track[1].weight: 300 is out of range; a whole number from -253 to 253",
            "mainstay.toml:6:73: router[0].track[2].wieght: there is no such key; did you mean \"weight\"?",
            "mainstay.toml:6:115: router[0].track[3].weight: a weight of 0 changes nothing; without weight, the check is a condition: the router is in fault without it",
            "mainstay.toml:9:10: check[0].plugin: this is an integer; expected a text in quotes",
        ],
    ),
    (
        "track = [\"a\", \"a\"]\n[[check]]\nname = \"a\"\nplugin = \"process\"",
        &[
            "mainstay.toml:6:15: router[0].track[1]: the check \"a\" is used twice, first at mainstay.toml:6:10; a router tracks a check once",
        ],
    ),
];

#[test]
fn every_fault_is_named_with_its_place() {
    let in_router = IN_ROUTER
        .iter()
        .map(|(text, expected)| (format!("{ROUTER}{text}"), *expected));
    let whole = WHOLE
        .iter()
        .map(|(text, expected)| ((*text).to_owned(), *expected));
    for (text, expected) in whole.chain(in_router) {
        assert_eq!(Fixture::new(&text).errors(), expected, "\n{text}\n");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let fixture = Fixture::new("");
    fs::remove_file(fixture.path("mainstay.toml")).unwrap();
    assert_eq!(
        fixture.errors(),
        ["mainstay.toml: cannot be read: No such file or directory (os error 2)"]
    );
    fs::create_dir(fixture.path("mainstay.toml")).unwrap();
    assert_eq!(fixture.errors(), ["mainstay.toml: is not a file"]);
}

#[test]
fn a_file_that_anyone_can_change_is_refused() {
    let fixture = Fixture::new(INTRODUCTION);
    fixture.chmod("mainstay.toml", 0o646);
    assert_eq!(
        fixture.errors(),
        [
            "mainstay.toml: can be changed by any user, and so could what runs here; take that right away with chmod o-w"
        ]
    );
}

#[test]
fn a_file_that_is_too_long_or_not_text_is_refused() {
    let fixture = Fixture::new(&"#\n".repeat(600_000));
    assert_eq!(
        fixture.errors(),
        ["mainstay.toml: is longer than 1048576 bytes; split it with include"]
    );
    fs::write(fixture.path("mainstay.toml"), b"a = \"\xff\"").unwrap();
    assert_eq!(
        fixture.errors(),
        ["mainstay.toml: is not UTF-8: invalid utf-8 sequence of 1 bytes from index 5"]
    );
}

#[test]
fn settings_are_not_nested_without_end() {
    let nested = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let text =
        format!("[[check]]\nname = \"a\"\nplugin = \"process\"\nsettings = {{ x = {nested} }}");
    let errors = Fixture::new(&text).errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("nested deeper than 32 levels"));
}

#[test]
fn without_stock_plugins_it_says_where_they_were_looked_for() {
    let fixture = Fixture::new(INTRODUCTION);
    fs::remove_file(fixture.path("plugins/stock.toml")).unwrap();
    assert_eq!(
        fixture.errors(),
        [
            "mainstay.toml:4:10: check[0].plugin: there is no plugin \"process\"; declare it with [[plugin]]; there are no stock plugins in plugins"
        ]
    );
}

#[test]
fn a_url_or_a_directory_that_cannot_be_granted_says_what_to_write() {
    let url = "; what URLs begin with, such as \"https://www.example.com/status\" or \"http://10.0.0.0/24:80/\"";
    let directory = "this directory cannot be given to a plugin; an absolute path of a directory made for it, such as \"/srv/app/health\"; never / or what is in /proc, /sys, /dev and /etc";
    for (permissions, expected) in [
        (
            "http = { urls = [\"http://10.0.0.0/24\"] }",
            format!("http.urls[0]: \"http://10.0.0.0/24\" is no URL to grant: a network is written with its length and its port: http://10.0.0.0/24:80/{url}"),
        ),
        (
            "wasi-http = { urls = [\"www.example.com\"] }",
            format!("wasi-http.urls[0]: \"www.example.com\" is no URL to grant: it has to begin with http:// or https://{url}"),
        ),
        (
            "http = { urls = [\"http://a/\"], max-body = \"2MiB\" }",
            "http.max-body: 2.0 MiB is out of range; from 1 B to 1.0 MiB".to_owned(),
        ),
        ("files = [\"/\"]", format!("files[0]: {directory}")),
        ("files = [\"health\"]", format!("files[0]: {directory}")),
        ("files = [\"/etc/ssl\"]", format!("files[0]: {directory}")),
        ("files = [\"/srv/../etc\"]", format!("files[0]: {directory}")),
        (
            "wasi-sockets = { addresses = [\"web1\"], ports = [80] }",
            "wasi-sockets.addresses[0]: \"web1\" is no address; an address such as 10.0.0.21 or a network such as 10.0.0.0/24".to_owned(),
        ),
    ] {
        let text = format!("[[plugin]]\nname = \"process\"\npermissions.{permissions}\n");
        let errors = Fixture::new(&text).errors();
        let ending = format!("permissions.{expected}");
        assert!(errors.len() == 1 && errors[0].ends_with(&ending), "{errors:#?}");
    }
}
