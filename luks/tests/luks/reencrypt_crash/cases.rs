//! What is done to data in its own place, and how a program does it: from the beginning or from wherever it finds it.

use std::sync::Arc;

use dmcrypt::{HashAlgorithm, SectorSize, VolumeKey};
use luks::reencrypt::luks1::{
    Lowering, clear_start, is_magic_to_be_taken, lower, mark_new, take_magic,
};
use luks::reencrypt::{
    NewKey, NewSlot, Outcome, Protection, RunOptions, Running, Shift, StartOptions,
    mark_decrypt_in_place, prepare_encrypt, put_aside, put_header, start_decrypt,
    start_decrypt_shift, start_reencrypt,
};
use luks::{
    Error, FormatOptions, Header, KdfParams, KeyslotOptions, Luks, UnlockOptions, format, luks2,
};
use volume::{CrashedDisks, MemoryStorage, SimulatedDisks, Storage};
use zeroize::Zeroizing;

use super::luks1::LUKS1_BYTES;
use super::seeded::{Seeded, unlike_bytes};
use super::standing::{Standing, luks2_metadata, unlock};
use crate::common::passphrase;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Job {
    NewKey,
    LargerSectors,
    Encrypt,
    EncryptShift,
    Decrypt,
    DecryptShift,
    Luks1NewKey,
    Luks1Hash,
    Luks1Encrypt,
    Luks1Decrypt,
    /// Another key, and the data moves to the end, whose last bytes go.
    NewKeyShift,
    /// The end of the image is given up for the header.
    Luks1EncryptReduced,
}

/// A job on a small image.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub job: Job,
    pub protection: Protection,
    pub sector_size: SectorSize,
    /// Header and data are not on one disk.
    pub is_detached: bool,
    /// By somebody who wants smaller zones, and maybe another protection, than who began it.
    pub is_another: bool,
}

/// The disks before a job, and what is read of them.
pub struct Before {
    pub data: MemoryStorage,
    pub header: MemoryStorage,
    pub plaintext: Vec<u8>,
}

/// Header and data, which are one storage unless the header is detached.
#[derive(Clone)]
pub struct World {
    pub header: Arc<dyn Storage>,
    pub data: Arc<dyn Storage>,
}

impl World {
    /// What a crash left, to be read.
    pub fn of(state: &CrashedDisks) -> Self {
        let data: Arc<dyn Storage> = state.disks[0].clone();
        let header = match state.disks.get(1) {
            Some(header) => header.clone(),
            None => data.clone(),
        };
        Self { header, data }
    }
}

const CHECKSUM: Protection = Protection::Checksum(HashAlgorithm::Sha256);
/// How far data moves that is given another key.
const MOVED_BYTES: u64 = 8192;
pub const COPIES: u64 = 0x8000;
const SLOT: u64 = 0x1_0000;
pub const OLD_KEY: u8 = 1;
pub const NEW_KEY: u8 = 2;
pub const SECRET: &[u8] = b"secret";
pub const CHEAP: KdfParams = KdfParams::Pbkdf2 {
    hash: HashAlgorithm::Sha256,
    iterations: 1000,
};

impl Case {
    pub fn all() -> Vec<Self> {
        let jobs = [
            Job::NewKey,
            Job::LargerSectors,
            Job::Encrypt,
            Job::EncryptShift,
            Job::Decrypt,
            Job::DecryptShift,
            Job::Luks1NewKey,
            Job::Luks1Hash,
            Job::Luks1Encrypt,
            Job::Luks1Decrypt,
            Job::NewKeyShift,
            Job::Luks1EncryptReduced,
        ];
        let mut cases = Vec::new();
        for job in jobs {
            for sector_size in [SectorSize::B512, SectorSize::B4096] {
                for protection in [CHECKSUM, Protection::Journal] {
                    for is_detached in [false, true] {
                        let case = Self {
                            job,
                            protection,
                            sector_size,
                            is_detached,
                            is_another: false,
                        };
                        cases.extend(case.is_one().then_some(case));
                    }
                }
            }
        }
        cases
    }

    fn is_one(self) -> bool {
        match self.job {
            Job::NewKey => true,
            Job::LargerSectors => self.sector_size == SectorSize::B4096,
            // Beside a detached header data cannot move to where that would reach.
            Job::NewKeyShift => self.protection == CHECKSUM && !self.is_detached,
            // The shift protects.
            Job::EncryptShift => self.is_detached && self.protection == CHECKSUM,
            // LUKS1 has sectors of 512 bytes, and a header file whose job it is.
            Job::Luks1NewKey | Job::Luks1Decrypt => {
                self.is_detached && self.sector_size == SectorSize::B512
            }
            Job::Luks1Hash | Job::Luks1Encrypt | Job::Luks1EncryptReduced => {
                self.is_detached
                    && self.sector_size == SectorSize::B512
                    && self.protection == CHECKSUM
            }
            // The header is a file of its own.
            Job::Encrypt | Job::Decrypt | Job::DecryptShift => self.is_detached,
        }
    }

    pub fn name(self) -> String {
        let protection = match (self.job, self.protection) {
            (
                Job::EncryptShift | Job::Luks1Encrypt | Job::Luks1EncryptReduced | Job::NewKeyShift,
                _,
            ) => "shift",
            (_, Protection::Journal) => "journal",
            _ => "checksum",
        };
        let place = if self.is_detached { "two" } else { "one" };
        let sectors = self.sector_size.bytes();
        format!("{:?}, {protection}, {sectors}, {place}", self.job)
    }

    pub fn is_shift(self) -> bool {
        matches!(
            self.job,
            Job::EncryptShift
                | Job::DecryptShift
                | Job::Luks1Encrypt
                | Job::Luks1EncryptReduced
                | Job::Luks1Decrypt
        )
    }

    fn is_kept_by_shift(self) -> bool {
        self.is_encryption_shift() || self.job == Job::NewKeyShift
    }

    /// The same job in the hands of somebody else, who protects it in another way where that is possible.
    pub fn in_other_hands(self) -> Self {
        let protection = match (self.job, self.protection) {
            // More is put aside than a journal has room for.
            _ if self.is_shift() => CHECKSUM,
            (_, Protection::Journal) => CHECKSUM,
            _ => Protection::Journal,
        };
        Self {
            protection,
            is_another: true,
            ..self
        }
    }

    pub fn is_decryption(self) -> bool {
        matches!(
            self.job,
            Job::Decrypt | Job::DecryptShift | Job::Luks1Decrypt
        )
    }

    /// Header and data change places, and zones are as large as the header.
    pub fn is_encryption_shift(self) -> bool {
        matches!(
            self.job,
            Job::EncryptShift | Job::Luks1Encrypt | Job::Luks1EncryptReduced
        )
    }

    /// Zones of eight sectors or of two.
    pub fn zone_bytes(self) -> u64 {
        match self.sector_size {
            SectorSize::B512 => 4096,
            _ => 8192,
        }
    }

    pub fn payload_bytes(self) -> u64 {
        match self.job {
            // What is put aside, a zone, and a rest.
            Job::EncryptShift | Job::DecryptShift | Job::Luks1EncryptReduced => {
                2 * self.shift_bytes() + 8192
            }
            Job::Luks1Encrypt | Job::Luks1Decrypt => self.shift_bytes() + 8192,
            // The first zone lies where what is put aside would.
            Job::NewKeyShift => 3 * MOVED_BYTES - 4096,
            _ if self.sector_size == SectorSize::B512 => 3 * 4096,
            _ => 2 * 8192 + 4096,
        }
    }

    fn keyslots_bytes(self) -> u64 {
        match self.job {
            Job::NewKey | Job::NewKeyShift => 2 * SLOT + self.zone_bytes(),
            Job::EncryptShift | Job::DecryptShift => SLOT + 4096,
            _ => SLOT + self.zone_bytes(),
        }
    }

    pub fn shift_bytes(self) -> u64 {
        if self.is_luks1() {
            return LUKS1_BYTES;
        }
        COPIES + self.keyslots_bytes()
    }

    /// How much more lies before the data when all is done.
    pub fn moved_bytes(self) -> u64 {
        match self.job {
            Job::NewKeyShift => MOVED_BYTES,
            _ => 0,
        }
    }

    /// Where the data lies in its storage when it is encrypted.
    pub fn data_offset(self) -> u64 {
        if self.is_detached && !self.is_shift() && !self.is_luks1() {
            0
        } else {
            self.shift_bytes()
        }
    }

    pub fn what_lies_at(self, disk: usize, offset: u64) -> &'static str {
        let has_header = match self.job {
            Job::EncryptShift => true,
            _ => disk == usize::from(self.is_detached),
        };
        match offset {
            0..LUKS1_BYTES if self.is_luks1() && disk == 0 => "luks1",
            _ if !has_header => "data",
            COPIES.. if self.is_luks1() => "area",
            0..0x4000 => "primary",
            0x4000..COPIES => "secondary",
            _ if offset < COPIES + self.keyslots_bytes() => "area",
            _ => "data",
        }
    }

    fn format_options(self) -> FormatOptions {
        let is_detached = self.is_detached && !self.is_shift();
        if self.is_luks1() {
            return self.luks1_format_options();
        }
        FormatOptions {
            cipher: "aes-cbc-essiv:sha256".parse().unwrap(),
            key_bytes: 16,
            kdf: CHEAP,
            digest_iterations: 1000,
            sector_size: match self.job {
                Job::LargerSectors => SectorSize::B512,
                _ => self.sector_size,
            },
            detached: is_detached,
            keyslots_bytes: Some(self.keyslots_bytes()),
            data_offset: (!is_detached).then(|| self.shift_bytes()),
            uuid: Some("aa6e6e1b-6d1c-4a7e-9a55-3f5d3ab2c0de".into()),
            ..FormatOptions::default()
        }
    }

    pub fn start_options(self) -> StartOptions {
        StartOptions {
            protection: self.protection,
            cut: true,
            shift_bytes: Some(self.moved_bytes()).filter(|bytes| *bytes != 0),
            ..StartOptions::default()
        }
    }

    pub fn before(self) -> Before {
        let plaintext = unlike_bytes(self.payload_bytes());
        let (data, header) = (MemoryStorage::new(0), MemoryStorage::new(0));
        if self.job == Job::Encrypt || self.is_encryption_shift() {
            data.write_at(0, &plaintext).unwrap();
            if self.job == Job::Luks1EncryptReduced {
                let len = self.payload_bytes() + self.shift_bytes();
                data.set_len(len).unwrap();
            }
            return Before {
                data,
                header,
                plaintext,
            };
        }
        let container = if self.is_detached && !self.is_shift() && !self.is_luks1() {
            &header
        } else {
            &data
        };
        let secret = passphrase(SECRET);
        let mut random = Seeded(99);
        let key = Some(key(OLD_KEY));
        let new = format::prepare(&self.format_options(), &secret, key, &mut random, &|| false);
        let new = new.unwrap();
        new.write_areas(container, &mut random).unwrap();
        let mapping = new.mapping(self.payload_bytes()).unwrap();
        new.commit(container).unwrap();
        let len = self.data_offset() + self.payload_bytes() + self.moved_bytes();
        data.set_len(len).unwrap();
        let data = Arc::new(data);
        let volume = volume::Volume::new(data.clone(), mapping);
        volume.write_at(0, &plaintext).unwrap();
        drop(volume);
        Before {
            data: Arc::into_inner(data).unwrap(),
            header,
            plaintext,
        }
    }

    /// Simulated disks that hold this: the data's first.
    pub fn disks(self, data: &MemoryStorage, header: &MemoryStorage) -> (SimulatedDisks, World) {
        let disks = SimulatedDisks::new();
        let data_disk = disks.add(data);
        // Somebody else may first have to recover by checksums.
        let is_by_checksums = self.is_another || matches!(self.protection, Protection::Checksum(_));
        if is_by_checksums && !self.is_kept_by_shift() {
            let block_bytes = self.sector_size.bytes() as u64;
            let start = if self.is_decryption() {
                0
            } else {
                self.data_offset()
            };
            data_disk.write_whole_blocks(start..start + self.payload_bytes(), block_bytes);
        }
        let data: Arc<dyn Storage> = Arc::new(data_disk);
        let header = if self.is_detached {
            Arc::new(disks.add(header))
        } else {
            data.clone()
        };
        (disks, World { header, data })
    }

    /// What a crash left, on disks that may lose power again.
    pub fn disks_again(self, state: &CrashedDisks) -> (SimulatedDisks, World) {
        self.disks(&state.disks[0], state.disks.last().unwrap())
    }

    fn run_options(self, stop: &(dyn Fn() -> bool + Sync)) -> RunOptions<'_> {
        let zone_bytes = self.zone_bytes() / if self.is_another { 2 } else { 1 };
        RunOptions {
            hotzone_bytes: (!self.is_shift() && self.moved_bytes() == 0).then_some(zone_bytes),
            protection: (!self.is_kept_by_shift()).then_some(self.protection),
            stop,
            ..RunOptions::default()
        }
    }

    /// From wherever it stands to the end. What is random comes of the seed.
    pub fn go_on(self, world: &World, seed: u64) -> Result<(), Error> {
        self.go_on_until(world, seed, &|| false)
    }

    /// The same, asked between zones whether to stop.
    pub fn go_on_until(
        self,
        world: &World,
        seed: u64,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Error> {
        let mut random = Seeded(seed);
        let random = &mut random;
        let options = self.start_options();
        loop {
            let luks = match self.standing(world)? {
                Standing::Plain => {
                    self.describe(world, random)?;
                    continue;
                }
                Standing::Luks1(luks) => {
                    if self.is_done(&luks) {
                        return Ok(());
                    }
                    self.start_luks1(&luks, world, random)?;
                    continue;
                }
                Standing::Lower(luks) => {
                    lower(&luks, &*world.data, random)?;
                    world.header.set_len(0).map_err(io)?;
                    world.header.sync().map_err(io)?;
                    continue;
                }
                Standing::Planned(luks) if is_magic_to_be_taken(luks.header()) => {
                    take_magic(&luks, &*world.data, random)?;
                    continue;
                }
                Standing::Planned(luks) => {
                    let unlocked = unlock(&luks)?;
                    if self.is_decryption() {
                        let data = world.data.clone();
                        start_decrypt_shift(&luks, unlocked, data, &options, random)?;
                        continue;
                    }
                    let need = self.payload_bytes() + 2 * self.shift_bytes();
                    if world.data.len().map_err(io)? < need {
                        world.data.set_len(need).map_err(io)?;
                    }
                    put_aside(&luks, &unlocked, &*world.data, random)?;
                    continue;
                }
                Standing::UnderWay(luks) => {
                    if self.job == Job::Luks1Encrypt {
                        clear_start(&luks, &*world.data)?;
                    }
                    if self.job == Job::EncryptShift {
                        if Arc::ptr_eq(luks.storage(), &world.header) {
                            put_header(&luks, &*world.data, random)?;
                        }
                        // The image has its header: the file is removed, when that is sure.
                        if world.header.len().map_err(io)? != 0 {
                            world.data.sync().map_err(io)?;
                            world.header.set_len(0).map_err(io)?;
                            world.header.sync().map_err(io)?;
                            continue;
                        }
                    }
                    luks
                }
                Standing::Settled(luks) => {
                    if self.is_done(&luks) {
                        return Ok(());
                    }
                    self.start(&luks, world, random)?;
                    continue;
                }
            };
            let unlocked = match unlock(&luks) {
                // The keyslots of plaintext are wiped, and the token that says so is all that is left.
                Err(Error::NoKeyFits { .. })
                    if luks2_metadata(luks.header()).reencryption.is_none()
                        && self.is_decryption() =>
                {
                    return Ok(());
                }
                unlocked => unlocked?,
            };
            let mut running = Running::open(&luks, unlocked, world.data.clone())?;
            if running.run(&self.run_options(stop), random)? != Outcome::Finished {
                return Ok(());
            }
        }
    }

    /// A header of its own for what is plaintext.
    fn describe(self, world: &World, random: &mut Seeded) -> Result<(), Error> {
        let secret = passphrase(SECRET);
        let key = Some(key(NEW_KEY));
        let mut new = format::prepare(&self.format_options(), &secret, key, random, &|| false)?;
        prepare_encrypt(
            &mut new,
            self.payload_bytes(),
            match self.job {
                Job::Luks1EncryptReduced => Shift::Alone,
                _ if self.is_shift() => Shift::PutAside,
                _ => Shift::None,
            },
            &self.start_options(),
            random,
        )?;
        if self.is_luks1() {
            mark_new(&mut new, &Lowering::of_new(16, 0, LUKS1_BYTES)?, random)?;
        }
        new.write_areas(&*world.header, random)?;
        new.commit(&*world.header)
    }

    fn start(self, luks: &Luks, world: &World, random: &mut Seeded) -> Result<(), Error> {
        let options = self.start_options();
        let data = world.data.clone();
        match self.job {
            Job::Decrypt => start_decrypt(luks, unlock(luks)?, data, &options, random).map(drop),
            Job::DecryptShift => {
                copy(world, COPIES, self.shift_bytes()).map_err(io)?;
                copy(world, 0, COPIES).map_err(io)?;
                mark_decrypt_in_place(&Luks::open(world.header.clone())?, true, random)
            }
            _ => {
                let secret = passphrase(SECRET);
                let slot = new_slot(&secret, CHEAP);
                let is_kept = self.job == Job::LargerSectors;
                let new = NewKey {
                    key: (!is_kept).then(|| key(NEW_KEY)),
                    keep_key: is_kept,
                    equal_xts_halves: false,
                    cipher: "aes-cbc-essiv:sha256".parse().unwrap(),
                    key_bytes: 16,
                    sector_size: self.sector_size,
                    keyslots: if is_kept { Vec::new() } else { vec![slot] },
                    digest: (HashAlgorithm::Sha256, 1000),
                };
                start_reencrypt(luks, unlock(luks)?, data, new, &options, random).map(drop)
            }
        }
    }

    /// Whether a header that says nothing of a job is the one after it.
    pub fn is_done(self, luks: &Luks) -> bool {
        if let Header::Luks1(header) = luks.header() {
            return match self.job {
                Job::Luks1Encrypt | Job::Luks1EncryptReduced => true,
                Job::Luks1Hash => header.hash_spec == "sha512",
                _ => luks
                    .unlock_with_volume_key(key(NEW_KEY), &UnlockOptions::default())
                    .is_ok(),
            };
        }
        let metadata = luks2_metadata(luks.header());
        match self.job {
            Job::Encrypt | Job::EncryptShift => true,
            Job::Decrypt | Job::DecryptShift | Job::Luks1Decrypt => {
                metadata.digest_of_data().is_none()
            }
            Job::Luks1NewKey
            | Job::Luks1Hash
            | Job::Luks1Encrypt
            | Job::Luks1EncryptReduced => false,
            Job::NewKey | Job::NewKeyShift => luks
                .unlock_with_volume_key(key(NEW_KEY), &UnlockOptions::default())
                .is_ok(),
            Job::LargerSectors => metadata.data_segments().all(|segment| {
                matches!(&segment.kind, luks2::SegmentKind::Crypt(crypt) if crypt.sector_size == 4096)
            }),
        }
    }
}

/// The header of the image, or a part of it, to the header's own file.
fn copy(world: &World, from: u64, to: u64) -> std::io::Result<()> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
    world.data.read_at(from, &mut bytes)?;
    world.header.write_at(from, &bytes)?;
    world.header.sync()
}

pub fn new_slot(secret: &dmcrypt::Passphrase, kdf: KdfParams) -> NewSlot<'_> {
    NewSlot {
        replaces: 0,
        passphrase: secret,
        options: KeyslotOptions {
            kdf,
            ..KeyslotOptions::default()
        },
    }
}

pub fn io(source: std::io::Error) -> Error {
    Error::Io {
        action: "copy the header".into(),
        source,
    }
}

pub fn key(byte: u8) -> VolumeKey {
    VolumeKey::from_bytes(Zeroizing::new(vec![byte; 16]))
}
