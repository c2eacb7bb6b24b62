//! `key list IMG`: the keyslots in use.

use serde_json::{Value, json};

use crate::args::KeyListArgs;
use crate::error::Error;
use crate::output;
use crate::unlock;
use crate::watch::Warner;
use jobs::inspect;
use jobs::source::Source;

/// Lists. Nothing is unlocked and nothing is written.
pub fn run(args: &KeyListArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let storage = source.seekable()?;
    let bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let luks = unlock::open(&source.name, storage, &args.image.policy)?;
    let limits = unlock::kdf_limits(None, None)?;
    let report = inspect::report(source.name.clone(), &luks, bytes, &limits);
    if args.output.json {
        let keyslots: Value =
            serde_json::to_value(&report.keyslots).expect("a report is plain data");
        let members = json!({"image": source.name, "type": report.kind, "keyslots": keyslots});
        return Ok(output::json("key list", members)?);
    }
    let lines = report.keyslots.iter().map(|slot| {
        let kdf = slot.kdf.as_ref().map_or("unknown", |kdf| kdf.kind);
        let bound = if slot.bound {
            "opens the data"
        } else {
            "unbound"
        };
        let (id, priority, bits) = (slot.id, slot.priority, slot.key_bits);
        format!("keyslot {id}: {bound}, priority {priority}, {kdf}, key of {bits} bits\n")
    });
    Ok(output::text(&lines.collect::<String>())?)
}
