//! cryptsetup's own command line without a cryptsetup beside it: how it is reached, and what only we say.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Place, cheap_luks_place};

#[test]
fn the_verb_and_a_link_are_the_same() {
    let place = Place::new();
    symlink(env!("CARGO_BIN_EXE_luksmith"), place.path("cryptsetup")).expect("a link");
    let version = format!(
        "cryptsetup 2.8.0 (luksmith {})\n",
        env!("CARGO_PKG_VERSION")
    );
    for word in ["--version", "-V", "--help", "-?"] {
        let verb = place.run(&format!("cryptsetup {word}")).expect(0);
        let link = Command::new(place.path("cryptsetup")).arg(word).output();
        let link = link.expect("the link runs");
        assert_eq!(link.status.code(), Some(0), "{word}");
        assert_eq!(verb.text().as_bytes(), link.stdout, "{word}");
        assert!(verb.text().starts_with(&version), "{word}");
    }
}

#[test]
fn help_lists_every_action() {
    let help = Place::new().run("cryptsetup --help").expect(0);
    for action in [
        "luksFormat",
        "luksAddKey",
        "luksRemoveKey",
        "luksChangeKey",
        "luksConvertKey",
        "luksKillSlot",
        "luksUUID",
        "isLuks",
        "luksDump",
        "luksHeaderBackup",
        "luksHeaderRestore",
        "erase",
        "convert",
        "config",
        "repair",
        "token",
        "open",
        "benchmark",
    ] {
        assert!(help.text().contains(&format!("\t{action} ")), "{action}");
    }
}

/// Who calls an action that works on a mapping hears what there is instead.
#[test]
fn what_needs_a_mapping_names_what_there_is_instead() {
    let place = cheap_luks_place(4096);
    place
        .run("create box --payload-size 4K -q --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000")
        .expect(0);
    for (line, instead) in [
        ("open box name", "luksmith decrypt"),
        ("luksOpen box name", "luksmith decrypt"),
        (
            "create name box -c aes-xts-plain64 -s 512 -h sha256",
            "luksmith decrypt",
        ),
    ] {
        let run = place.run_unmapped(&format!("cryptsetup {line}")).expect(1);
        let mut said = run.stderr.lines();
        let first = said.next().unwrap_or_default();
        assert!(
            first.starts_with("Cannot initialize device-mapper"),
            "{line}: {first}"
        );
        let second = said.next().unwrap_or_default();
        assert!(second.contains(instead), "{line}: {second}");
    }
    let run = place
        .run_unmapped("cryptsetup reencrypt box --active-name name")
        .expect(1);
    assert_eq!(run.stderr, "Device name is not active.\n");
}

/// Plain mode's defaults were others before cryptsetup 2.7; who leaves them out is told, and the others are not.
#[test]
fn plain_defaults_are_warned_of() {
    let place = Place::new();
    place.write("raw", [0; 4096]);
    for (options, warnings) in [
        ("", 2),
        ("-h sha256", 1),
        ("-c aes-xts-plain64", 2),
        ("-c aes-xts-plain64 -s 512", 1),
        ("-c aes-xts-plain64 -s 512 -d raw", 0),
        ("-c aes-xts-plain64 -s 512 -h sha256", 0),
        ("-q", 2),
    ] {
        let line = format!("cryptsetup open --type plain raw name {options}");
        let run = place.run_unmapped(&line).expect(1);
        let told = run.stderr.matches("WARNING: Using default options").count();
        assert_eq!(told, warnings, "{options}: {}", run.stderr);
    }
}

/// What versions since 2.7 refuse that Debian's does not, or does not know.
#[test]
fn what_later_versions_refuse_is_refused() {
    let place = cheap_luks_place(4096);
    let box_ = "create box --payload-size 4K -q --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    place.run(box_).expect(0);
    let before = place.read("box");
    for (line, said) in [
        (
            "luksAddKey -q --unbound --volume-key-file pw box -d pw",
            "Key size is required with --unbound option.",
        ),
        (
            "reencrypt -q box -d pw --keep-key --new-volume-key-file pw --new-key-size 512",
            "Options --new-volume-key-file and --keep-key cannot be combined.",
        ),
        (
            "reencrypt -q box -d pw --force-offline-reencrypt --new-volume-key-file pw",
            "Option --new-volume-key-file must be paired with --new-key-size",
        ),
        (
            "reencrypt -q box -d pw --force-offline-reencrypt --volume-key-file pw --new-volume-key-file pw --new-key-size 512",
            "Use --force-no-keyslots to reencrypt device with active keyslots by passing volume keys directly.",
        ),
        (
            "reencrypt -q box -d pw --force-offline-reencrypt --volume-key-keyring x",
            "Use --force-no-keyslots to reencrypt device with active keyslots by passing volume keys directly.",
        ),
        (
            "luksAddKey -q box -d pw pw --pbkdf argon2id --pbkdf-memory 64 --pbkdf-force-iterations 4 --pbkdf-parallel 5",
            "Requested maximum PBKDF parallel cost is too high (maximum is 4).",
        ),
    ] {
        let run = place.run(&format!("cryptsetup {line}")).expect(1);
        assert!(run.stderr.contains(said), "{line}: {}", run.stderr);
        assert!(place.read("box") == before, "{line}");
    }
    let line = "cryptsetup benchmark --pbkdf argon2i --pbkdf-parallel 5";
    let run = place.run(line).expect(1);
    assert!(run.text().ends_with("\nargon2i    N/A\n"), "{}", run.text());
    // As many as are allowed, be there processors for them or not.
    place
        .run("cryptsetup luksAddKey -q box -d pw pw --pbkdf argon2id --pbkdf-memory 64 --pbkdf-force-iterations 4 --pbkdf-parallel 4")
        .expect(0);
    let dump = place.run("cryptsetup luksDump box").expect(0);
    assert!(dump.text().contains("\tThreads:    4\n"), "{}", dump.text());
}

/// What an option about keys takes is a file, a number, a name or a kind: never the key itself.
#[test]
fn e3_no_option_of_cryptsetup_takes_a_secret() {
    const NO_SECRETS: [&str; 22] = [
        "integrity-key-size",
        "key-description",
        "key-file",
        "key-size",
        "key-slot",
        "keyfile-offset",
        "keyfile-size",
        "keyslot-cipher",
        "keyslot-key-size",
        "link-vk-to-keyring",
        "luks2-keyslots-size",
        "master-key-file",
        "new-key-description",
        "new-key-size",
        "new-key-slot",
        "new-keyfile",
        "new-keyfile-offset",
        "new-keyfile-size",
        "new-volume-key-file",
        "new-volume-key-keyring",
        "volume-key-file",
        "volume-key-keyring",
    ];
    let help = Place::new().run("cryptsetup --help").expect(0);
    let mut about_keys: Vec<&str> = help
        .text()
        .lines()
        .filter_map(|line| line.split_once("--")?.1.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| {
            ["key", "pass", "secret"]
                .iter()
                .any(|word| name.contains(word))
        })
        .collect();
    about_keys.sort_unstable();
    assert_eq!(about_keys, NO_SECRETS);
}
