//! Where results go: exclusive, complete or absent, and never over something by mistake.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{PLAIN, pattern, plain_place};

#[test]
fn an_existing_file_is_replaced_only_by_force_and_only_whole() {
    let place = plain_place(4096);
    place.write("box", "precious");
    place
        .run(&format!("encrypt raw box {PLAIN}"))
        .expect(5)
        .says("box exists")
        .advises("--force");
    assert_eq!(place.read("box"), b"precious");

    place.write("odd", pattern(1000));
    place
        .run_with(&format!("encrypt - box {PLAIN} --force"), &pattern(1000))
        .expect(1);
    assert_eq!(
        place.read("box"),
        b"precious",
        "a failure leaves the old one"
    );
    place
        .run(&format!("encrypt raw box {PLAIN} --force"))
        .expect(0);
    assert_eq!(place.read("box").len(), 4096);
    assert_eq!(place.names(), ["box", "key", "odd", "raw"]);
}

#[test]
fn e4_a_new_file_is_for_its_owner_only() {
    let place = plain_place(512);
    place.run(&format!("encrypt raw box {PLAIN}")).expect(0);
    let mode = place
        .path("box")
        .metadata()
        .expect("the container")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_source_is_no_destination() {
    let place = plain_place(4096);
    symlink("raw", place.path("link")).expect("a symlink");
    std::fs::hard_link(place.path("raw"), place.path("other")).expect("a hard link");
    for destination in ["raw", "./raw", "link", "other"] {
        place
            .run(&format!("encrypt raw {destination} {PLAIN} --force"))
            .expect(1)
            .says("is the source itself");
        place
            .run(&format!("decrypt raw {destination} {PLAIN} --force"))
            .expect(1)
            .says("is the source itself");
    }
    place
        .sh(&format!("\"$LUKSMITH\" encrypt - - {PLAIN} <raw >>raw"))
        .expect(1)
        .says("standard output is the source");
    assert_eq!(place.read("raw"), pattern(4096));
}

#[test]
fn e4_a_symlink_is_not_followed() {
    let place = plain_place(512);
    place.write("target", "precious");
    symlink("target", place.path("link")).expect("a symlink");
    symlink("nowhere", place.path("dangling")).expect("a symlink");
    for force in ["", "--force"] {
        for link in ["link", "dangling"] {
            place
                .run(&format!("encrypt raw {link} {PLAIN} {force}"))
                .expect(5)
                .says("is a symbolic link");
        }
    }
    assert_eq!(place.read("target"), b"precious");
    assert!(!place.path("nowhere").exists());
    place
        .run(&format!("encrypt raw /dev/stdout {PLAIN}"))
        .expect(5)
        .advises("`-` is standard output");
}

#[test]
fn a_symlink_to_a_device_is_followed() {
    let place = plain_place(512);
    symlink("/dev/null", place.path("link")).expect("a symlink");
    place.run(&format!("encrypt raw link {PLAIN}")).expect(0);
    assert!(place.path("link").is_symlink());
}

#[test]
fn a_directory_and_a_missing_folder_are_named() {
    let place = plain_place(512);
    std::fs::create_dir(place.path("folder")).expect("a folder");
    for force in ["", "--force"] {
        place
            .run(&format!("encrypt raw folder {PLAIN} {force}"))
            .expect(5)
            .says("folder exists");
    }
    place
        .run(&format!("encrypt raw missing/box {PLAIN}"))
        .expect(1)
        .says("cannot create missing/box: No such file");
}

#[test]
fn a_full_destination_leaves_nothing() {
    let place = plain_place(1 << 20);
    let run = place.sh(&format!(
        "ulimit -f 512; exec \"$LUKSMITH\" encrypt raw box {PLAIN}"
    ));
    run.expect(1)
        .says("raw to box: cannot write the destination at byte");
    let run = place.sh(&format!(
        "ulimit -f 512; exec \"$LUKSMITH\" decrypt raw box {PLAIN}"
    ));
    run.expect(1).says("cannot write the destination at byte");
    assert_eq!(place.names(), ["key", "raw"]);
    place
        .run(&format!("encrypt raw /dev/full {PLAIN}"))
        .expect(1)
        .says("No space left")
        .advises("make room");
}

#[test]
fn a_reader_that_goes_away_is_an_error_for_data() {
    let place = plain_place(8 << 20);
    for verb in ["encrypt", "decrypt"] {
        let run = place.sh(&format!(
            "{{ \"$LUKSMITH\" {verb} raw - {PLAIN}; echo $? >code; }} | head -c 1 >first"
        ));
        run.expect(0);
        assert_eq!(place.read("code"), b"1\n", "{verb}");
    }
}

#[test]
fn a_pipe_by_name_is_written_in_order() {
    let place = plain_place(1 << 20);
    place.sh("mkfifo pipe").expect(0);
    place
        .sh(&format!(
            "\"$LUKSMITH\" encrypt raw pipe {PLAIN} & cat pipe >box; wait $!"
        ))
        .expect(0);
    place.run(&format!("decrypt box back {PLAIN}")).expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
}

#[test]
fn an_image_in_use_is_left_alone() {
    let place = plain_place(1 << 20);
    // A writer that waits for its source, more of it than is looked at first, keeps its target locked; the target has its
    // name only afterwards.
    let waiting = format!(
        "\"$LUKSMITH\" encrypt pipe box {PLAIN} & while [ ! -e .box.* ]; do sleep 0.01; done 2>/dev/null"
    );
    let script = format!(
        "mkfifo pipe; exec 9<>pipe; head -c 200000 /dev/zero >&9 & {waiting}; mv .box.* busy; \"$LUKSMITH\" decrypt busy back {PLAIN}; code=$?; \
         \"$LUKSMITH\" decrypt busy forced {PLAIN} --read-in-use; echo $? >forced_code; kill $!; exit $code"
    );
    place
        .sh(&script)
        .expect(5)
        .says("busy is in use by another process");
    assert_eq!(place.read("forced_code"), b"0\n");
    assert!(!place.path("back").exists());
}
