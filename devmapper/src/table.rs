//! The line of a table of dm-crypt, as `Documentation/admin-guide/device-mapper/dm-crypt.rst` has it:
//! `CIPHER KEY IV_OFFSET DEVICE OFFSET [COUNT OPTION...]`.

use std::fmt::Write as _;
use std::str::{self, FromStr};

use dmcrypt::{LockedBytes, Mapped, SectorSize};

use crate::Error;

/// How dm-crypt treats what it is given, whatever is in it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of a table")]
pub struct Flags {
    /// What the file system above gives back is given back below, where it can be seen.
    pub allow_discards: bool,
    /// Encrypt on the processor that has asked.
    pub same_cpu_crypt: bool,
    /// Write from the thread that has encrypted.
    pub submit_from_crypt_cpus: bool,
    /// Decrypt at once, not in a queue.
    pub no_read_workqueue: bool,
    /// Encrypt at once, not in a queue.
    pub no_write_workqueue: bool,
    /// Encrypt before others that wait for a processor: from [`HIGH_PRIORITY_SINCE`] on.
    pub high_priority: bool,
}

/// The first version of dm-crypt that knows `high_priority`: Linux 6.10.
pub const HIGH_PRIORITY_SINCE: [u32; 3] = [1, 26, 0];

impl Flags {
    /// Each with the kernel's word for it, in the order in which cryptsetup gives them.
    pub fn named(&self) -> [(&'static str, bool); 6] {
        [
            ("allow_discards", self.allow_discards),
            ("same_cpu_crypt", self.same_cpu_crypt),
            ("submit_from_crypt_cpus", self.submit_from_crypt_cpus),
            ("no_read_workqueue", self.no_read_workqueue),
            ("no_write_workqueue", self.no_write_workqueue),
            ("high_priority", self.high_priority),
        ]
    }

    /// What either has.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            allow_discards: self.allow_discards || other.allow_discards,
            same_cpu_crypt: self.same_cpu_crypt || other.same_cpu_crypt,
            submit_from_crypt_cpus: self.submit_from_crypt_cpus || other.submit_from_crypt_cpus,
            no_read_workqueue: self.no_read_workqueue || other.no_read_workqueue,
            no_write_workqueue: self.no_write_workqueue || other.no_write_workqueue,
            high_priority: self.high_priority || other.high_priority,
        }
    }

    /// What dm-crypt of this version takes of it.
    #[must_use]
    pub fn known_to(self, version: [u32; 3]) -> Self {
        Self {
            high_priority: self.high_priority && version >= HIGH_PRIORITY_SINCE,
            ..self
        }
    }

    fn set(&mut self, word: &str) -> bool {
        let flag = match word {
            "allow_discards" => &mut self.allow_discards,
            "same_cpu_crypt" => &mut self.same_cpu_crypt,
            "submit_from_crypt_cpus" => &mut self.submit_from_crypt_cpus,
            "no_read_workqueue" => &mut self.no_read_workqueue,
            "no_write_workqueue" => &mut self.no_write_workqueue,
            "high_priority" => &mut self.high_priority,
            _ => return false,
        };
        *flag = true;
        true
    }
}

/// The key of a new table.
pub enum Key<'a> {
    /// It stands in the table.
    Bytes(&'a [u8]),
    /// It is in a keyring of whoever loads the table: a [`LogonKey`](crate::LogonKey) of this description.
    Keyring {
        /// How many bytes it has.
        bytes: usize,
        /// What it is called.
        description: &'a str,
    },
}

/// A table with one line of dm-crypt. Its text may hold a key: it is locked in memory and wiped.
pub struct Table {
    /// How much is mapped, in units of 512 bytes.
    pub length_sectors: u64,
    text: Text,
}

impl Table {
    /// What is mapped, under a key, of a device.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] where it is not whole sectors, or a description has blanks in it.
    pub fn new(mapped: &Mapped, key: &Key<'_>, device: u64, flags: Flags) -> Result<Self, Error> {
        let whole = "it is no whole number of sectors";
        let length_sectors = mapped.length_sectors().ok_or(Error::Table(whole))?;
        let offset_sectors = mapped.offset_sectors().ok_or(Error::Table(whole))?;
        let cipher = mapped.cipher.to_string();
        let device = device_text(device);
        let line = Line {
            cipher: &cipher,
            key: KeyText::None,
            first_iv_sector: mapped.first_iv_sector,
            device: &device,
            offset_sectors,
            flags,
            sector_size: mapped.sectors.sector_size,
            iv_large_sectors: mapped.sectors.iv_large_sectors,
            others: Vec::new(),
        };
        check_word(key)?;
        // Whatever the key is, nothing is encrypted with it.
        let text = if mapped.cipher.is_null() {
            line.text()
        } else {
            line.text_with(key)
        };
        Ok(Self {
            length_sectors,
            text,
        })
    }

    /// The line of a table that there is, with another length or as it is.
    pub fn of_line(line: &Line<'_>, length_sectors: u64) -> Self {
        Self {
            length_sectors,
            text: line.text(),
        }
    }

    /// The same with a new key.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] where its description has blanks in it.
    pub fn of_line_with(
        line: &Line<'_>,
        key: &Key<'_>,
        length_sectors: u64,
    ) -> Result<Self, Error> {
        check_word(key)?;
        Ok(Self {
            length_sectors,
            text: line.text_with(key),
        })
    }

    /// The line, with the key where that stands in it.
    pub fn text(&self) -> &[u8] {
        self.text.bytes()
    }
}

/// A description comes out of a header: with a blank in it what follows would be other words of the line.
fn check_word(key: &Key<'_>) -> Result<(), Error> {
    match key {
        Key::Keyring { description, .. }
            if description
                .bytes()
                .any(|byte| byte.is_ascii_whitespace() || byte == 0) =>
        {
            Err(Error::Table("the key's description is no word"))
        }
        _ => Ok(()),
    }
}

/// A device's number as tables have it.
fn device_text(device: u64) -> String {
    format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    )
}

/// The line of a table, taken apart.
#[derive(Clone, Eq, PartialEq)]
pub struct Line<'a> {
    /// The cipher specification.
    pub cipher: &'a str,
    /// The key.
    pub key: KeyText<'a>,
    /// The IV number of the first byte, in units of 512 bytes.
    pub first_iv_sector: u64,
    /// The device, as the kernel tells it: `7:0`.
    pub device: &'a str,
    /// Where in it the mapping starts, in units of 512 bytes.
    pub offset_sectors: u64,
    /// How it is treated.
    pub flags: Flags,
    /// Bytes that are encrypted as one.
    pub sector_size: SectorSize,
    /// IVs count encryption sectors.
    pub iv_large_sectors: bool,
    /// Options that are not known here, in their order.
    pub others: Vec<&'a str>,
}

/// The key of a table that there is.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum KeyText<'a> {
    /// None: nothing is encrypted.
    None,
    /// The key itself, in hexadecimal digits.
    Digits(&'a [u8]),
    /// One in a keyring.
    Keyring {
        /// How many bytes it has.
        bytes: usize,
        /// Its type: `logon`, or another one.
        kind: &'a str,
        /// What it is called.
        description: &'a str,
    },
}

impl KeyText<'_> {
    /// How many bytes the key has.
    pub fn key_bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Digits(digits) => digits.len() / 2,
            Self::Keyring { bytes, .. } => *bytes,
        }
    }

    /// Whether it is in a keyring.
    pub fn is_in_keyring(&self) -> bool {
        matches!(self, Self::Keyring { .. })
    }
}

impl<'a> Line<'a> {
    /// Takes a line apart; `None` where it is none of dm-crypt's.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut words = text
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let cipher = word(&mut words)?;
        let key = parse_key(words.next()?)?;
        let first_iv_sector = number(&mut words)?;
        let device = word(&mut words)?;
        let offset_sectors = number(&mut words)?;
        let mut line = Self {
            cipher,
            key,
            first_iv_sector,
            device,
            offset_sectors,
            flags: Flags::default(),
            sector_size: SectorSize::B512,
            iv_large_sectors: false,
            others: Vec::new(),
        };
        let count = match words.next() {
            None => 0,
            Some(count) => parsed::<u64>(str::from_utf8(count).ok()?)?,
        };
        let mut found: u64 = 0;
        for option in words {
            line.take(str::from_utf8(option).ok()?)?;
            found = found.saturating_add(1);
        }
        (found == count).then_some(line)
    }

    fn take(&mut self, option: &'a str) -> Option<()> {
        if let Some(bytes) = option.strip_prefix("sector_size:") {
            self.sector_size = SectorSize::new(parsed(bytes)?)?;
        } else if option == "iv_large_sectors" {
            self.iv_large_sectors = true;
        } else if !self.flags.set(option) {
            self.others.push(option);
        }
        Some(())
    }

    /// The number of its device, where it stands there as one.
    pub fn device_number(&self) -> Option<u64> {
        let (major, minor) = self.device.split_once(':')?;
        Some(rustix::fs::makedev(parsed(major)?, parsed(minor)?))
    }

    fn text(&self) -> Text {
        self.write(|text| match &self.key {
            KeyText::None => text.put(b"-"),
            KeyText::Digits(digits) => text.put(digits),
            KeyText::Keyring {
                bytes,
                kind,
                description,
            } => text.put(format!(":{bytes}:{kind}:{description}").as_bytes()),
        })
    }

    fn text_with(&self, key: &Key<'_>) -> Text {
        self.write(|text| put_key(text, key))
    }

    fn write(&self, put_key: impl Fn(&mut Text)) -> Text {
        let mut options: Vec<String> = Vec::new();
        for (word, _) in self.flags.named().iter().filter(|(_, is_set)| *is_set) {
            options.push((*word).to_owned());
        }
        if self.iv_large_sectors {
            options.push("iv_large_sectors".to_owned());
        }
        if self.sector_size != SectorSize::B512 {
            options.push(format!("sector_size:{}", self.sector_size.bytes()));
        }
        options.extend(self.others.iter().map(|other| (*other).to_owned()));
        let mut rest = format!(
            " {} {} {}",
            self.first_iv_sector, self.device, self.offset_sectors
        );
        if !options.is_empty() {
            let _ = write!(rest, " {} {}", options.len(), options.join(" "));
        }
        let fill = |text: &mut Text| {
            text.put(self.cipher.as_bytes());
            text.put(b" ");
            put_key(text);
            text.put(rest.as_bytes());
        };
        // Once to count, so that the secret is nowhere but where it stays.
        let mut counted = Text::counting();
        fill(&mut counted);
        let mut text = Text::of(counted.length);
        fill(&mut text);
        text
    }
}

fn word<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
    str::from_utf8(words.next()?).ok()
}

fn number<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    parsed(word(words)?)
}

/// A number as the kernel prints it: digits alone.
fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn parse_key(word: &[u8]) -> Option<KeyText<'_>> {
    match word {
        b"-" => Some(KeyText::None),
        [b':', rest @ ..] => {
            let mut parts = str::from_utf8(rest).ok()?.splitn(3, ':');
            let bytes = parsed(parts.next()?)?;
            let (kind, description) = (parts.next()?, parts.next()?);
            let is_named = !kind.is_empty() && !description.is_empty();
            is_named.then_some(KeyText::Keyring {
                bytes,
                kind,
                description,
            })
        }
        digits => {
            let are_digits = digits.iter().all(u8::is_ascii_hexdigit);
            (are_digits && digits.len().is_multiple_of(2)).then_some(KeyText::Digits(digits))
        }
    }
}

/// A text that may hold a key.
struct Text {
    bytes: Option<LockedBytes>,
    length: usize,
}

impl Text {
    fn counting() -> Self {
        Self {
            bytes: None,
            length: 0,
        }
    }

    fn of(length: usize) -> Self {
        Self {
            bytes: Some(LockedBytes::zeroed(length)),
            length: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| &bytes[..])
    }

    fn put(&mut self, more: &[u8]) {
        let end = self.length + more.len();
        if let Some(bytes) = &mut self.bytes {
            bytes[self.length..end].copy_from_slice(more);
        }
        self.length = end;
    }

    fn put_hex(&mut self, key: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in key {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            self.put(&digits);
        }
    }
}

/// As tables and messages have a key: what encrypts nothing has none.
fn put_key(text: &mut Text, key: &Key<'_>) {
    match key {
        Key::Bytes([]) => text.put(b"-"),
        Key::Bytes(bytes) => text.put_hex(bytes),
        Key::Keyring { bytes, description } => {
            text.put(format!(":{bytes}:logon:{description}").as_bytes());
        }
    }
}

/// A message that gives a suspended mapping its key again: the text of a key as tables have it.
pub(crate) fn key_message(key: &Key<'_>) -> LockedBytes {
    let fill = |text: &mut Text| {
        text.put(b"key set ");
        put_key(text, key);
    };
    let mut counted = Text::counting();
    fill(&mut counted);
    let mut text = Text::of(counted.length);
    fill(&mut text);
    text.bytes.unwrap_or_else(|| LockedBytes::zeroed(0))
}

#[cfg(test)]
mod tests {
    use dmcrypt::SectorOptions;

    use super::*;

    fn mapped(sector_size: SectorSize, cipher: &str) -> Mapped {
        Mapped {
            cipher: cipher.parse().expect("a cipher"),
            sectors: SectorOptions {
                sector_size,
                iv_large_sectors: false,
            },
            first_iv_sector: 8,
            offset_bytes: 16 << 20,
            length_bytes: 1 << 20,
        }
    }

    #[test]
    fn what_either_has_both_have() {
        let none = Flags::default();
        for (word, _) in none.named() {
            let mut one = none;
            assert!(one.set(word), "{word}");
            assert_eq!((one.or(none), none.or(one)), (one, one), "{word}");
        }
    }

    #[test]
    fn a_line_is_what_dm_crypt_takes() {
        let device = rustix::fs::makedev(7, 12);
        let line = |mapped: &Mapped, key: &Key<'_>, flags| {
            let table = Table::new(mapped, key, device, flags).expect("whole sectors");
            assert_eq!(table.length_sectors, 2048);
            String::from_utf8_lossy(table.text()).into_owned()
        };
        let none = Flags::default();
        let all = Flags {
            allow_discards: true,
            same_cpu_crypt: true,
            submit_from_crypt_cpus: true,
            no_read_workqueue: true,
            no_write_workqueue: true,
            high_priority: true,
        };
        let xts = mapped(SectorSize::B512, "aes-xts-plain64");
        assert_eq!(
            line(&xts, &Key::Bytes(&[0x0f, 0xa0]), none),
            "aes-xts-plain64 0fa0 8 7:12 32768"
        );
        let keyring = Key::Keyring {
            bytes: 64,
            description: "cryptsetup:0123-d0",
        };
        assert_eq!(
            line(&mapped(SectorSize::B4096, "aes-xts-plain64"), &keyring, all),
            "aes-xts-plain64 :64:logon:cryptsetup:0123-d0 8 7:12 32768 7 allow_discards same_cpu_crypt \
             submit_from_crypt_cpus no_read_workqueue no_write_workqueue high_priority sector_size:4096"
        );
        let without = Flags {
            high_priority: false,
            ..all
        };
        assert_eq!(all.known_to([1, 25, 9]), without);
        assert_eq!(all.known_to([1, 26, 0]), all);
        let null = mapped(SectorSize::B512, "cipher_null-ecb");
        assert_eq!(
            line(&null, &Key::Bytes(&[1; 32]), none),
            "cipher_null-ecb - 8 7:12 32768"
        );
        let blank = Key::Keyring {
            bytes: 64,
            description: "a b",
        };
        assert!(Table::new(&xts, &blank, device, none).is_err());
        let odd = Mapped {
            length_bytes: 513,
            ..xts
        };
        assert!(Table::new(&odd, &keyring, device, none).is_err());
    }

    #[test]
    fn a_line_is_taken_apart_and_put_together() {
        for text in [
            "aes-xts-plain64 0fa0 0 7:0 32768",
            "aes-xts-plain64 :64:logon:cryptsetup:a-d0 0 254:3 0 2 allow_discards sector_size:4096",
            "cipher_null-ecb - 18446744073709551615 7:0 0",
            "capi:xts(aes)-plain64 00 1 8:1 2 3 no_read_workqueue iv_large_sectors integrity:28:aead",
        ] {
            let line = Line::parse(text.as_bytes()).expect(text);
            let table = Table::of_line(&line, 8);
            assert_eq!(table.text(), text.as_bytes());
            assert!(line.device_number().is_some());
        }
        let line = Line::parse(b"aes-xts-plain64 00ff 0 7:0 8 1 other").unwrap();
        assert_eq!((line.others.len(), line.key.key_bytes()), (1, 2));
        let keyring = Key::Keyring {
            bytes: 2,
            description: "k",
        };
        let blank = Key::Keyring {
            bytes: 2,
            description: "k 0",
        };
        assert!(Table::of_line_with(&line, &blank, 8).is_err());
        let table = Table::of_line_with(&line, &keyring, 8).unwrap();
        assert_eq!(table.text(), b"aes-xts-plain64 :2:logon:k 0 7:0 8 1 other");
        for text in [
            "",
            "aes",
            "aes 0 0 7:0 0",
            "aes 0g 0 7:0 0",
            "aes 00 -1 7:0 0",
            "aes 00 0 7:0 0 1",
            "aes 00 0 7:0 0 2 allow_discards",
            "aes 00 0 7:0 0 0 allow_discards",
            "aes 00 0 7:0 0 1 sector_size:8192",
            "aes 00 18446744073709551616 7:0 0",
            "aes :64:logon 0 7:0 0",
            "aes :64:logon: 0 7:0 0",
            "aes :+4:logon:k 0 7:0 0",
        ] {
            assert!(Line::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_message_gives_the_key() {
        assert_eq!(&key_message(&Key::Bytes(&[0xab]))[..], b"key set ab");
        assert_eq!(&key_message(&Key::Bytes(&[]))[..], b"key set -");
        let keyring = Key::Keyring {
            bytes: 32,
            description: "k",
        };
        assert_eq!(&key_message(&keyring)[..], b"key set :32:logon:k");
    }
}
