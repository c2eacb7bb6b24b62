use std::collections::BTreeMap;
use std::sync::Arc;

use luks::reencryption::{self, State};
use luks::{Error, Header, Luks, Unfinished, UnlockOptions, Unlocked, Warning};
use serde_json::{Value, json};
use volume::{SimulatedStorage, Storage};

use crate::common::{passphrase, plaintext, sha256, test_vectors, unlock, unxz};
use crate::tampering::{json_of, with_json};

/// What the archive holds, by name.
pub fn images() -> BTreeMap<String, Vec<u8>> {
    let archive = unxz(&test_vectors().join("reencrypt/images.tar.xz"));
    let mut rest = &archive[..];
    let mut files = BTreeMap::new();
    // A name in 100 bytes, a size in octal digits at 124; both end with a NUL, and all is blocks of 512.
    while rest.first().is_some_and(|byte| *byte != 0) {
        let (head, behind) = rest.split_at(512);
        let text = |field: &[u8]| {
            let end = field.iter().position(|byte| *byte == 0).unwrap();
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(&text(&head[124..136]), 8).unwrap();
        files.insert(text(&head[..100]), behind[..size].to_vec());
        rest = &behind[size.next_multiple_of(512)..];
    }
    files
}

pub fn index() -> Vec<toml::Value> {
    let text = std::fs::read_to_string(test_vectors().join("reencrypt/images.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["image"].as_array().unwrap().clone()
}

/// Data and header, which are one where the header is not detached.
pub struct Disks {
    pub data: Arc<SimulatedStorage>,
    pub header: Arc<SimulatedStorage>,
    /// What was on them.
    were: [Vec<u8>; 2],
}

impl Disks {
    pub fn new(data: Vec<u8>, header: Option<Vec<u8>>) -> Self {
        let data = Arc::new(SimulatedStorage::from_vec(data));
        let header = match header {
            Some(header) => Arc::new(SimulatedStorage::from_vec(header)),
            None => Arc::clone(&data),
        };
        Self {
            were: [data.snapshot(), header.snapshot()],
            data,
            header,
        }
    }

    pub fn luks(&self) -> Result<Luks, Error> {
        Luks::open(self.header.clone())
    }

    pub fn read(&self, secret: &[u8]) -> Result<Vec<u8>, Error> {
        let volume = unlock(&self.luks()?, secret)?.volume(self.data.clone())?;
        Ok(plaintext(&volume))
    }

    pub fn assert_untouched(&self, what: &str) {
        for (disk, were) in [&self.data, &self.header].into_iter().zip(&self.were) {
            assert!(disk.is_untouched(), "{what}");
            assert!(disk.snapshot() == *were, "{what}");
        }
    }
}

pub fn text<'a>(entry: &'a toml::Value, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(toml::Value::as_str)
}

pub fn disks(images: &BTreeMap<String, Vec<u8>>, entry: &toml::Value) -> Disks {
    let file = |name: &str| images[name].clone();
    Disks::new(
        file(text(entry, "path").unwrap()),
        text(entry, "header").map(file),
    )
}

#[test]
fn every_image_reads_as_its_payload_or_is_refused() {
    let images = images();
    let (mut passed, mut read) = (0, 0);
    for entry in index() {
        let name = text(&entry, "path").unwrap();
        let disks = disks(&images, &entry);
        let found = disks.read(b"golden");
        disks.assert_untouched(name);
        match (text(&entry, "expect").unwrap(), found) {
            ("read", found) => {
                let bytes = found.unwrap_or_else(|error| panic!("{name}: {error}"));
                let length = entry["payload_bytes"].as_integer().unwrap();
                assert_eq!(bytes.len(), usize::try_from(length).unwrap(), "{name}");
                let hash = text(&entry, "payload_sha256").unwrap();
                assert_eq!(sha256(&bytes), hash, "{name}");
                read += 1;
            }
            ("refuse", Err(Error::Unfinished(_))) => {}
            // A zone that was not done reads as noise, the rest as it is.
            ("noise", Ok(bytes)) => {
                let (zone, rest) = bytes.split_at(16384);
                assert!(!zone.starts_with(b"000000000000000\n"), "{name}");
                assert!(rest.starts_with(b"000000000001024\n"), "{name}");
            }
            (expect, found) => panic!("{name}: {expect}: {:?}", found.map(|bytes| bytes.len())),
        }
        passed += 1;
    }
    assert!(read > 30, "{read}");
    println!("cases: half-way images {passed} passed, 0 failed");
}

#[test]
fn any_part_is_read_as_of_the_whole() {
    let images = images();
    for entry in index() {
        let name = text(&entry, "path").unwrap();
        let disks = disks(&images, &entry);
        let Ok(unlocked) = disks.luks().and_then(|luks| unlock(&luks, b"golden")) else {
            continue;
        };
        let Ok(volume) = unlocked.volume(disks.data.clone()) else {
            continue;
        };
        let whole = plaintext(&volume);
        for start in (0..whole.len()).step_by(3001) {
            let mut part = vec![0; (start % 9001).min(whole.len() - start)];
            volume.read_at(start as u64, &mut part).unwrap();
            assert!(part == whole[start..start + part.len()], "{name} {start}");
        }
        assert!(volume.read_at(whole.len() as u64, &mut [0]).is_err());
        if disks.luks().unwrap().check_change().is_err() {
            assert!(volume.write_at(0, &[1]).is_err(), "{name}");
            assert!(volume.write_in_place(0, &mut [1]).is_err(), "{name}");
            assert!(Storage::punch_hole(&volume, 0, 512).is_err(), "{name}");
        }
        disks.assert_untouched(name);
    }
}

/// The header of a state, changed.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Disks {
    let images = images();
    changed_of(&images, name, change)
}

fn changed_of(
    images: &BTreeMap<String, Vec<u8>>,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Disks {
    let detached = images.get(&format!("{name}.hdr"));
    let image = detached.unwrap_or_else(|| &images[name]);
    let mut json = json_of(image, 0);
    change(&mut json);
    let image = with_json(image, &[0, 16384], &json).unwrap();
    match detached {
        Some(_) => Disks::new(images[name].clone(), Some(image)),
        None => Disks::new(image, None),
    }
}

fn keyslot(json: &mut Value) -> &mut Value {
    let keyslots = json["keyslots"].as_object_mut().unwrap();
    let own = keyslots.values_mut().find(|it| it["type"] == "reencrypt");
    own.unwrap()
}

fn backup<'a>(json: &'a mut Value, flag: &str) -> &'a mut Value {
    let segments = json["segments"].as_object_mut().unwrap();
    let flagged = |segment: &&mut Value| segment["flags"] == json!([flag]);
    segments.values_mut().find(flagged).unwrap()
}

fn error_of(disks: &Disks) -> Error {
    let error = disks.read(b"golden").err();
    disks.assert_untouched("refused");
    error.expect("it is refused")
}

/// CVE-2021-4122, as a kind: whatever the digest covers, nobody without the keys changes it.
#[test]
fn whatever_the_digest_covers_is_proven() {
    type Change = Box<dyn Fn(&mut Value)>;
    let images = images();
    let area = |member: &'static str, value: Value| -> Change {
        Box::new(move |json| keyslot(json)["area"][member] = value.clone())
    };
    let mut count = 0;
    for name in [
        "encrypt-shift-clean",
        "encrypt-shift-hot-moved",
        "decrypt-shift-hot-torn",
        "decrypt-shift-checksum-moved-torn",
        "decrypt-shift-journal-moved-torn",
        "encrypt-detached-checksum-torn",
        "encrypt-detached-journal-torn",
        "decrypt-detached-torn",
        "reencrypt-init",
        "reencrypt-checksum-hot-torn",
        "reencrypt-keep-key-sector-4096-torn",
    ] {
        changed_of(&images, name, |_| ()).read(b"golden").unwrap();
        let header = images.get(&format!("{name}.hdr")).unwrap_or(&images[name]);
        let was = json_of(header, 0);
        let slot = keyslot(&mut was.clone()).clone();
        let mut changes: Vec<(String, Change)> = Vec::new();
        let mut add = |what: &str, change: Change| changes.push((what.to_owned(), change));
        let version = was["config"]["requirements"]["mandatory"][0].clone();
        let other = if version == "online-reencrypt-v2" {
            "online-reencrypt-v3"
        } else {
            "online-reencrypt-v2"
        };
        add(
            "version",
            Box::new(move |json| json["config"]["requirements"]["mandatory"] = json!([other])),
        );
        for mode in ["encrypt", "decrypt", "reencrypt"] {
            if slot["mode"] != mode {
                add(
                    mode,
                    Box::new(move |json| keyslot(json)["mode"] = mode.into()),
                );
            }
        }
        for direction in ["forward", "backward"] {
            if slot["direction"] != direction {
                add(
                    direction,
                    Box::new(move |json| keyslot(json)["direction"] = direction.into()),
                );
            }
        }
        let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
        let (start, size) = (
            number(&slot["area"]["offset"]),
            number(&slot["area"]["size"]),
        );
        add("area offset", {
            Box::new(move |json| {
                keyslot(json)["area"]["size"] = (size - 512).to_string().into();
                keyslot(json)["area"]["offset"] = (start + 512).to_string().into();
            })
        });
        add("area size", area("size", (size - 512).to_string().into()));
        for kind in ["none", "journal"] {
            if slot["area"]["type"] != kind {
                add(kind, area("type", kind.into()));
            }
        }
        if slot["area"].get("hash").is_some() {
            add("hash", area("hash", "sha1".into()));
            add("block", area("sector_size", 8192.into()));
        }
        if slot["area"].get("shift_size").is_some() {
            add("shift", area("shift_size", "4096".into()));
        }
        for flag in ["backup-previous", "backup-final", "backup-moved-segment"] {
            let segments = was["segments"].as_object().unwrap().values();
            let Some(segment) = segments.clone().find(|it| it["flags"] == json!([flag])) else {
                continue;
            };
            let offset = number(&segment["offset"]) + 4096;
            add(&format!("{flag} offset"), {
                Box::new(move |json| backup(json, flag)["offset"] = offset.to_string().into())
            });
            let size = if segment["size"] == "dynamic" {
                "4096"
            } else {
                "dynamic"
            };
            add(&format!("{flag} size"), {
                Box::new(move |json| backup(json, flag)["size"] = size.into())
            });
            if segment["type"] == "crypt" {
                add(&format!("{flag} tweak"), {
                    Box::new(move |json| backup(json, flag)["iv_tweak"] = "8".into())
                });
                // In the data too, which must be as one of the two.
                let was = segment.clone();
                let everywhere = move |json: &mut Value, member: &str, value: Value| {
                    for (_, segment) in json["segments"].as_object_mut().unwrap() {
                        if segment.get(member) == Some(&was[member]) {
                            segment[member] = value.clone();
                        }
                    }
                };
                let in_segments = everywhere.clone();
                add(&format!("{flag} cipher"), {
                    Box::new(move |json| in_segments(json, "encryption", "aes-cbc-plain".into()))
                });
                let sector: u32 = if segment["sector_size"] == 512 {
                    1024
                } else {
                    512
                };
                add(&format!("{flag} sector"), {
                    Box::new(move |json| everywhere(json, "sector_size", sector.into()))
                });
            }
        }
        let own = was["keyslots"].as_object().unwrap();
        let own = own
            .iter()
            .find(|(_, it)| it["type"] == "reencrypt")
            .unwrap()
            .0;
        let digests = was["digests"].as_object().unwrap();
        let digest = digests
            .iter()
            .find(|(_, it)| it["keyslots"] == json!([own]))
            .unwrap();
        let id = digest.0.clone();
        add("iterations", {
            let id = id.clone();
            Box::new(move |json| json["digests"][&id]["iterations"] = 999.into())
        });
        add("no digest", {
            Box::new(move |json| drop(json["digests"].as_object_mut().unwrap().remove(&id)))
        });
        // What no state can be says so before any key is asked.
        for flag in ["backup-previous", "backup-final"] {
            let change = |json: &mut Value| {
                let segment = backup(json, flag);
                let kind = if segment["type"] == "crypt" {
                    "linear"
                } else {
                    "crypt"
                };
                segment["type"] = kind.into();
            };
            let error = error_of(&changed_of(&images, name, change));
            let is_refused = matches!(
                error,
                Error::Corrupt(_) | Error::Unfinished(Unfinished::Digest)
            );
            assert!(is_refused, "{name}, {flag}: {error}");
        }
        for (what, change) in changes {
            let error = error_of(&changed_of(&images, name, change));
            let is_unproven = matches!(
                error,
                Error::Unfinished(Unfinished::Digest | Unfinished::NoDigest)
            );
            assert!(is_unproven, "{name}, {what}: {error}");
            count += 1;
        }
    }
    println!("cases: forged states {count} passed, 0 failed");
}

/// Progress stands in no digest: what it says is held to what the digest covers and to what is there.
#[test]
fn what_no_digest_covers_is_checked() {
    let images = images();
    let segment = |id: &'static str, member: &'static str, value: Value| {
        move |json: &mut Value| json["segments"][id][member] = value.clone()
    };
    let corrupt = |name: &str, change: &dyn Fn(&mut Value)| {
        let error = error_of(&changed_of(&images, name, change));
        assert!(matches!(error, Error::Corrupt(_)), "{name}: {error}");
        error.to_string()
    };
    let hot = "reencrypt-checksum-hot-torn";
    // An IV that counts otherwise, and a place that is neither the old nor the new one.
    corrupt(hot, &segment("0", "iv_tweak", "8".into()));
    corrupt(hot, &segment("1", "iv_tweak", "8".into()));
    corrupt(hot, &segment("2", "offset", "397312".into()));
    // Behind the end.
    let error = corrupt(hot, &|json| {
        json["segments"]["2"]["size"] = "1048576".into();
    });
    assert!(error.contains("0x60000"), "{error}");
    // Of both keys, or the other one.
    corrupt(hot, &|json| {
        json["digests"]["0"]["segments"] = json!(["0", "1", "2", "3"]);
    });
    // Two zones.
    corrupt(hot, &segment("0", "flags", json!(["in-reencryption"])));
    // A zone larger than what protects it.
    for name in [
        "encrypt-detached-journal-torn",
        "encrypt-detached-checksum-torn",
    ] {
        corrupt(name, &|json| {
            json["segments"]["1"]["size"] = "65536000000".into();
        });
    }
    // A file that ends within the data or within the area.
    let cut = Disks::new(images[hot][..390_000].to_vec(), None);
    assert!(matches!(error_of(&cut), Error::Corrupt(_)));
    let name = "encrypt-detached-journal-torn";
    let header = images[&format!("{name}.hdr")][..163_840 + 8192].to_vec();
    let cut = Disks::new(images[name].clone(), Some(header));
    assert!(matches!(error_of(&cut), Error::Corrupt(_)));
    // A zone that is shifted by nothing, or lies over what it is made again from.
    let unprotected = |name: &str, change: &dyn Fn(&mut Value)| {
        let error = error_of(&changed_of(&images, name, change));
        let is_named = matches!(error, Error::Unfinished(Unfinished::Unprotected { .. }));
        assert!(is_named, "{name}: {error}");
    };
    unprotected("encrypt-detached-reduce-hot", &|_| ());
    unprotected("encrypt-shift-hot-moved", &|json| {
        json["segments"]["0"]["size"] = "159744".into();
        json["segments"]["1"]["size"] = "102400".into();
        json["segments"]["1"]["offset"] = "262144".into();
        json["segments"]["1"]["iv_tweak"] = "312".into();
    });
}

/// A last block that is neither as its hash says nor written whole: nothing tells.
#[test]
fn a_cut_block_that_nothing_tells_of_is_refused() {
    let images = images();
    let name = "reencrypt-odd-tail-hot";
    let image = &images[name];
    let area = keyslot(&mut json_of(image, 0))["area"]["offset"].clone();
    let area: usize = area.as_str().unwrap().parse().unwrap();
    let mut wrong = image.clone();
    wrong[area] ^= 1;
    let error = error_of(&Disks::new(wrong.clone(), None));
    let is_named = matches!(
        error,
        Error::Unfinished(Unfinished::Unprotected {
            start: 425_984,
            end: 427_520
        })
    );
    assert!(is_named, "{error}");
}

#[test]
fn another_requirement_beside_it_is_not_passed_over() {
    let later = changed("reencrypt-init", |json| {
        json["config"]["requirements"]["mandatory"] = json!(["online-reencrypt-v2", "later"]);
    });
    let error = error_of(&later);
    assert!(matches!(error, Error::NeedsRecovery { .. }), "{error}");
}

/// Two passphrases, a passphrase and a volume key, or two volume keys.
#[test]
fn each_key_may_come_by_itself() {
    let images = images();
    let name = "reencrypt-checksum-hot-torn";
    let disks = Disks::new(images[name].clone(), None);
    let payload = disks.read(b"golden").unwrap();
    let luks = disks.luks().unwrap();
    let options = UnlockOptions::default();
    let by_keyslot = |keyslot| {
        let options = UnlockOptions {
            keyslot: Some(keyslot),
            ..UnlockOptions::default()
        };
        luks.unlock(&passphrase(b"golden"), &options).unwrap()
    };
    let by_key = |unlocked: &Unlocked| {
        let key = dmcrypt::VolumeKey::from_bytes(unlocked.volume_key().expose().to_vec().into());
        luks.unlock_with_volume_key(key, &options).unwrap()
    };
    let read = |unlocked: &Unlocked| unlocked.volume(disks.data.clone()).map(|it| plaintext(&it));
    let both = unlock(&luks, b"golden").unwrap();
    let keys: Vec<_> = both
        .keys()
        .map(|(digest, _, slot)| (digest, slot))
        .collect();
    assert_eq!(keys, [(1, Some(1)), (0, Some(0))]);
    for (one, missing) in [(0, 1), (1, 0)] {
        for unlocked in [by_keyslot(one), by_key(&by_keyslot(one))] {
            let error = read(&unlocked).unwrap_err();
            assert!(
                matches!(error, Error::Unfinished(Unfinished::Key { digest }) if digest == missing),
                "{error}"
            );
        }
        for first in [by_keyslot(one), by_key(&by_keyslot(one))] {
            let both = first.with(by_key(&by_keyslot(missing)), &options).unwrap();
            assert!(read(&both).unwrap() == payload);
            let both = by_keyslot(missing).with(by_keyslot(one), &options).unwrap();
            assert!(read(&both).unwrap() == payload);
        }
    }
    // The same key twice is one.
    let same = by_keyslot(0).with(by_keyslot(0), &options).unwrap();
    assert!(read(&same).is_err());
    let of_another = Disks::new(images["encrypt-shift-clean"].clone(), None);
    let of_another = unlock(&of_another.luks().unwrap(), b"golden").unwrap();
    assert!(matches!(
        by_keyslot(0).with(of_another, &options).err(),
        Some(Error::Changed)
    ));
    disks.assert_untouched(name);
}

/// Without resilience a crash is not seen, which is said as long as there is something to lose.
#[test]
fn no_resilience_is_warned_of() {
    let warned = |disks: &Disks| {
        let luks = disks.luks().unwrap();
        luks.warnings().contains(&Warning::Unprotected)
    };
    let none = |json: &mut Value| keyslot(json)["area"]["type"] = "none".into();
    assert!(warned(&changed("reencrypt-init", none)));
    assert!(!warned(&changed("reencrypt-init", |_| ())));
    assert!(!warned(&changed("reencrypt-finished", none)));
}

#[test]
fn the_state_is_told_without_a_secret() {
    let images = images();
    let state = |name: &str| {
        let header = images.get(&format!("{name}.hdr")).unwrap_or(&images[name]);
        let luks = Disks::new(header.clone(), None).luks().unwrap();
        match luks.header() {
            Header::Luks2(header) => (
                reencryption::state(&header.metadata),
                header
                    .metadata
                    .reencryption
                    .as_deref()
                    .is_some_and(luks::luks2::Reencryption::is_finished),
            ),
            Header::Luks1(_) => panic!("LUKS2"),
        }
    };
    assert_eq!(state("decrypt-shift-before"), (State::None, false));
    assert_eq!(state("forged-old-flag"), (State::NoDigest, false));
    for name in [
        "reencrypt-init",
        "decrypt-shift-moved-left",
        "encrypt-shift-clean",
    ] {
        assert_eq!(state(name), (State::Clean, false), "{name}");
    }
    for name in ["reencrypt-checksum-last-hot", "decrypt-detached-last-hot"] {
        assert_eq!(state(name), (State::NeedsRecovery, false), "{name}");
    }
    for name in [
        "reencrypt-finished",
        "reencrypt-finished-old-key-gone",
        "encrypt-shift-finished",
        "encrypt-detached-finished",
        "decrypt-shift-finished",
    ] {
        assert_eq!(state(name), (State::Clean, true), "{name}");
    }
}

/// A key of one more keyslot is not asked for where the zone is finished and its key is gone.
#[test]
fn a_key_that_is_gone_is_not_missed_where_all_is_done() {
    let images = images();
    let read = |change: &dyn Fn(&mut Value)| {
        let disks = changed_of(&images, "reencrypt-finished-old-key-gone", change);
        disks.read(b"golden").map(|bytes| sha256(&bytes))
    };
    let whole = read(&|_| ()).unwrap();
    assert_eq!(
        whole,
        "b50e134d44c35d5c5d2f2a46db3aa41315f7456e6881771739527fbabd2cf3bc"
    );
    // Half done, it is.
    let error = read(&|json| {
        let mut old = json["segments"]["0"].clone();
        json["segments"]["0"]["size"] = "16384".into();
        old["offset"] = "376832".into();
        old["iv_tweak"] = "32".into();
        let segments = json["segments"].as_object_mut().unwrap();
        let backups: Vec<_> = ["1", "2"].map(|id| segments[id].clone()).into();
        segments.insert("1".into(), old);
        for (id, backup) in ["2", "3"].into_iter().zip(backups) {
            segments.insert(id.into(), backup);
        }
        json["digests"]["0"]["segments"] = json!(["1", "2"]);
        json["digests"]["1"]["segments"] = json!(["0", "3"]);
    })
    .unwrap_err();
    assert!(
        matches!(error, Error::Unfinished(Unfinished::Key { digest: 0 })),
        "{error}"
    );
}
