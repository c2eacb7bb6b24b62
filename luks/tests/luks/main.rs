//! The library against vectors, images that others made, patched headers and crashes; a module per topic.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

/// Backups restored over anything, cut off at every write.
mod backups;
/// Bad sectors, and what ends too early.
mod bad_places;
/// Folders of data, unpacking, passphrases.
mod common;
/// Converted there and back, cut off at every write; what cannot be converted.
mod conversions;
/// Both header copies: which one counts.
mod copies;
/// Formatting cut off at every write.
mod crash;
/// Sizes, lengths and counts met exactly and passed by one: texts, areas, storage.
mod edges;
/// Changing a header: refused when it is another one by now, damaged copies, what nobody knows kept.
mod edit;
/// The end of the count of changes: judged before the first write, begun anew by a repair.
mod epochs;
/// New containers: places, options that cannot be, failing parts.
mod forgetful;
mod format;
/// The project's golden data: what cryptsetup, qemu-img and the kernel made.
mod golden;
/// Half-way images of cryptsetup, read without a write.
mod halfway;
/// Headers changed and erased, cut off at every write; what is refused. The next ones build on it.
mod headers;
/// Texts of a header in what is said of it.
mod hostile_texts;
/// Images of other projects: payload hashes, refusals, no file changed.
mod images;
/// PBKDF2 and Argon2 of the standards and of other libraries.
mod kdf_vectors;
/// Keyslots changed, cut off at every write, with each sync left out in turn.
mod keyslot_crash;
/// Keyslots added, changed and removed; what is refused.
mod keyslots;
/// How much work a header may ask for.
mod limits;
/// Segments of plaintext, which nobody opens unasked.
mod linear;
/// A LUKS1 header that something else wrote over.
mod luks1_repairs;
/// Data that moves while it is given another key, and data that lies apart from the start.
mod moved;
/// Containers in partitions in containers.
mod nested;
/// Attacks that are known, one test each; the index is docs/attacks.md, the others stand with their topics.
mod obligations;
/// A storage that gives another header when it is asked again.
mod one_read;
/// Sound headers whose data nothing here opens.
mod opening;
/// Options of a new container: the last that is taken, and the next.
mod options;
/// One byte range of a good header changed, one exact error expected.
mod patches;
/// Half-way headers beside those that cryptsetup writes for the same progress.
mod peace;
/// Each rule of a policy.
mod policy;
/// What a checksum proves of a damaged header, and what nothing does.
mod proofs;
/// What holds for inputs of any kind.
mod properties;
/// Reencryptions begun, gone on with from every zone, and finished from what cryptsetup left.
mod reencrypt;
/// A crash at any write of a reencryption, and at any write of what goes on from there.
mod reencrypt_crash;
/// What a reencryption that is under way must have left in the metadata.
mod reencryption;
/// Every damage that can be mended, and some that cannot.
mod repairs;
/// Headers made of any model, written and read.
mod round_trips;
/// Each rule of the JSON met exactly and broken by one; rules between objects.
mod rules;
/// Sealed headers: tampered with, changed with a key and without, cut off at every write.
mod seal;
/// Keyslots and tokens of a container that is not written yet.
mod several_keyslots;
/// Keyslots tried at the same time.
mod side_by_side;
/// Every change of a header is refused under its exact policy.
mod tampering;
/// The kit of bad and good headers, each by its exact error.
mod testkit;
/// Tokens changed, cut off at every write; each mistake.
mod tokens;
/// Locks, salts and refusals that nothing else shows.
mod watched;
