//! The jobs of LUKS1, which a header file of LUKS2 describes as long as they take.

use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use luks::reencrypt::luks1::{Lowering, mark, raise, rehash};
use luks::reencrypt::{NewKey, mark_decrypt_in_place, start_reencrypt};
use luks::{Error, FormatOptions, KdfParams, Luks, Version};
use volume::Storage;

use super::cases::{CHEAP, Case, Job, NEW_KEY, SECRET, World, io, key, new_slot};
use super::seeded::Seeded;
use super::standing::{Standing, described, luks2_metadata, or_plain, unlock};
use crate::common::passphrase;

/// Eight areas of a key of 16 bytes behind the first block.
pub const LUKS1_BYTES: u64 = 4096 + 8 * 0x1_0000;

impl Case {
    pub fn is_luks1(self) -> bool {
        matches!(
            self.job,
            Job::Luks1NewKey
                | Job::Luks1Hash
                | Job::Luks1Encrypt
                | Job::Luks1EncryptReduced
                | Job::Luks1Decrypt
        )
    }

    /// Of the LUKS1 container that there was, or of the header file of one that is made.
    pub fn luks1_format_options(self) -> FormatOptions {
        let cipher: dmcrypt::CipherSpec = "aes-cbc-essiv:sha256".parse().unwrap();
        let is_new = self.is_encryption_shift();
        FormatOptions {
            version: if is_new {
                Version::Luks2
            } else {
                Version::Luks1
            },
            keyslot_cipher: is_new.then(|| (cipher.clone(), 16)),
            cipher,
            key_bytes: 16,
            kdf: CHEAP,
            digest_iterations: 1000,
            detached: is_new,
            data_offset: Some(LUKS1_BYTES),
            uuid: Some("aa6e6e1b-6d1c-4a7e-9a55-3f5d3ab2c0de".into()),
            ..FormatOptions::default()
        }
    }

    pub fn luks1_standing(self, world: &World) -> Result<Standing, Error> {
        if !self.has_name(world)? {
            return or_plain(described(&world.data));
        }
        match described(&world.header) {
            // A copy of the header that says nothing may be half a copy.
            Ok(Some(Standing::Settled(luks)))
                if luks2_metadata(luks.header()).digest_of_data().is_some() =>
            {
                or_plain(described(&world.data))
            }
            Ok(Some(found)) => Ok(found),
            Ok(None) => or_plain(described(&world.data)),
            Err(error) => described(&world.data)?.ok_or(error),
        }
    }

    pub fn start_luks1(self, luks: &Luks, world: &World, random: &mut Seeded) -> Result<(), Error> {
        let secret = passphrase(SECRET);
        let raised = raise(luks, random)?;
        let in_memory = Luks::open(raised.clone())?;
        let lowering = Lowering::of(luks, &[0], &"aes-cbc-essiv:sha256".parse().unwrap(), 16)?;
        let hash = match self.job {
            Job::Luks1Hash => HashAlgorithm::Sha512,
            _ => HashAlgorithm::Sha256,
        };
        let mut slot = new_slot(
            &secret,
            KdfParams::Pbkdf2 {
                hash,
                iterations: 1000,
            },
        );
        slot.options.hash = hash;
        slot.options.cipher = Some(("aes-cbc-essiv:sha256".parse().unwrap(), 16));
        let new = NewKey {
            key: Some(key(NEW_KEY)),
            cipher: "aes-cbc-essiv:sha256".parse().unwrap(),
            key_bytes: 16,
            keyslots: vec![slot],
            digest: (hash, 1000),
            ..NewKey::default()
        };
        match self.job {
            Job::Luks1NewKey => {
                let (unlocked, data) = (unlock(&in_memory)?, world.data.clone());
                let options = self.start_options();
                start_reencrypt(&in_memory, unlocked, data, new, &options, random)?;
                mark(&Luks::open(raised.clone())?, &lowering, random)?;
            }
            Job::Luks1Hash => {
                rehash(&in_memory, &unlock(&in_memory)?, new, random)?;
                mark(&Luks::open(raised.clone())?, &lowering, random)?;
            }
            _ => mark_decrypt_in_place(&in_memory, true, random)?,
        }
        let len = raised.len().map_err(io)?;
        world.header.set_len(len + NAME.len() as u64).map_err(io)?;
        copy(&raised, world, 0, len).map_err(io)?;
        // The program writes it under no name, and gives it one when all of it is on the disk.
        world.header.write_at(len, &NAME).map_err(io)?;
        world.header.sync().map_err(io)
    }

    /// Whether the header file has its name; one that is written as `encrypt` does says nothing before it is whole.
    fn has_name(self, world: &World) -> Result<bool, Error> {
        if !matches!(
            self.job,
            Job::Luks1NewKey | Job::Luks1Hash | Job::Luks1Decrypt
        ) {
            return Ok(true);
        }
        let end = world.header.len().map_err(io)?;
        let mut first = [0];
        if let Some(at) = end.checked_sub(NAME.len() as u64) {
            world.header.read_at(at, &mut first).map_err(io)?;
        }
        Ok(first[0] == NAME[0])
    }
}

/// Stands behind a header file for its name, in a sector of its own.
const NAME: [u8; 512] = [0x6e; 512];

fn copy(from: &Arc<dyn Storage>, world: &World, start: u64, end: u64) -> std::io::Result<()> {
    let mut at = start;
    while let Some(extent) = from.data_extent(at)?.filter(|extent| extent.start < end) {
        let range = extent.start.max(at)..extent.end.min(end);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        from.read_at(range.start, &mut bytes)?;
        world.header.write_at(range.start, &bytes)?;
        at = range.end;
    }
    world.header.sync()
}
