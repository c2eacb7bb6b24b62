use crate::common::Place;

/// What cryptsetup leaves behind is sound after each of its steps, and what it removes is not there any more.
#[test]
fn cryptsetups_steps_leave_sound_containers() {
    for (kind, slots) in [("luks1", 8), ("luks2", 2)] {
        let place = Place::new();
        place.write("one", "first");
        place.write("two", "second");
        place.hole("box", 20 << 20);
        let sound = |step: &str, in_use: usize| {
            let said = place.luksmith("verify box --json");
            let report: serde_json::Value = serde_json::from_slice(&said).unwrap();
            assert_eq!(
                (&report["sound"], &report["problems"]),
                (&true.into(), &serde_json::json!([])),
                "{kind}, {step}"
            );
            let areas = report["areas"].as_array().unwrap();
            let used = areas.iter().filter(|area| area["in_use"] == true).count();
            assert_eq!(used, in_use, "{kind}, {step}");
            // Whatever is there is ciphertext, filler or a wipe: all of it random.
            assert!(
                areas.iter().all(|area| area["other_sectors"] == 0),
                "{kind}, {step}: {areas:?}"
            );
            areas.len()
        };
        place.sh(&format!(
            "cryptsetup luksFormat -q --type {kind} --pbkdf pbkdf2 --pbkdf-force-iterations 1000 box one"
        ));
        assert_eq!(sound("format", 1), slots, "{kind}");
        place.sh("cryptsetup luksAddKey -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file one box two");
        sound("add", 2);
        place.luksmith("verify box --key-file two --key-slot 1");
        place.sh("cryptsetup luksKillSlot -q box 0");
        sound("kill", 1);
        assert_eq!(place.sh_code("luksmith verify box --key-file one"), 2);
        place.luksmith("verify box --key-file two");
        place.sh("cryptsetup luksErase -q box");
        sound("erase", 0);
    }
}
