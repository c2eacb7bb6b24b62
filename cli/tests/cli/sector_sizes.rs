//! Sectors that follow what is in the image, and sources that may have been meant otherwise.

use serde_json::Value;

use crate::support::{PLAIN, Place, Run, pattern};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const ALLOW: &str = "--allow-any-sector-size";

/// An XFS file system, as far as its superblock says that: sectors of so many bytes.
fn xfs(sector_bytes: u16, bytes: usize) -> Vec<u8> {
    let mut image = vec![0; bytes];
    image[..4].copy_from_slice(b"XFSB");
    image[102..104].copy_from_slice(&sector_bytes.to_be_bytes());
    image
}

fn place() -> Place {
    let place = Place::new();
    place.write("pw", "pw");
    place.write("key", pattern(64));
    for bytes in [512, 1024, 2048, 4096] {
        place.write(&format!("xfs{bytes}"), xfs(bytes, 64 << 10));
    }
    place.write("blank", vec![0; 64 << 10]);
    place
}

fn sectors(run: &Run) -> (u64, String) {
    let report: Value = serde_json::from_str(run.text()).expect("JSON");
    let reason = report["sector_size_reason"].as_str().expect("a reason");
    let size = report["sector_size"].as_u64().expect("a number");
    (size, reason.to_owned())
}

#[test]
fn they_are_the_largest_that_the_image_can_live_with() {
    let place = place();
    for bytes in [512_u16, 1024, 2048, 4096] {
        let name = format!("xfs{bytes}");
        let raw = place.read(&name);
        let options = format!("--json --force {CHEAP}");
        let of_file = place
            .run(&format!("encrypt {name} box {options}"))
            .expect(0);
        let of_stream = place
            .run_with(&format!("encrypt - box {options}"), &raw)
            .expect(0);
        let measured = place.run(&format!("measure {name} --json")).expect(0);
        for run in [of_file, of_stream, measured] {
            let (size, reason) = sectors(&run);
            assert_eq!(size, u64::from(bytes), "{name}");
            let expected = format!("an XFS file system with sectors of {bytes} bytes");
            assert_eq!(reason, expected);
            assert_eq!(run.stderr, "");
        }
        place
            .run("decrypt box back --force --key-file pw")
            .expect(0);
        assert!(place.read("back") == raw, "{name}");
    }
    for (line, size, why) in [
        ("encrypt blank box", 4096, "nothing that was recognised"),
        ("encrypt xfs4096 box --type luks1", 512, "LUKS1"),
        ("encrypt xfs512 box --sector-size 512", 512, "asked for"),
        ("encrypt xfs4096 box --sector-size 1024", 1024, "asked for"),
        ("create box --payload-size 1M", 4096, "nothing"),
        ("create box --payload-size 512", 512, "no whole number"),
    ] {
        let line = format!("{line} --json --force {CHEAP}");
        let (found, reason) = sectors(&place.run(&line).expect(0));
        assert_eq!(found, size, "{line}");
        assert!(reason.contains(why), "{line}: {reason}");
    }
    for (line, size, why) in [
        ("measure --payload-size 1M", 4096, "nothing"),
        ("measure --payload-size 512", 512, "no whole number"),
        ("measure xfs4096 --type plain", 512, "plain"),
        (
            "encrypt xfs4096 box2 --type plain --compat 2.7 --key-file key --dry-run",
            512,
            "plain",
        ),
    ] {
        let (found, reason) = sectors(&place.run(&format!("{line} --json")).expect(0));
        assert_eq!(found, size, "{line}");
        assert!(reason.contains(why), "{line}: {reason}");
    }
    // People are told too, and what the default is stands in the help.
    let why = "an XFS file system with sectors of 512 bytes";
    let dry = place
        .run(&format!("encrypt xfs512 no --dry-run {CHEAP}"))
        .expect(0);
    assert!(dry.text().contains(why), "{}", dry.text());
    let measured = place.run("measure xfs512").expect(0);
    assert!(measured.text().contains(why), "{}", measured.text());
    let help = place.run("encrypt --help").expect(0);
    assert!(help.text().contains("file system or partition table in it"));
}

#[test]
fn larger_ones_are_refused_by_name() {
    let place = place();
    let names = place.names();
    let raw = place.read("xfs512");
    for (line, streams) in [
        (
            format!("encrypt xfs512 box --sector-size 4096 {CHEAP}"),
            false,
        ),
        (
            format!("encrypt xfs512 box --sector-size 1024 {CHEAP}"),
            false,
        ),
        (format!("encrypt - box --sector-size 4096 {CHEAP}"), true),
        (
            format!("encrypt xfs512 box --sector-size 2048 {PLAIN}"),
            false,
        ),
        (format!("encrypt - box --sector-size 2048 {PLAIN}"), true),
        ("measure xfs512 --sector-size 4096".to_owned(), false),
        (
            "measure xfs512 --sector-size 4096 --type plain".to_owned(),
            false,
        ),
    ] {
        let run = |line: &str| {
            if streams {
                place.run_with(line, &raw)
            } else {
                place.run(line)
            }
        };
        run(&line)
            .expect(1)
            .says("holds an XFS file system with sectors of 512 bytes")
            .advises(ALLOW);
        if line.starts_with("encrypt") {
            run(&format!("{line} --force")).expect(1).advises(ALLOW);
        }
        assert_eq!(place.names(), names, "{line}");
        let warned = run(&format!("{line} {ALLOW}")).expect(0).stderr;
        assert!(
            warned.contains("warning:") && warned.contains("XFS"),
            "{warned}"
        );
        if line.starts_with("encrypt") {
            std::fs::remove_file(place.path("box")).expect("it was made");
        }
    }
}

#[test]
fn a_stream_that_ends_within_a_larger_sector_is_filled_and_a_cut_one_refused() {
    let place = place();
    let odd = xfs(4096, (64 << 10) + 512);
    let line = format!("encrypt - box {CHEAP}");
    let run = place.run_with(&line, &odd).expect(0);
    assert!(
        run.stderr.contains("warning:") && run.stderr.contains("so that 3584 zeros follow them"),
        "{}",
        run.stderr
    );
    place.run("decrypt box back --key-file pw").expect(0);
    let back = place.read("back");
    assert!(back.starts_with(&odd) && back.len() == 68 << 10);
    std::fs::remove_file(place.path("box")).expect("it was made");

    place
        .run_with(&line, &odd[..odd.len() - 1])
        .expect(1)
        .says("66047 bytes are no multiple of the sector size 512")
        .advises("--pad");
    assert!(!place.path("box").exists());

    // A file's length is known before.
    place.write("odd", &odd);
    let run = place
        .run(&format!("encrypt odd box --json {CHEAP}"))
        .expect(0);
    assert_eq!(sectors(&run).0, 512);
    assert_eq!(run.stderr, "");
}

#[test]
fn an_empty_source_makes_no_container_unless_it_is_allowed() {
    let place = place();
    place.write("empty", "");
    for options in [
        CHEAP.to_owned(),
        format!("{CHEAP} --type luks1"),
        PLAIN.to_owned(),
        format!("{CHEAP} --force"),
    ] {
        for (source, name) in [("empty", "empty"), ("-", "standard input")] {
            let line = format!("encrypt {source} box {options}");
            place
                .run_with(&line, b"")
                .expect(1)
                .says(&format!("{name} is empty (0 bytes)"))
                .advises("--allow-empty");
            assert!(!place.path("box").exists(), "{line}");
            place
                .run_with(&format!("{line} --allow-empty"), b"")
                .expect(0);
            std::fs::remove_file(place.path("box")).expect("it was made");
        }
    }
}

#[test]
fn streams_of_containers_are_not_taken_for_raw_images() {
    let place = place();
    let allow = "--allow-any-source";
    for (magic, what) in [
        (&b"LUKS\xba\xbe\0\x01"[..], "a LUKS"),
        (b"QFI\xfb\0\0\0\x03", "a qcow2 image"),
    ] {
        let mut image = magic.to_vec();
        image.resize(4096, 0);
        place.write("image", &image);
        for line in [
            format!("encrypt - box {CHEAP}"),
            format!("encrypt image box {CHEAP}"),
            format!("decrypt - box {PLAIN}"),
            format!("decrypt image box {PLAIN}"),
        ] {
            for force in ["", "--force"] {
                place
                    .run_with(&format!("{line} {force}"), &image)
                    .expect(1)
                    .says(what)
                    .advises(allow);
                assert!(!place.path("box").exists(), "{line}");
            }
            place.run_with(&format!("{line} {allow}"), &image).expect(0);
            std::fs::remove_file(place.path("box")).expect("it was made");
        }
        // Behind an offset somebody has looked for it.
        place
            .run(&format!("decrypt image box --offset 1 {PLAIN}"))
            .expect(0);
        std::fs::remove_file(place.path("box")).expect("it was made");
    }
}

/// More than is looked at comes through unharmed, in pieces as small as a writer likes.
#[test]
fn the_start_of_a_stream_is_not_lost() {
    let place = place();
    let mut raw = pattern(300 << 10);
    raw[..128].copy_from_slice(&xfs(1024, 128));
    place.write("raw", &raw);
    let slow = "(dd bs=7 count=3; sleep 0.1; cat) <raw 2>/dev/null";
    place
        .sh(&format!("{slow} | \"$LUKSMITH\" encrypt - box {CHEAP}"))
        .expect(0);
    place.run("decrypt box back --key-file pw").expect(0);
    assert!(place.read("back") == raw);
}
