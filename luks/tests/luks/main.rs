//! The library against vectors, images that others made, patched headers and crashes; a module per topic.

/// Folders of data, unpacking, passphrases.
mod common;
/// Formatting cut off at every write.
mod crash;
/// Images of other projects: payload hashes, refusals, no file changed.
mod images;
/// PBKDF2 and Argon2 of the standards and of other libraries.
mod kdf_vectors;
/// One byte range of a good header changed, one exact error expected.
mod patches;
