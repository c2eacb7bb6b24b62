//! What must hold of whatever a crash leaves, and of the end.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use luks::reencryption;
use luks::{Header, Luks, UnlockOptions, luks2};
use volume::{CrashedDisks, Storage};

use super::cases::{Before, Case, Job, SECRET, World};
use super::standing::{Standing, described, luks2_metadata, luks2_of, unlock};
use crate::common::passphrase;

pub struct Judge {
    case: Case,
    plaintext: Vec<u8>,
    /// What must not be found anywhere in the end, by pieces of 16 bytes.
    forbidden: HashSet<[u8; 16]>,
    /// Whether a keyslot with such bytes opens: derivations that were done are not done again.
    known: Mutex<HashMap<u64, bool>>,
    /// The disks after a job that nothing disturbed.
    end: Option<End>,
}

struct End {
    data: Vec<u8>,
    /// The header's metadata; nothing where its keyslots were wiped before its token was.
    json: String,
}

impl Judge {
    pub fn new(case: Case, before: &Before) -> Self {
        let mut forbidden = HashSet::new();
        let data = before.data.snapshot();
        let start = usize::try_from(case.data_offset()).unwrap();
        let mut forbid = |bytes: &[u8]| {
            let pieces = bytes.as_chunks::<16>().0.iter();
            forbidden.extend(pieces.filter(|piece| **piece != [0; 16]).copied());
        };
        match case.job {
            Job::Encrypt | Job::EncryptShift | Job::Luks1Encrypt | Job::Luks1EncryptReduced => {
                forbid(&before.plaintext);
            }
            // The payload stays.
            Job::Luks1Hash => forbid(&data[0x1000..0x1000 + 64_000]),
            // The payload, and with a new key the old keyslot.
            _ => {
                let is_aligned = start % 16 == 0;
                assert!(is_aligned);
                forbid(&data[start..]);
                if case.job == Job::Luks1NewKey {
                    forbid(&data[0x1000..0x1000 + 64_000]);
                }
                if matches!(case.job, Job::NewKey | Job::NewKeyShift) {
                    let header = if case.is_detached {
                        before.header.snapshot()
                    } else {
                        data
                    };
                    forbid(&header[0x8000..0x8000 + 64_000]);
                }
            }
        }
        Self {
            case,
            plaintext: before.plaintext.clone(),
            forbidden,
            known: Mutex::default(),
            end: None,
        }
    }

    /// Every byte of the volume is there, the passphrase opens all that has to be opened, and the header is one that others
    /// go on from; its epoch.
    pub fn read(&self, state: &CrashedDisks) -> Result<u64, String> {
        let world = World::of(state);
        match self.standing(&world)? {
            Standing::Plain => {
                self.plain(&world)?;
                Ok(0)
            }
            Standing::Luks1(luks) => {
                self.luks1(&luks, &world)?;
                if self.case.is_done(&luks) {
                    self.done(&world)?;
                }
                Ok(0)
            }
            Standing::Planned(luks) if self.case.is_encryption_shift() => {
                self.plain(&world)?;
                self.keyslots(&luks)?;
                Ok(0)
            }
            Standing::Planned(luks)
            | Standing::Settled(luks)
            | Standing::UnderWay(luks)
            | Standing::Lower(luks) => {
                let epoch = self.container(&luks, &world)?;
                self.beside_luks1(&luks, &world)?;
                let metadata = luks2_metadata(luks.header());
                let says_nothing = metadata.reencryption.is_none() && metadata.tokens.is_empty();
                if says_nothing && self.case.is_done(&luks) {
                    self.done(&world)?;
                }
                Ok(epoch)
            }
        }
    }

    fn standing(&self, world: &World) -> Result<Standing, String> {
        let standing = self.case.standing(world);
        standing.map_err(|error| format!("the header: {error}"))
    }

    fn container(&self, luks: &Luks, world: &World) -> Result<u64, String> {
        let metadata = luks2_metadata(luks.header());
        if let Some(state) = &metadata.reencryption
            && state.is_finished()
        {
            return Err("it is asked for what is finished".into());
        }
        let epoch = luks2_of(luks.header()).binary.epoch;
        if metadata.reencryption.is_none() && metadata.digest_of_data().is_none() {
            self.plain(world)?;
            return Ok(epoch);
        }
        self.keyslots(luks)?;
        let unlocked = unlock(luks).map_err(|error| error.to_string())?;
        let volume = unlocked
            .volume(world.data.clone())
            .map_err(|error| error.to_string())?;
        self.same(&volume)?;
        Ok(epoch)
    }

    /// Nobody may find a LUKS1 header that does not open what is there.
    fn beside_luks1(&self, luks: &Luks, world: &World) -> Result<(), String> {
        let is_luks1 = self.case.is_luks1();
        let Ok(Some(Standing::Luks1(found))) = (if is_luks1 {
            described(&world.data)
        } else {
            Ok(None)
        }) else {
            return Ok(());
        };
        let metadata = luks2_metadata(luks.header());
        if metadata.reencryption.is_some() && metadata.config.requirements.len() == 1 {
            return Err("a LUKS1 header is left in the image".into());
        }
        self.luks1(&found, world)
    }

    /// A header of LUKS1, which says nothing of jobs, and may be there only where it is right.
    fn luks1(&self, luks: &Luks, world: &World) -> Result<(), String> {
        if !self.opens_luks1(luks) {
            return Err("the keyslot does not open".into());
        }
        let unlocked = unlock(luks).map_err(|error| error.to_string())?;
        let volume = unlocked.volume(world.data.clone());
        self.same(&volume.map_err(|error| error.to_string())?)
    }

    fn opens_luks1(&self, luks: &Luks) -> bool {
        let Header::Luks1(header) = luks.header() else {
            return false;
        };
        let slot = &header.keyslots[0];
        let mut area = vec![0; 64_000];
        if luks
            .storage()
            .read_at(slot.area_offset(), &mut area)
            .is_err()
        {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        (area, header.to_bytes()).hash(&mut hasher);
        self.remember(hasher.finish(), || {
            luks.unlock(&passphrase(SECRET), &UnlockOptions::default())
                .is_ok()
        })
    }

    fn remember(&self, hash: u64, opens: impl FnOnce() -> bool) -> bool {
        if let Some(known) = self.known.lock().unwrap().get(&hash) {
            return *known;
        }
        let opens = opens();
        self.known.lock().unwrap().insert(hash, opens);
        opens
    }

    fn plain(&self, world: &World) -> Result<(), String> {
        self.same(&*world.data)
    }

    fn same(&self, storage: &dyn Storage) -> Result<(), String> {
        let mut found = vec![0; self.plaintext.len()];
        let read = storage.read_at(0, &mut found);
        read.map_err(|error| error.to_string())?;
        let differs = |at: &usize| found[*at] != self.plaintext[*at];
        match (0..found.len()).find(differs) {
            None => Ok(()),
            Some(first) => {
                let last = (0..found.len()).rev().find(differs).unwrap_or(first);
                Err(format!("bytes {first}..={last} of the volume are lost"))
            }
        }
    }

    /// For each key that is needed there is a keyslot that the passphrase opens.
    fn keyslots(&self, luks: &Luks) -> Result<(), String> {
        let metadata = luks2_metadata(luks.header());
        let digests = match &metadata.reencryption {
            Some(state) => state.key_digests(),
            None => metadata
                .digest_of_data()
                .map(|it| it.id)
                .into_iter()
                .collect(),
        };
        for digest in digests {
            let mut slots = metadata
                .keyslots
                .iter()
                .filter(|slot| metadata.digest_of_keyslot(slot.id).map(|it| it.id) == Some(digest));
            if !slots.any(|slot| self.opens(luks, slot)) {
                return Err(format!("no keyslot of digest {digest} opens"));
            }
        }
        Ok(())
    }

    fn opens(&self, luks: &Luks, slot: &luks2::Keyslot) -> bool {
        let metadata = luks2_metadata(luks.header());
        let mut area = vec![0; usize::try_from(slot.area.size).unwrap()];
        if luks.storage().read_at(slot.area.offset, &mut area).is_err() {
            return false;
        }
        // A volume key of another length lies in no more of it.
        area.truncate(64_000);
        let mut hasher = DefaultHasher::new();
        let raw = metadata.raw();
        let texts = [
            raw["keyslots"][slot.id.to_string()].to_string(),
            metadata
                .digest_of_keyslot(slot.id)
                .map(|digest| raw["digests"][digest.id.to_string()]["digest"].to_string())
                .unwrap_or_default(),
        ];
        (area, texts).hash(&mut hasher);
        self.remember(hasher.finish(), || {
            let options = UnlockOptions {
                keyslot: Some(slot.id),
                unencrypted_data: true,
                ..UnlockOptions::default()
            };
            luks.unlock(&passphrase(SECRET), &options).is_ok()
        })
    }

    /// The end that nothing disturbed, which all others are held to.
    pub fn expect(&mut self, world: &World) -> Result<(), String> {
        if self.case.job == Job::LargerSectors {
            // With the same key the first bytes of a sector come out as they were.
            let data = snapshot(&*world.data);
            for piece in data.as_chunks::<16>().0 {
                self.forbidden.remove(piece);
            }
        }
        self.end = Some(self.finished(world)?);
        Ok(())
    }

    /// All is done, nothing is left of it, and it is what it is without a crash.
    pub fn done(&self, world: &World) -> Result<(), String> {
        let end = self.finished(world)?;
        if let Some(expected) = &self.end {
            if !end.json.is_empty() && end.json != expected.json {
                return Err(format!("metadata: {} not {}", end.json, expected.json));
            }
            if end.data != expected.data {
                return Err("the data is not as it is without a crash".into());
            }
        }
        Ok(())
    }

    fn finished(&self, world: &World) -> Result<End, String> {
        let case = self.case;
        let (data, header) = (snapshot(&*world.data), snapshot(&*world.header));
        let wanted = match case.job {
            Job::Encrypt => case.payload_bytes(),
            _ if case.is_decryption() => case.payload_bytes(),
            _ => case.data_offset() + case.payload_bytes() + case.moved_bytes(),
        };
        if data.len() as u64 != wanted {
            return Err(format!("{} bytes of data, not {wanted}", data.len()));
        }
        let json = match self.standing(world)? {
            Standing::Luks1(luks) => {
                if !case.is_done(&luks) {
                    return Err("it was not done".into());
                }
                self.luks1(&luks, world)?;
                format!("{:?}", luks.header())
            }
            Standing::Settled(luks) => {
                if !case.is_done(&luks) {
                    return Err("it was not done".into());
                }
                let metadata = luks2_metadata(luks.header());
                if reencryption::state(metadata) != reencryption::State::None
                    || !metadata.tokens.is_empty()
                    || !metadata.config.requirements.is_empty()
                {
                    return Err("the header still says something of it".into());
                }
                self.container(&luks, world)?;
                serde_json::Value::from(metadata.raw().clone()).to_string()
            }
            // Where its keyslots are wiped nobody can take the token out, nor needs to.
            Standing::UnderWay(luks)
                if luks2_metadata(luks.header()).digest_of_data().is_none() =>
            {
                self.plain(world)?;
                String::new()
            }
            _ => return Err("it is not done".into()),
        };
        // A header file that is not needed any more is its owner's to remove.
        let is_file_needed = !case.is_encryption_shift();
        let searched = [Some(&data), is_file_needed.then_some(&header)];
        for (name, bytes) in ["data", "header"].iter().zip(searched) {
            let Some(bytes) = bytes else { continue };
            let chunks = bytes.as_chunks::<16>().0;
            let found = chunks
                .iter()
                .position(|chunk| self.forbidden.contains(chunk));
            if let Some(at) = found {
                return Err(format!(
                    "what should be gone is in the {name} at {:#x}",
                    at * 16
                ));
            }
        }
        let start = usize::try_from(if case.is_decryption() {
            0
        } else {
            // What lies before data that moved is noise.
            case.data_offset() + case.moved_bytes()
        });
        Ok(End {
            data: data[start.unwrap()..].to_vec(),
            json,
        })
    }
}

/// How often a header was changed.
pub fn epoch_of(header: &Arc<dyn Storage>) -> Option<u64> {
    let luks = Luks::open(header.clone()).ok()?;
    Some(luks2_of(luks.header()).binary.epoch)
}

fn snapshot(storage: &dyn Storage) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(storage.len().unwrap()).unwrap()];
    storage.read_at(0, &mut bytes).unwrap();
    bytes
}
