use crate::common::{Place, check_all, pattern};

const KDF: &str = "--key-file pw --pbkdf-force-iterations 1000";

/// Compares the image with `raw`, by the passphrase in a file.
fn compare(image: &str, key: &str) -> String {
    format!(
        "qemu-img compare -q --object secret,id=s,file={key} --image-opts \
         driver=qcow2,file.filename={image},encrypt.key-secret=s driver=raw,file.filename=raw"
    )
}

/// Has the tables of an image checked, which QEMU does without reading what is encrypted.
fn check(image: &str, key: &str) -> String {
    format!(
        "qemu-img check -q --object secret,id=s,file={key} --image-opts \
         driver=qcow2,file.filename={image},encrypt.key-secret=s"
    )
}

/// A raw image of 900 KiB, of which the most is a hole, and two passphrases.
fn place() -> Place {
    let place = Place::new();
    let mut raw = pattern(900 << 10);
    raw[100 << 10..700 << 10].fill(0);
    place.write("raw", raw);
    place.write("pw", "first");
    place.write("pw2", "second");
    place
}

/// A cipher, and the size of its key.
const CIPHERS: &[(&str, u32)] = &[
    ("aes-xts-plain64", 512),
    ("aes-xts-plain64", 384),
    ("aes-xts-plain64", 256),
    ("aes-xts-plain", 512),
    ("aes-xts-essiv:sha256", 512),
    ("aes-cbc-plain64", 256),
    ("aes-cbc-plain", 128),
    ("aes-cbc-essiv:sha256", 256),
    ("aes-ctr-plain64", 256),
    ("serpent-xts-plain64", 512),
    ("serpent-cbc-plain64", 256),
    ("serpent-cbc-essiv:sha256", 128),
    ("twofish-xts-plain64", 512),
    ("twofish-xts-plain64", 256),
    ("twofish-cbc-essiv:sha256", 256),
    ("cast5-cbc-plain64", 128),
    ("cast5-cbc-essiv:md5", 128),
    ("cast5-ctr-plain64", 128),
];

const HASHES: &[&str] = &["sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160"];

#[test]
fn qemu_reads_every_cipher_and_hash_that_it_knows() {
    let ciphers = CIPHERS
        .iter()
        .map(|(cipher, bits)| format!("-c {cipher} -s {bits}"));
    let hashes = HASHES.iter().map(|hash| format!("--hash {hash}"));
    let cases: Vec<_> = ciphers.chain(hashes).collect();
    check_all("qcow2 images with LUKS for qemu-img", &cases, |case| {
        let place = place();
        place.sh(&format!(
            "luksmith encrypt raw made.qcow2 -q {KDF} {case} --allow-weak-cipher"
        ));
        place.sh(&check("made.qcow2", "pw"));
        place.sh(&compare("made.qcow2", "pw"));
        place.sh("luksmith decrypt --from qcow2 made.qcow2 again -q --key-file pw; cmp raw again");
    });
}

#[test]
fn what_qemu_does_not_know_is_refused() {
    let cases = [
        "-c aes-cbc-essiv:sha256 -s 192 => with a key of 192 bits",
        "-c camellia-xts-plain64 => the cipher camellia-xts-plain64",
        "-c aes-ecb -s 256 => the cipher aes-ecb",
        "--hash whirlpool => the hash whirlpool",
        "--type luks2 --pbkdf pbkdf2 => QEMU knows LUKS1",
        "--header new => --header does not go with a qcow2 image",
        "--cluster-size 3K => cluster size 3072",
        "--cluster-size 4M => cluster size 4194304",
        "--to raw => --to raw does not go with",
        "--to luks --cluster-size 4K => --cluster-size does not go with",
        "--compat 2.7 => --compat does not go with",
    ];
    check_all("qcow2 images that are not made", &cases, |case| {
        let (options, said) = case.split_once(" => ").unwrap();
        let place = place();
        let run = place.sh(&format!(
            "luksmith encrypt raw made.qcow2 -q {KDF} --allow-weak-cipher {options} 2>said; echo $?; cat said; ls"
        ));
        let run = String::from_utf8(run).unwrap();
        assert!(run.starts_with('1') && run.contains(said), "{run}");
        assert!(
            !run.contains("made.qcow2\n") && !run.contains("new\n"),
            "{run}"
        );
    });
}

#[test]
fn holes_stay_holes_and_nothing_of_the_plaintext_is_in_an_image() {
    let place = place();
    place.sh(&format!("luksmith encrypt raw made.qcow2 -q {KDF}"));
    // Seven clusters of 64 KiB have data, five the header and tables, and 2 MiB the LUKS header.
    let len = place.len("made.qcow2");
    assert!(len <= (2 << 20) + (12 * 65536), "{len}");
    let (raw, made) = (place.read("raw"), place.read("made.qcow2"));
    for start in [0, 4096, 800 << 10] {
        let canary = &raw[start..start + 16];
        assert!(!made.windows(16).any(|bytes| bytes == canary), "{start}");
    }
    // What is encrypted twice has two keys.
    place.sh(&format!("luksmith encrypt raw other.qcow2 -q {KDF}"));
    assert!(made[made.len() / 2..] != place.read("other.qcow2")[made.len() / 2..]);
}

#[test]
fn qemu_changes_what_was_made() {
    let place = place();
    place.sh(&format!(
        "luksmith encrypt raw made.qcow2 -q {KDF} --cluster-size 4K --compat 0.10"
    ));
    place.sh("qemu-img info made.qcow2 | grep -q 'compat: 0.10'; \
         qemu-img amend --object secret,id=s,file=pw --object secret,id=n,file=pw2 --image-opts \
         driver=qcow2,file.filename=made.qcow2,encrypt.key-secret=s -o \
         encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10");
    place.sh(&compare("made.qcow2", "pw2"));
    place.sh(
        "qemu-io --object secret,id=s,file=pw2 -c 'write -P 7 300k 70k' -c 'discard 0 64k' --image-opts \
         driver=qcow2,file.filename=made.qcow2,encrypt.key-secret=s >/dev/null",
    );
    place.sh(&check("made.qcow2", "pw2"));
    place.sh("luksmith decrypt --from qcow2 made.qcow2 again -q --key-file pw2");
    place.sh(
        "qemu-img convert --object secret,id=s,file=pw2 -O raw --image-opts \
         driver=qcow2,file.filename=made.qcow2,encrypt.key-secret=s theirs; cmp again theirs",
    );
}

#[test]
fn a_container_becomes_an_image_of_either_kind() {
    let place = place();
    place.sh(&format!(
        "luksmith encrypt raw box.luks -q {KDF} --pbkdf pbkdf2"
    ));
    place.sh(
        "luksmith clone box.luks clone.qcow2 -q --key-file pw --new-keyfile pw2 --allow-cheaper-kdf \
         --pbkdf-force-iterations 1000",
    );
    place.sh(&check("clone.qcow2", "pw2"));
    place.sh(&compare("clone.qcow2", "pw2"));
    place.sh("luksmith decrypt box.luks bare.qcow2 -q --key-file pw --cluster-size 512; qemu-img check -q bare.qcow2");
    place.sh("qemu-img compare -q -f qcow2 -F raw bare.qcow2 raw");
    // A hole of a disk is one in an image that is made of it.
    place.sh("luksmith decrypt --from qcow2 bare.qcow2 same --to qcow2 -q; qemu-img check -q -f qcow2 same");
    place.sh("qemu-img compare -q -f qcow2 -F raw same raw");
    assert!(place.len("same") <= 12 * 65536);
    // The name alone says it, unless something else is said.
    place
        .sh("luksmith decrypt box.luks named.qcow2 --to raw -q --key-file pw; cmp raw named.qcow2");
    let tables = "luksmith decrypt box.luks --to qcow2 - --key-file pw >out; [ $? = 1 ]";
    place.sh(tables);
    assert_eq!(place.len("out"), 0);
}

#[test]
fn an_empty_image_is_as_large_as_was_measured() {
    let place = place();
    let said = place.sh("luksmith measure --to qcow2 --payload-size 3G --cluster-size 64K --json");
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    place.sh(&format!(
        "luksmith create empty.qcow2 -q --payload-size 3G {KDF}"
    ));
    place.sh(&check("empty.qcow2", "pw"));
    assert_eq!(said["least_bytes"], place.len("empty.qcow2"));
    let theirs = place.sh(
        "qemu-io --object secret,id=s,file=pw -c 'write -P 5 2G 100k' -c 'read -P 5 2G 100k' -c 'read -P 0 1G 1M' \
         --image-opts driver=qcow2,file.filename=empty.qcow2,encrypt.key-secret=s",
    );
    let theirs = String::from_utf8(theirs).unwrap();
    assert!(!theirs.contains("failed"), "{theirs}");
    place.sh(&check("empty.qcow2", "pw"));
}
