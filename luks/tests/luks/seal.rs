mod changes;

use std::sync::Arc;

use dmcrypt::VolumeKey;
use luks::config::{ConfigChanges, configure};
use luks::edit::{seal, unseal};
use luks::format::Version;
use luks::keyslots::{self};
use luks::luks2::Priority;
use luks::policy::SealPolicy;
use luks::seal::{FileSeal, SealWanted};
use luks::{Error, Header, Luks, OsRandom, Policy, SealProblem, UnlockOptions, Unlocked, tokens};
use serde_json::json;
use volume::{MemoryStorage, SimulatedStorage, Storage};
use zeroize::Zeroizing;

use self::changes::{CHANGES, sealed_with_two};
use crate::common::{memory, passphrase, test_vectors, unlock, unxz};
use crate::copies::fix_checksum;
use crate::keyslots::{COPY, container, open};
use crate::tampering::{changes, json_of, with_json};

const REQUIRED: SealWanted<'static> = SealWanted {
    required: true,
    file: None,
    min_epoch: None,
};

fn options(seal: SealWanted<'_>) -> UnlockOptions<'_> {
    UnlockOptions {
        seal,
        ..UnlockOptions::default()
    }
}

fn copy_of(key: &VolumeKey) -> VolumeKey {
    VolumeKey::from_bytes(Zeroizing::new(key.expose().to_vec()))
}

/// A container that "old" opens, with its seal in token 0.
fn sealed() -> Arc<MemoryStorage> {
    let disk = container(Version::Luks2);
    let luks = open(&disk);
    let unlocked = unlock(&luks, b"old").unwrap();
    assert_eq!(seal(&luks, &unlocked, &mut OsRandom).unwrap(), 0);
    disk
}

fn held(luks: &Luks, secret: &[u8], wanted: SealWanted<'_>) -> Result<Unlocked, SealProblem> {
    match luks.unlock(&passphrase(secret), &options(wanted)) {
        Ok(unlocked) => Ok(unlocked),
        Err(Error::Seal(problem)) => Err(problem),
        Err(error) => panic!("{error}"),
    }
}

/// Whether the seal in the header is right.
fn judged(disk: &Arc<MemoryStorage>, secret: &[u8]) -> Result<(), SealProblem> {
    held(&open(disk), secret, REQUIRED).map(drop)
}

fn epoch(disk: &Arc<MemoryStorage>) -> u64 {
    match open(disk).header() {
        Header::Luks2(header) => header.binary.epoch,
        Header::Luks1(_) => 0,
    }
}

/// Made by `test-vectors/seal/seal.py`.
#[test]
fn seals_that_another_program_made_are_right() {
    let folder = test_vectors();
    let disk = memory(unxz(&folder.join("luks2/sealed.img.xz")));
    assert!(held(&open(&disk), b"golden", REQUIRED).is_ok());
    let mut image = disk.snapshot();
    for copy in [0, COPY] {
        image[copy + 24] = b'x';
        fix_checksum(&mut image, copy, COPY);
    }
    let broken = held(&open(&memory(image)), b"golden", REQUIRED).err();
    assert_eq!(broken, Some(SealProblem::Broken));

    let disk = memory(unxz(&folder.join("luks1/sealed.img.xz")));
    let file = std::fs::read(folder.join("luks1/sealed.seal")).unwrap();
    let file = FileSeal::parse(&file).unwrap();
    let wanted = SealWanted {
        file: Some(&file),
        ..SealWanted::default()
    };
    assert!(held(&open(&disk), b"golden", wanted).is_ok());
    disk.write_at(file.bytes() - 1, b"x").unwrap();
    let broken = held(&open(&disk), b"golden", wanted).err();
    assert_eq!(broken, Some(SealProblem::Broken));
    assert_eq!(
        held(&open(&disk), b"golden", REQUIRED).err(),
        Some(SealProblem::Missing)
    );
}

/// What a seal refuses, and of what is accepted why.
struct Count {
    key: VolumeKey,
    before: Luks,
    parser: usize,
    key_does_not_fit: usize,
    seal: usize,
    other_copy: usize,
}

impl Count {
    fn of(image: &[u8]) -> Self {
        let before = open(&memory(image.to_vec()));
        let unlocked = held(&before, b"old", REQUIRED).unwrap();
        Self {
            key: copy_of(unlocked.volume_key()),
            before,
            parser: 0,
            key_does_not_fit: 0,
            seal: 0,
            other_copy: 0,
        }
    }

    /// Either it is refused, or the other copy is used, which nobody has touched.
    fn judge(&mut self, image: Vec<u8>, is_both: bool, what: &str) {
        let Ok(luks) = Luks::open(memory(image)) else {
            self.parser += 1;
            return;
        };
        match luks.unlock_with_volume_key(copy_of(&self.key), &options(REQUIRED)) {
            Err(Error::Seal(_)) => self.seal += 1,
            Err(_) => self.key_does_not_fit += 1,
            Ok(_) => {
                assert!(!is_both, "{what}: accepted");
                assert_eq!(luks.warnings().len(), 1, "{what}: accepted");
                let (Header::Luks2(before), Header::Luks2(after)) =
                    (self.before.header(), luks.header())
                else {
                    panic!("{what}: another format");
                };
                assert!(after.says_the_same_as(before), "{what}: accepted");
                self.other_copy += 1;
            }
        }
    }

    fn print(&self, name: &str) {
        let refused = self.parser + self.key_does_not_fit + self.seal;
        println!(
            "cases: {name} {} passed, 0 failed ({} by the seal, {} by the parser, {} by the key; {} of one copy, in whose place the other is used)",
            refused + self.other_copy,
            self.seal,
            self.parser,
            self.key_does_not_fit,
            self.other_copy
        );
    }
}

#[test]
fn a_seal_refuses_every_change_of_the_json() {
    let disk = sealed();
    let luks = open(&disk);
    held(&luks, b"old", REQUIRED).unwrap();
    let note = json!({"type": "note", "keyslots": ["0"], "text": ["a", 1, null, true]});
    let note = note.as_object().unwrap().clone();
    tokens::add(&luks, note, None, false, &mut OsRandom).unwrap();
    let image = disk.snapshot();
    let mut count = Count::of(&image);
    for (what, changed) in changes(&json_of(&image, 0)) {
        for copies in [&[0, COPY][..], &[0], &[COPY]] {
            let what = format!("{what} in {copies:?}");
            let is_both = copies.len() == 2;
            let image = with_json(&image, copies, &changed).unwrap();
            count.judge(image.clone(), is_both, &what);
            if !is_both {
                // As newer than the other copy: it alone is used.
                let mut newer = image;
                newer[copies[0] + 23] = 0xff;
                fix_checksum(&mut newer, copies[0], COPY);
                count.judge(newer, false, &what);
            }
        }
    }
    assert!(count.seal > 500, "{}", count.seal);
    count.print("sealed header, JSON");
}

/// The checksum is made right again wherever it is not itself what is changed.
#[test]
fn a_seal_refuses_every_byte_of_both_binary_headers_but_the_salts() {
    let image = sealed().snapshot();
    let mut count = Count::of(&image);
    let mut of_salts = 0;
    for at in 0..4096 {
        for copies in [&[0, COPY][..], &[0], &[COPY]] {
            // Behind the fields no bit differs from another.
            let masks = if at < 512 {
                &[0x01, 0x80, 0xff][..]
            } else {
                &[0xff]
            };
            for mask in masks {
                let mut image = image.clone();
                for copy in copies {
                    image[copy + at] ^= mask;
                    if !(448..512).contains(&at) {
                        fix_checksum(&mut image, *copy, COPY);
                    }
                }
                let what = format!("byte {at} ^ {mask:#x} {copies:?}");
                if (104..168).contains(&at) {
                    assert!(
                        held(&open(&memory(image)), b"old", REQUIRED).is_ok(),
                        "{what}"
                    );
                    of_salts += 1;
                } else {
                    count.judge(image, copies.len() == 2, &what);
                }
            }
        }
    }
    assert_eq!(of_salts, 64 * 3 * 3);
    // The filling is read by no parser.
    assert!(count.seal > 3584 * 3, "{}", count.seal);
    count.print("sealed header, binary headers");
}

/// Spaces, another order of members, another spelling of a text: the same JSON, and other bytes.
#[test]
fn the_bytes_are_sealed_and_not_their_meaning() {
    let disk = sealed();
    let image = disk.snapshot();
    let area = &image[4096..COPY];
    let text = String::from_utf8(area[..area.iter().position(|byte| *byte == 0).unwrap()].into());
    let text = text.unwrap();
    for (from, to) in [
        (":", ": "),
        ("\"type\":\"luks2\"", "\"type\":\"luk\\u0073\\u0032\""),
        ("\"version\":1", "\"version\":1.0e0"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        for copies in [&[0, COPY][..], &[0], &[COPY]] {
            let mut image = image.clone();
            for copy in copies {
                image[copy + 4096..copy + COPY].fill(0);
                image[copy + 4096..][..other.len()].copy_from_slice(other.as_bytes());
                fix_checksum(&mut image, *copy, COPY);
            }
            // Equal epochs and other bytes in one copy: both are checked.
            match Luks::open(memory(image)) {
                Ok(luks) => assert!(held(&luks, b"old", REQUIRED).is_err(), "{to} {copies:?}"),
                Err(error) => assert!(to.contains("e0"), "{error}"),
            }
        }
    }
}

#[test]
fn each_problem_of_a_seal_has_its_own_name() {
    let disk = container(Version::Luks2);
    assert_eq!(judged(&disk, b"old"), Err(SealProblem::Missing));
    let disk = sealed();
    assert_eq!(judged(&disk, b"old"), Ok(()));
    let image = disk.snapshot();
    let json = json_of(&image, 0);
    let with = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        edit(&mut json);
        judged(
            &memory(with_json(&image, &[0, COPY], &json).unwrap()),
            b"old",
        )
        .unwrap_err()
    };
    assert_eq!(
        with(&|json| json["tokens"]["0"]["version"] = json!(2)),
        SealProblem::Newer {
            version: 2,
            known: 1
        }
    );
    assert_eq!(
        with(&|json| json["tokens"]["1"] = json!({"type": "note", "keyslots": []})),
        SealProblem::Broken
    );
    for member in ["version", "salt", "mac"] {
        assert!(matches!(
            with(&|json| json["tokens"]["0"][member] = json!("x")),
            SealProblem::Malformed(_)
        ));
    }
    assert!(matches!(
        with(&|json| json["tokens"]["1"] = json["tokens"]["0"].clone()),
        SealProblem::Malformed(_)
    ));
    // The seal of another container that the same passphrase opens.
    let other = json_of(&sealed().snapshot(), 0);
    assert_eq!(
        with(&|json| json["tokens"]["0"] = other["tokens"]["0"].clone()),
        SealProblem::OtherVolume
    );

    let older = SealWanted {
        min_epoch: Some(3),
        ..REQUIRED
    };
    assert_eq!(
        held(&open(&disk), b"old", older).err(),
        Some(SealProblem::Epoch { have: 2, least: 3 })
    );
    let enough = SealWanted {
        min_epoch: Some(2),
        ..REQUIRED
    };
    assert!(held(&open(&disk), b"old", enough).is_ok());
    let luks1 = container(Version::Luks1);
    let wanted = SealWanted {
        min_epoch: Some(1),
        ..SealWanted::default()
    };
    assert_eq!(
        held(&open(&luks1), b"old", wanted).err(),
        Some(SealProblem::NoEpoch { least: 1 })
    );
    let luks1 = open(&luks1);
    let unlocked = unlock(&luks1, b"old").unwrap();
    assert!(matches!(
        seal(&luks1, &unlocked, &mut OsRandom),
        Err(Error::Seal(SealProblem::Luks1))
    ));
}

/// A header that somebody has swapped for that of another container, sealed and opened by the same passphrase.
#[test]
fn a_swapped_header_is_told_by_what_is_known_of_the_container() {
    let (mine, other) = (sealed(), sealed());
    let luks = open(&mine);
    let unlocked = held(&luks, b"old", REQUIRED).unwrap();
    let file = luks.seal_in_file(&unlocked, &mut OsRandom).unwrap();
    let wanted = SealWanted {
        file: Some(&file),
        ..REQUIRED
    };
    assert!(held(&open(&mine), b"old", wanted).is_ok());
    let uuid = luks.header().uuid().to_owned();
    let their_uuid = open(&other).header().uuid().to_owned();
    assert_eq!(
        held(&open(&other), b"old", wanted).err(),
        Some(SealProblem::OtherUuid {
            seal: uuid.clone().into(),
            container: their_uuid.into(),
        })
    );
    // Its own seal is right: it is a whole container, and only what is known beforehand tells that it is another one.
    assert_eq!(judged(&other, b"old"), Ok(()));
    let policy = Policy {
        uuid: Some(vec![uuid.clone()]),
        seal: SealPolicy { required: true },
        ..Policy::default()
    };
    assert!(policy.check(&open(&mine)).is_ok());
    assert!(matches!(
        policy.check(&open(&other)),
        Err(Error::PolicyRefuses(_))
    ));
    // With the same UUID, and sealed with it.
    let luks = open(&other);
    held(&luks, b"old", REQUIRED).unwrap();
    let changes = ConfigChanges {
        uuid: Some(uuid),
        ..ConfigChanges::default()
    };
    configure(&luks, &changes, &mut OsRandom).unwrap();
    assert_eq!(judged(&other, b"old"), Ok(()));
    assert_eq!(
        held(&open(&other), b"old", wanted).err(),
        Some(SealProblem::OtherVolume)
    );
}

#[test]
fn a_policy_that_requires_a_seal_binds_the_container() {
    let policy: Policy = toml::from_str("[seal]\nrequired = true\n").unwrap();
    let disk = container(Version::Luks2);
    let luks = open(&disk);
    policy.check(&luks).unwrap();
    let before = disk.snapshot();
    assert!(matches!(
        unlock(&luks, b"old"),
        Err(Error::Seal(SealProblem::Missing))
    ));
    // Nor is it changed without a key.
    assert!(matches!(
        keyslots::set_priority(&luks, 0, Priority::Prefer, &mut OsRandom),
        Err(Error::Seal(SealProblem::Missing))
    ));
    assert!(disk.snapshot() == before);
    let luks = open(&sealed());
    policy.check(&luks).unwrap();
    assert!(unlock(&luks, b"old").is_ok());
    assert!(Policy::exact(&luks).unwrap().seal.required);
    assert!(toml::from_str::<Policy>("[seal]\nrequire = true\n").is_err());
}

#[test]
fn a_seal_in_a_file_covers_every_byte_before_the_data() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let luks = open(&disk);
        let unlocked = unlock(&luks, b"old").unwrap();
        let key = copy_of(unlocked.volume_key());
        let file = luks.seal_in_file(&unlocked, &mut OsRandom).unwrap();
        assert_eq!(file.bytes(), 0x9_0000);
        let wanted = SealWanted {
            file: Some(&file),
            ..SealWanted::default()
        };
        let check = |image: Vec<u8>| match Luks::open(memory(image)) {
            Ok(luks) => luks
                .unlock_with_volume_key(copy_of(&key), &options(wanted))
                .map(drop),
            Err(error) => Err(error),
        };
        let image = disk.snapshot();
        check(image.clone()).unwrap();
        // The data may change.
        let mut data = image.clone();
        data[0x9_0000] ^= 1;
        check(data).unwrap();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let areas = if version == Version::Luks1 {
            4096
        } else {
            2 * COPY as u64
        };
        for _ in 0..1000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = usize::try_from(areas + seed % (0x9_0000 - areas)).unwrap();
            let mut image = image.clone();
            image[at] ^= 1 << (seed >> 61);
            assert!(
                matches!(check(image), Err(Error::Seal(SealProblem::Broken))),
                "byte {at}"
            );
        }
        // What cannot be read or is not there was sealed, too.
        for length in [0x8_0000, 0x8_ffff] {
            assert!(matches!(
                check(image[..length].to_vec()),
                Err(Error::Seal(SealProblem::Broken))
            ));
        }
        if version == Version::Luks2 {
            // A copy that is not used, and the salts.
            for at in [4096, COPY + 4096, 104, COPY + 104] {
                let mut image = image.clone();
                image[at] ^= 1;
                fix_checksum(&mut image, if at < COPY { 0 } else { COPY }, COPY);
                assert!(check(image).is_err(), "{at}");
            }
        }
    }
    println!("cases: bytes of keyslot areas under a seal in a file 2000 passed, 0 failed");
}

/// At each write of sealing, sealing anew and taking the seal off there is a header whose seal is right, or the one before.
#[test]
fn a_crash_while_a_header_is_sealed_leaves_the_old_seal_or_the_new_one() {
    let first = container(Version::Luks2);
    let again = sealed_with_two();
    let mut states = 0;
    let mut run = |name: &str,
                   before: &Arc<MemoryStorage>,
                   change: &dyn Fn(&Luks) -> Result<(), Error>,
                   may_be: &[Result<(), SealProblem>],
                   after: Result<(), SealProblem>| {
        let disk = Arc::new(SimulatedStorage::from_vec(before.snapshot()));
        let luks = Luks::open(disk.clone()).unwrap();
        unlock(&luks, b"old").unwrap();
        disk.restart();
        change(&luks).unwrap();
        let key = copy_of(unlock(&luks, b"old").unwrap().volume_key());
        let of = |storage: MemoryStorage| {
            let luks = Luks::open(Arc::new(storage)).unwrap();
            match luks.unlock_with_volume_key(copy_of(&key), &options(REQUIRED)) {
                Ok(_) => Ok(()),
                Err(Error::Seal(problem)) => Err(problem),
                Err(error) => panic!("{name}: {error}"),
            }
        };
        let mut seen = Vec::new();
        for state in disk.crash_states(1) {
            let what = state.to_string();
            let outcome = of(state.storage);
            assert!(may_be.contains(&outcome), "{name}: {outcome:?} {what}");
            if !seen.contains(&outcome) {
                seen.push(outcome);
            }
            states += 1;
        }
        assert_eq!(seen.len(), may_be.len(), "{name}: {seen:?}");
        for state in disk.crash_states_now(1) {
            assert_eq!(of(state.storage), after, "{name}: done is durable");
        }
    };
    let missing = || Err(SealProblem::Missing);
    let seal_it = |luks: &Luks| {
        let unlocked = unlock(luks, b"old")?;
        seal(luks, &unlocked, &mut OsRandom).map(drop)
    };
    run("seal", &first, &seal_it, &[missing(), Ok(())], Ok(()));
    run("seal again", &again, &seal_it, &[Ok(())], Ok(()));
    let take_off = |luks: &Luks| unseal(luks, &mut OsRandom).map(drop);
    run("unseal", &again, &take_off, &[Ok(()), missing()], missing());
    for (name, change) in CHANGES {
        run(name, &again, change, &[Ok(())], Ok(()));
    }
    println!("cases: crash states of sealed headers {states} passed, 0 failed");
    assert_eq!(epoch(&first), 1);
}
