//! The options: their spellings, what values they take, and with which actions they may stand.

use super::action::Action::{
    self, AddKey, Benchmark, ChangeKey, Close, Config, ConvertKey, Dump, Erase, Format, Open,
    Reencrypt, Resize, Resume, TcryptDump, Token, Uuid,
};
use crate::args::number;

/// What an option takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Nothing.
    Flag,
    /// A text.
    Text,
    /// A number from 0 to 2^32 - 1.
    U32,
    /// A number from -2^31 to 2^31 - 1.
    I32,
    /// A number from 0 to 2^64 - 1; a negative one counts from the end.
    U64,
    /// Bytes, with a suffix if need be.
    Size,
}

/// One option.
pub(super) struct Spec {
    /// Its name without dashes.
    pub(super) name: &'static str,
    /// Its letter.
    pub(super) short: Option<char>,
    pub(super) kind: Kind,
    /// How usage and help call the value.
    pub(super) value: &'static str,
    /// The actions that it may stand with; none: all.
    pub(super) with: &'static [Action],
    /// The option that it is another name of.
    pub(super) alias: Option<&'static str>,
    /// The largest number that can mean anything.
    pub(super) most: u64,
}

const fn flag(name: &'static str) -> Spec {
    takes(name, Kind::Flag, "")
}

const fn takes(name: &'static str, kind: Kind, value: &'static str) -> Spec {
    Spec {
        name,
        short: None,
        kind,
        value,
        with: &[],
        alias: None,
        most: u64::MAX,
    }
}

impl Spec {
    const fn short(self, letter: char) -> Self {
        Self {
            short: Some(letter),
            ..self
        }
    }

    const fn with(self, with: &'static [Action]) -> Self {
        Self { with, ..self }
    }

    const fn alias(self, of: &'static str) -> Self {
        Self {
            alias: Some(of),
            ..self
        }
    }

    const fn most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// Whether it may stand with `action`.
    pub(super) fn allows(&self, action: Action) -> bool {
        self.with.is_empty() || self.with.contains(&action)
    }
}

/// The option of that name.
pub(super) fn named(name: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.name == name)
}

const KEY_BITS: u64 = *number::KEY_BITS.end();
const KEYFILE_BYTES: u64 = *number::KEYFILE_BYTES.end();
const KEYFILE_OFFSET: u64 = *number::KEYFILE_OFFSET.end();
const KEYSLOT_KDF: &[Action] = &[Reencrypt, Format, AddKey, ChangeKey, ConvertKey];
const TCRYPT: &[Action] = &[Open, TcryptDump];
const OPAL: &[Action] = &[Format];

/// In the order in which usage lists them: those of cryptsetup 2.6, then those of later versions, then ours.
pub(super) static OPTIONS: &[Spec] = &[
    flag("help").short('?'),
    flag("usage"),
    flag("version").short('V'),
    takes("active-name", Kind::Text, "STRING"),
    takes("align-payload", Kind::U32, "SECTORS").with(&[Reencrypt, Format]),
    flag("allow-discards").with(&[Open]),
    flag("batch-mode").short('q'),
    flag("cancel-deferred").with(&[Close]),
    takes("cipher", Kind::Text, "STRING").short('c'),
    flag("debug"),
    flag("debug-json"),
    flag("deferred").with(&[Close]),
    takes("device-size", Kind::Size, "bytes").with(&[Open, Resize, Reencrypt]),
    flag("decrypt"),
    flag("disable-external-tokens"),
    flag("disable-keyring"),
    flag("disable-locks"),
    flag("disable-veracrypt").with(TCRYPT),
    flag("dump-json-metadata"),
    flag("dump-volume-key"),
    flag("encrypt"),
    flag("force-password"),
    flag("force-offline-reencrypt").with(&[Reencrypt]),
    takes("hash", Kind::Text, "STRING").short('h'),
    takes("header", Kind::Text, "STRING"),
    takes("header-backup-file", Kind::Text, "STRING"),
    takes("hotzone-size", Kind::Size, "bytes").with(&[Reencrypt]),
    flag("init-only"),
    takes("integrity", Kind::Text, "STRING")
        .short('I')
        .with(&[Reencrypt, Format]),
    flag("integrity-legacy-padding"),
    flag("integrity-no-journal"),
    flag("integrity-no-wipe").with(&[Reencrypt, Format]),
    takes("iter-time", Kind::U32, "msecs")
        .short('i')
        .most(*number::ITER_TIME_MS.end())
        .with(&[Benchmark, Reencrypt, Format, AddKey, ChangeKey, ConvertKey]),
    flag("iv-large-sectors").with(&[Open]),
    takes("json-file", Kind::Text, "STRING"),
    flag("keep-key").with(&[Reencrypt]),
    takes("key-description", Kind::Text, "STRING")
        .with(&[Open, Resize, Reencrypt, Format, AddKey, Dump, Resume, Token]),
    takes("key-file", Kind::Text, "STRING").short('d'),
    takes("key-size", Kind::U32, "BITS")
        .short('s')
        .most(KEY_BITS)
        .with(&[Open, Benchmark, Reencrypt, Format, AddKey]),
    takes("key-slot", Kind::I32, "INT").short('S').with(&[
        Open, Reencrypt, Config, Format, AddKey, ChangeKey, ConvertKey, Dump, Resume, Token,
    ]),
    takes("keyfile-offset", Kind::U64, "bytes").most(KEYFILE_OFFSET),
    takes("keyfile-size", Kind::U32, "bytes")
        .short('l')
        .most(KEYFILE_BYTES),
    takes("keyslot-cipher", Kind::Text, "STRING").with(KEYSLOT_KDF),
    takes("keyslot-key-size", Kind::U32, "BITS")
        .with(KEYSLOT_KDF)
        .most(KEY_BITS),
    takes("label", Kind::Text, "STRING").with(&[Reencrypt, Config, Format]),
    takes("luks2-keyslots-size", Kind::Size, "bytes").with(&[Reencrypt, Format]),
    takes("luks2-metadata-size", Kind::Size, "bytes").with(&[Reencrypt, Format]),
    takes("volume-key-file", Kind::Text, "STRING"),
    takes("new-keyfile", Kind::Text, "STRING").with(&[AddKey]),
    takes("new-key-slot", Kind::I32, "INT").with(&[AddKey]),
    takes("new-keyfile-offset", Kind::U64, "bytes").most(KEYFILE_OFFSET),
    takes("new-keyfile-size", Kind::U32, "bytes").most(KEYFILE_BYTES),
    takes("new-token-id", Kind::I32, "INT").with(&[AddKey]),
    takes("offset", Kind::U64, "SECTORS")
        .short('o')
        .with(&[Open, Reencrypt, Format]),
    takes("pbkdf", Kind::Text, "STRING")
        .with(&[Benchmark, Reencrypt, Format, AddKey, ChangeKey, ConvertKey]),
    takes("pbkdf-force-iterations", Kind::U32, "LONG").with(KEYSLOT_KDF),
    takes("pbkdf-memory", Kind::U32, "kilobytes"),
    takes("pbkdf-parallel", Kind::U32, "threads"),
    flag("perf-high_priority"),
    flag("perf-no_read_workqueue"),
    flag("perf-no_write_workqueue"),
    flag("perf-same_cpu_crypt"),
    flag("perf-submit_from_crypt_cpus"),
    flag("persistent").with(&[Open]),
    takes("priority", Kind::Text, "STRING").with(&[Config]),
    flag("progress-json").with(&[Reencrypt, Format]),
    takes("progress-frequency", Kind::U32, "secs"),
    flag("readonly").short('r'),
    takes("reduce-device-size", Kind::Size, "bytes"),
    flag("refresh").with(&[Open]),
    takes("resilience", Kind::Text, "STRING"),
    takes("resilience-hash", Kind::Text, "STRING"),
    flag("resume-only"),
    takes("sector-size", Kind::U32, "INT").with(&[Open, Reencrypt, Format]),
    flag("serialize-memory-hard-pbkdf").with(&[Open]),
    flag("shared").with(&[Open]),
    takes("size", Kind::U64, "SECTORS")
        .short('b')
        .with(&[Open, Resize]),
    takes("skip", Kind::U64, "SECTORS").short('p').with(&[Open]),
    takes("subsystem", Kind::Text, "STRING").with(&[Reencrypt, Config, Format]),
    flag("tcrypt-backup").with(TCRYPT),
    flag("tcrypt-hidden").with(TCRYPT),
    flag("tcrypt-system").with(TCRYPT),
    flag("test-args"),
    flag("test-passphrase").with(&[Open]),
    takes("timeout", Kind::U32, "secs").short('t'),
    takes("token-id", Kind::I32, "INT"),
    flag("token-only"),
    flag("token-replace").with(&[Token]),
    takes("token-type", Kind::Text, "STRING"),
    takes("tries", Kind::U32, "INT").short('T'),
    takes("type", Kind::Text, "STRING").short('M'),
    flag("unbound").with(&[Open, AddKey, Dump, Token]),
    flag("use-random").with(&[Reencrypt, Format]),
    flag("use-urandom").with(&[Reencrypt, Format]),
    takes("uuid", Kind::Text, "STRING").with(&[Reencrypt, Format, Uuid]),
    flag("veracrypt"),
    takes("veracrypt-pim", Kind::U32, "INT").with(TCRYPT),
    flag("veracrypt-query-pim"),
    flag("verbose").short('v'),
    flag("verify-passphrase").short('y'),
    takes("block-size", Kind::U32, "MiB").short('B'),
    flag("new").short('N'),
    flag("use-directio"),
    flag("use-fsync"),
    flag("write-log"),
    flag("dump-master-key").alias("dump-volume-key"),
    takes("master-key-file", Kind::Text, "STRING").alias("volume-key-file"),
    flag("disable-blkid").with(&[Reencrypt, Format]),
    flag("disable-sum").with(OPAL),
    takes("external-tokens-path", Kind::Text, "STRING"),
    flag("force-no-keyslots").with(&[Reencrypt]),
    flag("hw-opal").with(OPAL),
    flag("hw-opal-factory-reset").with(&[Erase]),
    flag("hw-opal-only").with(OPAL),
    flag("integrity-inline").with(&[Format]),
    takes("integrity-key-size", Kind::U32, "BITS").with(&[Format]),
    takes("link-vk-to-keyring", Kind::Text, "STRING").with(&[Open, Resume]),
    takes("new-key-description", Kind::Text, "STRING").with(&[AddKey]),
    takes("new-key-size", Kind::U32, "BITS").with(&[Reencrypt]),
    takes("new-volume-key-file", Kind::Text, "STRING").with(&[Reencrypt]),
    takes("new-volume-key-keyring", Kind::Text, "STRING").with(&[Reencrypt]),
    takes("volume-key-keyring", Kind::Text, "STRING"),
    // Not cryptsetup's.
    takes("mapper", Kind::Text, "fuse|kernel"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_one_spelling_of_its_own() {
        for (index, spec) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[..index] {
                assert_ne!(spec.name, other.name);
                assert!(
                    spec.short.is_none() || spec.short != other.short,
                    "{}",
                    spec.name
                );
            }
            if let Some(of) = spec.alias {
                assert!(named(of).is_some(), "{}", spec.name);
            }
            assert_eq!(
                spec.kind == Kind::Flag,
                spec.value.is_empty(),
                "{}",
                spec.name
            );
        }
    }
}
