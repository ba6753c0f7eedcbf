//! What is in the cache is either exactly what was put there, or not used.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

const ENGINE: &str = "0123456789abcdef";
const CODE: &[u8] = b"machine code of some kind";

fn digest(of: char) -> String {
    of.to_string().repeat(64)
}

struct Bench {
    root: TempDir,
    cache: Cache,
}

impl Bench {
    /// A cache with one entry, of the component `a`.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let cache = open(root.path());
        let bench = Self { root, cache };
        bench.keep('a', CODE);
        bench
    }

    fn keep(&self, component: char, code: &[u8]) {
        let code = Sealed::of("test", code).unwrap();
        self.cache.keep(&digest(component), ENGINE, &code).unwrap();
    }

    fn entry(&self, component: char) -> PathBuf {
        let name = name(&digest(component), ENGINE).unwrap();
        self.root.path().join("cache").join(name)
    }

    fn find(&self, component: char) -> Result<Option<Vec<u8>>, CacheError> {
        let found = self.cache.find(&digest(component), ENGINE)?;
        Ok(found.map(|code| code.to_vec().unwrap()))
    }
}

fn open(root: &Path) -> Cache {
    Cache::keeping(&root.join("cache"), &root.join("state")).unwrap()
}

#[test]
fn what_was_kept_is_found_again_also_by_another_daemon() {
    let bench = Bench::new();
    assert_eq!(bench.find('a').unwrap().unwrap(), CODE);
    let other = open(bench.root.path());
    let found = other.find(&digest('a'), ENGINE).unwrap().unwrap();
    assert_eq!(found.to_vec().unwrap(), CODE);
    assert!(bench.find('b').unwrap().is_none());
    let other_engine = bench.cache.find(&digest('a'), "fedcba9876543210");
    assert!(other_engine.unwrap().is_none());
}

#[test]
fn t12_a_flipped_bit_anywhere_is_noticed() {
    let bench = Bench::new();
    let path = bench.entry('a');
    let good = fs::read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    for (position, byte) in good.iter().enumerate() {
        file.write_all_at(&[byte ^ 1], position as u64).unwrap();
        let error = bench.find('a').unwrap_err();
        assert!(
            matches!(error, CacheError::Forged(_)),
            "{position}: {error}"
        );
        file.write_all_at(&[*byte], position as u64).unwrap();
    }
    assert_eq!(bench.find('a').unwrap().unwrap(), CODE);
}

#[test]
fn t12_every_length_but_the_right_one_is_noticed() {
    let bench = Bench::new();
    let path = bench.entry('a');
    let good = fs::read(&path).unwrap();
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(bench.find('a').is_err(), "{length}");
    }
    fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    assert!(bench.find('a').is_err());
}

#[test]
fn t12_an_entry_in_the_place_of_another_is_noticed() {
    let bench = Bench::new();
    bench.keep('b', b"other code");
    fs::rename(bench.entry('b'), bench.entry('a')).unwrap();
    assert!(matches!(bench.find('a'), Err(CacheError::Forged(_))));
    assert!(bench.find('b').unwrap().is_none());
}

#[test]
fn t12_an_entry_of_another_key_is_noticed() {
    let (bench, other) = (Bench::new(), Bench::new());
    fs::copy(other.entry('a'), bench.entry('a')).unwrap();
    assert!(matches!(bench.find('a'), Err(CacheError::Forged(_))));
}

#[test]
fn t12_an_entry_is_a_file_that_only_we_can_write() {
    let bench = Bench::new();
    let path = bench.entry('a');
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(bench.find('a'), Err(CacheError::Trust(_))),
            "{mode:o}"
        );
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let elsewhere = bench.root.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(bench.find('a'), Err(CacheError::Trust(_))));
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR).unwrap();
    assert!(matches!(bench.find('a'), Err(CacheError::Trust(_))));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(bench.find('a').is_err());
}

#[test]
fn t12_directory_and_key_are_to_be_writable_by_nobody_else() {
    let bench = Bench::new();
    let root = bench.root.path();
    let (cache, state) = (root.join("cache"), root.join("state"));
    for (path, bad) in [
        (cache.clone(), 0o770),
        (cache.clone(), 0o1777),
        (state.clone(), 0o702),
        (root.to_owned(), 0o777),
        (state.join("code-key"), 0o660),
        (state.join("code-key"), 0o640),
    ] {
        let good = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(bad)).unwrap();
        let refused = Cache::keeping(&cache, &state).unwrap_err();
        assert!(matches!(refused, CacheError::Trust(_)), "{refused}");
        fs::set_permissions(&path, good).unwrap();
    }
    Cache::keeping(&cache, &state).unwrap();
}

#[test]
fn a_key_of_another_length_is_no_key() {
    let bench = Bench::new();
    let root = bench.root.path();
    let key = root.join("state/code-key");
    for length in [0, 31, 33, 1000] {
        fs::write(&key, vec![7; length]).unwrap();
        let refused = Cache::keeping(&root.join("cache"), &root.join("state")).unwrap_err();
        assert!(refused.to_string().contains("remove it"), "{refused}");
    }
    fs::remove_file(&key).unwrap();
    Cache::keeping(&root.join("cache"), &root.join("state")).unwrap();
}

#[test]
fn who_only_reads_leaves_no_trace() {
    let bench = Bench::new();
    let root = bench.root.path();
    let reading = Cache::reading(&root.join("cache"), &root.join("state")).unwrap();
    assert!(reading.find(&digest('a'), ENGINE).unwrap().is_some());
    let code = Sealed::of("test", CODE).unwrap();
    reading.keep(&digest('b'), ENGINE, &code).unwrap();
    assert!(!bench.entry('b').exists());

    let empty = tempfile::tempdir().unwrap();
    let none = Cache::reading(&empty.path().join("cache"), empty.path());
    assert!(matches!(none, Err(CacheError::None)));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_worker_cannot_name_an_entry_outside() {
    let bench = Bench::new();
    for engine in [
        "",
        "../../../etc/x00",
        "0123456789abcdeg",
        "0123456789abcdef0",
    ] {
        let refused = bench.cache.find(&digest('a'), engine);
        assert!(matches!(refused, Err(CacheError::Unnameable)), "{engine}");
    }
}

#[test]
fn what_was_used_last_stays() {
    let bench = Bench::new();
    let large = |component| {
        bench.keep(component, CODE);
        let file = File::options().write(true).open(bench.entry(component));
        // With holes: it only looks large.
        file.unwrap().set_len(ROOM / 2).unwrap();
    };
    large('b');
    large('c');
    for (component, age) in [('a', 30), ('b', 20), ('c', 10)] {
        let used = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        let file = File::options().write(true).open(bench.entry(component));
        file.unwrap().set_modified(used).unwrap();
    }
    assert!(bench.find('a').unwrap().is_some());
    // The oldest of all, and nothing that this daemon has put there.
    let strange = bench.root.path().join("cache/0-strange");
    fs::create_dir(&strange).unwrap();
    File::open(&strange)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    bench.keep('d', CODE);
    assert!(strange.exists());
    let left = ['a', 'b', 'c', 'd'].map(|component| bench.entry(component).exists());
    assert_eq!(left, [true, false, true, true]);
}
