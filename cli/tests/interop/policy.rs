use crate::common::Place;

/// The policy in the box allows what cryptsetup makes by default and refuses what it makes otherwise.
#[test]
fn the_policy_in_the_box_allows_what_cryptsetup_makes_by_default() {
    let place = Place::new();
    place.write("pw", "first");
    let argon2 = "--pbkdf-force-iterations 4 --pbkdf-memory";
    let pbkdf2 = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    let cases = [
        (format!("{argon2} 65536"), true),
        (format!("{argon2} 65535"), false),
        (format!("{argon2} 65536 --pbkdf argon2i"), false),
        (pbkdf2.to_owned(), true),
        (format!("{pbkdf2} --label disk"), true),
        (format!("{pbkdf2} --sector-size 512"), true),
        (format!("{pbkdf2} --sector-size 1024"), false),
        (format!("{pbkdf2} --cipher aes-cbc-essiv:sha256"), false),
        (format!("{pbkdf2} --cipher aes-xts-plain"), false),
        (format!("{pbkdf2} --key-size 256"), false),
        (format!("{pbkdf2} --hash sha1"), false),
        (format!("{pbkdf2} --offset 65536"), false),
        (format!("{pbkdf2} --luks2-metadata-size 32k"), false),
        (format!("{pbkdf2} --type luks1"), false),
    ];
    for (options, allowed) in &cases {
        place.sh("rm -f box");
        place.hole("box", 40 << 20);
        place.sh(&format!(
            "cryptsetup luksFormat -q --type luks2 {options} --key-file pw box"
        ));
        let code = place.sh_code("luksmith inspect box --policy builtin:confidential-vm");
        assert_eq!(code, if *allowed { 0 } else { 4 }, "{options}");
    }
    println!(
        "cases: policy in the box, cryptsetup {} passed, 0 failed",
        cases.len()
    );
}
