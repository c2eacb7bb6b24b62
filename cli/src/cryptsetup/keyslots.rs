//! `luksAddKey`, `luksRemoveKey`, `luksChangeKey`, `luksConvertKey`, `luksKillSlot`.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};

use dmcrypt::Passphrase;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::key_source::MAX_VOLUME_KEY_BYTES;
use luks::keyslots::{self, UnboundKey};
use luks::{
    Header, InvalidOption, Luks, OsRandom, Unlocked, Unsupported, random_volume_key, tokens,
};

use super::check::number_of;
use super::failure::Failure;
use super::key::{read_key_of_header, read_volume_key, unlocking, unlocking_with};
use super::mapping;
use super::session::{Session, say};
use crate::exit::Exit;
use crate::output;

const ANY: &str = "Enter any existing passphrase: ";
const NEW: &str = "Enter new passphrase for key slot: ";

/// `luksAddKey DEVICE [NEW KEY FILE]`.
pub(super) fn add(session: &Session) -> Result<(), Failure> {
    let target = session.target(Claim::Nothing)?;
    let luks = if session.given.has("unbound") {
        session.read_luks2_for_change(&target)?
    } else {
        session.read_for_change(&target)?
    };
    let failed = |error| Failure::luks(&target.name, error);
    let given = &session.given;
    let is_luks1 = matches!(luks.header(), Header::Luks1(_));
    let (from, to) = numbers(session)?;
    session.costs(is_luks1)?;
    if to.is_some() {
        // Told before anything is asked.
        keyslots::free_keyslot(luks.header(), to).map_err(|option| failed(option.into()))?;
    }
    let new_place = session.new_key(new_file(session))?;
    if given.has("unbound") {
        return add_unbound(session, &luks, &target);
    }
    let (unlocked, by) = if let Some(key) = read_key_of_header(session, luks.header())? {
        let bytes = key.len();
        let unlocked = luks.unlock_with_volume_key(key, &unlocking_with(bytes)?);
        (unlocked.map_err(failed)?, By::VolumeKey)
    } else if is_by_token(session) {
        let (unlocked, token) = mapping::unlock_by_token_only(session, &luks, from)?;
        (unlocked, By::Token(token))
    } else {
        let place = session.key(None)?;
        let passphrase = session.ask(&place, ANY)?;
        let unlocked = unlock(&luks, &target, &passphrase, from);
        // Of a key file nobody is told more than by the exit code.
        let unlocked = unlocked.map_err(|failure| match failure.exit {
            Exit::NoKeyFits if !place.is_asked => Failure::silent(Exit::NoKeyFits),
            Exit::Wrong if !place.is_asked && from.is_none() => Failure::wrong(
                "Cannot add key slot, all slots disabled and no volume key provided.",
            ),
            _ => failure,
        })?;
        let of_kernel = ["key-description", "new-key-description", "new-token-id"];
        if place.is_asked || of_kernel.iter().any(|option| given.has(option)) {
            session.tell_unlocked(&unlocked)?;
        }
        (unlocked, By::Passphrase(passphrase))
    };
    let (passphrase, token) = match (NewSecret::of(session)?, by) {
        (NewSecret::Asked, _) => (session.ask_new(&new_place, NEW)?, None),
        (NewSecret::Token(token), _) | (NewSecret::Same, By::Token(token)) => {
            let passphrase = mapping::passphrase_of_token(session, &luks, token)?;
            (passphrase, Some(token))
        }
        (NewSecret::Same, By::Passphrase(passphrase)) => {
            output::aside(format_args!(
                "WARNING: with --new-token-id -1 the new keyslot has the passphrase that was given."
            ));
            (passphrase, None)
        }
        (NewSecret::Same, By::VolumeKey) => return Err(Failure::silent(Exit::Wrong)),
    };
    let options = session.keyslot_options(luks.header(), to)?;
    let keyslot =
        keyslots::add(&luks, &unlocked, &passphrase, &options, &mut OsRandom).map_err(|error| {
            match error {
                luks::Error::Unsupported(Unsupported::Unbound { .. }) => Failure::no_keyslot(),
                error => failed(error),
            }
        })?;
    session.tell(format!("Key slot {keyslot} created."))?;
    let Some(token) = token else {
        return Ok(());
    };
    Luks::open(target.storage.clone())
        .and_then(|luks| tokens::assign(&luks, token, keyslot, &mut OsRandom))
        .map_err(failed)
}

/// What has unlocked the header that a keyslot is added to.
enum By {
    VolumeKey,
    Token(u32),
    Passphrase(Passphrase),
}

/// Where the passphrase of a new keyslot comes from.
enum NewSecret {
    Asked,
    /// The token of `--new-token-id`, which is assigned to the keyslot.
    Token(u32),
    /// Of any token: there that is what has unlocked, be it a token or not.
    Same,
}

impl NewSecret {
    fn of(session: &Session) -> Result<Self, Failure> {
        const NUMBERS: std::ops::RangeInclusive<i32> = 0..=31;
        match session.given.signed("new-token-id") {
            None => Ok(Self::Asked),
            Some(-1) => Ok(Self::Same),
            Some(id) if NUMBERS.contains(&id) => Ok(Self::Token(id.unsigned_abs())),
            Some(_) => Err(Failure::silent(Exit::Wrong)),
        }
    }
}

/// Whether a token is to unlock, and nothing else.
fn is_by_token(session: &Session) -> bool {
    let options = ["token-id", "token-type", "token-only"];
    options.iter().any(|option| session.given.has(option))
}

fn add_unbound(session: &Session, luks: &Luks, target: &Target) -> Result<(), Failure> {
    let failed = |error| Failure::luks(&target.name, error);
    let given = &session.given;
    let bits = given.small("key-size").filter(|bits| *bits != 0);
    let key = if let Some(path) = given.text("volume-key-file") {
        let bytes = bits.map(|bits| bits as usize / 8);
        read_volume_key(path, bytes.unwrap_or(luks::defaults::XTS_KEY_BYTES))?
    } else {
        let bytes = bits.unwrap_or_default() as usize / 8;
        if bytes == 0 || bytes > MAX_VOLUME_KEY_BYTES {
            return Err(Failure::wrong("Invalid key size."));
        }
        random_volume_key(bytes, &mut OsRandom).map_err(|error| failed(error.into()))?
    };
    let place = session.new_key(new_file(session))?;
    let passphrase = session.ask_new(&place, NEW)?;
    let (from, to) = numbers(session)?;
    let mut options = session.keyslot_options(luks.header(), to.or(from))?;
    // The cipher of the data is for keys of its size.
    if options.cipher.is_none() && luks.header().volume_key_bytes() != Some(key.len()) {
        let cipher = luks::defaults::CIPHER.parse().expect("a specification");
        options.cipher = Some((cipher, luks::defaults::XTS_KEY_BYTES));
    }
    let unbound = UnboundKey {
        key: &key,
        digest_iterations: session.costs(false)?.digest_iterations(options.hash),
    };
    let keyslot = keyslots::add_unbound(luks, &unbound, &passphrase, &options, &mut OsRandom)
        .map_err(failed)?;
    session.tell(format!("Key slot {keyslot} created."))
}

/// The file of the new key: where option and operand name one, it is the operand's.
fn new_file(session: &Session) -> Option<&OsStr> {
    let operand = session.operands.get(1).map(OsString::as_os_str);
    operand.or(session.given.text("new-keyfile"))
}

/// The keyslot that unlocks and the new one. With `--new-key-slot`, `--key-slot` is the first; alone it is the second.
fn numbers(session: &Session) -> Result<(Option<u32>, Option<u32>), Failure> {
    let new = session.given.signed("new-key-slot");
    let new = new.and_then(|number| u32::try_from(number).ok());
    let key_slot = session.keyslot();
    if new.is_some() {
        return Ok((key_slot, new));
    }
    if key_slot.is_some() && !session.given.has("unbound") {
        say("WARNING: The --key-slot parameter is used for new keyslot number.")?;
    }
    Ok((None, key_slot))
}

/// `luksChangeKey DEVICE [NEW KEY FILE]`.
pub(super) fn change(session: &Session) -> Result<(), Failure> {
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_for_change(&target)?;
    session.costs(matches!(luks.header(), Header::Luks1(_)))?;
    let place = session.key(None)?;
    let new_place = session.new_key(new_file(session))?;
    let passphrase = session.ask(&place, "Enter passphrase to be changed: ")?;
    let unlocked = unlock_any(&luks, &target, &passphrase, session.keyslot())?;
    session.tell_unlocked(&unlocked)?;
    let passphrase = session.ask_new(&new_place, "Enter new passphrase: ")?;
    replace(session, &luks, &target, &unlocked, &passphrase)
}

/// `luksConvertKey DEVICE`: the same passphrase under another key derivation.
pub(super) fn convert(session: &Session) -> Result<(), Failure> {
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_luks2_for_change(&target)?;
    session.costs(false)?;
    if let Some(keyslot) = session.keyslot()
        && keyslots::check_in_use(luks.header(), keyslot).is_err()
    {
        // Of a number that no keyslot has cryptsetup says here that it is not active.
        let inactive = InvalidOption::KeyslotInactive { keyslot };
        return Err(Failure::luks(&target.name, inactive.into()));
    }
    let place = session.key(None)?;
    let passphrase = session.ask(&place, "Enter passphrase for keyslot to be converted: ")?;
    let unlocked = unlock(&luks, &target, &passphrase, session.keyslot())?;
    replace(session, &luks, &target, &unlocked, &passphrase)
}

fn replace(
    session: &Session,
    luks: &Luks,
    target: &Target,
    unlocked: &Unlocked,
    passphrase: &Passphrase,
) -> Result<(), Failure> {
    let old = unlocked
        .keyslot()
        .expect("a passphrase is that of a keyslot");
    let options = session.keyslot_options(luks.header(), None)?;
    let keyslot = keyslots::change(luks, unlocked, old, passphrase, &options, &mut OsRandom)
        .map_err(|error| Failure::luks(&target.name, error))?;
    session.tell(format!("Key slot {keyslot} created."))
}

/// `luksRemoveKey DEVICE [KEY FILE]`: the keyslot that this key opens.
pub(super) fn remove(session: &Session) -> Result<(), Failure> {
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_for_change(&target)?;
    let place = session.key(session.operands.get(1))?;
    let passphrase = session.ask(&place, "Enter passphrase to be deleted: ")?;
    let unlocked = unlock(&luks, &target, &passphrase, None)?;
    session.tell_unlocked(&unlocked)?;
    let keyslot = unlocked
        .keyslot()
        .expect("a passphrase is that of a keyslot");
    session.tell(format!("Keyslot {keyslot} is selected for deletion."))?;
    if keyslots::is_last(luks.header(), keyslot) {
        confirm_last(session)?;
    }
    delete(session, &luks, &target, keyslot)
}

/// `luksKillSlot DEVICE KEYSLOT`: with another passphrase, or in batch mode and without one.
pub(super) fn kill(session: &Session) -> Result<(), Failure> {
    let target = session.target(Claim::Nothing)?;
    let luks = session.read_for_change(&target)?;
    let keyslot = number_of(&session.operands[1]).expect("checked with the options");
    keyslots::check_in_use(luks.header(), keyslot).map_err(|option| match option {
        // cryptsetup says nothing more.
        InvalidOption::KeyslotNumber { .. } => Failure::silent(Exit::Wrong),
        option => Failure::luks(&target.name, option.into()),
    })?;
    session.tell(format!("Keyslot {keyslot} is selected for deletion."))?;
    let is_last = keyslots::is_last(luks.header(), keyslot);
    let asks = io::stdin().is_terminal() && !session.given.has("key-file");
    if is_last {
        confirm_last(session)?;
    }
    if !(session.is_batch() && asks) {
        prove_another(session, &luks, &target, keyslot, is_last)?;
    }
    delete(session, &luks, &target, keyslot)
}

/// Holds a passphrase against the other keyslots, or against the last one itself.
fn prove_another(
    session: &Session,
    luks: &Luks,
    target: &Target,
    keyslot: u32,
    is_last: bool,
) -> Result<(), Failure> {
    let place = session.key(None)?;
    let prompt = "Enter any remaining passphrase: ";
    let passphrase = if session.is_batch() && place.is_asked {
        match session.ask_unless_ended(&place, prompt)? {
            Some(passphrase) => passphrase,
            // Who says so needs none.
            None => return Ok(()),
        }
    } else {
        session.ask(&place, prompt)?
    };
    let unlocked = if is_last {
        luks.unlock(&passphrase, &unlocking(Some(keyslot))?)
    } else {
        keyslots::unlock_other(luks, keyslot, &passphrase, &unlocking(None)?)
    };
    let unlocked = unlocked.map_err(|error| Failure::luks(&target.name, error))?;
    session.tell_unlocked(&unlocked)
}

fn confirm_last(session: &Session) -> Result<(), Failure> {
    session.confirm(
        "This is the last keyslot. Device will become unusable after purging this key.",
        || {
            Failure::new(
                Exit::NoKeyFits,
                "Operation aborted, the keyslot was NOT wiped.\n",
            )
        },
    )
}

fn delete(session: &Session, luks: &Luks, target: &Target, keyslot: u32) -> Result<(), Failure> {
    keyslots::remove(luks, keyslot, true, &mut OsRandom)
        .map_err(|error| Failure::luks(&target.name, error))?;
    session.tell(format!("Key slot {keyslot} removed."))
}

/// The same with the keyslots that are bound to no data, where none is named and no other fits.
fn unlock_any(
    luks: &Luks,
    target: &Target,
    passphrase: &Passphrase,
    keyslot: Option<u32>,
) -> Result<Unlocked, Failure> {
    let mut outcome = unlock(luks, target, passphrase, keyslot);
    if keyslot.is_none() {
        for keyslot in keyslots::unbound(luks.header()) {
            if outcome.is_ok() {
                break;
            }
            let tried = unlock(luks, target, passphrase, Some(keyslot));
            outcome = tried.or(outcome);
        }
    }
    outcome
}

fn unlock(
    luks: &Luks,
    target: &Target,
    passphrase: &Passphrase,
    keyslot: Option<u32>,
) -> Result<Unlocked, Failure> {
    luks.unlock(passphrase, &unlocking(keyslot)?)
        .map_err(|error| match error {
            luks::Error::InvalidOption(_) => Failure::no_keyslot(),
            error => Failure::luks(&target.name, error),
        })
}
