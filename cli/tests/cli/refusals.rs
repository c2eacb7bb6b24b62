//! Bad input: each kind has its message and its exit code, and leaves no destination.

use std::time::{Duration, Instant};

use crate::support::{PLAIN, Place, every_verb, pattern, plain_place};

#[test]
fn usage_errors_are_1() {
    let place = Place::new();
    for arguments in [
        "",
        "nonsense",
        "encrypt",
        "encrypt raw",
        "encrypt raw box --nonsense",
        "encrypt raw box --type nonsense",
        "encrypt raw box --type plain --threads 0",
        "encrypt raw box --type plain --key-file a --key-fd 3",
        "completions tcsh",
    ] {
        let run = place.run(arguments).expect(1);
        assert!(
            run.stdout.is_empty() && !run.stderr.is_empty(),
            "{arguments}"
        );
    }
}

#[test]
fn help_and_version_are_results() {
    let place = Place::new();
    for arguments in ["--help", "-h", "--version", "encrypt --help", "encrypt -h"] {
        let run = place.run(arguments).expect(0);
        assert!(
            run.stderr.is_empty() && !run.stdout.is_empty(),
            "{arguments}"
        );
    }
    place.sh("\"$LUKSMITH\" encrypt --help | true").expect(0);
}

#[test]
fn a_source_that_cannot_be_read_is_4() {
    let place = plain_place(512);
    std::fs::create_dir(place.path("folder")).expect("a folder");
    for verb in ["encrypt", "decrypt"] {
        place
            .run(&format!("{verb} missing box {PLAIN}"))
            .expect(4)
            .says("cannot open missing: No such file");
        place
            .run(&format!("{verb} folder box {PLAIN}"))
            .expect(4)
            .says("folder is a directory");
    }
    place
        .run(&format!("decrypt raw box {PLAIN} --offset 2"))
        .expect(4)
        .says("raw: 512 bytes, where 1024 are needed");
    place
        .run_with(&format!("decrypt - box {PLAIN} --offset 2"), &pattern(512))
        .expect(4)
        .says("standard input: 512 bytes");
    assert_eq!(place.names(), ["folder", "key", "raw"]);
}

#[test]
fn a_container_is_not_taken_for_a_raw_image() {
    let place = plain_place(512);
    for (name, magic, what) in [
        ("luks", &b"LUKS\xba\xbe\0\x01"[..], "a LUKS header"),
        ("qcow2", b"QFI\xfb\0\0\0\x03", "a qcow2 image"),
        ("vmdk", b"KDMV\x01\0\0\0", "a VMDK image"),
        ("vhd", b"conectix\0\0\0\x02", "a VHD image"),
        ("vhdx", b"vhdxfileQ\0E\0", "a VHDX image"),
    ] {
        let mut image = magic.to_vec();
        image.resize(4096, 0);
        place.write(name, image);
        for force in ["", "--force"] {
            place
                .run(&format!("encrypt {name} box {PLAIN} {force}"))
                .expect(1)
                .says(what)
                .advises("--allow-any-source");
            assert!(!place.path("box").exists());
        }
        place
            .run(&format!(
                "encrypt {name} box-{name} {PLAIN} --allow-any-source"
            ))
            .expect(0);
    }
}

#[test]
fn a_source_that_shrinks_while_it_is_read_is_4() {
    // The source is cut once the destination has begun to grow; it is far too large to be finished by then. Of a
    // source of `encrypt` the holes are not read: they must not be taken for zeros when they are gone.
    for verb in ["encrypt", "decrypt"] {
        let place = plain_place(512);
        let script = format!(
            "truncate -s 64G sparse; \"$LUKSMITH\" {verb} sparse box {PLAIN} & \
             while [ ! -s .box.* ]; do sleep 0.01; done 2>/dev/null; truncate -s 1M sparse; wait $!"
        );
        let start = Instant::now();
        place.sh(&script).expect(4).says("shrank while it was read");
        assert!(start.elapsed() < Duration::from_secs(20), "{verb}");
        assert_eq!(place.names(), ["key", "raw", "sparse"]);
    }
}

/// What is on the command line everybody on the machine can read.
#[test]
fn e3_no_option_takes_a_secret() {
    const SOURCES: [&str; 14] = [
        "--backing-key-file <FILE>",
        "--key-file <FILE>",
        "--new-keyfile <FILE>",
        "--volume-key-file <FILE>",
        "--volume-key-file <OUT>",
        "--key-fd <N>",
        "--new-key-fd <N>",
        "--secret <REF>",
        "--new-secret <REF>",
        // How to read them, and what is no secret.
        "--keyfile-offset <SIZE>",
        "--keyfile-size <SIZE>",
        "--new-keyfile-offset <SIZE>",
        "--new-keyfile-size <SIZE>",
        "--key-encoding <ENCODING>",
    ];
    const NO_SECRETS: [&str; 13] = [
        // The name of one.
        "--key-id <UUID>",
        "--key-slot <N>",
        "--new-key-slot <N>",
        "--key-size <BITS>",
        "--volume-key-size <BITS>",
        "--key-format <FORMAT>",
        "--key-description <TEXT>",
        "--keyslot-cipher <SPEC>",
        "--keyslot-key-size <BITS>",
        "--luks2-keyslots-size <SIZE>",
        "--source-key-size <BITS>",
        // Where one that is made goes.
        "--recovery-key <FILE>",
        "--recovery-key-dir <DIR>",
    ];
    let mut count = 0;
    for (verb, help) in every_verb() {
        // `  -d, --key-file <FILE>  What it is`
        let defined = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'));
        for line in defined {
            let option = line.find("--").and_then(|at| {
                let end = line.find('>')?;
                line.get(at..=end)
            });
            let about_keys = option.filter(|option| {
                let name = option.split(' ').next().unwrap_or_default();
                ["key", "pass", "secret"]
                    .iter()
                    .any(|word| name.contains(word))
            });
            if let Some(option) = about_keys {
                assert!(
                    SOURCES.contains(&option) || NO_SECRETS.contains(&option),
                    "{verb}: {option}"
                );
                count += 1;
            }
        }
    }
    println!("cases: options about keys {count} passed, 0 failed");
    assert!(count > 50);
}

/// What cannot be wiped for certain is said where it would be relied on.
#[test]
fn e9_what_overwriting_may_leave_is_said() {
    for (verb, help) in every_verb() {
        if ["header erase", "key remove"].contains(&verb.as_str()) {
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                help.contains("on flash storage, in snapshots"),
                "{verb}: {help}"
            );
        }
    }
}

#[test]
fn names_are_shown_without_control_characters() {
    let place = plain_place(512);
    let run = place.sh(&format!(
        "\"$LUKSMITH\" encrypt \"$(printf 'a\\033[31mb')\" box {PLAIN}"
    ));
    run.expect(4).says("cannot open a\\u{1b}[31mb");
}

#[test]
fn colours_are_for_terminals() {
    let place = plain_place(512);
    let run = place.run(&format!("encrypt missing box {PLAIN}")).expect(4);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}
