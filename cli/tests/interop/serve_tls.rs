//! `serve` by TLS, beside clients with GnuTLS and OpenSSL.

use crate::common::{Place, pattern};

const CERTIFICATES: &str = include_str!("serve/certificates.sh");
const SESSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/serve/tls.py");

/// A container `box` of `raw`, and certificates.
fn place() -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.write("raw", pattern(3 << 20));
    place.sh(
        "luksmith encrypt raw box -q --pbkdf pbkdf2 --key-file key --pbkdf-force-iterations 1000",
    );
    place.sh(CERTIFICATES);
    place
}

/// Runs a line of shell with a server at `$port` of this machine.
#[track_caller]
fn at_a_port(place: &Place, options: &str, line: &str) -> String {
    let script = format!(
        "luksmith serve box --key-file key --listen 127.0.0.1:0 {options} --pid-file pid >said\n\
         trap 'kill $(cat pid); while test -e pid; do sleep 0.1; done' EXIT\n\
         uri=$(sed 's/.* //' said); port=${{uri##*:}}\n{line}"
    );
    String::from_utf8(place.sh(&script)).unwrap()
}

#[test]
fn clients_read_and_write_by_tls() {
    let place = place();
    let other: Vec<u8> = pattern(3 << 20).iter().map(|byte| !byte).collect();
    place.write("inverse", &other);
    let said = at_a_port(
        &place,
        "--tls-certificates ours",
        "set -e; case $uri in nbds://127.0.0.1:*) ;; *) exit 9 ;; esac
         tls=\"nbds://localhost:$port?tls-certificates=nobody\"
         nbdinfo --json \"$tls\" | grep -c '\"TLS\": true'
         nbdcopy --connections=4 --requests=64 \"$tls\" out
         nbdcopy --connections=4 --requests=64 --flush inverse \"$tls\"
         qemu-img convert --object tls-creds-x509,id=t,dir=nobody,endpoint=client -W -m 16 -O raw --image-opts \
             driver=nbd,server.type=inet,server.host=localhost,server.port=$port,tls-creds=t out2",
    );
    assert_eq!(said, "1\n");
    assert!(place.read("out") == place.read("raw"));
    assert!(place.read("out2") == other);
    place.sh("luksmith decrypt box back -q --key-file key");
    assert!(place.read("back") == other);
    // A socket of this machine speaks it as well.
    let line = "luksmith serve box --key-file key --tls-certificates ours --run \
                'nbdinfo --size \"$uri&tls-certificates=nobody&tls-hostname=localhost\"'";
    assert_eq!(place.sh(line), b"3145728\n");
}

#[test]
fn who_does_not_keep_to_tls_is_refused() {
    let place = place();
    at_a_port(
        &place,
        "--tls-certificates ours",
        "# In the clear, by QEMU too; by another name; by an authority that has not signed.
         ! nbdinfo --size nbd://localhost:$port 2>plain || exit 1
         ! qemu-img info nbd://localhost:$port 2>qemu || exit 2
         ! nbdinfo --size \"nbds://127.0.0.1:$port?tls-certificates=nobody\" 2>name || exit 3
         ! nbdinfo --size \"nbds://localhost:$port?tls-certificates=other\" 2>authority || exit 4
         nbdinfo --size \"nbds://localhost:$port?tls-certificates=nobody\"",
    );
    let said = |file: &str| String::from_utf8_lossy(&place.read(file)).into_owned();
    for (file, word) in [
        ("plain", "TLS"),
        ("qemu", "TLS"),
        ("name", "certificate"),
        ("authority", "certificate"),
    ] {
        assert!(said(file).contains(word), "{file}: {}", said(file));
    }
    at_a_port(
        &place,
        "",
        "! nbdinfo --size \"nbds://localhost:$port?tls-certificates=nobody\" 2>none || exit 5
         nbdinfo --size nbd://localhost:$port",
    );
    assert!(said("none").contains("TLS"), "{}", said("none"));
}

#[test]
fn clients_have_to_show_who_they_are() {
    let place = place();
    let each = "for who in ours nobody stranger revoked; do
         nbdinfo --size \"nbds://localhost:$port?tls-certificates=$who\" >/dev/null 2>&1 && echo $who
         done; true";
    let verify = "--tls-certificates ours --tls-verify-peer";
    assert_eq!(at_a_port(&place, verify, each), "ours\nrevoked\n");
    place.sh("cp ca-crl.pem ours");
    assert_eq!(at_a_port(&place, verify, each), "ours\n");
    // Nobody is asked.
    let everybody = at_a_port(&place, "--tls-certificates ours", each);
    assert_eq!(everybody, "ours\nnobody\nstranger\nrevoked\n");
}

/// Every rule of the protocol about STARTTLS, noise in place of sessions, silent and slow clients.
#[test]
fn starttls_is_as_the_protocol_has_it() {
    let place = place();
    let session = format!("/usr/bin/python3 '{SESSION}' $port ca/ca-cert.pem");
    let said = at_a_port(&place, "--tls-certificates ours", &session);
    assert_eq!(said, "right\n");
}

/// Keys as `GnuTLS` and OpenSSL write them.
#[test]
fn keys_of_every_kind_are_taken() {
    let place = place();
    place.sh("cp -r ours kept");
    for kind in [
        "rsa --bits 2048",
        "rsa --bits 2048 --pkcs8 --password ''",
        "ecdsa --curve secp384r1",
    ] {
        place.sh(&format!(
            "certtool --generate-privkey --key-type {kind} --outfile ours/server-key.pem 2>/dev/null
             printf 'cn = x\\ndns_name = localhost\\ntls_www_server\\nsigning_key\\nexpiration_days = 9\\n' >template
             certtool --generate-certificate --load-ca-certificate ca/ca-cert.pem --load-ca-privkey ca/ca-key.pem \
                 --load-privkey ours/server-key.pem --template template --outfile ours/server-cert.pem 2>/dev/null"
        ));
        let line = "nbdinfo --size \"nbds://localhost:$port?tls-certificates=nobody\"";
        let said = at_a_port(&place, "--tls-certificates ours", line);
        assert_eq!(said, "3145728\n", "{kind}");
    }
    // Another one's key is none.
    place.sh("cp kept/client-key.pem ours/server-key.pem");
    assert_eq!(
        place
            .sh_code("luksmith serve box --key-file key --tls-certificates ours --run true 2>said"),
        1
    );
    let said = String::from_utf8(place.read("said")).unwrap();
    assert!(
        said.contains("server-key.pem: the server's key cannot be used"),
        "{said}"
    );
}

/// What is wrong with each file is said of that file, and nothing is served.
#[test]
fn bad_certificates_are_named() {
    let place = place();
    let signed = |lines: &str| {
        format!(
            "printf 'cn = x\\ndns_name = localhost\\ntls_www_server\\nsigning_key\\n{lines}' >template
             certtool --generate-certificate --load-ca-certificate ca/ca-cert.pem --load-ca-privkey ca/ca-key.pem \
                 --load-privkey bad/server-key.pem --template template --outfile bad/server-cert.pem 2>/dev/null"
        )
    };
    let pem = |what: &str, content: &str| {
        format!("printf -- '-----BEGIN {what}-----\\n{content}\\n-----END {what}-----\\n'")
    };
    let expired = signed(
        "activation_date = \"2020-01-01 00:00:00 UTC\"\\nexpiration_date = \"2021-01-02 03:04:05 UTC\"\\n",
    );
    let early = signed(
        "activation_date = \"2199-01-02 03:04:05 UTC\"\\nexpiration_date = \"2200-01-01 00:00:00 UTC\"\\n",
    );
    let cases: [(String, &str); 16] = [
        (
            "rm bad/server-cert.pem".to_owned(),
            "cannot read bad/server-cert.pem: No such file",
        ),
        (
            "rm bad/server-key.pem".to_owned(),
            "cannot read bad/server-key.pem: No such file",
        ),
        (
            "rm bad/ca-cert.pem".to_owned(),
            "cannot read bad/ca-cert.pem: No such file",
        ),
        (
            "rm bad/server-key.pem; mkfifo bad/server-key.pem".to_owned(),
            "cannot read bad/server-key.pem: it is no file",
        ),
        (
            "truncate -s 2M bad/ca-cert.pem".to_owned(),
            "cannot read bad/ca-cert.pem: it is no file, or too large",
        ),
        (
            expired,
            "bad/server-cert.pem: the server's certificate was valid only until 2021-01-02 03:04:05 UTC",
        ),
        (
            early,
            "bad/server-cert.pem: the server's certificate is valid only from 2199-01-02 03:04:05 UTC on",
        ),
        (
            "cp ours/client-key.pem bad/server-key.pem".to_owned(),
            "bad/server-key.pem: the server's key cannot be used",
        ),
        (
            "echo nonsense >bad/server-cert.pem".to_owned(),
            "bad/server-cert.pem: the server's certificate is not in it",
        ),
        (
            ": >bad/server-key.pem".to_owned(),
            "bad/server-key.pem: the server's key is not in it",
        ),
        (
            "cp bad/server-key.pem bad/server-cert.pem".to_owned(),
            "bad/server-cert.pem: the server's certificate is not in it",
        ),
        (
            "cp bad/server-cert.pem bad/ca-crl.pem".to_owned(),
            "bad/ca-crl.pem: the list of revoked certificates is not in it",
        ),
        (
            format!("{} >bad/server-cert.pem", pem("CERTIFICATE", "no base64!")),
            "bad/server-cert.pem: the server's certificate cannot be used: it does not have the form of PEM",
        ),
        (
            format!(
                "{} >bad/server-cert.pem",
                pem("CERTIFICATE", "bm9uc2Vuc2U=")
            ),
            "bad/server-cert.pem: the server's certificate cannot be used",
        ),
        (
            format!("{} >bad/server-key.pem", pem("PRIVATE KEY", "bm9uc2Vuc2U=")),
            "bad/server-key.pem: the server's key cannot be used",
        ),
        (
            format!("{} >bad/ca-cert.pem", pem("CERTIFICATE", "bm9uc2Vuc2U=")),
            "bad/ca-cert.pem: the authority of the clients' certificates cannot be used",
        ),
    ];
    let serve = "luksmith serve box --key-file key --tls-certificates bad --tls-verify-peer --run 'touch served' 2>said";
    for (breaking, says) in &cases {
        place.sh(&format!("rm -rf bad; cp -r ours bad; {breaking}"));
        assert_eq!(place.sh_code(serve), 1, "{breaking}");
        let said = String::from_utf8(place.read("said")).unwrap();
        assert!(said.contains(says), "{breaking}: {said}");
        assert!(!said.contains("bm9uc2Vuc2U"), "{said}");
        assert!(!place.path("served").exists(), "{breaking}");
    }
    // What he may not read.
    place.sh("rm -rf bad; cp -r ours bad; chmod 000 bad/server-key.pem");
    let own = if place.sh("id -u") == b"0\n" {
        // Without what lets root read everything.
        "setpriv --bounding-set -dac_override,-dac_read_search --inh-caps -dac_override,-dac_read_search"
    } else {
        ""
    };
    let program = crate::common::PROGRAM;
    assert_eq!(
        place.sh_code(&format!("{own} '{program}'{}", &serve["luksmith".len()..])),
        1
    );
    let said = String::from_utf8(place.read("said")).unwrap();
    assert!(
        said.contains("cannot read bad/server-key.pem: Permission denied"),
        "{said}"
    );
}
