use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

mod any;
mod bad;
mod data;
mod good;

/// The introduction's configuration, on an interface that every machine has.
pub(super) const INTRODUCTION: &str = r#"
[[check]]
name = "nginx"
plugin = "process"
settings = { name = "nginx" }
interval = "2s"

[[router]]
name = "VI_1"
interface = "lo"
id = 51
priority = 100
version = 2
advert-interval = "1s"
auth = { type = "pass", password = "1234" }
addresses = ["192.168.1.100/24"]
track = [{ check = "nginx", weight = -20 }]
"#;

const STOCK: &str = r#"
[[plugin]]
name = "process"
file = "process.wasm"
sha256 = "000000000000000000000000000000000000000000000000000000000000000a"
[plugin.grants]
process.names = ["{name}"]
process.pid-files = ["{pid-file}"]

[[plugin]]
name = "tcp"
file = "tcp.wasm"
sha256 = "000000000000000000000000000000000000000000000000000000000000000b"
[plugin.grants]
probe.addresses = ["{address}"]
probe.ports = ["{port}"]

[[plugin]]
name = "log"
file = "log.wasm"
sha256 = "000000000000000000000000000000000000000000000000000000000000000c"
"#;

/// A directory with a configuration and stock plugins.
pub(super) struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new(configuration: &str) -> Self {
        let fixture = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(fixture.path("plugins")).unwrap();
        fixture.chmod("plugins", 0o755);
        fixture.write("plugins/stock.toml", STOCK);
        for plugin in ["process", "tcp", "log"] {
            fixture.write(&format!("plugins/{plugin}.wasm"), plugin);
        }
        fixture.write("mainstay.toml", configuration);
        fixture
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o640);
    }

    pub(super) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn options(&self) -> Options {
        Options {
            plugin_directories: vec![self.path("plugins")],
            ..Options::default()
        }
    }

    pub(super) fn load(&self) -> Result<Config, Vec<Problem>> {
        load(&self.path("mainstay.toml"), &self.options())
    }

    /// What is wrong, a line each, with paths relative to the directory.
    pub(super) fn errors(&self) -> Vec<String> {
        let errors = self.load().err().unwrap_or_default();
        errors.iter().map(|error| self.relative(error)).collect()
    }

    fn relative(&self, problem: &Problem) -> String {
        let directory = format!("{}/", self.directory.path().display());
        problem.to_string().replace(&directory, "")
    }
}
