//! Jobs in place of LUKS1 containers: the header is LUKS1 before and after, and a file beside it tells of the job.

use crate::in_place::assert_holds;
use crate::support::{Place, pattern};

const K: &str = "--key-file a";
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const BYTES: usize = 1 << 20;

/// An image of 1 MiB in `raw`, the same in `d` as LUKS1, and passphrases in `a` and `b`.
fn place() -> Place {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.write("b", "passphrase b");
    place.write("raw", pattern(BYTES));
    place.write("d", pattern(BYTES));
    place
        .run(&format!("encrypt --in-place d --type luks1 {K} {CHEAP}"))
        .expect(0);
    place
}

#[track_caller]
fn assert_says(place: &Place, line: &str, parts: &[&str]) {
    let run = place.run(line).expect(0);
    for part in parts {
        assert!(run.text().contains(part), "{part}: {}", run.text());
    }
}

#[test]
fn luks1_is_made_given_a_new_key_and_decrypted_in_place() {
    let place = place();
    assert_eq!(place.read("d").len(), BYTES + (2 << 20));
    assert_eq!(place.names(), ["a", "b", "d", "raw"]);
    assert_holds(&place, "d", "a");
    let old = place.run(&format!("key export d {K} --volume-key-file old -q"));
    old.expect(0);
    let run = place.run(&format!(
        "reencrypt d {K} {CHEAP} --cipher aes-cbc-essiv:sha256 --key-size 256 --hash sha512"
    ));
    let run = run.expect(0);
    let said = "d: reencrypted, luks1, aes-cbc-essiv:sha256, key of 256 bits, sectors of 512 bytes, 1 MiB of data; opened by \
                keyslot 0";
    assert!(run.text().starts_with(said), "{}", run.text());
    assert_says(&place, "inspect d", &["LUKS1", "sha512"]);
    place
        .run(&format!("key export d {K} --volume-key-file new -q"))
        .expect(0);
    assert!(place.read("old") != place.read("new"));
    assert_holds(&place, "d", "a");
    place.run(&format!("decrypt --in-place d {K}")).expect(0);
    assert!(place.read("d") == place.read("raw"));
    assert_eq!(place.names(), ["a", "b", "d", "new", "old", "raw"]);
}

/// The header alone: no byte of the data changes, and the key stays.
#[test]
fn the_hash_of_a_header_is_changed_alone() {
    let place = place();
    let before = place.read("d");
    place
        .run(&format!("reencrypt d {K} {CHEAP} --keep-key --hash sha1"))
        .expect(0);
    let after = place.read("d");
    assert!(before[2 << 20..] == after[2 << 20..]);
    assert!(before[4096..4096 + 256_000] != after[4096..4096 + 256_000]);
    assert_says(&place, "inspect d", &["sha1"]);
    assert_holds(&place, "d", "a");
    assert_eq!(place.names(), ["a", "b", "d", "raw"]);
}

/// Every passphrase opens the keyslot that it opened, by its number; or one is kept.
#[test]
fn keyslots_of_luks1_keep_their_numbers() {
    let place = place();
    place
        .run(&format!(
            "key add d {K} --new-keyfile b {CHEAP} --new-key-slot 5"
        ))
        .expect(0);
    place
        .run_with(
            &format!("reencrypt d {CHEAP}"),
            b"passphrase a\npassphrase b\n",
        )
        .expect(0);
    assert_holds(&place, "d", "a");
    assert_holds(&place, "d", "b");
    assert_says(&place, "key list d", &["keyslot 0:", "keyslot 5:"]);
    place
        .run(&format!("reencrypt d --key-file b -S 5 {CHEAP} -q"))
        .expect(0);
    place.run("decrypt d - --key-file a").expect(2);
    assert_holds(&place, "d", "b");
    assert_says(&place, "key list d", &["keyslot 5:"]);
}

/// A detached header is LUKS1 again at the end, or is made then; its job is told of beside it.
#[test]
fn a_detached_luks1_header_is_lowered_where_it_lies() {
    let place = place();
    place.sh("cp raw e").expect(0);
    place
        .run(&format!(
            "encrypt --in-place e --type luks1 --header h {K} {CHEAP} --init-only"
        ))
        .expect(0);
    assert_eq!(place.names(), ["a", "b", "d", "e", "h.luks-header", "raw"]);
    place.run(&format!("resume e --header h {K}")).expect(0);
    assert_eq!(place.names(), ["a", "b", "d", "e", "h", "raw"]);
    assert_eq!(place.read("e").len(), BYTES);
    let holds = || {
        let run = place.run(&format!("decrypt e - --header h {K}")).expect(0);
        assert!(run.stdout == place.read("raw"));
    };
    holds();
    place
        .run(&format!("reencrypt e --header h {K} {CHEAP} --init-only"))
        .expect(0);
    place
        .run(&format!("decrypt e - --header h {K}"))
        .expect(4)
        .says("h: not a LUKS container")
        .advises("its header is in h.luks-header: luksmith resume IMG --header h goes on");
    // Its name alone tells where the header is that it is of.
    place
        .run(&format!("resume e --header h.luks-header {K}"))
        .expect(0);
    assert_eq!(place.names(), ["a", "b", "d", "e", "h", "raw"]);
    holds();
    place
        .run(&format!("decrypt --in-place e --header h {K}"))
        .expect(0);
    assert!(place.read("e") == place.read("raw"));
    assert_eq!(place.names(), ["a", "b", "d", "e", "raw"]);
}

/// A half-way image is no container to any verb, and each names the file that tells of the job; reading goes by that file.
#[test]
fn a_half_way_luks1_image_is_only_resumed() {
    let place = place();
    place
        .run(&format!("reencrypt d {K} {CHEAP} --init-only"))
        .expect(0);
    let half = [place.read("d"), place.read("d.luks-header")];
    for verb in [
        "inspect d",
        "key test d --key-file a",
        "key add d --key-file a --new-keyfile b",
        "header erase d -q",
        "header backup d --header-backup-file x",
        "reencrypt d --key-file a",
        "decrypt d x --key-file a",
        "verify d",
    ] {
        place
            .run(verb)
            .expect(4)
            .says("d: not a LUKS container")
            .advises("its header is in d.luks-header: luksmith resume d goes on");
    }
    place
        .run(&format!("reencrypt d --header d.luks-header {K} {CHEAP}"))
        .expect(1)
        .says("d is in the middle of a reencryption already")
        .advises("luksmith resume d --header d.luks-header goes on");
    place.run(&format!("resume d {K} --dry-run")).expect(0);
    place.run("resume d --key-file b").expect(2);
    let run = place
        .run(&format!("decrypt d - --header d.luks-header {K}"))
        .expect(0);
    assert!(run.stdout == place.read("raw"));
    assert!(half == [place.read("d"), place.read("d.luks-header")]);
    place.run(&format!("resume d {K}")).expect(0);
    assert_holds(&place, "d", "a");
    assert_eq!(place.names(), ["a", "b", "d", "raw"]);
    place
        .run(&format!("resume d {K}"))
        .expect(1)
        .says("no reencryption is in progress");
}

/// What is refused, with no byte of anything changed.
#[test]
fn what_luks1_cannot_say_changes_nothing() {
    let place = place();
    for (options, says) in [
        (
            "--sector-size 4096",
            "LUKS1 has no way to say sector size 4096",
        ),
        (
            "--pbkdf argon2id",
            "LUKS1 has no way to say another key derivation than PBKDF2",
        ),
        ("--keep-key", "nothing would be changed"),
        (
            "--keep-key --hash sha1 --cipher serpent-xts-plain64",
            "LUKS1 has no way to say another cipher for the keyslots of a key that stays",
        ),
        ("--hotzone-size 1000", "no multiple of 512"),
        ("-S 3", "keyslot 3 is not in use"),
        (
            "--resilience none",
            "Nothing will protect d while it is written",
        ),
    ] {
        let before = place.read("d");
        place
            .run(&format!("reencrypt d {K} {options}"))
            .expect(1)
            .says(says);
        assert!(place.read("d") == before, "{options}");
        assert_eq!(place.names(), ["a", "b", "d", "raw"]);
    }
}

/// A header that somebody has put back meanwhile is not written over, and nothing is done by it.
#[test]
fn a_luks1_header_that_is_put_back_is_not_written_over() {
    let place = place();
    place.sh("head -c 2M d >old").expect(0);
    place
        .run(&format!("reencrypt d {K} {CHEAP} --init-only"))
        .expect(0);
    place
        .sh("dd if=old of=d bs=1M conv=notrunc status=none")
        .expect(0);
    let before = [place.read("d"), place.read("d.luks-header")];
    place
        .run(&format!("resume d {K}"))
        .expect(4)
        .says("d.luks-header is no header of d: a header was put there since");
    assert!(before == [place.read("d"), place.read("d.luks-header")]);
}
