//! What programs read: with `--json` every line is JSON, the failures too.

use serde_json::Value;

use crate::support::{PLAIN, Place, plain_place};

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

#[test]
fn a_failure_is_one_object_on_standard_error() {
    let place = plain_place(4096);
    place.write("wrong", "no");
    place
        .run("create box --payload-size 4K --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 -q")
        .expect(0);
    for (line, exit, kind, verb, says, advises) in [
        (
            "inspect missing --json",
            4,
            "bad-image",
            "inspect",
            "cannot open missing",
            None,
        ),
        (
            "key test box --key-file wrong --json",
            2,
            "no-key-fits",
            "key test",
            "box: ",
            None,
        ),
        (
            &format!("encrypt raw box {PLAIN} --json"),
            5,
            "exists-or-busy",
            "encrypt",
            "box exists",
            Some("--force"),
        ),
        (
            "compare raw missing --json",
            4,
            "bad-image",
            "compare",
            "missing",
            None,
        ),
        (
            "compare raw raw --key-file key --json",
            64,
            "not-compared",
            "compare",
            "--key-file does not go with two raw images",
            None,
        ),
        ("inspect --json", 1, "wrong", "", "<IMG>", Some("--help")),
        (
            "luksOpen box --json",
            1,
            "wrong",
            "",
            "luksOpen",
            Some("luksmith open"),
        ),
    ] {
        let run = place.run(line).expect(exit);
        assert!(run.stdout.is_empty(), "{line}");
        let said = lines(&run.stderr);
        let error = said.last().expect("a line");
        assert_eq!(error["schema"], "luksmith.error/1", "{line}");
        assert_eq!(error["exit"], exit, "{line}");
        assert_eq!(error["kind"], kind, "{line}");
        assert_eq!(error["verb"], verb, "{line}");
        let text = error["message"].as_str().expect("a text");
        assert!(
            text.contains(says)
                || error["advice"]
                    .as_str()
                    .is_some_and(|advice| advice.contains(says)),
            "{line}: {error}"
        );
        match advises {
            Some(advises) => assert!(
                error["advice"]
                    .as_str()
                    .is_some_and(|advice| advice.contains(advises)),
                "{line}: {error}"
            ),
            None => assert_eq!(error["advice"], Value::Null, "{line}"),
        }
    }
}

#[test]
fn warnings_are_lines_of_json() {
    let place = plain_place(4096);
    let run = place
        .run("encrypt raw box --type plain --cipher aes-ecb --key-size 256 --key-file key --allow-weak-cipher --json")
        .expect(0);
    let said = lines(&run.stderr);
    assert!(!said.is_empty());
    for warning in &said {
        assert_eq!(warning["schema"], "luksmith.warning/1");
        assert!(
            warning["message"]
                .as_str()
                .is_some_and(|text| text.contains("aes-ecb"))
        );
    }
    assert_eq!(lines(run.text()).len(), 1);
}

#[test]
fn a_verb_of_another_program_leads_to_ours() {
    let place = Place::new();
    for (typed, meant) in [
        ("luksOpen box", "luksmith open IMG NAME"),
        ("luksFormat box", "luksmith create DST"),
        ("luksDump box", "luksmith inspect IMG"),
        ("luksAddKey box", "luksmith key add IMG"),
        ("isLuks box", "luksmith inspect IMG"),
    ] {
        let run = place.run(typed).expect(1);
        assert!(run.stderr.contains(meant), "{typed}: {}", run.stderr);
        assert!(!run.stderr.contains("similar"), "{typed}: {}", run.stderr);
    }
    // A typing error is still helped by its letters.
    let run = place.run("encyrpt a b").expect(1);
    assert!(run.stderr.contains("'encrypt'"), "{}", run.stderr);
}

/// A label with controls above ASCII and a mark that turns the direction of writing around.
#[test]
fn nothing_out_of_an_image_drives_a_terminal() {
    let place = plain_place(4096);
    let label = "a\u{85}\u{9b}31m\u{202e}b";
    place.write("label", label);
    place
        .sh(
            "\"$LUKSMITH\" create box -q --payload-size 4K --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
             --label \"$(cat label)\"",
        )
        .expect(0);
    place
        .sh("\"$LUKSMITH\" token add box -q --key-description \"$(cat label)\"")
        .expect(0);
    let report = place.run("inspect box --json").expect(0);
    let token = place.run("token export box --token-id 0").expect(0);
    for (text, member) in [(report.text(), "label"), (token.text(), "key_description")] {
        let hidden = |character: char| {
            character != '\n' && label.contains(character) && !character.is_ascii()
        };
        assert!(!text.contains(hidden), "{text:?}");
        assert!(text.contains("a\\u0085\\u009b31m\\u202eb"), "{text}");
        let document: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(document[member], label);
    }
}
