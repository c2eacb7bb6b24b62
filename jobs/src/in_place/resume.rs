//! Whatever a job in place has left, ours or cryptsetup's: recovered, and done to the end.

use std::path::PathBuf;
use std::sync::Arc;

use dmcrypt::{HashAlgorithm, LockedBytes, VolumeKey};
use luks::luks2::{Backup, SegmentKind, SegmentSize};
use luks::reencrypt::luks1::{Lowering, clear_start, is_to_be_lowered};
use luks::reencrypt::{
    Leavings, Running, StartOptions, forget_in_place, make_digest, put_aside, put_header,
    start_decrypt_shift,
};
use luks::reencryption::{Progress, progress};
use luks::{Header, InvalidOption, Luks, OsRandom, Policy, Unlocked, defaults};

use super::header_file::{self, Stage};
use super::site::Site;
use super::zones::reports;
use super::{InPlaceReport, Zones, finish, keys, luks1, room, with_options};
use crate::change::{ChangeOptions, Target};
use crate::confirm::{Confirm, Loss};
use crate::error::{Error, InPlaceError};
use crate::place::Place;
use crate::secret::Secrets;
use crate::unlock::Unlock;
use crate::watch::Watch;

/// How a job is gone on with.
#[derive(Clone, Debug, Default)]
pub struct ResumeOptions {
    /// What every change takes.
    pub change: ChangeOptions,
    /// How the container is unlocked.
    pub unlock: Unlock,
    /// How the rest is done.
    pub zones: Zones,
    /// Only what a crash left half written is finished.
    pub recover_only: bool,
    /// What no digest proves is gone on with: of cryptsetup before 2.4, or of somebody who took it away.
    pub unproven: bool,
}

/// Goes on with what is under way in the image, whose header lies in `header`, in itself, or in the file beside it that a
/// job has left. A passphrase that opens one of two keys only has another one asked for.
///
/// # Errors
///
/// What is wrong with the place, the options, the header or a secret; nothing is under way; what is there cannot be
/// proven. Nothing is written then. Afterwards [`InPlaceError::Stopped`] and [`InPlaceError::Broken`].
pub fn resume(
    image: &Place,
    header: Option<&Place>,
    options: &ResumeOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    resume_asking(image, header, options, secrets, &(), watch)
}

/// The same, and asks before what no digest proves is gone on with.
///
/// # Errors
///
/// As [`resume`], and a no.
pub fn resume_asking(
    image: &Place,
    header: Option<&Place>,
    options: &ResumeOptions,
    secrets: &dyn Secrets,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    let change = &options.change;
    let policies = change.policies.read()?;
    let described = header.and_then(luks1::description);
    let header = described.as_ref().or(header);
    let mut site = Site::open(image, header, change)?;
    let stage = find_header(&mut site, &policies, change, watch)?;
    let luks = site.luks(&policies, watch)?;
    if let Header::Luks1(_) = luks.header() {
        return Err(not_in_reencryption(&site.header().name, &luks));
    }
    luks1::check_target(&site, &luks)?;
    let _lock = site.keep_cryptsetup_out(&luks, watch)?;
    if stage == Stage::Decrypted || is_to_be_removed(&site, &luks) {
        return take_away(&mut site, &luks, change);
    }
    if stage == Stage::Lower {
        return luks1::lower_alone(&mut site, &luks, change, watch);
    }
    let name = site.header().name.clone();
    let unlocked = keys::of_both(&luks, &name, secrets, &options.unlock, watch)
        .map_err(|error| keys::none_left(&site, &luks, error))?;
    let (luks, unlocked) = if options.unproven && is_unproven(&unlocked) {
        prove(&site, luks, unlocked, options, confirm, watch)?
    } else {
        (luks, unlocked)
    };
    let (luks, unlocked) = if stage == Stage::TakeMagic && !change.dry_run {
        if let Err(error) = unlocked.check_reencryption() {
            return Err(site.luks_error(error));
        }
        watch.changes_in_place();
        let luks = luks1::take(&site)?;
        if is_to_be_lowered(luks.header()) {
            return luks1::lower_alone(&mut site, &luks, change, watch);
        }
        reopened(&site, &unlocked, &options.unlock)?
    } else {
        (luks, unlocked)
    };
    let mut running = match stage {
        Stage::TakeMagic if change.dry_run => {
            return Ok(planned(&site, &luks, "reencrypt"));
        }
        Stage::PutAside | Stage::PutHeader => {
            check_length(&site, &luks, stage)?;
            if change.dry_run {
                return Ok(planned(&site, &luks, "encrypt"));
            }
            watch.changes_in_place();
            into_image(&mut site, luks, &unlocked, stage, &options.unlock, watch)?
        }
        Stage::PutFinal => {
            if !change.dry_run {
                put_final(&mut site, &luks, watch)?;
            }
            let state = if change.dry_run { "begun" } else { "finished" };
            let payload = unlocked
                .volume(Arc::clone(&site.data.storage))
                .map_err(|error| site.luks_error(error))?
                .len();
            return Ok(InPlaceReport {
                dry_run: change.dry_run,
                operation: "encrypt",
                left_bytes: 0,
                ..InPlaceReport::about(&site, luks.header(), payload, state)
            });
        }
        Stage::TakeHeader => {
            if change.dry_run {
                return Ok(planned(&site, &luks, "decrypt"));
            }
            let start = StartOptions {
                cut: !site.data.is_device(),
                ..options.zones.start(&name, digest_of(&luks).1, None)?
            };
            watch.changes_in_place();
            let data = Arc::clone(&site.data.storage);
            start_decrypt_shift(&luks, unlocked, data, &start, &mut OsRandom)
                .map_err(|error| site.left_by(error))?
        }
        Stage::Decrypted | Stage::Detached | Stage::TakeMagic | Stage::Lower => {
            let data = Arc::clone(&site.data.storage);
            Running::open(&luks, unlocked, data).map_err(|error| site.luks_error(error))?
        }
    };
    go_on(&mut site, &mut running, options, watch)
}

fn is_unproven(unlocked: &Unlocked) -> bool {
    matches!(
        unlocked.check_reencryption(),
        Err(luks::Error::Unfinished(luks::Unfinished::NoDigest))
    )
}

/// Makes a digest of the state as it is, if that is meant. A dry run asks, and goes no further.
fn prove(
    site: &Site,
    luks: Luks,
    unlocked: Unlocked,
    options: &ResumeOptions,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<(Luks, Unlocked), Error> {
    let what = what_is_done(&luks);
    site.data.confirm(confirm, Loss::Unproven { what: &what })?;
    if options.change.dry_run {
        return Ok((luks, unlocked));
    }
    watch.changes_in_place();
    let iterations = crate::limits::calibrated_digest(defaults::HASH);
    let digest = (defaults::HASH, iterations);
    make_digest(&luks, &unlocked, digest, &mut OsRandom).map_err(|error| site.left_by(error))?;
    reopened(site, &unlocked, &options.unlock)
}

/// Reads a header again that was changed, and opens it with the same keys.
fn reopened(site: &Site, unlocked: &Unlocked, how: &Unlock) -> Result<(Luks, Unlocked), Error> {
    let failed = |error| site.luks_error(error);
    let proven = site.luks(&[], &())?;
    let (cancel, unusable) = (|| false, crate::unlock::telling_once(&()));
    let how = how.options(&cancel, &unusable);
    let mut both: Option<Unlocked> = None;
    for (_, key, _) in unlocked.keys() {
        let one = proven
            .unlock_with_volume_key(copied(key), &how)
            .map_err(failed)?;
        both = Some(match both {
            Some(other) => other.with(one, &how).map_err(failed)?,
            None => one,
        });
    }
    let both = both.expect("what unlocks finds a key");
    Ok((proven, both))
}

/// What will be done to the data, as the header has it.
fn what_is_done(luks: &Luks) -> String {
    let Header::Luks2(header) = luks.header() else {
        return String::new();
    };
    let Some(state) = &header.metadata.reencryption else {
        return String::new();
    };
    let name = |backup: &Backup| match &backup.segment.kind {
        SegmentKind::Crypt(crypt) => format!(
            "{} in sectors of {} bytes from byte {} on",
            crate::text::escape(&crypt.text),
            crypt.sector_size,
            backup.segment.offset
        ),
        _ => format!("plaintext from byte {} on", backup.segment.offset),
    };
    let (before, after) = (name(&state.before), name(&state.after));
    let parts = progress(&header.metadata, state).map(|(segment, progress)| {
        let size = match segment.size {
            SegmentSize::Bytes(bytes) => format!("{bytes} bytes"),
            SegmentSize::Dynamic => "the rest".to_owned(),
        };
        let is = match progress {
            Progress::Old => "as before",
            Progress::Hot => "half written",
            Progress::New => "done",
        };
        format!("{size} from byte {} on {is}", segment.offset)
    });
    let parts: Vec<_> = parts.collect();
    format!(
        "{}, {}: {before} becomes {after}; {}",
        state.slot.mode,
        state.slot.direction,
        parts.join(", ")
    )
}

fn go_on(
    site: &mut Site,
    running: &mut Running,
    options: &ResumeOptions,
    watch: &dyn Watch,
) -> Result<InPlaceReport, Error> {
    let digest = digest_of_header(running.header());
    let zones = with_options(&options.zones, site, digest, watch, |options| {
        running
            .zones(options)
            .map_err(|error| site.luks_error(error))
    })?;
    if options.change.dry_run {
        return Ok(InPlaceReport {
            dry_run: true,
            zones: reports(zones),
            ..InPlaceReport::of(site, running, "begun")
        });
    }
    site.bypass_page_cache(options.zones.work)?;
    watch.changes_in_place();
    if Lowering::said(running.header()).is_some() {
        let luks = site.luks(&[], &())?;
        clear_start(&luks, &*site.data.storage).map_err(|error| site.left_by(error))?;
    }
    if options.recover_only {
        with_options(&options.zones, site, digest, watch, |options| {
            running
                .recover(options, &mut OsRandom)
                .map_err(|error| site.left_by(error))
        })?;
        let state = if running.left_bytes() == 0 {
            "finished"
        } else {
            "recovered"
        };
        let report = InPlaceReport::of(site, running, state);
        if is_to_be_lowered(running.header()) {
            luks1::lower(site, &options.change)?;
        }
        return Ok(InPlaceReport {
            header: site.header_name(),
            ..report
        });
    }
    finish(site, running, &options.zones, digest, watch)?;
    site.data.check_named()?;
    let report = InPlaceReport {
        left_bytes: 0,
        ..InPlaceReport::of(site, running, "finished")
    };
    if is_decrypted(running.header()) {
        luks1::remove(site)?;
        if let Some(header) = &site.header {
            header_file::remove(header)?;
        }
    }
    if is_to_be_lowered(running.header()) {
        luks1::lower(site, &options.change)?;
    }
    Ok(report)
}

/// Takes the header file for the header where the image has none, or is to lose its own; removes one that has done its
/// work.
fn find_header(
    site: &mut Site,
    policies: &[Policy],
    change: &ChangeOptions,
    watch: &dyn Watch,
) -> Result<Stage, Error> {
    let is_given = site.header.is_some();
    if !is_given {
        let Some(path) = beside(site) else {
            return Ok(Stage::Detached);
        };
        site.take_header(&Place::Path(path), change)?;
    }
    if is_given {
        luks1::find(site, change)?;
    }
    let in_image = Luks::open(Arc::clone(&site.data.storage));
    let in_file = Luks::open(Arc::clone(&site.header().storage));
    let file = match (in_file, &in_image) {
        (Ok(file), _) => file,
        // It is no header, or no whole one: the image has its own.
        (Err(_), Ok(_)) if !is_given => {
            site.header = None;
            return Ok(Stage::Detached);
        }
        (Err(error), _) => return Err(site.luks_error(error)),
    };
    let stage = Stage::of(&file);
    let Ok(image) = in_image else {
        return Ok(stage);
    };
    let other = |problem: String| {
        Error::from(InPlaceError::HeaderOfAnother {
            name: site.data.name.clone(),
            header: site.header().name.clone(),
            problem,
        })
    };
    let (one, two) = (file.header().uuid(), image.header().uuid());
    if one != two {
        // What is encrypted under a detached header may look like anything.
        if stage == Stage::Detached && is_given {
            return Ok(stage);
        }
        return Err(other(format!(
            "its UUID is {}, the image's {}",
            crate::text::escape(one),
            crate::text::escape(two)
        )));
    }
    match stage {
        // The header is in its place, or on its way there.
        Stage::PutHeader | Stage::PutFinal if is_whole(&image) || epoch(&image) > epoch(&file) => {
            // Looked at again by the image's own name and rules.
            let header = site.header.take();
            if let (Some(header), false) = (header, change.dry_run) {
                sync_image(site)?;
                header_file::remove(&header)?;
            }
            site.luks(policies, watch)?;
            Ok(Stage::Detached)
        }
        Stage::PutAside => Err(other(
            "it is to be put into the image, which has it already".to_owned(),
        )),
        stage => Ok(stage),
    }
}

/// The header file that a job has left.
fn beside(site: &Site) -> Option<PathBuf> {
    let path = site.data.path()?;
    let beside = header_file::beside(path, site.data.is_device());
    beside.symlink_metadata().is_ok().then_some(beside)
}

fn is_whole(luks: &Luks) -> bool {
    luks.fingerprint().is_some()
}

fn epoch(luks: &Luks) -> u64 {
    match luks.header() {
        Header::Luks1(_) => 0,
        Header::Luks2(header) => header.binary.epoch,
    }
}

/// What the image has instead of a header file may be in memory only, when who wrote it was killed.
fn sync_image(site: &Site) -> Result<(), Error> {
    let synced = site.data.storage.sync();
    synced.map_err(|source| {
        crate::error::ChangeError::Write {
            name: site.data.name.clone(),
            source,
        }
        .into()
    })
}

/// Whether the image is as long as the header says that is to go into it.
fn check_length(site: &Site, luks: &Luks, stage: Stage) -> Result<(), Error> {
    let (payload, whole) = sizes(luks)?;
    let len = site
        .data
        .storage
        .len()
        .map_err(|source| crate::error::ChangeError::Read {
            name: site.data.name.clone(),
            source,
        })?;
    let fits = match stage {
        // It has grown, or has not yet.
        Stage::PutAside => (payload..=whole).contains(&len),
        _ => len == whole,
    };
    if fits {
        return Ok(());
    }
    Err(InPlaceError::HeaderOfAnother {
        name: site.data.name.clone(),
        header: site.header().name.clone(),
        problem: format!("it is of one of {whole} bytes, and the image has {len}"),
    }
    .into())
}

/// Bytes of the plaintext, and of the image while it is encrypted.
pub(super) fn sizes(luks: &Luks) -> Result<(u64, u64), Error> {
    let Header::Luks2(header) = luks.header() else {
        return Err(not_in_reencryption("", luks));
    };
    let state = header.metadata.reencryption.as_ref();
    let found = state.and_then(|state| match state.before.segment.size {
        SegmentSize::Bytes(bytes) => {
            let shift = state.after.segment.offset.checked_mul(2)?;
            Some((bytes, bytes.checked_add(shift)?))
        }
        SegmentSize::Dynamic => None,
    });
    found.ok_or_else(|| not_in_reencryption("", luks))
}

fn not_in_reencryption(name: &str, _luks: &Luks) -> Error {
    Error::luks(
        name,
        InvalidOption::from(luks::ReencryptionObstacle::NotInProgress).into(),
    )
}

/// Puts the header into the image, from the file that has it, which then goes.
pub(super) fn into_image(
    site: &mut Site,
    luks: Luks,
    unlocked: &Unlocked,
    stage: Stage,
    how: &Unlock,
    watch: &dyn Watch,
) -> Result<Running, Error> {
    let (_, whole) = sizes(&luks)?;
    let key = copied(unlocked.volume_key());
    let data = Arc::clone(&site.data.storage);
    let mut luks = luks;
    if stage == Stage::PutAside {
        room::take(&site.data, whole)?;
        put_aside(&luks, unlocked, &*data, &mut OsRandom).map_err(|error| site.left_by(error))?;
        luks = site.luks(&[], watch)?;
    } else {
        unlocked
            .check_reencryption()
            .map_err(|error| site.luks_error(error))?;
    }
    if Lowering::said(luks.header()).is_some() {
        clear_start(&luks, &*data).map_err(|error| site.left_by(error))?;
    } else {
        put_header(&luks, &*data, &mut OsRandom).map_err(|error| site.left_by(error))?;
        if let Some(header) = site.header.take() {
            header_file::remove(&header)?;
        }
    }
    let luks = site.luks(&[], watch)?;
    let (cancel, unusable) = (|| false, crate::unlock::telling_once(watch));
    let unlocked = luks
        .unlock_with_volume_key(key, &how.options(&cancel, &unusable))
        .map_err(|error| site.luks_error(error))?;
    Running::open(&luks, unlocked, data).map_err(|error| site.luks_error(error))
}

/// Puts a header into the image that somebody else has encrypted by its file, which then goes.
fn put_final(site: &mut Site, luks: &Luks, watch: &dyn Watch) -> Result<(), Error> {
    watch.changes_in_place();
    let data = Arc::clone(&site.data.storage);
    put_header(luks, &*data, &mut OsRandom).map_err(|error| site.left_by(error))?;
    if let Some(header) = site.header.take() {
        header_file::remove(&header)?;
    }
    let luks = site.luks(&[], watch)?;
    forget_in_place(&luks, &mut OsRandom).map_err(|error| site.left_by(error))
}

/// The same key once more: each way to the data takes one.
pub(super) fn copied(key: &VolumeKey) -> VolumeKey {
    VolumeKey::from_locked(LockedBytes::copy_of(key.expose()))
}

/// Whether all is decrypted and nothing is left to be done but what the removal of the header file does: its keyslots may
/// be wiped already, so that no passphrase opens them.
fn is_to_be_removed(site: &Site, luks: &Luks) -> bool {
    let Header::Luks2(header) = luks.header() else {
        return false;
    };
    let is_file = |header: &Target| !header.is_device() && header.path().is_some();
    let Some((_, leavings)) = Leavings::of(&header.metadata) else {
        return false;
    };
    let is_tail_done = leavings.tail.is_none_or(|tail| {
        let len = site.data.storage.len();
        tail.is_cut && len.is_ok_and(|len| len <= tail.offset)
    });
    is_decrypted(luks.header()) && site.header.as_ref().is_some_and(is_file) && is_tail_done
}

/// Removes the header of what is decrypted.
fn take_away(site: &mut Site, luks: &Luks, change: &ChangeOptions) -> Result<InPlaceReport, Error> {
    if site.header.is_some() && !change.dry_run {
        sync_image(site)?;
        luks1::remove(site)?;
    }
    if let (Some(header), false) = (&site.header, change.dry_run) {
        header_file::remove(header)?;
    }
    Ok(InPlaceReport {
        dry_run: change.dry_run,
        operation: "decrypt",
        left_bytes: 0,
        ..InPlaceReport::about(site, luks.header(), 0, "finished")
    })
}

fn planned(site: &Site, luks: &Luks, operation: &'static str) -> InPlaceReport {
    let bytes = sizes(luks).map_or(0, |(payload, _)| payload);
    InPlaceReport {
        dry_run: true,
        operation,
        ..InPlaceReport::about(site, luks.header(), bytes, "begun")
    }
}

/// Whether nothing is encrypted under a header any more.
pub(super) fn is_decrypted(header: &Header) -> bool {
    let Header::Luks2(header) = header else {
        return false;
    };
    let metadata = &header.metadata;
    metadata.reencryption.is_none() && metadata.digest_of_data().is_none()
}

fn digest_of(luks: &Luks) -> (HashAlgorithm, u32) {
    digest_of_header(luks.header())
}

/// What the digest of the state costs; that of a new one, too.
fn digest_of_header(header: &Header) -> (HashAlgorithm, u32) {
    let least = (defaults::HASH, defaults::PBKDF2_MIN_ITERATIONS);
    let Header::Luks2(header) = header else {
        return least;
    };
    let metadata = &header.metadata;
    let state = metadata.reencryption.as_ref();
    let id = state.and_then(|state| state.digest);
    let digest = metadata.digests.iter().find(|it| Some(it.id) == id);
    digest
        .and_then(|digest| digest.pbkdf2.clone().ok())
        .unwrap_or(least)
}
