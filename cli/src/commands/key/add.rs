//! `key add IMG`: one more passphrase.

use dmcrypt::VolumeKey;
use luks::keyslots::{self, UnboundKey};
use luks::{KeyslotOptions, Luks, OsRandom, Random};
use serde_json::json;

use super::new;
use crate::args::KeyAddArgs;
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::unlock;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::key_source::{MAX_VOLUME_KEY_BYTES, read_volume_key};
use jobs::limits;
use jobs::policy;

/// Adds a keyslot.
pub fn run(args: &KeyAddArgs) -> Result<(), Error> {
    let inputs = Inputs::none()
        .policies(&args.image.policy)
        .keys(&args.keys)
        .new_keys(&args.new)
        .path("the volume key file", args.unlock.volume_key_file.as_ref());
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Header,
        &inputs,
    )?;
    let name = &target.name;
    let input = new::input(&args.keys, &args.new)?;
    let luks = target.luks(&policy::read(&args.image.policy.policy)?, &Warner)?;
    let keyslot = if args.unbound {
        add_unbound(args, &target, &luks, &input)?
    } else {
        let keys = KeyInput::new(&args.keys, false)?;
        let unlocked = unlock::unlock(&luks, name, &keys, &args.unlock)?;
        let secret = new::passphrase(
            &input,
            name,
            args.change.output.batch_mode,
            args.new.allow_empty_passphrase,
        )?;
        let options = options(args, &luks, name)?;
        target.back_up(&luks, args.change.header_backup_file.as_deref(), &Warner)?;
        keyslots::add(&luks, &unlocked, &secret, &options, &mut OsRandom)
            .map_err(target.failed())?
    };
    let members = json!({"image": name, "keyslot": keyslot, "unbound": args.unbound});
    let text = format!("keyslot {keyslot} of {name} is new\n");
    target.done("key add", args.change.output, members, &text)
}

fn add_unbound(
    args: &KeyAddArgs,
    target: &Target,
    luks: &Luks,
    input: &KeyInput,
) -> Result<u32, Error> {
    let name = &target.name;
    let key = if let Some(path) = &args.unlock.volume_key_file {
        read_volume_key(path)?
    } else {
        random_key(args.key_size.unwrap_or_default(), name)?
    };
    let secret = new::passphrase(
        input,
        name,
        args.change.output.batch_mode,
        args.new.allow_empty_passphrase,
    )?;
    let options = options(args, luks, name)?;
    let digest_iterations = match args.new.cost.pbkdf_force_iterations {
        Some(_) => luks::defaults::PBKDF2_MIN_ITERATIONS,
        None => limits::calibrated_digest(options.hash),
    };
    let unbound = UnboundKey {
        key: &key,
        digest_iterations,
    };
    target.back_up(luks, args.change.header_backup_file.as_deref(), &Warner)?;
    let added = keyslots::add_unbound(luks, &unbound, &secret, &options, &mut OsRandom);
    Ok(added.map_err(target.failed())?)
}

fn random_key(bits: u32, name: &str) -> Result<VolumeKey, Error> {
    let bytes = bits as usize / 8;
    if !bits.is_multiple_of(8) || bytes == 0 || bytes > MAX_VOLUME_KEY_BYTES {
        return Err(jobs::Error::KeyBits { bits }.into());
    }
    let mut key = VolumeKey::zeroed(bytes);
    OsRandom
        .fill(key.expose_mut())
        .map_err(|error| Error::luks(name, error.into()))?;
    Ok(key)
}

fn options(args: &KeyAddArgs, luks: &Luks, name: &str) -> Result<KeyslotOptions<'static>, Error> {
    Ok(KeyslotOptions {
        keyslot: args.new_key_slot,
        priority: args.priority.into(),
        ..new::wanted(&args.new).options(luks.header(), name, &Warner)?
    })
}
