//! `resume` of what cryptsetup has left, and of what others have made of it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::halfway;
use crate::support::{Place, Run};

/// Runs it on one of the half-way images. They share their UUIDs, and with them cryptsetup's lock: whoever works on another
/// copy at this moment is waited for.
fn run_alone(place: &Place, line: &str) -> Run {
    let start = Instant::now();
    loop {
        let run = place.run(line);
        let is_held = run.code == 5 && run.stderr.contains("is being reencrypted by cryptsetup");
        if !is_held || start.elapsed() > Duration::from_secs(120) {
            return run;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What both keys prove is finished, and what nothing proves is not touched.
#[test]
fn half_way_images_are_finished_or_left_alone() {
    let place = halfway::unpacked();
    let names = place.names();
    let index = include_str!("../../../test-vectors/reencrypt/images.toml");
    let (mut finished, mut refused) = (0, 0);
    for entry in index.split("[[image]]").skip(1) {
        let field = |name: &str| {
            let mut lines = entry.lines();
            let line = lines.find_map(|line| line.strip_prefix(&format!("{name} = ")));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let image = &field("path").expect("a path");
        let header = Some(format!("{image}.hdr")).filter(|header| names.contains(header));
        let option = header
            .as_ref()
            .map_or(String::new(), |header| format!("--header {header}"));
        let state = || {
            let header = header.as_ref();
            (place.read(image), header.map(|header| place.read(header)))
        };
        let before = state();
        let run = run_alone(&place, &format!("resume {image} {option} --key-file pw"));
        match (image.as_str(), field("expect").as_deref()) {
            // Its second key has another passphrase.
            ("reencrypt-two-passphrases", _) => {
                run.expect(2);
                assert!(before == state(), "{image}");
                place.write("second", "second");
                run_alone(&place, &format!("resume {image} -d pw -d second")).expect(0);
            }
            // Nothing is begun: the header opens it.
            ("decrypt-shift-before", _) => {
                run.expect(1);
                assert!(before == state(), "{image}");
            }
            (_, Some("refuse")) => {
                run.expect(4);
                assert!(before == state(), "{image}");
                refused += 1;
            }
            (_, Some("read")) => {
                run.expect(0);
                let bytes = field("payload_bytes").expect("how many");
                let bytes = bytes.parse().expect("a number");
                let data = if image.starts_with("decrypt") {
                    assert!(header.is_some_and(|header| !place.path(header).exists()));
                    place.read(image)
                } else {
                    let line = format!("decrypt {image} - {option} --key-file pw");
                    place.run(&line).expect(0).stdout
                };
                assert!(data[..bytes] == halfway::pattern(bytes), "{image}");
                finished += 1;
            }
            _ => {}
        }
    }
    println!(
        "cases: half-way images finished {} passed, 0 failed",
        finished + refused
    );
    assert!(finished >= 35 && refused >= 9, "{finished} {refused}");
}

/// All is done, and a crash came between the wiping of the old keyslot and the header without it.
#[test]
fn an_old_keyslot_that_is_wiped_already_is_not_needed() {
    let place = halfway::unpacked();
    let image = "reencrypt-finished";
    let told = place.run(&format!("inspect {image} --json")).expect(0);
    let told: Value = serde_json::from_str(told.text()).expect("JSON");
    let keyslots = &told["metadata"]["keyslots"];
    let digest = told["metadata"]["digests"].as_object().expect("digests");
    let old = digest.values().find(|digest| {
        let segments = digest["segments"].as_array().expect("segments");
        // The final segment is the regular one's key, the one before is another's.
        !segments.iter().any(|segment| segment == "0") && !segments.is_empty()
    });
    let old = old.expect("the old key's digest")["keyslots"][0].clone();
    let area = &keyslots[old.as_str().expect("a number")]["area"];
    let number = |name: &str| -> usize {
        let text = area[name].as_str().expect("a number as text");
        text.parse().expect("a number")
    };
    let mut bytes = place.read(image);
    bytes[number("offset")..][..number("size")].fill(0xa5);
    place.write(image, bytes);
    run_alone(&place, &format!("resume {image} --key-file pw")).expect(0);
    let back = place.run(&format!("decrypt {image} - --key-file pw"));
    assert!(back.expect(0).stdout == halfway::pattern(65_536));
    let told = place.run(&format!("inspect {image}")).expect(0);
    assert!(!told.text().contains("reencrypts"), "{}", told.text());
}

/// Without a digest nothing proves what was begun: it is said and asked for. What a digest disproves is never done.
#[test]
fn what_nothing_proves_is_asked_for() {
    let place = halfway::unpacked();
    for image in ["forged-no-digest", "forged-old-flag"] {
        let before = place.read(image);
        run_alone(&place, &format!("resume {image} --key-file pw"))
            .expect(4)
            .says("no digest proves its state")
            .advises("resume --force goes on with it");
        run_alone(&place, &format!("resume {image} --key-file pw --force"))
            .expect(1)
            .says("What will be done: reencrypt, forward: aes-");
        assert!(place.read(image) == before, "{image}");
        run_alone(&place, &format!("resume {image} --key-file pw --force -q")).expect(0);
        let back = place
            .run(&format!("decrypt {image} - --key-file pw"))
            .expect(0);
        assert!(back.stdout == halfway::pattern(65_536), "{image}");
    }
    for image in ["forged-mode-decrypt", "forged-direction", "forged-v3"] {
        let before = place.read(image);
        run_alone(&place, &format!("resume {image} --key-file pw --force -q")).expect(4);
        assert!(place.read(image) == before, "{image}");
    }
}
