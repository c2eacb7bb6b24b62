//! Completions and manual pages, generated from the definitions of the options.

use crate::support::Place;

#[test]
fn every_shell_gets_a_script_that_knows_the_verbs() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = place.run(&format!("completions {shell}")).expect(0);
        for word in ["luksmith", "encrypt", "decrypt", "key-file"] {
            assert!(run.text().contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_completion_script_loads() {
    let place = Place::new();
    place
        .sh("\"$LUKSMITH\" completions bash >script && bash -n script")
        .expect(0);
}

#[test]
fn a_reader_that_goes_away_is_success_for_text() {
    let place = Place::new();
    place
        .sh("{ \"$LUKSMITH\" completions bash; echo $? >code; } | true")
        .expect(0);
    assert_eq!(place.read("code"), b"0\n");
}

#[test]
fn every_verb_has_a_page() {
    let place = Place::new();
    // The folder is made.
    place.run("man deep/man").expect(0);
    std::fs::rename(place.path("deep/man"), place.path("man")).expect("the folder");
    let verbs = [
        "benchmark",
        "clone",
        "compare",
        "completions",
        "create",
        "cryptsetup",
        "decrypt",
        "encrypt",
        "glance-props",
        "header",
        "header-backup",
        "header-config",
        "header-convert",
        "header-erase",
        "header-repair",
        "header-restore",
        "inspect",
        "key",
        "key-add",
        "key-change",
        "key-export",
        "key-list",
        "key-remove",
        "key-test",
        "key-unmangle",
        "man",
        "measure",
        "mount",
        "probe",
        "reencrypt",
        "resume",
        "serve",
        "verify",
        "token",
        "token-add",
        "token-assign",
        "token-export",
        "token-import",
        "token-list",
        "token-remove",
        "token-unassign",
    ];
    for page in verbs
        .map(|verb| format!("luksmith-{verb}.1"))
        .iter()
        .chain(["luksmith.1".to_owned()].iter())
    {
        let text = String::from_utf8(place.read(&format!("man/{page}"))).expect("UTF-8");
        assert!(
            text.contains(".TH") && text.contains(".SH SYNOPSIS"),
            "{page}"
        );
    }
    let page = String::from_utf8(place.read("man/luksmith-encrypt.1")).expect("UTF-8");
    assert!(
        page.contains("sector\\-size") && page.contains("luksmith encrypt"),
        "{page}"
    );
    place.write("file", "");
    place
        .run("man file/man")
        .expect(1)
        .says("cannot write file/man");
}
