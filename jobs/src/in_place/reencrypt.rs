//! Another key, cipher or sector size for what is encrypted.

use dmcrypt::{CipherSpec, Passphrase, SectorSize};
use luks::reencrypt::luks1::{Lowering, rehash};
use luks::reencrypt::{NewKey, NewSlot, StartOptions, ZoneRun, plan_reencrypt, start_reencrypt};
use luks::{InvalidOption, KeyslotOptions, Luks, OsRandom, Unlocked, defaults};
use recognise::largest_sector;

use super::luks1::{self, Raised};
use super::said::{data_bytes, kdf_of, metadata, one_segment, opening};
use super::site::Site;
use super::zones::reports;
use super::{InPlaceReport, Zones, finish, keys, room};
use crate::change::ChangeOptions;
use crate::confirm::{Confirm, Loss};
use crate::error::{Error, InPlaceError, SourceError};
use crate::new_container;
use crate::new_keyslot::NewKeyslot;
use crate::new_luks::Kdf;
use crate::place::Place;
use crate::secret::Secrets;
use crate::sector_size::SectorChoice;
use crate::unlock::Unlock;
use crate::watch::Watch;

/// What a container is given.
#[derive(Clone, Debug, Default)]
pub struct ReencryptOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// How it is unlocked. The keyslot that is named is the only one that is kept; all of them are unless one is.
    pub unlock: Unlock,
    /// Cipher specification; the one that it has unless said.
    pub cipher: Option<String>,
    /// Size of the new key in bits; that of the old one unless said.
    pub key_bits: Option<u32>,
    /// Bytes that are encrypted as one; as before unless said.
    pub sector_bytes: Option<u32>,
    /// What the new keyslots are to be; each as the one that it takes the place of, as far as that is not said.
    pub new: NewKeyslot,
    /// The key stays.
    pub keep_key: bool,
    /// How it is done.
    pub zones: Zones,
    /// It is only begun.
    pub init_only: bool,
    /// Only so many bytes of the data are done; the rest becomes noise.
    pub device_bytes: Option<u64>,
    /// The data moves by so many bytes to its end, whose last bytes are lost: `allow.lose_rest` says that they may be.
    pub reduce_bytes: Option<u64>,
    /// What is refused unless it is allowed.
    pub allow: ReencryptAllow,
}

impl ReencryptOptions {
    /// What a key that stays is in an [`Error::Conflict`].
    pub const KEEP_KEY: &str = "a key that is kept in LUKS2";
    /// What a hash of new keyslots is in one.
    pub const HASH: &str = "a hash of new keyslots";
    /// What taking bytes from the end is in an [`Error::Conflict`].
    pub const REDUCE: &str = "bytes that the end gives up";
    /// What a part of the data is in one.
    pub const PART: &str = "a part of the data";

    fn start(&self, name: &str, digest_cost: u32) -> Result<StartOptions, Error> {
        Ok(StartOptions {
            shift_bytes: self.reduce_bytes,
            ..self.zones.start(name, digest_cost, self.device_bytes)?
        })
    }

    /// The bytes of the data that are left.
    fn left_of(&self, name: &str, bytes: u64) -> Result<u64, Error> {
        let Some(reduce) = self.reduce_bytes else {
            return Ok(bytes);
        };
        if self.device_bytes.is_some() {
            return Err(Error::Conflict {
                one: Self::PART,
                other: Self::REDUCE,
            });
        }
        let left = bytes.saturating_sub(reduce);
        if left != 0 && !self.allow.lose_rest {
            return Err(InPlaceError::Rest {
                name: name.to_owned(),
                bytes: left,
                rest: reduce,
            }
            .into());
        }
        Ok(left)
    }

    /// Whether new keyslots are to differ from the old ones.
    pub(super) fn asks_for_keyslots(&self) -> bool {
        let cost = &self.new.cost;
        self.new.hash.is_some() || cost.iterations.is_some() || cost.time.is_some()
    }
}

/// What is refused unless it is allowed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is allowed by itself")]
pub struct ReencryptAllow {
    /// The rest becomes noise.
    pub lose_rest: bool,
    /// Sectors in which Linux cannot use what is in the data.
    pub any_sector_size: bool,
    /// A cipher that protects little or nothing, or more data under one key than it is good for.
    pub weak_cipher: bool,
    /// A given volume key whose two halves for XTS are equal, which breaks the mode.
    pub equal_xts_halves: bool,
}

/// Gives the data of a container a new key, in their own place, and every keyslot the new key. Each keyslot's passphrase is
/// asked for, by its number.
///
/// # Errors
///
/// What is wrong with the place, the options, the header, the data or a secret, before anything is written; then
/// [`InPlaceError::Stopped`] and [`InPlaceError::Broken`].
pub fn reencrypt(
    image: &Place,
    header: Option<&Place>,
    options: &ReencryptOptions,
    secrets: &dyn Secrets,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    let change = &options.change;
    let mut site = Site::open(image, header, change)?;
    let (luks, luks1) = luks1::settled(&site, &change.policies.read()?, watch)?;
    let options = &match &luks1 {
        Some(raised) => raised
            .options(options)
            .map_err(|error| site.luks_error(error))?,
        None => options.clone(),
    };
    let plan = Plan::of(&site, &luks, luks1.as_ref(), options, watch)?;
    let mut report = InPlaceReport {
        kind: if luks1.is_some() { "luks1" } else { "luks2" },
        dry_run: options.change.dry_run,
        operation: "reencrypt",
        cipher: plan.cipher.to_string(),
        key_bits: plan.key_bytes as u64 * 8,
        sector_size: plan.sector.size.bytes() as u64,
        dropped: plan.dropped.clone(),
        room_bytes: plan.room.filter(|_| change.dry_run),
        ..InPlaceReport::about(&site, luks.header(), plan.data_bytes, "begun")
    };
    let moved = options.reduce_bytes.unwrap_or(0);
    report.payload_offset = report.payload_offset.saturating_add(moved);
    if options.zones.is_unprotected() && !plan.is_header_alone() {
        site.data.confirm(confirm, Loss::Unprotected)?;
    }
    if !plan.dropped.is_empty() {
        site.data
            .confirm(confirm, Loss::OtherKeyslots(&plan.dropped))?;
    }
    let zones = plan.zones(&site, &luks, options)?;
    if change.dry_run {
        report.zones = reports(zones);
        return Ok(report);
    }
    let _lock = site.keep_cryptsetup_out(&luks, watch)?;

    let (unlocked, passphrases) = plan.open(&luks, options, secrets, watch)?;
    plan.check_content(&site, &unlocked, options, watch)?;
    let digest_cost = options.new.cost.digest_iterations(defaults::HASH);
    let start = options.start(&site.data.name, digest_cost)?;
    let digest = start.digest;
    let new = plan.new_key(&luks, &passphrases, options, secrets, watch)?;
    site.bypass_page_cache(options.zones.work)?;
    if !plan.is_header_alone() {
        room::take_kept(&site.data)?;
    }
    site.header().back_up(
        luks1.as_ref().map_or(&luks, Raised::before),
        change.backup.as_deref(),
        watch,
    )?;
    watch.changes_in_place();
    let data = site.data.storage.clone();
    if let (Some(raised), true) = (&luks1, plan.is_header_alone()) {
        rehash(&luks, &unlocked, new, &mut OsRandom).map_err(|error| site.luks_error(error))?;
        raised.begin(&mut site, plan.lowering()?, change)?;
        return lowered(&mut site, &plan, report, options);
    }
    let mut running = start_reencrypt(&luks, unlocked, data, new, &start, &mut OsRandom)
        .map_err(|error| site.luks_error(error))?;
    if let Some(raised) = &luks1 {
        let luks = raised.begin(&mut site, plan.lowering()?, change)?;
        running = running.moved(&luks).map_err(|error| site.left_by(error))?;
        report.header = site.header_name();
    }
    report.payload_bytes = running.volume_bytes();
    if options.init_only {
        report.left_bytes = running.left_bytes();
        return Ok(report);
    }
    finish(&site, &mut running, &options.zones, digest, watch)?;
    if luks1.is_some() {
        return lowered(&mut site, &plan, report, options);
    }
    site.data.check_named()?;
    report.left_bytes = 0;
    report.state = "finished";
    report.keyslots = opening(running.header());
    Ok(report)
}

/// Writes the LUKS1 header of what is done, unless it is only begun.
fn lowered(
    site: &mut Site,
    plan: &Plan,
    report: InPlaceReport,
    options: &ReencryptOptions,
) -> Result<InPlaceReport, Error> {
    luks1::lower(site, &options.change)?;
    site.data.check_named()?;
    Ok(InPlaceReport {
        left_bytes: 0,
        state: "finished",
        keyslots: plan.kept.clone(),
        header: site.header_name(),
        ..report
    })
}

/// What will be, checked as far as that needs no key.
struct Plan {
    name: String,
    cipher: CipherSpec,
    key_bytes: usize,
    sector: SectorChoice,
    old_sector: u32,
    /// The keyslots that are kept.
    kept: Vec<u32>,
    /// Those that go.
    dropped: Vec<u32>,
    /// Bytes of data.
    data_bytes: u64,
    /// Bytes that the file system has to give for its holes.
    room: Option<u64>,
    /// What the LUKS1 header will be, where it is one.
    lowering: Option<Lowering>,
    /// The key stays.
    keep_key: bool,
}

impl Plan {
    fn of(
        site: &Site,
        luks: &Luks,
        luks1: Option<&Raised>,
        options: &ReencryptOptions,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let name = site.header().name.clone();
        let invalid = |error: InvalidOption| Error::luks(&name, error.into());
        let metadata = metadata(luks.header());
        let (crypt, offset, size) = one_segment(metadata)
            .ok_or_else(|| Error::luks(&name, luks::Unsupported::NoSegment.into()))?;
        let unsupported = |error: luks::Unsupported| Error::luks(&name, error.into());
        let old_cipher = crypt.spec.clone().map_err(unsupported)?;
        let cipher: CipherSpec = match &options.cipher {
            Some(text) => text
                .parse()
                .map_err(|error| invalid(InvalidOption::Cipher(error)))?,
            None => old_cipher.clone(),
        };
        if cipher.is_null() {
            return Err(InPlaceError::NewNullCipher.into());
        }
        let old_bytes = metadata.volume_key_bytes().unwrap_or(0);
        let key_bytes = match options.key_bits {
            Some(bits) if bits % 8 != 0 => return Err(Error::KeyBits { bits }),
            Some(bits) => bits as usize / 8,
            None if options.keep_key || cipher.check_key_bytes(old_bytes).is_ok() => old_bytes,
            None if cipher.check_key_bytes(defaults::XTS_KEY_BYTES).is_ok() => {
                defaults::XTS_KEY_BYTES
            }
            None => defaults::KEY_BYTES,
        };
        cipher
            .check_supported()
            .and_then(|()| cipher.check_key_bytes(key_bytes))
            .map_err(|error| invalid(InvalidOption::Cipher(error)))?;
        new_container::check_cipher(&cipher, options.allow.weak_cipher, watch)?;
        let old_sector = SectorSize::new(crypt.sector_size).ok_or(Error::SectorSize {
            bytes: crypt.sector_size,
        })?;
        let sector = SectorChoice::kept(options.sector_bytes, old_sector)?;
        if options.keep_key {
            if key_bytes != old_bytes {
                return Err(InPlaceError::KeptKey {
                    name,
                    have: old_bytes * 8,
                    asked: key_bytes * 8,
                }
                .into());
            }
            if luks1.is_none() && options.new.hash.is_some() {
                return Err(Error::Conflict {
                    one: ReencryptOptions::KEEP_KEY,
                    other: ReencryptOptions::HASH,
                });
            }
            let is_same = cipher == old_cipher && sector.size == old_sector;
            if luks1.is_some() && !is_same {
                let what = "another cipher for the keyslots of a key that stays".into();
                return Err(invalid(InvalidOption::Luks1Cannot { what }));
            }
            if is_same && luks1.is_none() {
                return Err(InPlaceError::Nothing { name }.into());
            }
        }
        let opening = opening(luks.header());
        let (kept, dropped) = match options.unlock.keyslot {
            None => (opening, Vec::new()),
            Some(keyslot) if !opening.contains(&keyslot) => {
                luks::keyslots::check_in_use(luks.header(), keyslot).map_err(invalid)?;
                return Err(InPlaceError::OtherKeyslot { name, keyslot }.into());
            }
            // A key that stays needs no keyslot but one to be opened with.
            Some(keyslot) if options.keep_key && luks1.is_none() => (vec![keyslot], Vec::new()),
            Some(keyslot) => (
                vec![keyslot],
                opening.into_iter().filter(|id| *id != keyslot).collect(),
            ),
        };
        if kept.is_empty() {
            let none = luks::Error::NoUsableKeyslot("none opens the data");
            return Err(Error::luks(&name, none));
        }
        let all_bytes = data_bytes(site, offset, size)?;
        let data_bytes = options.left_of(&site.data.name, all_bytes)?;
        let sector_bytes = sector.size.bytes().max(old_sector.bytes());
        if data_bytes == 0 {
            return Err(InPlaceError::Empty {
                name: site.data.name.clone(),
            }
            .into());
        }
        if !data_bytes.is_multiple_of(sector_bytes as u64) {
            return Err(InPlaceError::PartialSector {
                name: site.data.name.clone(),
                bytes: data_bytes,
                sector_bytes,
            }
            .into());
        }
        check_part(site, options, data_bytes, sector_bytes as u64)?;
        new_container::check_amount(
            &cipher,
            dmcrypt::SECTOR_BYTES,
            Some(data_bytes),
            options.allow.weak_cipher,
            watch,
        )?;
        let lowering = luks1.map(|raised| raised.lowering(&kept, &cipher, key_bytes));
        let lowering = lowering.transpose();
        let lowering = lowering.map_err(|error| Error::luks(&name, error))?;
        Ok(Self {
            room: room::check_kept(&site.data)?,
            name,
            cipher,
            key_bytes,
            sector,
            old_sector: crypt.sector_size,
            kept,
            dropped,
            data_bytes,
            lowering,
            keep_key: options.keep_key,
        })
    }

    /// Whether nothing but a LUKS1 header is written.
    fn is_header_alone(&self) -> bool {
        self.keep_key && self.lowering.is_some()
    }

    fn lowering(&self) -> Result<&Lowering, Error> {
        self.lowering
            .as_ref()
            .ok_or_else(|| Error::luks(&self.name, luks::Error::NotLuks))
    }

    /// What will be done, and in what room, before anything is asked.
    fn zones(
        &self,
        site: &Site,
        luks: &Luks,
        options: &ReencryptOptions,
    ) -> Result<Vec<ZoneRun>, Error> {
        if self.is_header_alone() {
            options.zones.wanted(&self.name)?;
            return Ok(Vec::new());
        }
        let new = NewKey {
            keep_key: options.keep_key,
            cipher: self.cipher.clone(),
            key_bytes: self.key_bytes,
            sector_size: self.sector.size,
            ..NewKey::default()
        };
        let start = options.start(&self.name, 0)?;
        let data = &*site.data.storage;
        plan_reencrypt(luks, data, &new, self.kept.len(), &start)
            .map_err(|error| site.luks_error(error))
    }

    fn open(
        &self,
        luks: &Luks,
        options: &ReencryptOptions,
        secrets: &dyn Secrets,
        watch: &dyn Watch,
    ) -> Result<(Unlocked, Vec<Passphrase>), Error> {
        let how = &options.unlock;
        if options.keep_key && self.lowering.is_none() {
            let (unlocked, _) = crate::unlock::unlock(luks, &self.name, secrets, how, watch)?;
            return Ok((unlocked, Vec::new()));
        }
        keys::of_each(luks, &self.name, &self.kept, secrets, how, watch)
    }

    /// Larger sectors must not be larger than the blocks of what is in them.
    fn check_content(
        &self,
        site: &Site,
        unlocked: &Unlocked,
        options: &ReencryptOptions,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        if self.sector.size.bytes() <= self.old_sector as usize {
            return Ok(());
        }
        let volume = unlocked
            .volume(site.data.storage.clone())
            .map_err(|error| site.luks_error(error))?;
        let known = largest_sector(&volume).map_err(|source| SourceError::Read {
            name: site.data.name.clone(),
            source,
        })?;
        let allow = options.allow.any_sector_size;
        self.sector
            .check(&site.data.name, known.as_ref(), allow, watch)
    }

    /// The new key, with a keyslot for each passphrase, its key derivation measured.
    fn new_key<'a>(
        &self,
        luks: &Luks,
        passphrases: &'a [Passphrase],
        options: &ReencryptOptions,
        secrets: &dyn Secrets,
        watch: &dyn Watch,
    ) -> Result<NewKey<'a>, Error> {
        let mut measured: Vec<(Kdf, KeyslotOptions<'static>)> = Vec::new();
        let mut keyslots = Vec::with_capacity(passphrases.len());
        for (replaces, passphrase) in self.kept.iter().zip(passphrases) {
            let kind = options
                .new
                .cost
                .kdf
                .unwrap_or_else(|| kdf_of(luks.header(), *replaces));
            if !measured.iter().any(|(known, _)| *known == kind) {
                let mut new = options.new.clone();
                new.cost.kdf = Some(kind);
                measured.push((kind, new.options(luks.header(), &self.name, watch)?));
            }
            let known = measured.iter().find(|(known, _)| *known == kind);
            let (_, made) = known.expect("it was measured");
            keyslots.push(NewSlot {
                replaces: *replaces,
                passphrase,
                options: KeyslotOptions {
                    kdf: made.kdf.clone(),
                    hash: made.hash,
                    cipher: match self.lowering {
                        // LUKS1 has one for all.
                        Some(_) => Some((self.cipher.clone(), self.key_bytes)),
                        None => made.cipher.clone(),
                    },
                    threads: made.threads,
                    ..KeyslotOptions::default()
                },
            });
        }
        let hash = keyslots
            .first()
            .map_or(defaults::HASH, |slot| slot.options.hash);
        let key = if options.keep_key {
            None
        } else {
            secrets.new_volume_key()?
        };
        Ok(NewKey {
            key,
            keep_key: options.keep_key,
            equal_xts_halves: options.allow.equal_xts_halves,
            cipher: self.cipher.clone(),
            key_bytes: self.key_bytes,
            sector_size: self.sector.size,
            keyslots,
            digest: (hash, options.new.cost.digest_iterations(hash)),
        })
    }
}

/// A part of the data is whole sectors, and only done alone where the rest may go.
fn check_part(
    site: &Site,
    options: &ReencryptOptions,
    data_bytes: u64,
    sector_bytes: u64,
) -> Result<(), Error> {
    let Some(bytes) = options.device_bytes else {
        return Ok(());
    };
    let name = || site.data.name.clone();
    let problem = if bytes > data_bytes {
        format!("more than the data, which have {data_bytes}")
    } else if bytes == 0 || !bytes.is_multiple_of(sector_bytes) {
        format!("no whole number of sectors of {sector_bytes} bytes")
    } else if bytes < data_bytes && !options.allow.lose_rest {
        return Err(InPlaceError::Rest {
            name: name(),
            bytes,
            rest: data_bytes - bytes,
        }
        .into());
    } else {
        return Ok(());
    };
    Err(InPlaceError::Size {
        name: name(),
        what: "a part",
        bytes,
        problem,
    }
    .into())
}
