//! What `OpenStack` makes by qemu-img and by cryptsetup, and what we make of the same words.

use serde_json::Value;

use crate::common::{PROGRAM, Place};

const QEMU: &str = "--object secret,id=s,file=key,format=raw";
const KEY_ID: &str = "7d2f1b6c-0000-4000-8000-0123456789ab";

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Cipher, size of the key and where the payload starts.
fn header(place: &Place, image: &str) -> (String, u64, u64) {
    let report = json(&place.luksmith(&format!("inspect {image} --json")));
    let segment = &report["segments"][0];
    (
        segment["cipher"].as_str().unwrap().to_owned(),
        report["keyslots"][0]["key_bits"].as_u64().unwrap(),
        segment["offset"].as_u64().unwrap(),
    )
}

/// Cinder's own words to qemu-img (`cipher-alg=ALG-KEYSIZE,cipher-mode=MODE,ivgen-alg=IV`).
#[test]
fn a_type_through_qemu_is_what_qemu_makes_of_it() {
    let place = Place::new();
    place.write("key", "passphrase");
    let mut refused = 0;
    for kind in [
        "aes-xts-plain64,256",
        "aes-xts-plain64,512",
        "aes-cbc-essiv,256",
        "aes-cbc-essiv:sha256,256",
        "serpent-xts-plain64,256",
        // It aborts there.
        "aes-cbc-plain64,192",
        "cast5-cbc-plain64,128",
        "cast5-xts-plain64,128",
        "camellia-xts-plain64,256",
        "aes-xts-benbi,256",
    ] {
        let (cipher, bits) = kind.split_once(',').unwrap();
        let parts: Vec<_> = cipher.split('-').collect();
        let options = format!(
            "cipher-alg={}-{bits},cipher-mode={},ivgen-alg={}",
            parts[0], parts[1], parts[2]
        );
        let create = format!(
            "qemu-img create -q -f luks {QEMU} -o {options},key-secret=s,iter-time=10 theirs 1M"
        );
        let by_qemu = place.sh_code(&format!("{create} 2>/dev/null"));
        let ours = format!("--cinder-type {kind} --backend qemu");
        let fast = "-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file key --force --allow-weak-cipher";
        let line = format!("luksmith create ours --payload-size 1M {fast} {ours} 2>said");
        assert_eq!(place.sh_code(&line) == 0, by_qemu == 0, "{kind}");
        let measured = format!("luksmith measure --payload-size 1M --json {ours} 2>/dev/null");
        if by_qemu != 0 {
            let said = String::from_utf8(place.read("said")).unwrap();
            assert!(said.contains("QEMU refuses"), "{kind}: {said}");
            assert_eq!(
                place.sh_code(&format!("{measured} >/dev/null")),
                1,
                "{kind}"
            );
            refused += 1;
            continue;
        }
        assert_eq!(header(&place, "ours"), header(&place, "theirs"), "{kind}");
        let by_qemu = json(&place.sh(&format!(
            "qemu-img measure --output json -O luks --size 1M {QEMU} -o {options},key-secret=s"
        )));
        let measured = json(&place.sh(&measured));
        assert_eq!(measured["container_bytes"], by_qemu["required"], "{kind}");
        place.sh(&format!(
            "qemu-img info --image-opts driver=luks,key-secret=s,file.filename=ours {QEMU} >/dev/null
             head -c 1M /dev/zero >raw
             luksmith encrypt raw made {fast} {ours} 2>/dev/null
             qemu-img compare -q {QEMU} --image-opts driver=raw,file.filename=raw driver=luks,key-secret=s,file.filename=made"
        ));
        assert_eq!(header(&place, "made"), header(&place, "theirs"), "{kind}");
    }
    assert_eq!(refused, 6);
}

/// os-brick's own words to cryptsetup.
#[test]
fn a_type_through_cryptsetup_is_what_cryptsetup_makes_of_it() {
    let place = Place::new();
    place.write("key", "passphrase");
    for (cipher, bits) in [
        ("aes-xts-plain64", 256),
        ("aes-xts-plain64", 512),
        ("aes-cbc-essiv:sha256", 256),
        ("aes-cbc-plain64", 128),
    ] {
        let fast = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file key";
        let kind = format!("--cinder-type {cipher},{bits} --backend cryptsetup");
        place.sh(&format!(
            "truncate -s 0 theirs; truncate -s 4M theirs
             cryptsetup --batch-mode luksFormat --type luks1 {fast} --cipher {cipher} --key-size {bits} theirs &&
             luksmith create ours --type luks1 --container-size 4M --force {fast} {kind} 2>said &&
             grep -q -- '--cipher {cipher} --key-size {bits}$' said"
        ));
        assert_eq!(header(&place, "ours"), header(&place, "theirs"), "{cipher}");
    }
}

#[test]
fn what_goes_with_a_type_and_what_does_not() {
    let place = Place::new();
    place.write("key", "passphrase");
    for options in [
        "--cinder-type aes-xts-plain64,256",
        "--backend qemu",
        "--cinder-type aes-xts-plain64 --backend qemu",
        "--cinder-type aes-xts-plain64,256 --backend rbd",
        "--cinder-type aes-xts-plain64,256 --backend qemu --cipher aes-xts-plain64",
        "--cinder-type aes-xts-plain64,256 --backend qemu --key-size 256",
        "--cinder-type aes-xts-plain64,256 --backend qemu --type luks2",
    ] {
        let line = format!("'{PROGRAM}' measure --payload-size 1M {options} 2>/dev/null");
        assert_eq!(place.sh_code(&line), 1, "{options}");
    }
    // In a qcow2 image QEMU puts its payload where it likes.
    place.sh(&format!(
        "head -c 1M /dev/zero >raw
         luksmith encrypt raw image.qcow2 -q --key-file key --pbkdf-force-iterations 1000 \
            --cinder-type aes-xts-plain64,256 --backend qemu 2>/dev/null
         qemu-img compare -q {QEMU} --image-opts driver=raw,file.filename=raw \
            driver=qcow2,encrypt.key-secret=s,file.filename=image.qcow2"
    ));
}

#[test]
fn glance_is_told_of_what_it_knows() {
    let place = Place::new();
    place.write("key", "passphrase");
    let luks = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
    place.sh(&format!(
        "qemu-img create -q -f luks {QEMU} -o key-secret=s,iter-time=10 raw.luks 3M
         qemu-img create -q -f qcow2 {QEMU} -o {luks} disk.qcow2 5M
         qemu-img create -q -f qcow2 plain.qcow2 5M
         qemu-img create -q -f qcow2 {QEMU} -o {luks},extended_l2=on extended.qcow2 5M
         qemu-img create -q -f qcow2 {QEMU} -o {luks},data_file=data apart.qcow2 5M
         qemu-img create -q -f qcow2 {QEMU} -o {luks} -b plain.qcow2 -F qcow2 above.qcow2
         luksmith create two --payload-size 1M -q --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000
         luksmith create data1 --type luks1 --header head1 --payload-size 1M -q --key-file key --pbkdf-force-iterations 1000
         head -c 1M /dev/urandom >noise"
    ));
    for (image, options, size) in [
        ("raw.luks", String::new(), 3 << 20),
        ("disk.qcow2", "--from qcow2".to_owned(), 5 << 20),
        (
            "raw.luks",
            "--from luks --deletion-policy on_image_deletion".to_owned(),
            3 << 20,
        ),
    ] {
        for id in [
            KEY_ID.to_owned(),
            KEY_ID.to_uppercase(),
            format!("barbican:{KEY_ID}"),
            format!("https://keys.example/key-manager/v1/secrets/{KEY_ID}"),
        ] {
            let line = format!("glance-props {image} --key-id {id} {options}");
            let printed = json(&place.luksmith(&line));
            let policy = if options.contains("on_image") {
                "on_image_deletion"
            } else {
                "do_not_delete"
            };
            assert_eq!(
                printed,
                serde_json::json!({
                    "os_encrypt_format": "LUKSv1",
                    "os_encrypt_key_id": KEY_ID,
                    "os_encrypt_key_deletion_policy": policy,
                    "os_decrypt_size": size.to_string(),
                    "os_decrypt_container_format": "bare",
                })
            );
            let with_schema = json(&place.luksmith(&format!("{line} --json")));
            assert_eq!(with_schema["schema"], "luksmith.glance-props/1");
            assert_eq!(with_schema["os_decrypt_size"], printed["os_decrypt_size"]);
        }
    }
    for (line, code, says) in [
        ("two", 4, "is a LUKS2 container"),
        ("noise", 4, "no LUKS"),
        ("disk.qcow2", 4, "no LUKS"),
        ("head1", 4, "a header without its data"),
        ("plain.qcow2 --from qcow2", 4, "without encryption"),
        ("extended.qcow2 --from qcow2", 4, "extended L2"),
        ("apart.qcow2 --from qcow2", 4, "in another file"),
        ("above.qcow2 --from qcow2", 4, "stands on another file"),
        ("raw.luks --from raw", 1, "a raw image is not encrypted"),
        ("raw.luks --key-id 7d2f", 1, "is named by a UUID"),
        (
            "raw.luks --key-id vault:secret/a",
            1,
            "not the UUID of a secret",
        ),
    ] {
        let id = if line.contains("--key-id") {
            ""
        } else {
            "--key-id"
        };
        let id = if id.is_empty() {
            String::new()
        } else {
            format!("{id} {KEY_ID}")
        };
        let found = place.sh_code(&format!("'{PROGRAM}' glance-props {line} {id} 2>said"));
        let said = String::from_utf8(place.read("said")).unwrap();
        assert_eq!(found, code, "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
}
