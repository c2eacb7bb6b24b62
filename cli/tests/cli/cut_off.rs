use dmcrypt::HashAlgorithm;

use crate::support::{Place, cheap_luks_place};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// Bytes of one LUKS2 header copy.
const COPY: usize = 16384;

/// The verbs that change a header, ours and cryptsetup's.
fn lines(kind: &str) -> Vec<String> {
    let other = if kind == "luks1" { "luks2" } else { "luks1" };
    let face = "cryptsetup --batch-mode";
    vec![
        "header erase -q box".into(),
        "header restore -q --header-backup-file saved box".into(),
        format!("key add -q {CHEAP} --key-file pw --new-keyfile third box"),
        format!("key add -q {CHEAP} --key-file second --new-keyfile third box"),
        format!("key change -q {CHEAP} --key-file pw --new-keyfile third box"),
        format!("key change -q {CHEAP} --key-file second --new-keyfile third box"),
        "key remove -q --key-file pw box".into(),
        "key remove -q --key-slot 1 box".into(),
        "header config -q --uuid 01234567-89ab-4def-8123-456789abcdef box".into(),
        format!("header convert -q --type {other} box"),
        "header repair box".into(),
        format!("{face} erase box"),
        format!("{face} luksHeaderRestore --header-backup-file saved box"),
        format!("{face} luksAddKey {CHEAP} --key-file pw box third"),
        format!("{face} luksChangeKey {CHEAP} --key-file pw box third"),
        format!("{face} luksRemoveKey --key-file pw box"),
        format!("{face} luksKillSlot box 1"),
        format!("{face} luksUUID --uuid 01234567-89ab-4def-8123-456789abcdef box"),
        format!("{face} convert --type {other} box"),
        format!("{face} repair box"),
    ]
}

/// A container with two keyslots, which `pw` and `second` open, as `box`; its backup is `saved`.
fn container(kind: &str) -> Place {
    let place = cheap_luks_place(8192);
    place.write("second", "another passphrase");
    place.write("third", "one more");
    place
        .run(&format!(
            "encrypt -q raw box --type {kind} --key-file pw {CHEAP}"
        ))
        .expect(0);
    place
        .run(&format!(
            "key add -q box --key-file pw --new-keyfile second {CHEAP}"
        ))
        .expect(0);
    place
        .run("header backup -q box --header-backup-file saved")
        .expect(0);
    place
}

/// Where the area of a keyslot starts.
fn area(place: &Place, keyslot: usize) -> usize {
    let report = place.run("inspect box --json").expect(0);
    let report: serde_json::Value = serde_json::from_str(report.text()).expect("JSON");
    let offset = report["keyslots"][keyslot]["area_offset"].as_u64();
    usize::try_from(offset.expect("a number")).expect("fits")
}

/// What fails has written nothing, and nothing makes the container longer.
#[track_caller]
fn all_or_nothing(place: &Place, kind: &str, image: &[u8], what: &str) -> usize {
    let lines = lines(kind);
    for line in &lines {
        place.write("box", image);
        let run = place.run(line);
        let after = place.read("box");
        assert_eq!(after.len(), image.len(), "{what}: {line}: {}", run.stderr);
        assert!(
            run.code == 0 || after == image,
            "{what}: {line}: {} after it has written: {}",
            run.code,
            run.stderr
        );
    }
    lines.len()
}

#[test]
fn whatever_is_cut_off() {
    let mut tried = 0;
    for kind in ["luks1", "luks2"] {
        let place = container(kind);
        let image = place.read("box");
        let mut ends = vec![
            area(&place, 0) + 512,
            area(&place, 1) - 1,
            area(&place, 1) + 512,
            area(&place, 1) + (area(&place, 1) - area(&place, 0)) * 5 / 2,
        ];
        if kind == "luks2" {
            ends.extend([COPY + 100, COPY + 4096, 2 * COPY]);
        }
        for end in ends {
            let what = format!("{kind} of {end} bytes");
            tried += all_or_nothing(&place, kind, &image[..end], &what);
        }
        // What can be done is done: the container that is whole is changed by all of them.
        for line in lines(kind) {
            place.write("box", &image);
            let run = place.run(&line);
            let may_fail = ["repair", "convert", "cryptsetup"];
            let may_fail = may_fail.iter().any(|word| line.contains(word));
            assert!(may_fail || run.code == 0, "{line}: {}", run.stderr);
        }
    }
    println!("cases: changes of containers that are cut off {tried} passed, 0 failed");
}

#[test]
fn whatever_differs() {
    let place = container("luks2");
    let image = place.read("box");
    let old = b"\"iterations\":1000";
    let at = image.windows(old.len()).position(|text| text == old);
    let at = at.expect("in the JSON") + old.len() - 1;
    let same_epoch = |image: &mut [u8]| {
        image[COPY + at] = b'1';
        fix_checksum(&mut image[COPY..2 * COPY]);
    };
    let older = |image: &mut [u8]| {
        same_epoch(image);
        image[COPY + 23] -= 1;
        fix_checksum(&mut image[COPY..2 * COPY]);
    };
    let damaged = |image: &mut [u8]| image[5000] ^= 1;
    let mut tried = 0;
    for (what, patch) in [
        (
            "copies of one epoch that differ",
            &same_epoch as &dyn Fn(&mut [u8]),
        ),
        ("an older copy", &older),
        ("a damaged copy", &damaged),
    ] {
        let mut image = image.clone();
        patch(&mut image);
        tried += all_or_nothing(&place, "luks2", &image, what);
        // A restore does not need to know which of them is right.
        place.write("box", &image);
        place
            .run("header restore -q --header-backup-file saved box")
            .expect(0);
        place.run("verify box").expect(0);
    }
    println!("cases: changes of containers whose copies differ {tried} passed, 0 failed");
}

fn fix_checksum(copy: &mut [u8]) {
    copy[448..512].fill(0);
    let checksum = HashAlgorithm::Sha256.digest(&[copy]);
    copy[448..480].copy_from_slice(&checksum);
}
