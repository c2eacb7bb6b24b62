//! Containers whose data nothing encrypts, and those that a reencryption has left half way.

use serde_json::json;

use crate::crafted::Crafted;
use crate::support::{Place, golden};

/// A container in which whoever wrote the header has put plaintext of his own.
fn linear() -> Place {
    let mut crafted = Crafted::new("luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz");
    let offset = crafted.json["segments"]["0"]["offset"].clone();
    crafted.json["segments"]["0"] = json!({"type": "linear", "offset": offset, "size": "dynamic"});
    let place = Place::new();
    place.write("box", crafted.bytes());
    place.write("pw", "golden");
    place
}

#[test]
fn a_linear_segment_is_refused_unless_allowed_and_always_named() {
    let place = linear();
    for verb in ["decrypt box back", "key test box", "compare box box"] {
        place
            .run(&format!("{verb} --key-file pw"))
            .expect(4)
            .says("segment 0 is linear: nothing there is encrypted")
            .advises("--allow-unencrypted");
    }
    assert_eq!(place.names(), ["box", "pw"]);
    for (name, option) in [
        ("one", "--allow-unencrypted"),
        ("two", "--allow-null-cipher"),
    ] {
        place
            .run(&format!("decrypt box {name} --key-file pw {option}"))
            .expect(0);
        let image = place.read("box");
        assert!(image.ends_with(&place.read(name)), "as it lies there");
    }
    let said = place.run("inspect box").expect(0);
    assert!(
        said.text().contains("warning     segment 0 is linear"),
        "{}",
        said.text()
    );
    let said = place.run("verify box").expect(0);
    for text in ["segment 0 is linear", "not all of its data is encrypted"] {
        assert!(said.text().contains(text), "{}", said.text());
    }
}

#[test]
fn cryptsetups_command_line_names_it_and_goes_on() {
    let place = linear();
    let run = place
        .run("cryptsetup open --test-passphrase --key-file pw box")
        .expect(0);
    assert!(
        run.stderr
            .contains("WARNING: segment 0 is linear: nothing there is encrypted."),
        "{}",
        run.stderr
    );
}

#[test]
fn an_encryption_half_way_is_told_and_nothing_of_it_changed() {
    let place = Place::new();
    let image = golden("luks2/reencrypt-in-progress.img.xz");
    place.write("box", &image);
    place.write("pw", "golden");
    place.write("new", "new");
    place.write("token", r#"{"type":"x","keyslots":[]}"#);
    // Plaintext that is still to be encrypted is no linear segment of somebody else.
    place.run("key test box --key-file pw").expect(0);
    let said = place.run("inspect box").expect(0);
    assert!(!said.text().contains("unbound"), "{}", said.text());
    place
        .run("header backup box --header-backup-file backup")
        .expect(0);
    for verb in [
        "key add box --key-file pw --new-keyfile new -q",
        "key change box --key-file pw --new-keyfile new -q",
        "key remove box --key-file pw -q",
        "header erase box -q",
        "header restore box --header-backup-file backup -q --force",
        "header config box --label x",
        "header convert box --type luks1 -q",
        "token import box --json-file token",
        "token add box --key-description x",
    ] {
        place
            .run(verb)
            .expect(4)
            .says("a reencryption is in progress (requirement online-reencrypt-v2)");
        assert!(place.read("box") == image, "{verb}");
    }
    for verb in [
        "luksAddKey -q --key-file pw box new",
        "luksChangeKey -q --key-file pw box new",
        "luksRemoveKey -q box pw",
        "luksKillSlot -q box 0",
        "luksErase -q box",
        "luksHeaderRestore -q box --header-backup-file backup",
    ] {
        let run = place.run(&format!("cryptsetup {verb}")).expect(1);
        assert!(
            run.stderr
                .contains("Operation incompatible with device marked for LUKS2 reencryption."),
            "{verb}: {}",
            run.stderr
        );
        assert!(place.read("box") == image, "{verb}");
    }
}
