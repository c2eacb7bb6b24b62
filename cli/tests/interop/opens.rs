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

/// Data goes past the page cache where that is asked for, and is the same; where the file system cannot do it, that is
/// said before anything is written.
#[test]
fn direct_moves_the_data_past_the_page_cache() {
    let place = Place::new();
    place.write("pw", "pw");
    // Ends within a page.
    place.write("raw", crate::common::pattern((3 << 20) + 512));
    let cheap = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 512";
    let is_possible = place.sh_code("dd if=raw of=probe bs=4096 count=1 oflag=direct") == 0;
    if !is_possible {
        let code = place.sh_code(&format!("luksmith encrypt raw box {cheap} --direct"));
        assert_eq!(code, 1);
        return;
    }
    place.sh(&format!("luksmith encrypt raw other {cheap}"));
    for (line, moved) in [
        (
            format!("encrypt raw box {cheap} --direct"),
            ["pread64", "pwrite64"],
        ),
        (
            "decrypt box back --key-file pw --direct".to_owned(),
            ["pread64", "pwrite64"],
        ),
        (
            "compare box raw --key-file pw --direct".to_owned(),
            ["pread64", "pread64"],
        ),
    ] {
        place.sh(&format!(
            "strace -f -y -o trace -e trace=openat,pread64,pwrite64 '{PROGRAM}' {line} --threads 2"
        ));
        let trace = String::from_utf8(place.read("trace")).unwrap();
        // `17 openat(AT_FDCWD</x>, "/proc/self/fd/3", O_RDONLY|O_DIRECT) = 5</x/raw>`
        let direct: Vec<&str> = trace
            .lines()
            // O_DIRECTORY begins alike.
            .filter(|line| line.contains("O_DIRECT|") || line.contains("O_DIRECT)"))
            .filter_map(|line| Some(line.rsplit_once(" = ")?.1.split_once('<')?.0))
            .collect();
        assert_eq!(direct.len(), 2, "{line}: {trace}");
        for (number, call) in direct.iter().zip(moved) {
            let transfer = format!("{call}({number}<");
            assert!(trace.contains(&transfer), "{line}: no {transfer}: {trace}");
        }
    }
    place.sh("cmp raw back && luksmith compare box other --key-file pw");
    place.sh("cryptsetup luksDump box >dump");
}
