//! The manual pages say what the code does: held to it in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::{PLAIN, Place, plain_place};

fn written() -> Place {
    let place = Place::new();
    place.run("man pages -q").expect(0);
    place
}

fn page(place: &Place, name: &str) -> String {
    String::from_utf8(place.read(&format!("pages/{name}"))).expect("UTF-8")
}

#[test]
fn every_page_is_well_formed() {
    let place = written();
    let mut pages = 0;
    for entry in std::fs::read_dir(place.path("pages")).expect("pages") {
        let path = entry.expect("an entry").path();
        let mut mandoc = Command::new("mandoc");
        let output = mandoc
            .args(["-T", "lint", "-W", "warning"])
            .arg(&path)
            .output();
        let output = output.expect("mandoc is installed");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(said.is_empty(), "{said}");
        pages += 1;
    }
    println!("cases: manual pages {pages} passed, 0 failed");
    assert!(pages > 30);
    // What is written is what is listed, by a dry run and for programs too.
    let run = place.run("man other --dry-run --json").expect(0);
    let listed: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(listed["pages"].as_array().map(Vec::len), Some(pages));
    assert!(!place.path("other").exists());
}

#[test]
fn exit_codes_and_variables_are_in_the_page() {
    let place = written();
    let overview = page(&place, "luksmith.1");
    for exit in luksmith::Exit::ALL {
        let item = format!(".TP\n\\fB{}\\fR\n", exit.code());
        assert!(overview.contains(&item), "{exit:?}");
        if exit != luksmith::Exit::Done {
            let name = exit.name().replace('-', "\\-");
            assert!(page(&place, "luksmith-json.5").contains(&name), "{exit:?}");
        }
    }
    // Every variable that the source reads, by the names in its calls or in constants that hold them.
    let listed: BTreeSet<_> = luksmith::manual::ENVIRONMENT
        .iter()
        .flat_map(|(names, _)| names.split(", "))
        .collect();
    let mut read = 0;
    for file in crate::consistency::sources(std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))) {
        let text = std::fs::read_to_string(&file).expect("a source");
        let calls = text.split("env::var").skip(1);
        let named = calls
            .filter_map(|call| call.split('"').nth(1))
            .filter(|name| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            });
        let own = text
            .split('"')
            .filter(|word| word.starts_with("LUKSMITH_MAX"));
        for name in named.chain(own) {
            assert!(listed.contains(name), "{}: {name}", file.display());
            read += 1;
        }
    }
    assert!(read > 0);
    for name in listed {
        let name = name.replace('-', "\\-");
        assert!(overview.contains(&name), "{name}");
    }
}

/// What a policy may say is in the page, and the reverse: the parser itself lists what it knows.
#[test]
fn every_key_of_a_policy_is_in_the_page() {
    let place = plain_place(512);
    place
        .run("create box -q --payload-size 4K --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000")
        .expect(0);
    let known = |table: &str| -> Vec<String> {
        let head = if table.is_empty() {
            String::new()
        } else {
            format!("[{table}]\n")
        };
        place.write("policy", format!("{head}nonsense = 1\n"));
        let run = place.run("inspect box --policy policy").expect(1);
        let list = run.stderr.split("expected").nth(1).expect("a list");
        let list = list.lines().next().unwrap_or_default();
        list.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let tables = ["data", "keyslots", "kdf", "digests", "tokens", "seal"];
    let mut keys: BTreeSet<String> = known("")
        .into_iter()
        .filter(|key| !tables.contains(&key.as_str()))
        .collect();
    for table in tables {
        keys.extend(known(table).iter().map(|key| format!("{table}.{key}")));
    }
    let listed: BTreeSet<_> = luksmith::manual::policy_keys().into_iter().collect();
    assert_eq!(listed, keys);
    assert!(keys.len() > 40, "{}", keys.len());
    // The policies in the box stand there whole.
    let page = page(&written(), "luksmith-policy.5").replace("\\-", "-");
    for (name, text) in jobs::policy::BUILTINS {
        for line in text.lines() {
            assert!(page.contains(line), "{name}: {line}");
        }
    }
}

/// Members by their paths, with the types that they were seen with.
type Members = BTreeMap<(String, String), BTreeSet<&'static str>>;

fn collect(schema: &str, prefix: &str, value: &Value, members: &mut Members) {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let Value::Object(object) = value else {
        return;
    };
    for (name, value) in object {
        // That of a result is the same for all and stands above them.
        if prefix.is_empty()
            && name == "schema"
            && !["errors", "warnings", "notes"].contains(&schema)
        {
            continue;
        }
        let path = format!("{prefix}{name}");
        let key = (schema.to_owned(), path.clone());
        members.entry(key).or_default().insert(kind(value));
        match value {
            // What is in the header is not ours to list.
            Value::Object(_) if path == "metadata" || path == "value" => {}
            Value::Object(_) => collect(schema, &format!("{path}."), value, members),
            Value::Array(items) => {
                for item in items {
                    collect(schema, &format!("{path}[]."), item, members);
                }
            }
            _ => {}
        }
    }
}

/// Command lines that print everything that there is to be printed.
fn lines() -> Vec<String> {
    const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    const OTHER: &str =
        "--pbkdf argon2id --pbkdf-memory 32 --pbkdf-parallel 1 --pbkdf-force-iterations 4";
    let mut lines = Vec::new();
    let mut add = |line: &str| lines.push(line.replace("CHEAP", CHEAP).replace("OTHER", OTHER));
    for line in [
        "encrypt raw p PLAIN",
        "encrypt raw p2 PLAIN --dry-run",
        "decrypt p back PLAIN",
        "encrypt raw box --key-file key CHEAP",
        "encrypt raw old --type luks1 --key-file key CHEAP",
        "encrypt raw data --header head --key-file key CHEAP",
        "encrypt - streamed --key-file key CHEAP --dry-run <raw",
        "decrypt box back2 --key-file key",
        "decrypt data back3 --header head --key-file key",
        "encrypt --in-place here --key-file key CHEAP --dry-run",
        "encrypt --in-place here --key-file key CHEAP",
        "encrypt --in-place there --header head4 --key-file key CHEAP --dry-run",
        "encrypt --in-place there --header head4 --key-file key CHEAP --init-only",
        "resume there --header head4 --key-file key --dry-run",
        "resume there --header head4 --key-file key",
        "key add here --key-file key --new-keyfile other CHEAP",
        "reencrypt here -q -S 0 --key-file key CHEAP --dry-run",
        "reencrypt here -q -S 0 --key-file key CHEAP",
        "reencrypt there --header head4 --key-file key CHEAP --init-only",
        "resume there --header head4 --key-file key --recover-only",
        "resume there --header head4 --key-file key",
        "decrypt --in-place here --key-file key --dry-run",
        "decrypt --in-place here --key-file key",
        "clone box copy --key-file key --keep-passphrase --recovery-key recovered",
        "clone box copy2 --key-file key --new-keyfile other --new-header head3",
        "clone raw copy3 --source-type raw --new-keyfile key CHEAP --dry-run",
        "clone box . --key-file key --new-keyfile other --count 2 --name-pattern series-{index} --manifest series",
        "clone box . --key-file key --new-keyfile other --count 3 --name-pattern series-{index}",
        "create new --payload-size 4K --key-file key --label x --subsystem y OTHER",
        "create new2 --payload-size 4K --key-file key --header head2 CHEAP",
        "key add box --key-file key --new-keyfile other CHEAP",
        "key add box --key-file key --new-keyfile other CHEAP --dry-run",
        "key add box --unbound --key-size 256 --new-keyfile third CHEAP",
        "key change box --key-file other --new-keyfile fourth CHEAP",
        "key change box --key-file fourth --new-keyfile other CHEAP --dry-run",
        "token add box --key-description d",
        "token add box --key-description d --dry-run",
        "token list box",
        "token export box --token-id 0",
        "token export box --token-id 0 --json-file token",
        "token export box --token-id 0 --json-file token2 --dry-run",
        "token import box --json-file token",
        "token import box --json-file token --dry-run",
        "token unassign box --token-id 0 --key-slot 1",
        "token assign box --token-id 0 --key-slot 1 --dry-run",
        "token assign box --token-id 0 --key-slot 1",
        "token unassign box --token-id 0 --key-slot 0 --dry-run",
        "token remove box --token-id 0",
        "token remove box --token-id 1 --dry-run",
        "header config box --flags allow-discards",
        "header config box --label z --dry-run",
        "header backup box --header-backup-file saved",
        "header backup box --header-backup-file saved2 --dry-run",
        "key export box -q --key-file key --volume-key-file vk",
        "key export box -q --key-file key --volume-key-file vk2 --dry-run",
        "header seal box --key-file key --dry-run",
        "header seal box --key-file key --seal seal",
        "header seal box --key-file key",
        "inspect box",
        "header unseal box --dry-run",
        "header unseal box",
        "inspect new",
        "inspect old",
        "inspect data --header head",
        "inspect stopped",
        "inspect --from qcow2 disk",
        "inspect --from qcow2 over",
        "verify --from qcow2 disk",
        "verify box",
        "verify box --key-file key",
        "verify box --volume-key-file vk",
        "verify box --key-file third",
        "compare raw box --key-file key",
        "compare old box --key-file key",
        "compare raw other",
        "key test box --key-file key",
        "key test box --volume-key-file vk",
        "key test box --key-file key --key-format auto",
        "create mangled --type luks1 --payload-size 4K --key-file key --key-format openstack-mangled CHEAP",
        "glance-props mangled --key-id 00000000-0000-4000-8000-000000000001",
        "key unmangle mangled --key-file key CHEAP --dry-run",
        "key unmangle mangled --key-file key CHEAP",
        "encrypt swap volume PLAIN",
        "probe volume --key-file key --key-size 512",
        "measure --payload-size 1M --cinder-type aes-xts-plain64,256 --backend qemu",
        "key list box",
        "key list new",
        "key list stopped",
        "measure --payload-size 1M",
        "serve box --key-file key --socket sock --pid-file pid",
        "serve data --header head --key-file key --read-only --listen 127.0.0.1:0 --pid-file pid",
        "mount box other --key-file key",
        "umount other",
        "mount data other --header head --key-file key --read-only",
        "umount other",
        "key remove box --key-file fourth",
        "key remove box --key-file key --dry-run -q",
        "header restore box -q --header-backup-file saved",
        "header restore box -q --header-backup-file saved --dry-run",
        "header repair box",
        "header repair damaged --dry-run",
        "header repair damaged",
        "header convert old -q --type luks2",
        "header convert old -q --type luks1 --dry-run",
        "header erase new -q",
        "header erase box -q --dry-run",
        "benchmark --hash sha256",
        "benchmark --pbkdf argon2id --iter-time 1 --pbkdf-memory 32",
        "benchmark --cipher aes-xts-plain64",
        "man pages",
        "man pages --dry-run",
        "encrypt raw p3 PLAIN --progress-json",
        "encrypt raw p4 --type plain --cipher aes-ecb --key-size 256 --key-file key --allow-weak-cipher",
        "inspect missing",
        "encrypt raw box PLAIN",
    ] {
        add(&line.replace("PLAIN", PLAIN));
    }
    lines
}

#[test]
fn every_member_is_in_the_page_and_the_reverse() {
    let place = plain_place(8192);
    for (name, text) in [("other", "other"), ("third", "third"), ("fourth", "fourth")] {
        place.write(name, text);
    }
    for name in ["here", "there"] {
        place.write(name, crate::support::pattern(8192));
    }
    place.write("disk", crate::support::qcow2(None));
    let mut swap = vec![0; 64 << 10];
    swap[1024..1032].copy_from_slice(&[1, 0, 0, 0, 15, 0, 0, 0]);
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    place.write("swap", swap);
    place.write("over", crate::support::qcow2(Some("disk")));
    place.write(
        "stopped",
        crate::support::golden("luks2/reencrypt-in-progress.img.xz"),
    );
    place.write(
        "damaged",
        crate::support::golden("luks2/secondary-only.img.xz"),
    );
    let mut seen = Members::new();
    let verbs: BTreeSet<String> = luksmith::manual::json_members()
        .into_iter()
        .map(|(schema, ..)| schema)
        .collect();
    for line in lines() {
        let run = if line.ends_with("<raw") {
            place
                .sh(&format!("\"$LUKSMITH\" --json {line}")
                    .replace("--json encrypt", "encrypt --json"))
        } else {
            place.run(&format!("{line} --json"))
        };
        if line.starts_with("serve") {
            place.sh("kill $(cat pid); while test -e pid; do sleep 0.1; done");
        }
        for document in run.text().lines() {
            let document: Value = serde_json::from_str(document).expect("JSON");
            let schema = document["schema"].as_str().expect("a schema");
            let verb = schema
                .strip_prefix("luksmith.")
                .and_then(|rest| rest.strip_suffix("/1"));
            let verb = verb.expect("a schema of ours");
            // What is read as qcow2 tells other things.
            let typed = line.replace("--from ", "");
            assert!(typed.starts_with(verb), "{line}: {schema}");
            assert!(verbs.contains(verb), "{verb}");
            collect(verb, "", &document, &mut seen);
        }
        for said in run.stderr.lines() {
            let document: Value =
                serde_json::from_str(said).unwrap_or_else(|_| panic!("{line}: {said}"));
            let section = match document["schema"].as_str() {
                Some("luksmith.error/1") => "errors",
                Some("luksmith.warning/1") => "warnings",
                Some("luksmith.note/1") => "notes",
                None => "progress",
                Some(other) => panic!("{line}: {other}"),
            };
            // Every document of an error is meant to be one here.
            assert!(
                section != "errors"
                    || [
                        "inspect missing",
                        "verify box --key-file third",
                        "encrypt raw box",
                        "clone box . --key-file key --new-keyfile other --count 3",
                        "compare raw other"
                    ]
                    .iter()
                    .any(|may| line.starts_with(may)),
                "{line}: {said}"
            );
            collect(section, "", &document, &mut seen);
        }
    }
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for (schema, path, types) in luksmith::manual::json_members() {
        // They need a kernel that maps: those of the tests beside others have it.
        if ["open", "close", "status"].contains(&schema.as_str()) || schema.starts_with("mapping ")
        {
            continue;
        }
        // A disk with bad sectors is made by other tests.
        let is_damage = types.ends_with("on a damaged disk");
        let types = types.split(", ").next().unwrap_or_default().to_owned();
        let types: BTreeSet<_> = types.split(" or ").map(str::to_owned).collect();
        let key = (schema, path);
        match seen.get(&key) {
            None if is_damage => {}
            None => wrong.push(format!("{key:?} is in the page, and nothing prints it")),
            Some(kinds) => {
                for kind in kinds.iter().filter(|kind| !types.contains(**kind)) {
                    wrong.push(format!("{key:?} is {kind}, and the page says {types:?}"));
                }
            }
        }
        listed.insert(key);
    }
    for key in seen.keys().filter(|key| !listed.contains(*key)) {
        wrong.push(format!("{key:?} is printed, and not in the page"));
    }
    println!(
        "cases: JSON members {} passed, {} failed",
        listed.len() - wrong.len().min(listed.len()),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A key that systemd passes on.
#[test]
fn a_credential_is_a_key_file() {
    let place = plain_place(512);
    std::fs::create_dir(place.path("secrets")).expect("a folder");
    place.write("secrets/disk", b"a key");
    place.write("same", b"a key");
    let create = "create box -q --payload-size 4K --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file credential:disk";
    place
        .sh(&format!(
            "CREDENTIALS_DIRECTORY=$PWD/secrets \"$LUKSMITH\" {create}"
        ))
        .expect(0);
    place.run("key test box --key-file same").expect(0);
    let run = place
        .sh(&format!(
            "unset CREDENTIALS_DIRECTORY; \"$LUKSMITH\" {create}"
        ))
        .expect(1);
    assert!(
        run.stderr.contains("$CREDENTIALS_DIRECTORY is not set"),
        "{}",
        run.stderr
    );
    let run = place
        .sh("CREDENTIALS_DIRECTORY=$PWD/secrets \"$LUKSMITH\" key test box --key-file credential:../same")
        .expect(1);
    assert!(run.stderr.contains("without a slash"), "{}", run.stderr);
}
