use std::fmt;

use crate::common::Place;

/// A new LUKS container, by options that cryptsetup and we both take and that must mean the same.
pub struct Case {
    pub version: u32,
    options: String,
    key: Key,
    pub is_detached: bool,
}

/// What unlocks it.
struct Key {
    content: &'static [u8],
    /// The shell's words that hand it over, after the command's own arguments.
    arguments: &'static str,
    /// The same for another key that does not fit.
    wrong: &'static str,
}

const FILE: Key = Key {
    content: b"correct horse",
    arguments: "--key-file key",
    wrong: "--key-file wrong",
};

/// Ways to say the same passphrase: by a file with all it holds, by a part of one, by a line and by all of standard
/// input.
const KEYS: [Key; 7] = [
    Key {
        content: b"ends with a newline\n",
        ..FILE
    },
    Key {
        content: b"two\nlines\n\n",
        ..FILE
    },
    Key {
        content: b"\0binary\xff\0\r\n\x80",
        ..FILE
    },
    Key {
        content: b"..................secret...",
        arguments: "--key-file key --keyfile-offset 18 --keyfile-size 6",
        wrong: "--key-file key --keyfile-offset 18 --keyfile-size 7",
    },
    Key {
        content: b"first line\nsecond line\n",
        arguments: "<key",
        wrong: "--key-file key",
    },
    Key {
        content: b"first line\nsecond line\n",
        arguments: "--key-file - <key",
        wrong: "<key",
    },
    Key {
        content: b"0123456789\n",
        arguments: "--keyfile-size 4 --key-file - <key",
        wrong: "--keyfile-size 5 --key-file - <key",
    },
];

/// For `--volume-key-file volume-key`: of 512 bits, in two halves that differ.
pub const VOLUME_KEY: &[u8] = b"0123456789abcdef0123456789ABCDEFfedcba9876543210FEDCBA987654321!";

/// The passphrase hashes of both formats.
const HASHES: [&str; 7] = [
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "ripemd160",
    "whirlpool",
];

const PBKDF2: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

impl Case {
    fn new(version: u32, options: impl Into<String>) -> Self {
        Self {
            version,
            options: options.into(),
            key: FILE,
            is_detached: false,
        }
    }

    fn detached(self) -> Self {
        Self {
            is_detached: true,
            ..self
        }
    }

    /// What makes it, for either program.
    pub fn format_arguments(&self) -> String {
        format!(
            "--type luks{} {} {} {}",
            self.version,
            self.options,
            self.header_arguments(),
            self.key_arguments()
        )
    }

    /// Where its header is, for either program and beside the container.
    pub fn header_arguments(&self) -> &'static str {
        if self.is_detached {
            "--header header"
        } else {
            ""
        }
    }

    /// The key that fits, for either program.
    pub fn key_arguments(&self) -> &'static str {
        self.key.arguments
    }

    /// A key that looks like it and does not fit, for either program.
    pub fn wrong_arguments(&self) -> &'static str {
        self.key.wrong
    }

    /// The file that holds the header of the container `image`.
    pub fn header_of<'a>(&self, image: &'a str) -> &'a str {
        if self.is_detached { "header" } else { image }
    }

    /// How long its key derivation takes was measured when it was made.
    pub fn is_measured(&self) -> bool {
        self.option("--pbkdf-force-iterations").is_none()
    }

    /// The value of this option.
    pub fn option(&self, name: &str) -> Option<&str> {
        let mut words = self.options.split_whitespace();
        words.find(|word| *word == name).and_then(|_| words.next())
    }

    /// An empty folder with its key.
    pub fn place(&self) -> Place {
        let place = Place::new();
        place.write("key", self.key.content);
        place.write("wrong", b"correct horsf");
        place.write("volume-key", VOLUME_KEY);
        place
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format_arguments())
    }
}

/// The table: every option, each with cheap key derivations.
pub fn cases() -> Vec<Case> {
    let mut cases = data_cases();
    cases.extend(luks1_headers());
    cases.extend(luks2_headers());
    for key in KEYS {
        for version in [1, 2] {
            cases.push(Case {
                key: Key { ..key },
                ..Case::new(version, PBKDF2)
            });
        }
    }
    cases
}

/// The part of it that says how data are encrypted, and where they lie: for the slower ways to prove that.
pub fn data_cases() -> Vec<Case> {
    let mut cases = luks1_data();
    cases.extend(luks2_data());
    cases
}

fn luks1_data() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |options: &str| cases.push(Case::new(1, format!("{options} {PBKDF2}")));
    add("");
    for (cipher, bits) in [
        ("aes-xts-plain64", 256),
        ("aes-xts-plain64", 512),
        ("aes-xts-plain", 512),
        ("aes-xts-essiv:sha256", 512),
        ("aes-cbc-essiv:sha256", 128),
        ("aes-cbc-essiv:sha256", 192),
        ("aes-cbc-essiv:sha256", 256),
        ("aes-cbc-plain64", 256),
        ("aes-cbc-benbi", 256),
    ] {
        add(&format!("--cipher {cipher} --key-size {bits}"));
    }
    add("--offset 5000 --cipher aes-xts-plain64 --key-size 256");
    for options in ["", "--offset 4096 --key-size 256"] {
        cases.push(Case::new(1, format!("{options} {PBKDF2}")).detached());
    }
    cases
}

/// What cryptsetup formats only where there is a kernel.
pub fn kernel_cases() -> Vec<Case> {
    let options = format!("--cipher 'capi:xts(aes)-plain64' --key-size 256 {PBKDF2}");
    vec![Case::new(1, options.clone()), Case::new(2, options)]
}

fn luks1_headers() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |options: &str| cases.push(Case::new(1, format!("{options} {PBKDF2}")));
    for hash in HASHES {
        add(&format!("--hash {hash}"));
    }
    cases.push(Case::new(1, "--iter-time 50"));
    let mut add = |options: &str| cases.push(Case::new(1, format!("{options} {PBKDF2}")));
    add("--volume-key-file volume-key");
    add("--cipher aes");
    add("--cipher aes-ecb --key-size 128");
    add("--cipher aes-cbc-essiv:sha256");
    add("--offset 4040 --uuid 01234567-89AB-4DEF-8123-456789ABCDEF");
    add("--key-slot 7 --cipher aes-cbc-essiv:sha256 --key-size 256");
    add("--offset 8192 --uuid 01234567-89ab-4def-8123-456789abcdef");
    cases
}

fn luks2_data() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |options: &str| cases.push(Case::new(2, options));
    add(PBKDF2);
    for sector_bytes in [512, 1024, 2048, 4096] {
        for (cipher, bits) in [
            ("aes-xts-plain64", 256),
            ("aes-xts-plain64", 512),
            ("aes-cbc-essiv:sha256", 128),
            ("aes-cbc-essiv:sha256", 256),
        ] {
            add(&format!(
                "--sector-size {sector_bytes} --cipher {cipher} --key-size {bits} {PBKDF2}"
            ));
        }
        add(&format!(
            "--sector-size {sector_bytes} {}",
            argon2("argon2id", 4, 32, 1)
        ));
    }
    for (cipher, bits, sector_bytes) in [
        ("aes-xts-plain64be", 512, 4096),
        ("aes-xts-essiv:sha256", 512, 2048),
        ("aes-cbc-benbi", 256, 1024),
        ("aes-cbc-eboiv", 192, 4096),
        ("aes-cbc-null", 128, 512),
    ] {
        add(&format!(
            "--cipher {cipher} --key-size {bits} --sector-size {sector_bytes} {PBKDF2}"
        ));
    }
    for shift in 0..9 {
        add(&format!(
            "--luks2-metadata-size {} {PBKDF2}",
            16384 << shift
        ));
    }
    add(&format!(
        "--luks2-metadata-size 64k --luks2-keyslots-size 4M --offset 65536 {PBKDF2}"
    ));
    for offset in [4096, 8200, 32768] {
        // Said, since cryptsetup guesses 512 where data start at an odd multiple of 4096.
        add(&format!("--offset {offset} --sector-size 4096 {PBKDF2}"));
    }
    for options in [
        "",
        "--sector-size 2048 --key-size 256",
        "--offset 4096",
        "--luks2-metadata-size 128k --luks2-keyslots-size 1M",
    ] {
        cases.push(Case::new(2, format!("{options} {PBKDF2}")).detached());
    }
    cases
}

fn luks2_headers() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |options: &str| cases.push(Case::new(2, options));
    for hash in HASHES {
        add(&format!("--hash {hash} {PBKDF2}"));
    }
    for size in ["512k", "1M", "4M", "32M"] {
        add(&format!("--luks2-keyslots-size {size} {PBKDF2}"));
    }
    for options in [
        "--cipher aes",
        "--cipher aes-ecb",
        "--cipher aes-cbc-essiv:sha256",
        "--key-size 256",
        "--luks2-keyslots-size 256k",
        "--uuid 01234567-89AB-4DEF-8123-456789ABCDEF",
        "--offset 568 --sector-size 512",
        "--offset 262144",
        "--key-slot 31",
        "--volume-key-file volume-key",
        "--uuid 01234567-89ab-4def-8123-456789abcdef --label größe --subsystem no/thing",
        "--label 0123456789abcdef0123456789abcdef0123456789abcde",
    ] {
        add(&format!("{options} {PBKDF2}"));
    }
    add("--iter-time 50 --pbkdf-memory 65536");
    for kdf in ["argon2i", "argon2id"] {
        add(&argon2(kdf, 4, 32, 1));
        add(&argon2(kdf, 5, 1000, 4));
        add(&format!(
            "--hash sha512 --key-slot 2 {}",
            argon2(kdf, 4, 64, 2)
        ));
    }
    cases
}

fn argon2(variant: &str, passes: u32, memory_kib: u32, lanes: u32) -> String {
    format!(
        "--pbkdf {variant} --pbkdf-force-iterations {passes} --pbkdf-memory {memory_kib} \
         --pbkdf-parallel {lanes}"
    )
}
