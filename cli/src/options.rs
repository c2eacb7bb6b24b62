//! What was typed, in the terms of the jobs.

use std::time::Duration;

use jobs::destination::Overwrite;
use jobs::losses::BadPlaces;
use jobs::new_luks::{Cost, Kdf, KeyslotCipher, LuksOptions};
use jobs::sizes::Given;
use jobs::transfer::Work;
use luks::Version;

use crate::args::{
    BadPlacesArgs, ContainerArgs, CostArgs, FormatArgs, KeyslotCipherArgs, OnReadError, Pbkdf,
    ResultArgs, SizeArgs, WorkArgs,
};

/// A new LUKS container.
pub fn luks(version: Version, container: &ContainerArgs, format: &FormatArgs) -> LuksOptions {
    LuksOptions {
        version,
        cipher: container.cipher.clone(),
        key_bits: container.key_size,
        hash: container.hash.clone(),
        sector_bytes: container.sector_size,
        offset_sectors: container.offset,
        cost: Cost::from(&format.cost),
        keyslot: format.key_slot,
        uuid: format.uuid.clone(),
        label: format.label.clone(),
        subsystem: format.subsystem.clone(),
        metadata_bytes: format.luks2_metadata_size,
        keyslots_bytes: format.luks2_keyslots_size,
        keyslot_cipher: keyslot_cipher(&format.keyslot_cipher),
    }
}

/// How the area of a keyslot is encrypted, where that is said.
pub fn keyslot_cipher(args: &KeyslotCipherArgs) -> Option<KeyslotCipher> {
    Some(KeyslotCipher {
        cipher: args.keyslot_cipher.clone()?,
        key_bits: args.keyslot_key_size?,
    })
}

/// Which of the sizes was given.
pub fn size(args: &SizeArgs) -> Option<Given> {
    let payload = args.payload_size.map(Given::Payload);
    payload.or(args.container_size.map(Given::Container))
}

impl From<&CostArgs> for Cost {
    fn from(args: &CostArgs) -> Self {
        Self {
            kdf: args.pbkdf.map(|pbkdf| match pbkdf {
                Pbkdf::Pbkdf2 => Kdf::Pbkdf2,
                Pbkdf::Argon2i => Kdf::Argon2i,
                Pbkdf::Argon2id => Kdf::Argon2id,
            }),
            time: args.iter_time.map(Duration::from_millis),
            memory_kib: args.pbkdf_memory,
            lanes: args.pbkdf_parallel,
            iterations: args.pbkdf_force_iterations,
        }
    }
}

impl From<&ResultArgs> for Overwrite {
    fn from(args: &ResultArgs) -> Self {
        Self {
            files: args.force,
            devices: args.overwrite_device,
        }
    }
}

impl From<&BadPlacesArgs> for BadPlaces {
    fn from(args: &BadPlacesArgs) -> Self {
        Self {
            go_on: args.on_read_error == OnReadError::Zero,
            map: args.error_map.clone(),
        }
    }
}

impl From<&WorkArgs> for Work {
    fn from(args: &WorkArgs) -> Self {
        Self {
            threads: args.threads,
            direct: args.direct,
        }
    }
}
