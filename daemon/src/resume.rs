//! The page in the runtime directory that outlives a crash of the daemon (architecture rule 8).
//!
//! `<runtime-dir>/resume` is a row of slots of 512 bytes. The first is the header, with the format's
//! version and the boot id; each other one holds one [`Record`] behind its checksum. A record is
//! replaced in place by a single write, without a sync: the directory is on a tmpfs, and what it
//! must survive is the death of the process, not of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use mainstay_core::record::{Record, RouterKey};
use rustix::fs::OFlags;

/// Bytes of a slot.
const SLOT: usize = 512;

/// Slots that a page may have: more than routers and checks of any configuration, and a bound for
/// what a foreign file can make us read.
const SLOTS: usize = 16_384;

/// First bytes of the file; the number is the format's version.
const MAGIC: &str = "mainstay resume 1\n";

/// What identifies a record on the page.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    /// A virtual router.
    Router(RouterKey),
    /// A check, by its identity.
    Check([u8; 32]),
}

impl Key {
    /// The key of a record.
    pub(crate) fn of(record: &Record) -> Self {
        match record {
            Record::Router(router) => Self::Router(router.key.clone()),
            Record::Check(check) => Self::Check(check.identity),
        }
    }
}

/// The open page.
#[derive(Debug)]
pub(crate) struct ResumePage {
    file: File,
    used: BTreeMap<Key, usize>,
    free: BTreeSet<usize>,
    /// Slots so far, the header included.
    length: usize,
}

impl ResumePage {
    /// Opens the page of a runtime directory, and reads what an earlier process of the same boot
    /// left there. A record with a wrong checksum is not returned; a page of another boot or format
    /// begins anew.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub(crate) fn open(runtime_dir: &Path, boot_id: &str) -> io::Result<(Self, Vec<Record>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(runtime_dir.join("resume"))?;
        let mut bytes = Vec::new();
        (&file)
            .take((SLOT * SLOTS) as u64)
            .read_to_end(&mut bytes)?;
        let header = slot(format!("{MAGIC}{boot_id}").as_bytes())?;
        let mut page = Self {
            file,
            used: BTreeMap::new(),
            free: BTreeSet::new(),
            length: 1,
        };
        if bytes.get(..SLOT) != Some(header.as_slice()) {
            page.file.set_len(0)?;
            page.file.write_all_at(&header, 0)?;
            return Ok((page, Vec::new()));
        }
        let mut records = Vec::new();
        for bytes in bytes[SLOT..].chunks(SLOT) {
            let index = page.length;
            page.length += 1;
            match content(bytes).and_then(|text| serde_json::from_slice::<Record>(text).ok()) {
                Some(record) if !page.used.contains_key(&Key::of(&record)) => {
                    page.used.insert(Key::of(&record), index);
                    records.push(record);
                }
                Some(_) | None => {
                    page.free.insert(index);
                }
            }
        }
        Ok((page, records))
    }

    /// Writes a record over the earlier one with its key. A message that doesn't fit is cut.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when the record is too long even so,
    /// [`io::ErrorKind::StorageFull`] when the page has no more slots, and whatever the file system
    /// reports.
    pub(crate) fn remember(&mut self, record: &Record) -> io::Result<()> {
        let bytes = fit(record)?;
        let key = Key::of(record);
        if let Some(index) = self.used.get(&key) {
            return self.write(&bytes, *index);
        }
        let index = self.free.first().copied().unwrap_or(self.length);
        if index >= SLOTS {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.write(&bytes, index)?;
        self.free.remove(&index);
        self.length = self.length.max(index + 1);
        self.used.insert(key, index);
        Ok(())
    }

    /// Forgets every record whose key `keep` doesn't want, so that its slot is used again.
    ///
    /// # Errors
    /// Whatever the file system reports; what could not be forgotten is still on the page.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Key) -> bool) -> io::Result<()> {
        let forgotten: Vec<(Key, usize)> = self
            .used
            .iter()
            .filter(|(key, _)| !keep(key))
            .map(|(key, index)| (key.clone(), *index))
            .collect();
        for (key, index) in forgotten {
            self.write(&[0; SLOT], index)?;
            self.used.remove(&key);
            self.free.insert(index);
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8; SLOT], index: usize) -> io::Result<()> {
        self.file.write_all_at(bytes, (index * SLOT) as u64)
    }
}

/// A slot with the longest form of the record that fits.
fn fit(record: &Record) -> io::Result<[u8; SLOT]> {
    let mut record = record.clone();
    loop {
        let error = match slot(&serde_json::to_vec(&record)?) {
            Ok(slot) => return Ok(slot),
            Err(error) => error,
        };
        match &mut record {
            // A control character takes six bytes in JSON, so the cut can't be computed.
            Record::Check(check) if !check.message.is_empty() => {
                let half = check.message.len() / 2;
                let cut = check.message.floor_char_boundary(half);
                check.message.truncate(cut);
            }
            Record::Check(_) | Record::Router(_) => return Err(error),
        }
    }
}

/// A slot: checksum of the rest, length, content, zeros.
fn slot(content: &[u8]) -> io::Result<[u8; SLOT]> {
    let mut slot = [0; SLOT];
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the record is too long");
    let length = u16::try_from(content.len()).map_err(|_| too_long())?;
    slot[4..6].copy_from_slice(&length.to_be_bytes());
    slot.get_mut(6..6 + content.len())
        .ok_or_else(too_long)?
        .copy_from_slice(content);
    let checksum = crc32fast::hash(&slot[4..]);
    slot[..4].copy_from_slice(&checksum.to_be_bytes());
    Ok(slot)
}

/// The content of a slot; `None` when it is empty, cut or torn.
fn content(slot: &[u8]) -> Option<&[u8]> {
    let (checksum, rest) = slot.split_first_chunk::<4>()?;
    if slot.len() != SLOT || crc32fast::hash(rest) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let (length, content) = rest.split_first_chunk::<2>()?;
    content.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mainstay_core::address::Family;
    use mainstay_core::event::RouterState;
    use mainstay_core::input::WeightChange;
    use mainstay_core::record::{CheckRecord, RouterRecord};
    use mainstay_core::time::Time;

    use super::*;

    fn router(id: u8, state: RouterState) -> Record {
        Record::Router(RouterRecord {
            key: RouterKey {
                interface: "eth0".to_owned(),
                family: Family::Ipv4,
                id,
            },
            state,
            at: Time::ZERO,
        })
    }

    fn check(identity: u8, message: &str) -> Record {
        Record::Check(CheckRecord {
            identity: [identity; 32],
            in_service: true,
            message: message.to_owned(),
            weight: WeightChange::Offset(-20),
            at: Time::ZERO,
        })
    }

    #[test]
    fn the_last_record_of_each_key_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let (mut page, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert!(left.is_empty());
        page.remember(&router(51, RouterState::Backup)).unwrap();
        page.remember(&check(7, "1 running")).unwrap();
        page.remember(&router(51, RouterState::Active)).unwrap();
        drop(page);

        let (mut page, left) = ResumePage::open(directory.path(), "boot").unwrap();
        let expected = [router(51, RouterState::Active), check(7, "1 running")];
        assert_eq!(left, expected);
        page.remember(&check(7, "none running")).unwrap();
        drop(page);
        let (_, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert_eq!(left[1], check(7, "none running"));
    }

    #[test]
    fn a_torn_or_cut_record_is_ignored_and_its_slot_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resume");
        let (mut page, _) = ResumePage::open(directory.path(), "boot").unwrap();
        for id in 1..=3 {
            page.remember(&router(id, RouterState::Active)).unwrap();
        }
        drop(page);
        let mut bytes = fs::read(&path).unwrap();
        bytes[SLOT + 20] ^= 1;
        bytes.truncate(4 * SLOT - 1);
        fs::write(&path, &bytes).unwrap();

        let (mut page, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert_eq!(left, [router(2, RouterState::Active)]);
        page.remember(&router(4, RouterState::Backup)).unwrap();
        page.remember(&router(5, RouterState::Backup)).unwrap();
        drop(page);
        assert_eq!(fs::metadata(&path).unwrap().len(), 4 * SLOT as u64);
        let (_, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert_eq!(left.len(), 3);
    }

    #[test]
    fn nothing_counts_from_another_boot_or_from_a_foreign_file() {
        let directory = tempfile::tempdir().unwrap();
        let (mut page, _) = ResumePage::open(directory.path(), "boot").unwrap();
        page.remember(&router(51, RouterState::Active)).unwrap();
        drop(page);
        let (_, left) = ResumePage::open(directory.path(), "other").unwrap();
        assert!(left.is_empty());
        let (_, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert!(left.is_empty(), "the page began anew under the other boot");

        fs::write(directory.path().join("resume"), [0xff; 2000]).unwrap();
        let (mut page, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert!(left.is_empty());
        page.remember(&router(51, RouterState::Active)).unwrap();
        drop(page);
        let (_, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn forgotten_records_stay_forgotten_and_their_slots_are_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut page, _) = ResumePage::open(directory.path(), "boot").unwrap();
        for round in 0..10 {
            for id in 1..=20 {
                page.remember(&check(id, &format!("round {round}")))
                    .unwrap();
            }
            page.retain(|key| *key == Key::Check([20; 32])).unwrap();
        }
        drop(page);
        let length = fs::metadata(directory.path().join("resume")).unwrap().len();
        assert_eq!(length, 21 * SLOT as u64);
        let (_, left) = ResumePage::open(directory.path(), "boot").unwrap();
        assert_eq!(left, [check(20, "round 9")]);
    }

    #[test]
    fn a_message_that_does_not_fit_is_cut_and_a_key_that_does_not_fit_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (mut page, _) = ResumePage::open(directory.path(), "boot").unwrap();
        page.remember(&check(1, &"ä\u{1}".repeat(1000))).unwrap();
        let Record::Router(mut long) = router(1, RouterState::Active) else {
            panic!("not a router");
        };
        long.key.interface = "x".repeat(SLOT);
        let error = page.remember(&Record::Router(long)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        drop(page);

        let (_, left) = ResumePage::open(directory.path(), "boot").unwrap();
        let [Record::Check(check)] = left.as_slice() else {
            panic!("not the check: {left:?}");
        };
        assert!(check.message.starts_with('ä'));
        assert!(check.message.len() < 128);
    }
}
