use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::common::{Place, check_all, pattern};

const MAKE: &str = "qemu-img convert -q -f raw -O qcow2 --object secret,id=s,file=pw";
const LUKS: &str = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";

/// A raw image of 320 KiB with a hole, and two passphrases.
fn place() -> Place {
    let place = Place::new();
    let mut raw = pattern(320 << 10);
    raw[64 << 10..128 << 10].fill(0);
    place.write("raw", raw);
    place.write("pw", "first");
    place.write("pw2", "second");
    place
}

fn sha256(place: &Place, name: &str) -> String {
    hex::encode(Sha256::digest(place.read(name)))
}

/// One of the images that others made, with what must come of it.
struct Golden {
    file: String,
    arguments: String,
    /// SHA-256 of the plaintext, or what the refusal says.
    wanted: Result<String, &'static str>,
    before: Option<String>,
}

fn golden(index: &str) -> Vec<Golden> {
    let index: toml::Table = index.parse().unwrap();
    let rows = index["image"].as_array().unwrap().iter();
    let of_row = |row: &toml::Value| {
        let said = |key: &str| Some(row.get(key)?.as_str()?.to_owned());
        let file = said("file").unwrap();
        let wanted = match &file[..] {
            "aes-legacy.qcow2" => Err("the old AES method"),
            "v3-unknown-incompatible.qcow2" => Err("incompatible bit 63 is unknown"),
            _ if Path::new(&file).extension() == Some("qcow2".as_ref()) => {
                Ok(said("plaintext_sha256").unwrap())
            }
            _ => Err("no qcow2 image"),
        };
        let mut arguments = "--allow-backing".to_owned();
        for (option, name) in [
            ("--key-file", "passphrase"),
            ("--backing-key-file", "backing_passphrase"),
        ] {
            if let Some(secret) = said(name) {
                let file = if secret == "second" { "pw2" } else { "pw" };
                arguments += &[" ", option, " ", file].concat();
            }
        }
        Golden {
            arguments,
            file,
            wanted,
            before: said("snapshot_before_sha256"),
        }
    };
    rows.map(of_row).collect()
}

#[test]
fn each_golden_image_gives_the_plaintext_that_qemu_img_got() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!("LUKSMITH_CONFORMANCE is not set: images that others made are left out");
        return;
    };
    let packed = Path::new(&folder).join("images/qcow2");
    let place = Place::new();
    for entry in fs::read_dir(&packed).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "xz") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            place.sh(&format!("xz -dc '{}' >{name}", path.display()));
        }
    }
    let images = golden(&fs::read_to_string(packed.join("index.toml")).unwrap());
    assert_eq!(images.len(), 39);
    for Golden {
        file,
        arguments,
        wanted,
        before,
    } in images
    {
        let read = format!("luksmith decrypt --from qcow2 --force {file} out {arguments}");
        match wanted {
            Ok(hash) => {
                place.sh(&read);
                assert_eq!(sha256(&place, "out"), hash, "{file}");
                place.sh(&format!(
                    "luksmith compare --from qcow2 --from raw {file} out {arguments}"
                ));
                let said = place.sh(&format!("luksmith inspect --json --from qcow2 {file}"));
                let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
                assert_eq!(said["type"], "qcow2", "{file}");
                assert_eq!(said["disk_bytes"], place.len("out"), "{file}");
                assert_eq!(said["luks"].is_object(), file.starts_with("luks"), "{file}");
            }
            Err(reason) => {
                let said = place.sh(&format!("{read} 2>&1 && exit 1; [ $? = 4 ]"));
                let said = String::from_utf8(said).unwrap();
                assert!(said.contains(reason), "{file}: {said}");
            }
        }
        if let Some(hash) = before {
            place.sh(&format!("{read} --snapshot before"));
            assert_eq!(sha256(&place, "out"), hash, "{file}");
        }
    }
    println!("cases: golden qcow2 images by the command line 39 passed, 0 failed");
}

#[test]
fn a_chain_of_images_is_read_each_with_a_key_of_its_own() {
    let place = place();
    let commands = [
        format!("{MAKE} -o {LUKS},cluster_size=4k raw base.qcow2"),
        "mkdir below; mv base.qcow2 below".to_owned(),
        "qemu-img create -q -f qcow2 --object secret,id=s,file=pw2 -b below/base.qcow2 -F qcow2 \
         -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 top.qcow2 400k"
            .to_owned(),
        "qemu-io --object secret,id=s,file=pw2 --object secret,id=t,file=pw -c 'write -P 7 10k 7k' -c 'write -P 9 390k 10k' \
         --image-opts driver=qcow2,file.filename=top.qcow2,encrypt.key-secret=s,backing.driver=qcow2,\
         backing.file.filename=below/base.qcow2,backing.encrypt.key-secret=t >/dev/null"
            .to_owned(),
        "qemu-img convert --object secret,id=s,file=pw2 --object secret,id=t,file=pw -O raw --image-opts \
         driver=qcow2,file.filename=top.qcow2,encrypt.key-secret=s,backing.driver=qcow2,\
         backing.file.filename=below/base.qcow2,backing.encrypt.key-secret=t theirs"
            .to_owned(),
    ];
    for command in commands {
        place.sh(&command);
    }
    place.sh(
        "luksmith decrypt --from qcow2 --allow-backing top.qcow2 out --key-file pw2 --backing-key-file pw",
    );
    assert!(place.read("out") == place.read("theirs"));
    // The passphrases as lines, from the image downwards.
    place.sh("printf 'second\\nfirst\\n' | luksmith decrypt --from qcow2 --allow-backing top.qcow2 lines");
    assert!(place.read("lines") == place.read("theirs"));
    assert_eq!(
        place.sh_code("luksmith decrypt --from qcow2 --allow-backing top.qcow2 no --key-file pw2"),
        2,
        "the key of the top is tried on what is below"
    );
    assert_eq!(
        place.sh_code("luksmith decrypt --from qcow2 top.qcow2 no --key-file pw2"),
        4,
        "nothing else is read unless that is allowed"
    );
    assert!(!place.path("no").exists());
    place.sh("luksmith decrypt --from qcow2 --allow-backing top.qcow2 pw --force --key-file pw2 --backing-key-file pw \
              && exit 1; [ $(cat pw) = first ]");
    place.sh("luksmith decrypt --from qcow2 --allow-backing top.qcow2 below/base.qcow2 --force --key-file pw2 \
              --backing-key-file pw && exit 1; qemu-img info below/base.qcow2 >/dev/null");
    // A container as it lies there is something to stand on, too.
    place.sh(
        "luksmith encrypt raw box.luks --key-file pw --pbkdf-force-iterations 1000 --type luks1",
    );
    place.sh("qemu-img create -q -u -f qcow2 -b box.luks -F luks over.qcow2 320k");
    place.sh("luksmith decrypt --from qcow2 --allow-backing over.qcow2 over --backing-key-file pw");
    assert!(place.read("over") == place.read("raw"));
}

/// Each makes `top.qcow2`, which refers to something that is not to be read; what is said.
const REFUSED: &[(&str, &str)] = &[
    (
        "ref \"$PWD/raw\" raw",
        "the name is not relative to the image",
    ),
    (
        "ref ../secret raw",
        "it leads out of the image's own folder",
    ),
    (
        "ref sub/../../secret raw",
        "it leads out of the image's own folder",
    ),
    (
        "ln -s ../secret link; ref link raw",
        "it is a symbolic link",
    ),
    ("ln -s .. up; ref up/secret raw", "through a link"),
    ("mkfifo pipe; ref pipe raw", "it is no regular file"),
    ("mkdir -p sub; ref sub raw", "it is no regular file"),
    ("ref sub/ raw", "it names no file"),
    ("ref nbd:localhost:1 raw", "it names a protocol"),
    (
        "ref 'json:{\"file.filename\":\"raw\"}' raw",
        "it names a protocol",
    ),
    ("ref raw ''", "its format is not said, and is not guessed"),
    ("ref raw vmdk", "it is said to be vmdk"),
    ("ref missing raw", "No such file"),
    (
        "ref self qcow2; mv top.qcow2 self; cp self top.qcow2",
        "in a circle",
    ),
    (
        "qemu-img create -q -u -f qcow2 -b top.qcow2 -F qcow2 b 1M; ref b qcow2",
        "in a circle",
    ),
    (
        "for n in $(seq 17); do qemu-img create -q -u -f qcow2 -b $((n - 1)) -F qcow2 $n 1M; done; cp raw 0; ref 17 qcow2",
        "more than 16 images on each other",
    ),
    (
        "qemu-img create -q -f qcow2 -o data_file=top.qcow2.data top.qcow2 1M; mv top.qcow2.data x; ln -s ../secret top.qcow2.data",
        "it is a symbolic link",
    ),
];

#[test]
fn an_image_leads_to_nothing_but_files_beside_it() {
    let cases: Vec<_> = REFUSED
        .iter()
        .map(|(make, said)| format!("{make} => {said}"))
        .collect();
    check_all(
        "qcow2 images that name what is not theirs",
        &cases,
        |case| {
            let (make, said) = case.split_once(" => ").unwrap();
            let place = Place::new();
            let script = format!(
                "mkdir in; echo secret >secret; cd in; mkdir -p sub; head -c 1M /dev/zero >raw; \
             ref() {{ if [ \"$2\" ]; then f=\"-F $2\"; fi; qemu-img create -q -u -f qcow2 -b \"$1\" $f top.qcow2 1M || exit 1; \
             if ! [ \"$2\" ]; then :; fi; }}; {make}"
            );
            if case.starts_with("ref raw ''") {
                // qemu-img 10 makes no image without the format of its backing file.
                place.sh("mkdir in; head -c 1M /dev/zero >in/raw; qemu-img create -q -u -f qcow2 -b raw -F raw in/top.qcow2 1M");
                let mut image = place.read("in/top.qcow2");
                let at = image
                    .windows(4)
                    .position(|four| four == [0xe2, 0x79, 0x2a, 0xca])
                    .unwrap();
                image[at..at + 4].copy_from_slice(&[0x11; 4]);
                place.write("in/top.qcow2", image);
            } else {
                place.sh(&script);
            }
            let run = place.sh(
            "luksmith decrypt --from qcow2 --allow-backing in/top.qcow2 out 2>said; echo $?; cat said; ls",
        );
            let run = String::from_utf8(run).unwrap();
            assert!(run.starts_with('4') && run.contains(said), "{run}");
            assert!(!place.path("out").exists());
        },
    );
    // Sixteen are read.
    let place = place();
    place.sh("for n in $(seq 15); do qemu-img create -q -u -f qcow2 -b $((n - 1)) -F qcow2 $n 320k; done; \
              qemu-img convert -O qcow2 -f raw raw 0; luksmith decrypt --from qcow2 --allow-backing 15 out");
    assert!(place.read("out") == place.read("raw"));
}

#[test]
fn nothing_is_taken_for_qcow2_that_is_not_said_to_be() {
    let place = place();
    place.sh("qemu-img convert -f raw -O qcow2 raw a.qcow2");
    let said = |line: &str, code: i32| {
        let said = place.sh(&format!("{line} 2>&1; [ $? = {code} ]"));
        String::from_utf8(said).unwrap()
    };
    let refused = said("luksmith decrypt a.qcow2 out --key-file pw", 4);
    assert!(
        refused.contains("--from qcow2 reads the disk in it"),
        "{refused}"
    );
    let refused = said("luksmith inspect a.qcow2", 4);
    assert!(refused.contains("--from qcow2"), "{refused}");
    let warned = said("luksmith compare a.qcow2 a.qcow2", 0);
    assert!(
        warned.contains("its bytes are compared as they are"),
        "{warned}"
    );
    said("luksmith compare a.qcow2 raw", 1);
    said("luksmith compare --from qcow2 --from raw a.qcow2 raw", 0);
    said("luksmith compare --from raw --from qcow2 raw a.qcow2", 0);
    let none = said(
        "luksmith decrypt --from qcow2 a.qcow2 out --snapshot none",
        1,
    );
    assert!(none.contains("no snapshot is called"), "{none}");
    said("luksmith decrypt --from qcow2 --type luks1 a.qcow2 out", 1);
    said("luksmith decrypt --from raw raw out", 1);
    said("luksmith decrypt --snapshot x raw out", 1);
    said("luksmith decrypt --in-place --from qcow2 a.qcow2", 1);
    let line = said("luksmith decrypt --from qcow2 a.qcow2 out", 0);
    assert!(line.contains("(qcow2, not encrypted)"), "{line}");
    assert!(place.read("out") == place.read("raw"));
    let other = said("luksmith decrypt --from qcow2 raw out2", 4);
    assert!(other.contains("no qcow2 image"), "{other}");
    // Zeros stay a hole, and a part is a part.
    place.sh(
        "qemu-img create -q -f qcow2 big.qcow2 1G; luksmith decrypt --from qcow2 big.qcow2 big; \
              [ $(du -k big | cut -f1) -le 64 ] && [ $(stat -c %s big) = 1073741824 ]",
    );
    place.sh("luksmith decrypt --from qcow2 --size 100 a.qcow2 part; cmp -n 51200 part raw && [ $(stat -c %s part) = 51200 ]");
    said(
        "luksmith decrypt --from qcow2 --size 1000000 a.qcow2 more",
        4,
    );
}

#[test]
fn a_container_is_made_of_the_disk_in_an_image() {
    let place = place();
    place.sh(&format!(
        "{MAKE} -o {LUKS} raw a.qcow2; qemu-img convert -f raw -O qcow2 raw plain.qcow2"
    ));
    let cheap = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    let code = |line: &str, code: i32| {
        let said = place.sh(&format!("{line} 2>&1; [ $? = {code} ]"));
        String::from_utf8(said).unwrap()
    };
    // Of what LUKS is in the clone is like it, unless that is said otherwise; each has a key of its own.
    code(
        &format!(
            "luksmith clone --from qcow2 a.qcow2 one --key-file pw --new-keyfile pw2 --allow-cheaper-kdf {cheap}"
        ),
        0,
    );
    place.sh("luksmith decrypt one out --key-file pw2 --type luks1; cmp out raw; rm out");
    code(
        &format!("luksmith clone --from qcow2 plain.qcow2 two --new-keyfile pw2 {cheap} --json"),
        0,
    );
    place.sh("luksmith compare --from luks --from qcow2 two plain.qcow2 --key-file pw2");
    place.sh("luksmith compare --from luks --from qcow2 one a.qcow2 --key-file pw2 --key-file pw");
    place.sh("qemu-img compare --object secret,id=s,file=pw2 --image-opts driver=luks,key-secret=s,file.filename=one \
              driver=raw,file.filename=raw >/dev/null");
    code(
        &format!("luksmith encrypt --from qcow2 plain.qcow2 three --key-file pw {cheap}"),
        0,
    );
    place.sh("luksmith decrypt three out --key-file pw; cmp out raw");
    let refused = code(
        &format!("luksmith encrypt --from qcow2 a.qcow2 four --key-file pw {cheap}"),
        1,
    );
    assert!(
        refused.contains("is encrypted") && refused.contains("clone --from qcow2"),
        "{refused}"
    );
    code("luksmith encrypt --from luks one four --key-file pw", 1);
    code(
        "luksmith clone --from qcow2 plain.qcow2 four --keep-passphrase",
        1,
    );
    code(
        "luksmith clone --from qcow2 --source-type raw plain.qcow2 four",
        1,
    );
    code(
        "luksmith clone --from qcow2 a.qcow2 a.qcow2 --force --key-file pw --new-keyfile pw2",
        1,
    );
    assert!(!place.path("four").exists());
    // A raw image by its format.
    code(
        &format!("luksmith clone --from raw raw five --new-keyfile pw2 {cheap}"),
        0,
    );
    place.sh("luksmith compare five raw --key-file pw2");
    let of_disk = code("luksmith measure --from qcow2 a.qcow2 --type luks1", 0);
    let of_size = code("luksmith measure --payload-size 320K --type luks1", 0);
    assert_eq!(of_disk, of_size);
    code("luksmith measure --from luks one", 1);
}

#[test]
fn an_image_is_sound_where_qemu_img_says_so() {
    let place = place();
    let verdict = |name: &str, keys: &str| {
        let ours = place.sh_code(&format!(
            "luksmith verify --from qcow2 {name} --json {keys} >verdict 2>said"
        ));
        let said: serde_json::Value = serde_json::from_slice(&place.read("verdict")).unwrap();
        (ours, said)
    };
    place.sh(&format!("{MAKE} -o {LUKS} raw a.qcow2"));
    let (code, said) = verdict("a.qcow2", "--key-file pw");
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["luks"]["key"]["keyslot"], 0, "{said}");
    assert_eq!(
        (
            said["clusters"]["total"].as_u64(),
            said["clusters"]["absent"].as_u64()
        ),
        (Some(5), Some(1)),
        "{said}"
    );
    assert_eq!(verdict("a.qcow2", "--key-file pw2").0, 2);
    place.sh("luksmith verify --from qcow2 a.qcow2 | grep -q 'sound, as far as can be seen'");
    place.sh("luksmith inspect --from qcow2 a.qcow2 | grep -q '5: 4 with data'");
    // A cluster with a refcount of its own that nothing has any more, and then one whose refcount is lost.
    place.sh("qemu-img convert -f raw -O qcow2 raw b.qcow2; cp b.qcow2 leak.qcow2");
    let image = place.read("b.qcow2");
    let word =
        |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap()) & 0xff_ffff_ffff_fe00;
    let at = |offset: u64| usize::try_from(offset).unwrap();
    let l2 = at(word(at(word(40))));
    let mut leak = image.clone();
    leak[l2..l2 + 8].fill(0);
    place.write("leak.qcow2", &leak);
    let (code, said) = verdict("leak.qcow2", "");
    assert_eq!(
        (code, said["leaked_clusters"].as_u64()),
        (0, Some(1)),
        "{said}"
    );
    assert_eq!(
        place.sh_code("qemu-img check leak.qcow2 >/dev/null 2>&1"),
        3
    );
    let block = at(word(at(word(48))));
    let mut lost = image.clone();
    let cluster = at(word(l2)) / 65536;
    lost[block + cluster * 2..block + cluster * 2 + 2].fill(0);
    place.write("lost.qcow2", &lost);
    let (code, said) = verdict("lost.qcow2", "");
    assert_eq!(code, 4, "{said}");
    assert!(
        said["problems"][0]
            .as_str()
            .unwrap()
            .contains("is used 1 times, and its refcount is 0"),
        "{said}"
    );
    assert_eq!(
        place.sh_code("qemu-img check lost.qcow2 >/dev/null 2>&1"),
        2
    );
    assert_eq!(
        place.sh_code("luksmith verify --from qcow2 b.qcow2 --key-file pw"),
        1,
        "there is no key to be checked"
    );
}
