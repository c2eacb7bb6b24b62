use std::process::Command;

use crate::common::{PROGRAM, Place};

/// The header lock of a block device is cryptsetup's own: each waits for the other, reader or writer, and does what it was
/// asked for then. That somebody waits is what the kernel says of its locks, and no matter of time.
#[test]
fn the_lock_of_a_block_device_is_cryptsetups() {
    let place = Place::new();
    place.write("key", "secret");
    place.hole("image", 20 << 20);
    let mut script = Command::new("bash");
    script.args(["-c", include_str!("device_lock.sh")]);
    place.succeed(script.env("PROGRAM", PROGRAM));
}
