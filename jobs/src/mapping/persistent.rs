//! Flags of activation in the header of LUKS2, for whoever opens it next.

use std::sync::Arc;

use devmapper::Flags;
use luks::config::{ConfigChanges, configure};
use luks::{Header, Luks, OsRandom};

use crate::block::Claim;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::open;
use crate::place::Place;
use crate::watch::Watch;

/// The one word that is the kernel's letter by letter.
const HIGH_PRIORITY: &str = "high_priority";

/// What this kernel's dm-crypt takes of flags; what it leaves out is told.
pub(super) fn known(flags: Flags, version: [u32; 3], watch: &dyn Watch) -> Flags {
    let known = flags.known_to(version);
    if known != flags {
        let [major, minor, _] = version;
        watch.warn(&format_args!(
            "{HIGH_PRIORITY} is left out: dm-crypt {major}.{minor} of this kernel does not know it"
        ));
    }
    known
}

/// Flags as LUKS2 calls them (specification 3.5, table 4): the kernel's words with hyphens.
pub(super) fn flags_of(said: &[String]) -> Flags {
    let has = |word: &str| said.iter().any(|said| said == word);
    Flags {
        allow_discards: has("allow-discards"),
        same_cpu_crypt: has("same-cpu-crypt"),
        submit_from_crypt_cpus: has("submit-from-crypt-cpus"),
        no_read_workqueue: has("no-read-workqueue"),
        no_write_workqueue: has("no-write-workqueue"),
        high_priority: has(HIGH_PRIORITY),
    }
}

/// Has the header in `place`, which `luks` was read from, say how the mapping `name` is treated; whether it does now. The
/// mapping is there anyway: what is wrong is told.
pub(super) fn keep(
    place: &Place,
    luks: &Luks,
    flags: Flags,
    name: &str,
    watch: &dyn Watch,
) -> bool {
    let written = write(place, luks, flags);
    if let Err(error) = &written {
        watch.warn(&format_args!(
            "{name} is open, and its header does not keep its flags: {error}"
        ));
    }
    written.is_ok()
}

/// Writes them; words that are not known stay.
fn write(place: &Place, luks: &Luks, flags: Flags) -> Result<(), Error> {
    let target = open::changed(place, false, Claim::Nothing, &Inputs::none())?;
    let known = flags.named().map(|(word, is_set)| match word {
        HIGH_PRIORITY => (word.to_owned(), is_set),
        _ => (word.replace('_', "-"), is_set),
    });
    let mut words: Vec<String> = known
        .iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(word, _)| word.clone())
        .collect();
    if let Header::Luks2(header) = luks.header() {
        let is_other = |word: &&String| known.iter().all(|(known, _)| known != *word);
        let others = header.metadata.config.flags.iter().filter(is_other);
        words.extend(others.cloned());
    }
    let now = Luks::open(Arc::clone(&target.storage)).map_err(target.failed())?;
    if now.header().uuid() != luks.header().uuid() {
        return Err(Error::luks(&target.name, luks::Error::Changed));
    }
    now.know_seal_of(luks);
    let changes = ConfigChanges {
        flags: Some(words),
        ..ConfigChanges::default()
    };
    configure(&now, &changes, &mut OsRandom).map_err(target.failed())
}
