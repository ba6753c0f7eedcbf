use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mainstay_protocol::{Blob, Grants, Limits, PluginSpec};

use super::*;

const PERSISTENT: StateGrant = StateGrant {
    size: 1000,
    persist: true,
};

const PASSING: StateGrant = StateGrant {
    size: 1000,
    persist: false,
};

async fn set(keeping: &Keeping, plugin: &str, grant: &StateGrant, value: &str) -> StateAnswer {
    let call = StateCall::Set("key".to_owned(), Blob(value.into()));
    keeping.answer(plugin, grant, call).await
}

async fn get(keeping: &Keeping, plugin: &str, grant: &StateGrant) -> Option<String> {
    let call = StateCall::Get("key".to_owned());
    match keeping.answer(plugin, grant, call).await {
        StateAnswer::Value(value) => value.map(|Blob(bytes)| String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn load(plugins: &[(&str, Option<StateGrant>)]) -> Load {
    let spec = |(name, state): &(&str, Option<StateGrant>)| PluginSpec {
        name: (*name).to_owned(),
        code: String::new(),
        grants: Grants {
            state: state.clone(),
            ..Grants::default()
        },
        limits: Limits::default(),
        secrets: Vec::new(),
    };
    Load {
        generation: 1,
        max_concurrent_runs: 1,
        unstable: Vec::new(),
        plugins: plugins.iter().map(spec).collect(),
        checks: Vec::new(),
        hooks: Vec::new(),
    }
}

fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().ino()
}

#[tokio::test]
async fn t29_two_plugins_with_the_same_keys_have_stores_of_their_own() {
    let keeping = Keeping::default();
    set(&keeping, "one", &PASSING, "1").await;
    set(&keeping, "two", &PASSING, "2").await;
    assert_eq!(get(&keeping, "one", &PASSING).await.unwrap(), "1");
    assert_eq!(get(&keeping, "two", &PASSING).await.unwrap(), "2");
    assert_eq!(get(&keeping, "three", &PASSING).await, None);
    // One plugin with several grants is one plugin.
    assert_eq!(get(&keeping, "one@check", &PASSING).await.unwrap(), "1");
}

#[tokio::test]
async fn a_reload_keeps_what_is_granted_and_drops_the_rest() {
    let keeping = Keeping::default();
    for plugin in ["stays", "loses-its-grant", "goes"] {
        set(&keeping, plugin, &PASSING, "x").await;
    }
    keeping.retain(&load(&[
        ("stays", Some(PASSING)),
        ("loses-its-grant", None),
    ]));
    assert_eq!(get(&keeping, "stays", &PASSING).await.unwrap(), "x");
    assert_eq!(get(&keeping, "loses-its-grant", &PASSING).await, None);
    assert_eq!(get(&keeping, "goes", &PASSING).await, None);
}

#[tokio::test]
async fn what_persists_is_there_for_the_next_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("plugins");
    let keeping = Keeping::in_directory(files.clone());
    set(&keeping, "p", &PERSISTENT, "kept").await;
    set(&keeping, "q", &PASSING, "lost").await;
    assert!(!files.exists(), "written before it is time");
    keeping.flush().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&files), mode(&files.join("p.json"))), (0o700, 0o600));
    assert!(!files.join("q.json").exists());

    let next = Keeping::in_directory(files);
    assert_eq!(get(&next, "p", &PERSISTENT).await.unwrap(), "kept");
    assert_eq!(get(&next, "q", &PASSING).await, None);
}

#[tokio::test]
async fn a_file_that_is_damaged_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.json");
    let many = (0..65)
        .map(|n| format!("\"k{n}\":\"\""))
        .collect::<Vec<_>>();
    for content in [
        "{".to_owned(),
        "\u{0}".repeat(1 << 20),
        r#"{"version":2,"plugin":"p","entries":{}}"#.to_owned(),
        r#"{"version":1,"plugin":"other","entries":{"key":"eA=="}}"#.to_owned(),
        r#"{"version":1,"plugin":"p","entries":{"../key":"eA=="}}"#.to_owned(),
        r#"{"version":1,"plugin":"p","entries":{"key":"?"}}"#.to_owned(),
        format!(
            r#"{{"version":1,"plugin":"p","entries":{{{}}}}}"#,
            many.join(",")
        ),
    ] {
        fs::write(&file, &content).unwrap();
        let keeping = Keeping::in_directory(directory.path().to_owned());
        assert_eq!(get(&keeping, "p", &PERSISTENT).await, None, "{content:.60}");
        let aside = directory.path().join("p.json.corrupt");
        assert_eq!(fs::read_to_string(aside).unwrap(), content);
        set(&keeping, "p", &PERSISTENT, "anew").await;
        keeping.flush().await;
        let next = Keeping::in_directory(directory.path().to_owned());
        assert_eq!(get(&next, "p", &PERSISTENT).await.unwrap(), "anew");
    }
}

#[tokio::test]
async fn t27_a_storm_of_changes_is_one_write_until_the_pause_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.json");
    let keeping = Keeping::in_directory(directory.path().to_owned());
    let writer = tokio::spawn({
        let keeping = keeping.clone();
        async move { keeping.write_changes(Duration::from_secs(3600)).await }
    });
    set(&keeping, "p", &PERSISTENT, "first").await;
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    let first = inode(&file);
    for number in 0..10_000 {
        set(&keeping, "p", &PERSISTENT, &number.to_string()).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(inode(&file), first, "written before the pause was over");
    writer.abort();
    keeping.flush().await;
    let next = Keeping::in_directory(directory.path().to_owned());
    assert_eq!(get(&next, "p", &PERSISTENT).await.unwrap(), "9999");
    // Nothing has changed, nothing is written.
    let last = inode(&file);
    set(&keeping, "p", &PERSISTENT, "9999").await;
    keeping.flush().await;
    assert_eq!(inode(&file), last);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("plugins");
    fs::write(&files, "in the way").unwrap();
    let keeping = Keeping::in_directory(files.clone());
    set(&keeping, "p", &PERSISTENT, "kept").await;
    keeping.flush().await;
    fs::remove_file(&files).unwrap();
    keeping.flush().await;
    assert!(files.join("p.json").exists());
}

#[tokio::test]
async fn a_disk_that_takes_things_again_gets_them_without_another_change() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || lines.clone());
    let _heard = tracing::subscriber::set_default(subscriber.finish());
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("plugins");
    fs::write(&files, "in the way").unwrap();
    let keeping = Keeping::in_directory(files.clone());
    let writer = keeping.clone();
    let writer = tokio::spawn(async move { writer.write_changes(Duration::from_millis(10)).await });
    set(&keeping, "p", &PERSISTENT, "kept").await;
    let told = |wanted: &'static str| {
        let log = log.clone();
        let coming = async move {
            while !log.text().contains(wanted) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), coming)
    };
    told("not on disk").await.expect("that it failed");
    for _ in 0..3 {
        assert!(!keeping.flush().await);
    }
    fs::remove_file(&files).unwrap();
    told("on disk again").await.expect("that it is written");
    writer.abort();
    assert_eq!(log.text().matches("not on disk").count(), 1);
    let next = Keeping::in_directory(files);
    assert_eq!(get(&next, "p", &PERSISTENT).await.unwrap(), "kept");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn t27_what_a_dead_daemon_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.json");
    let keeping = Keeping::in_directory(directory.path().to_owned());
    set(&keeping, "p", &PERSISTENT, "before").await;
    keeping.flush().await;
    // Half a file, as of a daemon that died while it wrote; or a link that somebody has put there.
    let new = directory.path().join("p.json.new");
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "untouched").unwrap();
    for link in [false, true] {
        match link {
            false => fs::write(&new, "{\"version\":1,").unwrap(),
            true => std::os::unix::fs::symlink(&elsewhere, &new).unwrap(),
        }
        let next = Keeping::in_directory(directory.path().to_owned());
        assert!(get(&next, "p", &PERSISTENT).await.is_some());
        set(&next, "p", &PERSISTENT, &format!("after {link}")).await;
        next.flush().await;
        assert!(!new.exists());
        assert!(fs::read_to_string(&file).unwrap().len() > 20);
    }
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "untouched");
    let last = Keeping::in_directory(directory.path().to_owned());
    assert_eq!(get(&last, "p", &PERSISTENT).await.unwrap(), "after true");
}

#[tokio::test]
async fn t27_a_plugin_gets_no_more_than_its_quota() {
    let keeping = Keeping::default();
    let long = "x".repeat(1000);
    assert_eq!(
        set(&keeping, "p", &PASSING, &long).await,
        StateAnswer::QuotaExceeded
    );
    assert_eq!(
        set(&keeping, "p", &PASSING, &long[3..]).await,
        StateAnswer::Done
    );
}

#[test]
fn what_plugins_keep_does_not_print() {
    let keeping = Keeping::default();
    assert_eq!(format!("{keeping:?}"), "{}");
}
