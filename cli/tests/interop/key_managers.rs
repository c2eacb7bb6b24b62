//! Secrets out of key managers: a double that answers as Barbican, Keystone and OpenBao did (`cargo xtask interop keys`
//! asks the real ones), files, and answers that no server should give.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::{PROGRAM, Place};

const DOUBLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/interop/key_managers/double.py"
);
const CERTIFICATES: &str = include_str!("serve/certificates.sh");

/// What opens the containers of [`place`]: what `OpenStack` makes of a key, of two passphrases, and of much.
const HEX: &str = "0725230b";

struct Double {
    process: Child,
    port: u16,
}

impl Double {
    /// `arguments` as the script takes them.
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut process = Command::new("/usr/bin/python3")
            .arg(DOUBLE)
            .args(arguments)
            .current_dir(place.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            process,
            port: port.trim().parse().unwrap(),
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

fn place() -> Place {
    let place = Place::new();
    for (name, passphrase) in [
        ("hex", HEX.to_owned()),
        ("phrase", "hunter2 ß".to_owned()),
        ("hunter2", "hunter2".to_owned()),
        ("much", "78".repeat(64 << 10)),
    ] {
        place.write("key", passphrase);
        place.sh(&format!(
            "luksmith create {name} --payload-size 1M -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file key"
        ));
    }
    place
}

/// Exit code and standard error of `key test IMAGE --secret REFERENCE`, with nothing in the environment but this.
fn test(
    place: &Place,
    image: &str,
    arguments: &str,
    environment: &[(&str, &str)],
) -> (i32, String) {
    let mut command = Command::new(PROGRAM);
    command
        .args(["key", "test", image])
        .args(arguments.split_whitespace())
        .env_clear()
        .envs(environment.iter().copied());
    let output = place.run(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("S3CRET"), "{said}");
    (output.status.code().unwrap(), said)
}

fn barbican(number: u32) -> String {
    format!("--secret barbican:00000000-0000-4000-8000-{number:012x}")
}

#[test]
fn barbicans_secrets_open_by_their_type() {
    let place = place();
    let double = Double::start(&place, &["log"]);
    let end_point = format!("http://127.0.0.1:{}", double.port);
    let with = |token| [("BARBICAN_ENDPOINT", &*end_point), ("OS_AUTH_TOKEN", token)];
    let cases = [
        ("symmetric", "hex", 1, ""),
        ("opaque", "hex", 2, ""),
        ("a text", "phrase", 3, ""),
        ("a passphrase of bytes", "hunter2", 4, ""),
        ("a public key", "hex", 5, ""),
        ("as large as may be", "much", 8, ""),
        ("elsewhere on the server", "hex", 0x103, ""),
        ("a passphrase in digits", "hex", 4, "--key-format openstack"),
        ("a key as it is", "hex", 1, "--key-format as-is"),
    ];
    for (what, image, number, options) in cases {
        let arguments = format!("{} {options}", barbican(number));
        let (code, said) = test(&place, image, &arguments, &with("token"));
        // What is said of the format counts, not the type.
        let wanted = if options.is_empty() { 0 } else { 2 };
        assert_eq!(code, wanted, "{what}: {said}");
    }
    // What is asked for is what the metadata say: text/plain would be answered for bytes as well.
    let log = String::from_utf8(place.read("log")).unwrap();
    let first: Vec<_> = log
        .lines()
        .filter(|line| line.contains("000000000001"))
        .collect();
    assert!(
        first
            .iter()
            .any(|line| line.ends_with("/payload application/octet-stream")),
        "{log}"
    );
    assert!(
        !first.iter().any(|line| line.contains("text/plain")),
        "{log}"
    );
}

#[test]
fn what_is_no_secret_of_barbicans_is_refused() {
    let place = place();
    let double = Double::start(&place, &["log"]);
    let here = format!("http://127.0.0.1:{}", double.port);
    let given = |token| vec![("BARBICAN_ENDPOINT", &*here), ("OS_AUTH_TOKEN", token)];
    let far = vec![
        ("BARBICAN_ENDPOINT", "http://192.0.2.1:9311"),
        ("OS_AUTH_TOKEN", "token"),
    ];
    let nobody = vec![
        ("BARBICAN_ENDPOINT", "http://127.0.0.1:1"),
        ("OS_AUTH_TOKEN", "token"),
    ];
    let no_url = vec![
        ("BARBICAN_ENDPOINT", "http://a@b"),
        ("OS_AUTH_TOKEN", "token"),
    ];
    let cases = [
        (
            "missing",
            99,
            given("token"),
            "is not there: missing, or expired",
        ),
        ("no payload", 7, given("token"), "has no payload"),
        (
            "another project's",
            1,
            given("other"),
            "may not be read: it is of another project",
        ),
        (
            "a token that is wrong",
            1,
            given("wrong"),
            "the token is wrong, or has expired",
        ),
        (
            "a token of two lines",
            1,
            given("S3CRET\n"),
            "bytes that no header may have",
        ),
        (
            "not UTF-8",
            6,
            given("token"),
            "a passphrase that is not UTF-8",
        ),
        ("no PEM", 10, given("token"), "not PEM"),
        ("too long", 9, given("token"), "more than 65536 bytes"),
        ("10 MB long", 11, given("token"), "more than 65536 bytes"),
        ("not JSON", 0x101, given("token"), "no metadata of a secret"),
        (
            "another server's",
            0x102,
            given("token"),
            "another server has it, which is not asked",
        ),
        (
            "another port's",
            0x107,
            given("token"),
            "another server has it, which is not asked",
        ),
        ("a circle", 0x104, given("token"), "again and again"),
        (
            "an error",
            0x105,
            given("token"),
            "answers 500 Internal Server Error",
        ),
        (
            "half an answer",
            0x106,
            given("token"),
            "cannot reach http://127.0.0.1:",
        ),
        (
            "in the clear",
            1,
            far,
            "would be asked over a network in the clear",
        ),
        ("nobody", 1, nobody, "cannot reach http://127.0.0.1:1: "),
        ("no URL", 1, no_url, "is no URL of a server"),
        ("no environment", 1, vec![], "there is no auth_url"),
    ];
    for (what, number, environment, said) in cases {
        let (code, told) = test(&place, "hex", &barbican(number), &environment);
        assert_eq!(code, 1, "{what}: {told}");
        assert!(told.contains(said), "{what}: {told}");
    }
    assert_eq!(test(&place, "hunter2", &barbican(1), &given("token")).0, 2);
    // Every address of this machine, which is not told from another one's.
    let any = format!("http://0.0.0.0:{}", double.port);
    let any = [("BARBICAN_ENDPOINT", &*any), ("OS_AUTH_TOKEN", "token")];
    let (code, told) = test(&place, "hex", &barbican(1), &any);
    assert!(code == 1 && told.contains("in the clear"), "{told}");
    let allowed = format!("{} --insecure-secret", barbican(1));
    let (code, told) = test(&place, "hex", &allowed, &any);
    assert_eq!(code, 0, "{told}");
    // Of a secret there is no part.
    for part in ["--keyfile-size 2", "--keyfile-offset 1"] {
        let (code, told) = test(
            &place,
            "hex",
            &format!("{} {part}", barbican(1)),
            &given("token"),
        );
        assert_eq!(code, 1, "{told}");
    }
}

/// Whatever is wrong with a secret, nothing is made and nothing is changed.
#[test]
fn nothing_is_written_without_the_secret() {
    let place = place();
    place.write("key", "hunter2");
    place.write("raw", [1; 4096]);
    let before = place.read("hunter2");
    let double = Double::start(&place, &["log"]);
    let here = format!("http://127.0.0.1:{}", double.port);
    for number in [99, 7, 6, 11, 0x101, 0x106] {
        let id = format!("barbican:00000000-0000-4000-8000-{number:012x}");
        for line in [
            format!("create new --payload-size 1M -q --secret {id}"),
            format!("encrypt raw new -q --secret {id}"),
            format!("decrypt hunter2 new -q --secret {id}"),
            format!("clone hunter2 new -q --key-file key --new-secret {id}"),
            format!("key add hunter2 -q --key-file key --new-secret {id}"),
            format!("key change hunter2 -q --key-file key --new-secret {id}"),
            format!("key unmangle hunter2 -q --secret {id}"),
            format!("probe raw --secret {id}"),
        ] {
            // A key that is no text is one for digits.
            if number == 6 && (line.contains("unmangle") || line.contains("probe")) {
                continue;
            }
            let mut command = Command::new(PROGRAM);
            command
                .args(line.split_whitespace())
                .env_clear()
                .env("BARBICAN_ENDPOINT", &here)
                .env("OS_AUTH_TOKEN", "token");
            let output = place.run(&mut command);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{line}: {said}");
            assert!(!said.contains("S3CRET"), "{line}: {said}");
            assert!(!place.path("new").exists(), "{line}");
            assert!(before == place.read("hunter2"), "{line}");
        }
    }
}

/// One that answers a byte at a time is given up on, however long it goes on.
#[test]
fn a_server_that_trickles_is_given_up() {
    let place = place();
    let double = Double::start(&place, &["log"]);
    let here = format!("http://127.0.0.1:{}", double.port);
    let environment = [("BARBICAN_ENDPOINT", &*here), ("OS_AUTH_TOKEN", "token")];
    let (code, said) = test(&place, "hex", &barbican(0x108), &environment);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("timeout"), "{said}");
}

#[test]
fn keystone_gives_a_token_and_says_where_the_keys_are() {
    let place = place();
    // A second token that has expired is not followed by a third one.
    {
        let double = Double::start(&place, &["always"]);
        let url = format!("http://localhost:{}/v3/", double.port);
        let environment = [
            ("OS_AUTH_URL", &*url),
            ("OS_APPLICATION_CREDENTIAL_ID", "abc"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "S3CRET"),
        ];
        let (code, said) = test(&place, "hex", &barbican(1), &environment);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("the token is wrong, or has expired"),
            "{said}"
        );
        let log = String::from_utf8(place.read("always")).unwrap();
        let tokens = log.lines().filter(|line| line.starts_with("POST"));
        assert_eq!(tokens.count(), 2, "{log}");
    }
    for log in ["log", "stale"] {
        let double = Double::start(&place, &[log]);
        let url = format!("http://localhost:{}/v3/", double.port);
        let password = |password| {
            vec![
                ("OS_AUTH_URL", &*url),
                ("OS_USERNAME", "demo"),
                ("OS_PASSWORD", password),
                ("OS_USER_DOMAIN_NAME", "Default"),
                ("OS_PROJECT_NAME", "demo"),
                ("OS_PROJECT_DOMAIN_ID", "default"),
            ]
        };
        // One new token where the first one has expired.
        let (code, said) = test(&place, "hex", &barbican(1), &password("S3CRET"));
        assert_eq!(code, 0, "{log}: {said}");
        let tokens = String::from_utf8(place.read(log)).unwrap();
        let tokens = tokens
            .lines()
            .filter(|line| line.starts_with("POST"))
            .count();
        assert_eq!(tokens, if log == "stale" { 2 } else { 1 });
        let (code, said) = test(&place, "hex", &barbican(1), &password("wrong"));
        assert_eq!(code, 1);
        assert!(
            said.contains("name, password or project is wrong"),
            "{said}"
        );

        place.write(
            "clouds.yaml",
            format!(
                "clouds:\n  one:\n    auth_type: v3applicationcredential\n    auth: {{auth_url: '{url}', application_credential_id: abc}}\n    region_name: one\n  broken: {{auth: 5}}\n"
            ),
        );
        place.write(
            "secure.yaml",
            "clouds:\n  one:\n    auth:\n      application_credential_secret: S3CRET\n",
        );
        let (code, said) = test(&place, "hex", &barbican(1), &[("OS_CLOUD", "one")]);
        assert_eq!(code, 0, "{log}: {said}");
        for (cloud, told) in [
            ("broken", "the cloud lacks auth_url"),
            ("two", "it has no such cloud"),
        ] {
            let (code, said) = test(&place, "hex", &barbican(1), &[("OS_CLOUD", cloud)]);
            assert_eq!(code, 1);
            assert!(said.contains(told), "{said}");
        }
        place.write("clouds.yaml", "clouds:\n  one: [S3CRET\n");
        let (code, said) = test(&place, "hex", &barbican(1), &[("OS_CLOUD", "one")]);
        assert_eq!(code, 1);
        assert!(said.contains("clouds.yaml: not YAML, at line "), "{said}");
    }
}

#[test]
fn records_of_vaults_and_of_files_open() {
    let place = place();
    let double = Double::start(&place, &["log"]);
    let here = format!("http://127.0.0.1:{}", double.port);
    let token = [
        ("VAULT_ADDR", &*here),
        ("VAULT_TOKEN", "root"),
        ("VAULT_NAMESPACE", "team"),
    ];
    let role = |secret| {
        [
            ("VAULT_ADDR", &*here),
            ("VAULT_ROLE_ID", "role"),
            ("VAULT_SECRET_ID", secret),
        ]
    };
    for (image, path, wanted, said) in [
        ("hex", "secret/a/key", 0, ""),
        ("hex", "secret/data/a/key", 0, ""),
        ("hex", "old/key", 0, ""),
        ("hunter2", "old/phrase", 0, ""),
        ("hex", "old/phrase", 2, ""),
        ("hex", "secret/none", 1, "is not there: missing, or expired"),
        ("hex", "old/odd", 1, "an odd number of hexadecimal digits"),
    ] {
        let (code, told) = test(&place, image, &format!("--secret vault:{path}"), &token);
        assert_eq!(code, wanted, "{path}: {told}");
        assert!(told.contains(said), "{path}: {told}");
    }
    assert_eq!(
        test(&place, "hex", "--secret vault:old/key", &role("S3CRET")).0,
        0
    );
    let (code, told) = test(&place, "hex", "--secret vault:old/key", &role("wrong"));
    assert!(
        code == 1 && told.contains("the role is not admitted"),
        "{told}"
    );
    let wrong = [("VAULT_ADDR", &*here), ("VAULT_TOKEN", "wrong")];
    let (code, told) = test(&place, "hex", "--secret vault:old/key", &wrong);
    assert!(code == 1 && told.contains("may not be read"), "{told}");
    let (code, told) = test(&place, "hex", "--secret vault:old/key", &wrong[..1]);
    assert!(code == 1 && told.contains("$VAULT_TOKEN"), "{told}");

    place.write(
        "record",
        r#"{"type": "symmetric", "value": "0725230B", "name": "S3CRET"}"#,
    );
    place.write("fixed", "0725230B\n");
    place.write("empty", "");
    for (reference, wanted, said) in [
        ("json:record", 0, ""),
        ("fixed:fixed", 0, ""),
        (
            "json:fixed",
            1,
            "secret json:fixed: not the record of a key in JSON",
        ),
        (
            "fixed:record",
            1,
            "secret fixed:record: not hexadecimal digits",
        ),
        ("fixed:empty", 1, "secret fixed:empty: it has no bytes"),
        ("json:none", 1, "cannot read secret json:none: No such file"),
        ("barbican:1", 1, "a secret of Barbican is named by a UUID"),
    ] {
        let (code, told) = test(&place, "hex", &format!("--secret {reference}"), &[]);
        assert_eq!(code, wanted, "{reference}: {told}");
        assert!(told.contains(said), "{reference}: {told}");
    }
    // The new key as well.
    place.write("key", "hunter2");
    place.sh(
        "luksmith key add hunter2 -q --key-file key --new-secret fixed:fixed --pbkdf pbkdf2 --pbkdf-force-iterations 1000
         luksmith key test hunter2 --secret json:record && printf 0725230b | luksmith key test hunter2 --key-file -",
    );
}

#[test]
fn servers_are_believed_by_their_certificates() {
    let place = place();
    place.sh(CERTIFICATES);
    let double = Double::start(
        &place,
        &["log", "ours/server-cert.pem", "ours/server-key.pem"],
    );
    let (name, address) = (
        format!("https://localhost:{}", double.port),
        format!("https://127.0.0.1:{}", double.port),
    );
    let ask = |place_: &str, authority: Option<&str>| {
        let mut environment = vec![("BARBICAN_ENDPOINT", place_), ("OS_AUTH_TOKEN", "token")];
        environment.extend(authority.map(|file| ("OS_CACERT", file)));
        test(&place, "hex", &barbican(1), &environment)
    };
    let (code, said) = ask(&name, Some("ca/ca-cert.pem"));
    assert_eq!(code, 0, "{said}");
    for (server, authority, told) in [
        (&name, None, "cannot reach https://localhost"),
        (
            &name,
            Some("elsewhere/ca-cert.pem"),
            "cannot reach https://localhost",
        ),
        (
            &address,
            Some("ca/ca-cert.pem"),
            "cannot reach https://127.0.0.1",
        ),
        (&name, Some("none"), "none: No such file"),
        (&name, Some("log"), "log: it has no certificates"),
    ] {
        let (code, said) = ask(server, authority);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(told), "{said}");
    }
    let vault = [
        ("VAULT_ADDR", &*name),
        ("VAULT_TOKEN", "root"),
        ("VAULT_CACERT", "ca/ca-cert.pem"),
    ];
    let (code, said) = test(&place, "hex", "--secret vault:secret/a/key", &vault);
    assert_eq!(code, 0, "{said}");
}
