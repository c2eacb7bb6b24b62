//! The keys of a container that is unlocked: the data's, or the two of a reencryption that is under way.

use std::sync::Arc;

use dmcrypt::{Mapped, Passphrase, VolumeKey};
use volume::{Mapping, Storage, Volume};

use super::{Header, Luks, luks1_digest, luks2_candidate, luks2_digest, segments};
use crate::error::{Error, InvalidOption, Unfinished, Unsupported};
use crate::luks2::{self, KeyslotKind, Metadata, Priority, Reencryption, SegmentKind};
use crate::number::to_usize;
use crate::unlock::{self, Candidate, UnlockOptions};

/// A container whose volume key is known.
pub struct Unlocked {
    pub(super) header: Header,
    /// Where the header lies, and with it what protects a reencryption.
    pub(super) storage: Arc<dyn Storage>,
    /// The key of the data first; never empty.
    opened: Vec<Opened>,
    proof: Result<(), Unfinished>,
}

/// A key, and where it came from.
pub(super) struct Opened {
    digest: u32,
    key: VolumeKey,
    keyslot: Option<u32>,
}

impl Unlocked {
    /// The keyslot that gave the key; `None` when the volume key was given.
    pub fn keyslot(&self) -> Option<u32> {
        self.first().keyslot
    }

    /// The key. In the middle of a reencryption it is one of two.
    pub fn volume_key(&self) -> &VolumeKey {
        &self.first().key
    }

    /// All keys that are known, two at most, with the digest that each matches and the keyslot that gave it.
    pub fn keys(&self) -> impl Iterator<Item = (u32, &VolumeKey, Option<u32>)> {
        let opened = self.opened.iter();
        opened.map(|opened| (opened.digest, &opened.key, opened.keyslot))
    }

    /// The same with the other key of a reencryption that is under way, which another passphrase or a volume key gave.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] when they do not come from the same header, and those of [`Luks::unlock`] for the digest of the
    /// reencryption.
    pub fn with(mut self, other: Self, options: &UnlockOptions<'_>) -> Result<Self, Error> {
        let is_same = match (&self.header, &other.header) {
            (Header::Luks1(one), Header::Luks1(other)) => one == other,
            (Header::Luks2(one), Header::Luks2(other)) => one.says_the_same_as(other),
            _ => false,
        };
        if !is_same {
            return Err(Error::Changed);
        }
        for opened in other.opened {
            if self.key_of(opened.digest).is_none() {
                self.opened.push(opened);
            }
        }
        sort(&mut self.opened, &self.header);
        self.proof = prove(&self.header, &self.opened, options)?;
        Ok(self)
    }

    /// The digest of the key that a reencryption that is under way needs as well, where only one of its two is known.
    pub fn missing_key(&self) -> Option<u32> {
        match &self.header {
            Header::Luks1(_) => None,
            Header::Luks2(header) => missing_keys(&header.metadata, &self.opened).next(),
        }
    }

    /// Whether the data of a reencryption that is under way may be read: both keys are there, and its state is what its
    /// digest was made of. So it is where none is under way.
    ///
    /// # Errors
    ///
    /// [`Error::Unfinished`]; [`Error::NeedsRecovery`] and [`Error::Unsupported`] for requirements that are not known.
    pub fn check_reencryption(&self) -> Result<(), Error> {
        if let Header::Luks2(header) = &self.header {
            header.metadata.known_reencryption()?;
        }
        Ok(self.proof.clone()?)
    }

    /// The plaintext of `data`, which is the header's storage or, for a detached header, another. In the middle of a
    /// reencryption it can only be read.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for requirements, segments or ciphers that are not built and for an unbound key,
    /// [`Error::Unfinished`] and [`Error::NeedsRecovery`] during a reencryption, [`Error::Corrupt`] when the data does not
    /// fit the storage.
    pub fn volume(&self, data: Arc<dyn Storage>) -> Result<Volume, Error> {
        let length = data
            .len()
            .map_err(Error::io("find the size of the container"))?;
        let mapping = segments::mapping(self, Some(&data), length)?;
        Ok(Volume::new(data, mapping))
    }

    /// The data segments of a container of `data_bytes` bytes: where they lie, and under which cipher.
    ///
    /// # Errors
    ///
    /// As [`Self::volume`], and [`Unfinished::Stream`] in the middle of a reencryption.
    pub fn mapping(&self, data_bytes: u64) -> Result<Mapping, Error> {
        segments::mapping(self, None, data_bytes)
    }

    /// What dm-crypt would map of a container of `data_bytes` bytes, under the key that was opened.
    ///
    /// # Errors
    ///
    /// As [`Luks::mapped`]; [`Error::Unsupported`] for the key of an unbound keyslot.
    pub fn mapped(&self, data_bytes: u64) -> Result<Mapped, Error> {
        let mapped = segments::mapped(&self.header, data_bytes)?;
        if let Header::Luks2(header) = &self.header {
            let digest = header.metadata.digest_of_data();
            let digest = digest.ok_or(Unsupported::NoSegment)?;
            segments::check_bound(digest, self.keyslot())?;
        }
        Ok(mapped)
    }

    /// Bytes at the end of the data that are no whole sector and therefore belong to no plaintext.
    pub fn leftover_bytes(&self, data_bytes: u64) -> u64 {
        segments::leftover_bytes(&self.header, data_bytes)
    }

    /// The same of a header that its holder has just written, with another key that its holder has made.
    pub(crate) fn of(mut self, header: Header, another: Option<(u32, VolumeKey)>) -> Self {
        let another = another.map(|(digest, key)| Opened {
            digest,
            key,
            keyslot: None,
        });
        self.opened.extend(another);
        Self {
            header,
            proof: Ok(()),
            ..self
        }
    }

    /// The same under a header of the same keys that was moved to another storage.
    pub(crate) fn under(self, luks: &Luks) -> Self {
        Self {
            storage: Arc::clone(&luks.storage),
            ..self.of(luks.header.clone(), None)
        }
    }

    /// What keeps its reencryption from being trusted.
    pub(crate) fn proof(&self) -> &Result<(), Unfinished> {
        &self.proof
    }

    /// The header that it was unlocked by.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The volume key of the data, where it is known.
    pub(crate) fn key_of_data(&self) -> Option<&VolumeKey> {
        let digest = match &self.header {
            Header::Luks1(_) => 0,
            Header::Luks2(header) => header.metadata.digest_of_data()?.id,
        };
        self.key_of(digest)
    }

    /// The key of a digest.
    pub(crate) fn key_of(&self, digest: u32) -> Option<&VolumeKey> {
        let mut opened = self.opened.iter();
        let found = opened.find(|opened| opened.digest == digest);
        found.map(|opened| &opened.key)
    }

    fn first(&self) -> &Opened {
        self.opened.first().expect("what unlocks finds a key")
    }
}

impl Luks {
    /// The reencryption that is under way, if its version is known.
    pub(super) fn reencryption(&self) -> Option<&Reencryption> {
        match &self.header {
            Header::Luks1(_) => None,
            Header::Luks2(header) => header.metadata.reencryption.as_deref(),
        }
    }

    pub(super) fn unlocked(
        &self,
        mut opened: Vec<Opened>,
        options: &UnlockOptions<'_>,
    ) -> Result<Unlocked, Error> {
        sort(&mut opened, &self.header);
        let unlocked = Unlocked {
            header: self.header.clone(),
            storage: Arc::clone(&self.storage),
            proof: prove(&self.header, &opened, options)?,
            opened,
        };
        self.hold_to_seal(&unlocked, &options.seal)?;
        Ok(unlocked)
    }

    /// The key that [`Unlocked::missing_key`] tells of, from the keyslots that hold it: [`Unlocked::with`] takes it.
    ///
    /// # Errors
    ///
    /// As [`Self::unlock`].
    pub fn unlock_missing(
        &self,
        unlocked: &Unlocked,
        passphrase: &Passphrase,
        options: &UnlockOptions<'_>,
    ) -> Result<Unlocked, Error> {
        let digests: Vec<u32> = unlocked.missing_key().into_iter().collect();
        let opened = self.open_keys(&digests, passphrase, options)?;
        self.unlocked(opened, options)
    }

    /// The keys of `digests` that the passphrase opens, one at least.
    pub(super) fn open_keys(
        &self,
        digests: &[u32],
        passphrase: &Passphrase,
        options: &UnlockOptions<'_>,
    ) -> Result<Vec<Opened>, Error> {
        let Header::Luks2(header) = &self.header else {
            return Ok(Vec::new());
        };
        let (mut opened, mut tried) = (Vec::new(), Vec::new());
        for &digest in digests {
            let candidates = keyslots_of(&header.metadata, digest)
                .map(|slot| luks2_candidate(&header.metadata, slot))
                .collect();
            match self.try_candidates(candidates, passphrase, options) {
                Ok(found) => opened.push(found),
                Err(Error::NoKeyFits { tried: these }) => tried.extend(these),
                // The one before may be gone where all is done.
                Err(Error::NoUsableKeyslot(_)) => {}
                Err(error) => return Err(error),
            }
        }
        match (opened.is_empty(), tried.is_empty()) {
            (false, _) => Ok(opened),
            (true, false) => Err(Error::NoKeyFits { tried }),
            (true, true) => Err(Error::NoUsableKeyslot(
                "none is in use that may be tried unasked",
            )),
        }
    }

    pub(super) fn try_candidates(
        &self,
        candidates: Vec<Result<Candidate, Unsupported>>,
        passphrase: &Passphrase,
        options: &UnlockOptions<'_>,
    ) -> Result<Opened, Error> {
        let (keyslot, key) = unlock::try_all(&*self.storage, candidates, passphrase, options)?;
        let digest = match &self.header {
            Header::Luks1(_) => 0,
            Header::Luks2(header) => header
                .metadata
                .digest_of_keyslot(keyslot)
                .map_or(0, |digest| digest.id),
        };
        Ok(Opened {
            digest,
            key,
            keyslot: Some(keyslot),
        })
    }

    /// A key that was given itself: the data's, or either of a reencryption.
    pub(super) fn open_with_key(
        &self,
        key: VolumeKey,
        options: &UnlockOptions<'_>,
    ) -> Result<Opened, Error> {
        let digest = match &self.header {
            Header::Luks1(header) => {
                check_key_size(&key, to_usize(header.key_bytes))?;
                unlock::check_key(&key, &luks1_digest(header)?, options)?;
                0
            }
            Header::Luks2(header) => {
                let metadata = &header.metadata;
                let digests = match &metadata.reencryption {
                    Some(state) => state.key_digests(),
                    None => metadata
                        .digest_of_data()
                        .map(|digest| vec![digest.id])
                        .unwrap_or_default(),
                };
                digest_of_key(metadata, &digests, &key, options)?
            }
        };
        Ok(Opened {
            digest,
            key,
            keyslot: None,
        })
    }
}

/// Those that hold the key of a digest and are tried unasked, in the order in which they are.
fn keyslots_of(metadata: &Metadata, digest: u32) -> impl Iterator<Item = &luks2::Keyslot> {
    let is_its_own = move |slot: &&luks2::Keyslot| {
        matches!(slot.kind, KeyslotKind::Luks2(_))
            && slot.priority != Priority::Ignore
            && metadata
                .digest_of_keyslot(slot.id)
                .is_some_and(|found| found.id == digest)
    };
    let mut slots: Vec<_> = metadata.keyslots.iter().filter(is_its_own).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.priority));
    slots.into_iter()
}

/// Which of `digests` a key matches.
fn digest_of_key(
    metadata: &Metadata,
    digests: &[u32],
    key: &VolumeKey,
    options: &UnlockOptions<'_>,
) -> Result<u32, Error> {
    let mut outcome = Err(Unsupported::NoSegment.into());
    for digest in metadata
        .digests
        .iter()
        .filter(|it| digests.contains(&it.id))
    {
        let mut keyslots = metadata.keyslots.iter();
        let stored = keyslots.find(|keyslot| digest.keyslots.contains(&keyslot.id));
        let size = match (stored, options.volume_key_bytes) {
            (Some(keyslot), _) => check_key_size(key, to_usize(keyslot.key_bytes)),
            (None, Some(bytes)) => check_key_size(key, bytes),
            (None, None) => check_tail(key, metadata),
        };
        let checked = size.map_err(Error::from).and_then(|()| {
            unlock::check_key(key, &luks2_digest(digest)?, options)?;
            Ok(digest.id)
        });
        match (checked, &outcome) {
            (Ok(digest), _) => return Ok(digest),
            // That a key of the right size does not fit says more.
            (Err(Error::InvalidOption(_)), Err(Error::NoKeyFits { .. })) => {}
            (Err(Error::NoKeyFits { tried }), _) => outcome = Err(Error::NoKeyFits { tried }),
            (Err(error @ Error::InvalidOption(_)), _) => outcome = Err(error),
            (Err(error), _) => return Err(error),
        }
    }
    outcome
}

/// Holds the state of a reencryption to its digest, which both keys are part of.
fn prove(
    header: &Header,
    opened: &[Opened],
    options: &UnlockOptions<'_>,
) -> Result<Result<(), Unfinished>, Error> {
    let metadata = match header {
        Header::Luks1(_) => return Ok(Ok(())),
        Header::Luks2(header) => &header.metadata,
    };
    let Some(state) = &metadata.reencryption else {
        return Ok(Ok(()));
    };
    let of_state = |digest: &&luks2::Digest| Some(digest.id) == state.digest;
    let digest = match (state.version, metadata.digests.iter().find(of_state)) {
        (luks2::ReencryptionVersion::V1, _) | (_, None) => return Ok(Err(Unfinished::NoDigest)),
        (_, Some(digest)) => digest,
    };
    let key_of = |digest: u32| {
        let mut opened = opened.iter();
        let found = opened.find(|opened| opened.digest == digest);
        found.map(|opened| &opened.key)
    };
    if let Some(digest) = missing_keys(metadata, opened).next() {
        return Ok(Err(Unfinished::Key { digest }));
    }
    if state
        .key_digests()
        .into_iter()
        .any(|it| key_of(it).is_none())
    {
        return Ok(Ok(()));
    }
    let after = state
        .after
        .digest
        .filter(|_| state.after.digest != state.before.digest);
    let message = state.message(state.before.digest.and_then(key_of), after.and_then(key_of));
    match unlock::check_key(&message, &luks2_digest(digest)?, options) {
        Ok(()) => Ok(Ok(())),
        Err(Error::NoKeyFits { .. }) => Ok(Err(Unfinished::Digest)),
        Err(error) => Err(error),
    }
}

/// The digests of the keys that a reencryption that is under way needs as well.
///
/// Where all is done, nothing is read with the key before any more, whose keyslots may be wiped, named by the header or not:
/// what is left is a container as any other, encrypted under its one key.
fn missing_keys(metadata: &Metadata, opened: &[Opened]) -> impl Iterator<Item = u32> {
    let state = metadata.reencryption.as_deref();
    let digests = state.map(Reencryption::key_digests).unwrap_or_default();
    let is_known = |digest: &u32| opened.iter().any(|opened| opened.digest == *digest);
    let missing: Vec<u32> = digests.into_iter().filter(|it| !is_known(it)).collect();
    let is_gone = |digest: u32| {
        state.is_some_and(|state| {
            state.is_finished()
                && Some(digest) == state.before.digest
                && matches!(state.after.segment.kind, SegmentKind::Crypt(_))
        })
    };
    let is_all_gone = matches!(missing[..], [digest] if is_gone(digest));
    missing.into_iter().filter(move |_| !is_all_gone)
}

/// The key of the data comes first.
fn sort(opened: &mut [Opened], header: &Header) {
    let of_data = match header {
        Header::Luks1(_) => None,
        Header::Luks2(header) => header.metadata.digest_of_data().map(|digest| digest.id),
    };
    opened.sort_by_key(|opened| Some(opened.digest) != of_data);
}

fn check_key_size(key: &VolumeKey, need: usize) -> Result<(), InvalidOption> {
    if key.len() == need {
        Ok(())
    } else {
        Err(InvalidOption::VolumeKeySize {
            have: key.len(),
            need,
        })
    }
}

/// PBKDF2 fills a key up with zeros, so that a digest is that of a key with some more of them at its end, too. Where no
/// keyslot tells the size, a key that is another one's with zeros behind it may be meant to be that one.
fn check_tail(key: &VolumeKey, metadata: &Metadata) -> Result<(), InvalidOption> {
    let have = key.len();
    let zeros = key
        .expose()
        .iter()
        .rev()
        .take_while(|byte| **byte == 0)
        .count();
    let takes = |bytes: usize| {
        metadata.data_segments().all(|segment| match &segment.kind {
            SegmentKind::Crypt(crypt) => {
                let spec = crypt.spec.as_ref();
                spec.is_ok_and(|spec| spec.check_key_bytes(bytes).is_ok())
            }
            _ => true,
        })
    };
    let shorter = (have.saturating_sub(zeros).max(1)..have).find(|bytes| takes(*bytes));
    match shorter {
        Some(shorter) => Err(InvalidOption::VolumeKeyTail { have, shorter }),
        None => Ok(()),
    }
}
