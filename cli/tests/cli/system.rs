//! What the system does not give: streams that are closed or full.

use crate::support::{Place, plain_place};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A container `box` of the passphrase in `pw`.
fn made() -> Place {
    let place = Place::new();
    place.write("pw", "right");
    place.write("raw", [7; 4096]);
    place
        .run(&format!("encrypt raw box {CHEAP} --key-file pw"))
        .expect(0);
    place
}

#[test]
fn a_closed_stream_is_refused_before_anything_is_made() {
    let place = plain_place(512);
    let before = place.names();
    let encrypt =
        "encrypt raw box --type plain --cipher aes-xts-plain64 --key-size 512 --key-file key";
    for (closed, name) in [("<&-", "input"), (">&-", "output")] {
        for line in [
            encrypt,
            "inspect raw",
            "--help",
            "cryptsetup --help",
            "cryptsetup luksDump raw",
        ] {
            // Under cryptsetup's name it is empty then.
            if name == "input" && line.starts_with("cryptsetup") {
                continue;
            }
            let run = place
                .sh(&format!("\"$LUKSMITH\" {line} {closed}"))
                .expect(1);
            run.says(&format!("standard {name} is closed"))
                .advises("/dev/null");
        }
    }
    place.sh(&format!("\"$LUKSMITH\" {encrypt} 2>&-")).expect(1);
    place.sh("\"$LUKSMITH\" cryptsetup --help <&-").expect(0);
    let format = "luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    place
        .sh(&format!("\"$LUKSMITH\" cryptsetup {format} raw <&-"))
        .expect(1)
        .says("Nothing to read on input");
    // Of compare, 1 says that the images differ.
    place.sh("\"$LUKSMITH\" compare raw raw >&-").expect(64);
    assert_eq!(place.names(), before);
}

/// The null device is what it was opened as: not for writing, and not by the caller.
#[test]
fn the_null_device_is_no_closed_stream() {
    let place = plain_place(512);
    place
        .sh("\"$LUKSMITH\" --help </dev/null >/dev/null 2>/dev/null")
        .expect(0);
    place
        .sh("\"$LUKSMITH\" --help <>/dev/null >&0 2>&0")
        .expect(0);
}

#[test]
fn a_result_that_cannot_be_printed_is_said() {
    let place = made();
    for line in [
        "--help",
        "--version",
        "key --help",
        "inspect box",
        "inspect box --json",
        "inspect box --policy-template",
        "verify box",
        "verify box --json",
        "measure --payload-size 1M",
        "key list box",
        "key test box --key-file pw",
        "key test box --key-file pw --json",
        "header repair box --json",
        "token add box --key-description x --dry-run",
        "completions bash",
        "cryptsetup --help",
        "cryptsetup --version",
        "cryptsetup luksDump box",
        "cryptsetup luksUUID box",
    ] {
        let run = place
            .sh(&format!("\"$LUKSMITH\" {line} >/dev/full"))
            .expect(1);
        run.says("cannot write standard output: No space left on device");
    }
    let run = place
        .sh("\"$LUKSMITH\" compare raw raw >/dev/full")
        .expect(64);
    run.says("cannot write standard output: No space left on device");
}

/// What goes to standard error is lost where that is full, and nothing else.
#[test]
fn a_message_that_cannot_be_printed_ends_nothing() {
    let place = made();
    place
        .sh("\"$LUKSMITH\" key test box --key-file pw 2>/dev/full")
        .expect(0);
    place
        .sh("\"$LUKSMITH\" key test box --key-file raw 2>/dev/full")
        .expect(2);
    let plain = "cryptsetup open --type plain --test-passphrase box x";
    let code = place.sh(&format!("echo x | \"$LUKSMITH\" {plain}")).code;
    place
        .sh(&format!("echo x | \"$LUKSMITH\" {plain} 2>/dev/full"))
        .expect(code);
    place
        .sh(&format!("\"$LUKSMITH\" {CHEAP} 2>/dev/full"))
        .expect(1);
}
