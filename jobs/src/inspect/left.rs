//! What a job in place has begun, or done and not cleared away yet, as its header tells.

use luks::luks2::Metadata;
use luks::reencrypt::{DECRYPT_IN_PLACE, Leavings, is_to_be_put_aside};
use luks::{Header, Luks};

use super::halfway::resume;

/// What is still to be done by the program that began it, each with the command. `image` names what the header lies in,
/// `data` the data where they are in another file.
pub(crate) fn notes(luks: &Luks, image: &str, data: Option<&str>) -> Vec<String> {
    let Header::Luks2(header) = luks.header() else {
        return Vec::new();
    };
    let metadata = &header.metadata;
    let by = resume(metadata, image, data);
    let mut notes = Vec::new();
    if is_to_be_put_aside(luks.header()) {
        notes.push(format!(
            "an encryption in place has begun, and the first bytes of the image are still to be put aside: {by} does it, \
             and nothing else can"
        ));
    }
    if let Some(left) = to_be_wiped(metadata) {
        notes.push(format!(
            "a job in place is done, and it is still {left}: {by} does it"
        ));
    } else if metadata.reencryption.is_none() && has_token(metadata, DECRYPT_IN_PLACE) {
        notes.push(format!(
            "a decryption in place goes on from this header file, and the image may have lost its own: {by} does it"
        ));
    }
    notes
}

fn has_token(metadata: &Metadata, kind: &str) -> bool {
    metadata.tokens.iter().any(|token| token.kind == kind)
}

/// What the final header of a job says of its traces. No key proves it here.
fn to_be_wiped(metadata: &Metadata) -> Option<String> {
    let (_, leavings) = Leavings::of(metadata)?;
    let mut wiped: Vec<String> = leavings
        .keyslots
        .iter()
        .map(|keyslot| format!("keyslot {keyslot}"))
        .collect();
    wiped.extend(
        leavings
            .areas
            .iter()
            .map(|area| format!("{} bytes of the header at {}", area.size, area.offset)),
    );
    let mut cut = None;
    if let Some(tail) = leavings.tail {
        let (bytes, offset) = (tail.bytes, tail.offset);
        if tail.is_plaintext {
            wiped.push(format!(
                "{bytes} bytes of plaintext at {offset} of the data"
            ));
        } else if !tail.is_cut {
            wiped.push(format!("{bytes} bytes at {offset} of the data"));
        }
        cut = tail
            .is_cut
            .then(|| format!("to be cut off behind {offset} bytes"));
    }
    let wiped = (!wiped.is_empty()).then(|| format!("to be wiped of {}", wiped.join(", ")));
    let both: Vec<String> = wiped.into_iter().chain(cut).collect();
    Some(if both.is_empty() {
        "to be said that nothing is left".to_owned()
    } else {
        both.join(" and ")
    })
}
