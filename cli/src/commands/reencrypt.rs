//! `reencrypt IMG`: another key, cipher or sector size, in place.

use jobs::Place;
use jobs::in_place::reencrypt::{ReencryptAllow, ReencryptOptions, reencrypt};
use jobs::inputs::Inputs;
use jobs::new_keyslot::NewKeyslot;

use super::in_place::{print, zones};
use crate::args::ReencryptArgs;
use crate::change::{self, Asker};
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::options;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;

/// Reencrypts.
pub fn run(args: &ReencryptArgs) -> Result<(), Error> {
    let say = args.change.output;
    let inputs = Inputs::none().keys(&args.keys);
    let options = ReencryptOptions {
        change: change::options(&args.image, &args.change, inputs),
        unlock: unlock::how_for(args.key_slot, &args.limits)?,
        cipher: args.cipher.clone(),
        key_bits: args.key_size,
        sector_bytes: args.sector_size,
        new: NewKeyslot {
            cost: (&args.cost).into(),
            hash: args.hash.clone(),
            cipher: options::keyslot_cipher(&args.keyslot_cipher),
        },
        keep_key: args.keep_key,
        zones: zones(&args.zones, &args.work),
        init_only: args.init.init_only,
        device_bytes: args.device_size,
        reduce_bytes: None,
        allow: ReencryptAllow {
            lose_rest: args.force,
            any_sector_size: args.sectors.allow_any_sector_size,
            weak_cipher: args.allow_weak_cipher,
            equal_xts_halves: false,
        },
    };
    let keys = KeyInput::new(&args.keys, false)?;
    let secrets = Keys::opening(&keys, None, args.limits.tries);
    let teller = Teller::new("reencrypt", &args.work, say);
    let header = args.image.header.header.clone().map(Place::Path);
    let report = reencrypt(
        &args.image.image,
        header.as_ref(),
        &options,
        &secrets,
        &Asker::new(say),
        &teller,
    )?;
    print("reencrypt", &report, say)
}
