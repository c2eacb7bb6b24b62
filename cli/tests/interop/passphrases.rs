use crate::common::{Place, check_all, pattern};

/// Ways to hand over a passphrase; `abc` and the others are files, made below.
const INPUTS: [&str; 27] = [
    "<abc",
    "<line",
    "<empty",
    "<nul",
    "<newline",
    "-l 3 <line",
    "-l 4 <line",
    "--key-file - <abc",
    "--key-file - <line",
    "--key-file - <empty",
    "--key-file - <nul",
    "--key-file - -l 3 <line",
    "--key-file - -l 4 <line",
    "--key-file - -l 5 <line",
    "--keyfile-offset 1 <abc",
    "--key-file abc",
    "--key-file line",
    "--key-file nul",
    "--key-file empty",
    "--key-file line -l 3",
    "--key-file line -l 5",
    "--key-file abc --keyfile-offset 1",
    "--key-file abc --keyfile-offset 3",
    "--key-file abc --keyfile-offset 4",
    "--key-file missing",
    "--key-file .",
    "--key-file /dev/null",
];

#[test]
fn d9_a_passphrase_is_what_it_is_for_cryptsetup() {
    let place = Place::new();
    let secrets: [(&str, &[u8]); 5] = [
        ("abc", b"abc"),
        ("line", b"abc\n"),
        ("empty", b""),
        ("nul", b"a\0b\n"),
        ("newline", b"\n"),
    ];
    for (name, bytes) in secrets {
        place.write(name, bytes);
    }
    place.write("raw", pattern(4096));
    let mut cases = Vec::new();
    for secret in ["abc", "line", "nul"] {
        place.sh(&format!(
            "luksmith encrypt raw {secret}.box --key-file {secret} --pbkdf pbkdf2 --pbkdf-force-iterations 1000"
        ));
        cases.extend(INPUTS.map(|input| format!("{secret}.box {input}")));
    }
    check_all("passphrases as cryptsetup reads them", &cases, |case| {
        let theirs = place.sh_code(&format!("cryptsetup open --test-passphrase {case}"));
        assert_eq!(place.sh_code(&format!("luksmith key test {case}")), theirs);
    });
}
