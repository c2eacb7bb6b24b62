use crate::common::{PROGRAM, Place, check_all};

/// Every verb that only reads `box`.
const READ: [&str; 9] = [
    "inspect box",
    "key list box",
    "key test box --key-file pw",
    "key export box -q --key-file pw --volume-key-file vk",
    "token list box",
    "verify box --key-file pw",
    "compare box box --key-file pw",
    "decrypt box back --key-file pw",
    "header backup box --header-backup-file backup",
];

/// Through what was opened for reading nothing can be written.
#[test]
fn c3_what_reads_opens_for_reading() {
    check_all("verbs that open for reading", &READ, |verb| {
        let place = Place::new();
        place.write("pw", "pw");
        place.write("raw", [0x5a; 4096]);
        place.sh(
            "luksmith encrypt raw box --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
        );
        place.sh(&format!(
            "strace -f -o trace -e trace=open,openat,openat2 '{PROGRAM}' {verb}"
        ));
        let trace = String::from_utf8(place.read("trace")).unwrap();
        let opened: Vec<_> = trace
            .lines()
            .filter(|line| line.contains("\"box\""))
            .collect();
        assert!(!opened.is_empty(), "{verb}: {trace}");
        for line in opened {
            assert!(line.contains("O_RDONLY"), "{verb}: {line}");
        }
    });
}
