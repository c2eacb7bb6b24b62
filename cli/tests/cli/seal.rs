//! `header seal`, and what the verbs do with a sealed header.

use dmcrypt::HashAlgorithm;

use crate::support::{Place, Run, cheap_luks_place, every_verb};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const COPY: usize = 0x4000;

/// A sealed container `box`, one that is not sealed, `bare`, and others that somebody without the key has changed.
fn place() -> Place {
    let place = cheap_luks_place(8192);
    place.write("new", "new");
    place.write("token", r#"{"type": "other", "keyslots": []}"#);
    for name in ["bare", "box", "alien"] {
        place
            .run(&format!("encrypt raw {name} --key-file pw {CHEAP}"))
            .expect(0);
    }
    for name in ["box", "alien"] {
        place
            .run(&format!("header seal {name} --key-file pw"))
            .expect(0)
            .prints(&format!("the header of {name} is sealed in token 0\n"));
    }
    let (sealed, alien) = (place.read("box"), place.read("alien"));
    place.write("broken", changed(&sealed, |copy| copy[24] = b'x'));
    place.write(
        "newer",
        changed(&sealed, |copy| {
            let at = find(copy, b"\"version\":1");
            copy[at + 10] = b'2';
        }),
    );
    let seal = alien[find(&alien, b"luksmith-seal")..][..200].to_vec();
    place.write(
        "other",
        changed(&sealed, |copy| {
            let at = find(copy, b"luksmith-seal");
            copy[at..at + 200].copy_from_slice(&seal);
        }),
    );
    place
}

/// Both copies changed, and their checksums right.
fn changed(image: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut image = image.to_vec();
    for copy in image[..2 * COPY].chunks_mut(COPY) {
        change(copy);
        copy[448..512].fill(0);
        let checksum = HashAlgorithm::Sha256.digest(&[copy]);
        copy[448..480].copy_from_slice(&checksum);
    }
    image
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    let found = bytes.windows(part.len()).position(|it| it == part);
    found.expect("it is there")
}

impl Run {
    fn prints(self, text: &str) -> Self {
        assert_eq!(self.text(), text);
        self
    }
}

/// What unlocks `IMG`, but for what never gets so far with a sealed header or in this place.
const VERBS: &[&str] = &[
    "decrypt IMG out --key-file pw",
    "clone IMG out --key-file pw --keep-passphrase",
    "compare IMG IMG --key-file pw",
    "verify IMG --key-file pw",
    "key test IMG --key-file pw",
    "key export IMG --key-file pw --volume-key-file out -q",
    "key add IMG --key-file pw --new-keyfile new -q CHEAP",
    "key change IMG --key-file pw --new-keyfile new -q CHEAP",
    "key remove IMG --key-file pw -q",
    "header seal IMG --key-file pw",
    "header config IMG --label x --key-file pw",
    "token add IMG --key-description x --key-file pw",
    "token import IMG --json-file token --key-file pw",
    "token remove IMG --token-id 0 --key-file pw",
    "token assign IMG --token-id 0 --key-slot 0 --key-file pw",
    "token unassign IMG --token-id 0 --key-slot 0 --key-file pw",
    "serve IMG --key-file pw --socket out",
    "mount IMG pw --key-file pw",
];
const ELSEWHERE: &[&str] = &[
    // That of a key in its mangled form: among the forms of keys.
    "key unmangle",
    "reencrypt",
    "resume",
    "open",
    "mapping resize",
    "mapping resume",
    "mapping refresh",
];

#[test]
fn every_verb_that_unlocks_holds_the_header_to_its_seal() {
    let place = place();
    let names = place.names();
    let mut count = 0;
    for (image, option, says) in [
        ("bare", "--require-seal", "the header is not sealed"),
        (
            "broken",
            "--require-seal",
            "the seal is broken: the header was changed since it was sealed",
        ),
        (
            "newer",
            "--require-seal",
            "the seal is of version 2, and only version 1 is known here",
        ),
        (
            "other",
            "--require-seal",
            "the seal is of another volume: it was made under another volume key",
        ),
        (
            "box",
            "--require-seal --min-epoch 9",
            "the header is of epoch 2, which is older than 9",
        ),
    ] {
        let before = place.read(image);
        for verb in VERBS {
            let line = verb.replace("IMG", image).replace("CHEAP", CHEAP);
            let run = place.run(&format!("{line} {option}"));
            assert_eq!(run.code, 4, "{line} {option}: {}", run.stderr);
            run.says(says);
            assert!(place.read(image) == before, "{line}");
            assert_eq!(place.names(), names, "{line}");
            count += 1;
        }
    }
    let said: Vec<&str> = VERBS.iter().chain(ELSEWHERE).copied().collect();
    for (verb, help) in every_verb() {
        let takes = help.contains("--require-seal");
        let is_here = said.iter().any(|line| line.starts_with(&verb));
        assert_eq!(takes, is_here, "{verb}");
    }
    println!("cases: verbs under --require-seal {count} passed, 0 failed");
}

#[test]
fn what_is_right_passes() {
    let place = place();
    for option in ["--require-seal", "--require-seal --min-epoch 2"] {
        place
            .run(&format!("decrypt box out --key-file pw --force {option}"))
            .expect(0);
        assert!(place.read("out") == place.read("raw"));
        place
            .run(&format!("verify box --key-file pw {option}"))
            .expect(0);
        place
            .run(&format!("key test box --key-file pw {option}"))
            .expect(0);
    }
    let run = place.run("inspect box").expect(0);
    assert!(
        run.text()
            .contains("seal        token 0, version 1, unchecked")
    );
    let run = place.run("verify box").expect(0);
    assert!(
        run.text()
            .contains("only a key tells whether its seal is right")
    );
    let run = place.run("verify box --key-file pw").expect(0);
    assert!(run.text().contains("the seal is right"));
    place
        .run("verify broken --key-file pw")
        .expect(4)
        .says("the seal is broken");
    // Where none is asked for it is told, and the data come.
    let run = place.run("decrypt broken two --key-file pw").expect(0);
    assert!(
        run.stderr.contains("warning: broken: the seal is broken"),
        "{}",
        run.stderr
    );
    // A policy asks for it as the option does.
    place.write("policy", "[seal]\nrequired = true\n");
    place
        .run("decrypt box three --key-file pw --policy policy")
        .expect(0);
    place
        .run("decrypt bare four --key-file pw --policy policy")
        .expect(4)
        .says("the header is not sealed");
    place
        .run("verify bare --policy policy")
        .expect(4)
        .says("the header is not sealed");
    let run = place.run("inspect box --policy-template").expect(0);
    assert!(run.text().contains("[seal]\nrequired = true\n"));
    place
        .run("decrypt raw five --type plain --compat 2.6 --key-file pw --require-seal")
        .expect(1)
        .says("--require-seal does not go with a plain container");
    // A key that is not given is asked for.
    place.run("verify box --require-seal").expect(1);
}

#[test]
fn a_change_seals_anew_or_is_refused() {
    let lines = [
        "header config box --label x",
        "header config box --key-slot 0 --priority prefer",
        "token add box --key-description x",
        "token import box --json-file token",
        "token remove box --token-id 1",
        "token assign box --token-id 1 --key-slot 0",
        "token unassign box --token-id 1 --key-slot 1",
        "key remove box --key-slot 1 -q",
    ];
    let place = place();
    place
        .run("token import box --json-file token --key-file pw --require-seal")
        .expect(0);
    place
        .run(&format!(
            "key add box --key-file pw --new-keyfile new -q {CHEAP}"
        ))
        .expect(0);
    place
        .run("token assign box --token-id 1 --key-slot 1 --key-file pw")
        .expect(0);
    let before = place.read("box");
    for line in lines {
        place
            .run(line)
            .expect(1)
            .says("the header is sealed: a change of it needs a key, which seals it anew")
            .advises("--drop-seal takes the seal out of the header");
        assert!(place.read("box") == before, "{line}");
        place.run(&format!("{line} --key-file pw")).expect(0);
        assert!(place.read("box") != before, "{line}");
        place
            .run("key test box --key-file pw --require-seal")
            .expect(0);
        place.write("box", &before);
        place.run(&format!("{line} --drop-seal")).expect(0);
        place
            .run("key test box --key-file pw --require-seal")
            .expect(4)
            .says("the header is not sealed");
        place.write("box", &before);
    }
    for line in [
        "key add box --key-file pw --new-keyfile pw -q",
        "key change box --key-file pw --new-keyfile new -q",
    ] {
        place.run(&format!("{line} {CHEAP}")).expect(0);
        place
            .run("key test box --key-file new --require-seal")
            .expect(0);
        place.write("box", &before);
    }
    // What cannot seal anew.
    place
        .run("header convert box --type luks1 -q")
        .expect(1)
        .advises("--drop-seal");
    for line in [
        "reencrypt box -q --key-file pw",
        "decrypt --in-place box -q --key-file pw",
    ] {
        place
            .run(line)
            .expect(1)
            .says("the header is sealed, and a reencryption in place does not seal it anew")
            .advises("header unseal IMG takes the seal out of it");
        assert!(place.read("box") == before, "{line}");
    }
    // What was changed by somebody else is sealed by who says so.
    let broken = place.read("broken");
    for line in [
        "header config broken --label y --key-file pw",
        "token add broken --key-description x --key-file pw",
    ] {
        place.run(line).expect(4).says("the seal is broken");
        assert!(place.read("broken") == broken);
    }
    let run = place.run("header seal broken --key-file pw").expect(0);
    assert!(run.stderr.contains("warning: broken: the seal is broken"));
    place
        .run("key test broken --key-file pw --require-seal")
        .expect(0);
    place.run("header unseal broken").expect(0);
    place
        .run("header unseal broken")
        .expect(4)
        .says("the header is not sealed");
    // Nobody can check it then.
    place.run("header erase box -q").expect(0);
    assert!(!place.run("inspect box").expect(0).text().contains("seal"));
}

#[test]
fn a_seal_in_a_file() {
    let place = place();
    place
        .run(&format!(
            "encrypt raw old --type luks1 --key-file pw {CHEAP}"
        ))
        .expect(0);
    place
        .run(&format!(
            "encrypt raw data --header head --key-file pw {CHEAP}"
        ))
        .expect(0);
    place
        .run("header seal old --key-file pw")
        .expect(4)
        .says("LUKS1 has no tokens")
        .advises("--seal FILE");
    let cases = [
        ("old", "decrypt old out --force"),
        ("bare", "decrypt bare out --force"),
        ("head", "decrypt data out --force --header head"),
    ];
    for (header, decrypt) in cases {
        let before = place.read(header);
        place
            .run(&format!(
                "header seal {header} --key-file pw --seal seal-{header} --dry-run"
            ))
            .expect(0);
        assert!(!place.names().contains(&format!("seal-{header}")));
        place
            .run(&format!(
                "header seal {header} --key-file pw --seal seal-{header}"
            ))
            .expect(0);
        assert!(
            place.read(header) == before,
            "nothing in the container changes"
        );
        let decrypt = format!("{decrypt} --key-file pw --seal seal-{header}");
        place.run(&decrypt).expect(0);
        place.run(&format!("{decrypt} --require-seal")).expect(0);
        assert!(place.read("out") == place.read("raw"));
        // A bit in a keyslot that is not in use.
        let mut image = before.clone();
        let at = if header == "old" { 0x8_0000 } else { 0x8_0001 };
        image[at] ^= 1;
        place.write(header, &image);
        place
            .run(&decrypt)
            .expect(4)
            .says("the seal is broken: the header was changed since it was sealed");
        place.write(header, &before);
        // It is sealed again, over the one that there is.
        place
            .run(&format!(
                "header seal {header} --key-file pw --seal seal-{header}"
            ))
            .expect(0);
        place.run(&decrypt).expect(0);
    }
    place
        .run("decrypt alien out --force --key-file pw --seal seal-bare")
        .expect(4)
        .says("the seal is of another volume: its UUID is");
    place
        .run("decrypt bare out --force --key-file pw --seal raw")
        .expect(4)
        .says("the seal is broken: it is not JSON");
    place
        .run("header seal bare --key-file pw --seal pw")
        .expect(5)
        .says("pw exists");
    place
        .run("header seal bare --key-file pw --seal bare")
        .expect(1);
    place
        .run("decrypt bare none --key-file pw --seal missing")
        .expect(4)
        .says("cannot read missing");
}
