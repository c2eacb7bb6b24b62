//! A volume key with zeros behind it, of a container whose keyslots are gone: nothing tells how long the key is.

use crate::support::cheap_luks_place;

#[test]
fn zeros_behind_a_volume_key_are_no_part_of_it_unasked() {
    let place = cheap_luks_place(8192);
    place
        .run("encrypt raw box --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-size 256")
        .expect(0);
    place
        .run("key export box --key-file pw -q --volume-key-file vk")
        .expect(0);
    let mut key = place.read("vk");
    key.resize(64, 0);
    place.write("long", &key);
    // A keyslot tells it.
    place
        .run("key test box --volume-key-file long")
        .expect(1)
        .says("the container's has 32");
    place.run("header erase box -q").expect(0);
    place.run("key test box --volume-key-file vk").expect(0);
    let before = place.read("box");
    place.write("new", "new");
    for verb in [
        "key test box",
        "verify box",
        "decrypt box back",
        "key add box --new-keyfile new -q",
    ] {
        place
            .run(&format!("{verb} --volume-key-file long"))
            .expect(1)
            .says("the volume key of 64 bytes ends in zeros and may be one of 32 bytes");
        assert!(place.read("box") == before, "{verb}");
    }
    place
        .run("key test box --volume-key-file long --volume-key-size 256")
        .expect(1);
    place
        .run("key test box --volume-key-file long --volume-key-size 512")
        .expect(0);
    place.run("decrypt box back --volume-key-file vk").expect(0);
    assert!(place.read("back") == place.read("raw"));
    place
        .run("cryptsetup open --test-passphrase --volume-key-file long box")
        .expect(1);
    place
        .run("cryptsetup open --test-passphrase --volume-key-file long --key-size 256 box")
        .expect(0);
}
