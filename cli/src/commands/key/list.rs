//! `key list IMG`: the keyslots in use.

use jobs::key::list::{ListOptions, list};

use crate::args::KeyListArgs;
use crate::error::Error;
use crate::output;
use crate::unlock;
use crate::watch::Warner;

/// Lists. Nothing is unlocked and nothing is written.
pub fn run(args: &KeyListArgs) -> Result<(), Error> {
    let options = ListOptions {
        policies: (&args.image.policy.policy[..]).into(),
        max_time: unlock::max_time(None)?,
        max_memory_kib: unlock::max_memory_kib(None)?,
        allow_in_use: args.busy.read_in_use,
    };
    let listed = list(&args.image.header(), &options, &Warner)?;
    if args.output.json {
        let members = serde_json::to_value(&listed).expect("a list is plain data");
        return Ok(output::json("key list", members)?);
    }
    let lines = listed.keyslots.iter().map(|slot| {
        if slot.key_bits == 0 {
            return format!("keyslot {}: how far the reencryption is, no key\n", slot.id);
        }
        let kdf = slot.kdf.as_ref().map_or("unknown", |kdf| kdf.kind);
        let bound = match slot.reencryption {
            Some("old") => "opens the data that is still to be done",
            Some("new") => "opens the data that is done",
            Some("left") => "opens nothing any more, and is still to be wiped",
            _ if slot.bound => "opens the data",
            _ => "unbound",
        };
        let (id, priority, bits) = (slot.id, slot.priority, slot.key_bits);
        format!("keyslot {id}: {bound}, priority {priority}, {kdf}, key of {bits} bits\n")
    });
    Ok(output::text(&lines.collect::<String>())?)
}
