//! What mappings are called: names and identifiers as libdevmapper and cryptsetup spell them.

use std::fmt;

use crate::request::{NAME_BYTES, UUID_BYTES};

/// The name of a mapping as the kernel has it. Bytes other than `A-Za-z0-9#+-.:=@_` stand in it as `\xHH`, so that it is one
/// word everywhere.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name(Vec<u8>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// It has no byte.
    #[error("it is empty")]
    Empty,
    /// It would be a path.
    #[error("it has a slash in it")]
    Slash,
    /// It has a NUL, at which texts end.
    #[error("it has a NUL in it")]
    Nul,
    /// Nothing could stand under that name in the folder of the mappings.
    #[error("it is no name of a file in /dev/mapper")]
    Taken,
    /// It is too long.
    #[error("it has {bytes} bytes, and 127 are possible")]
    Long {
        /// How many it has in the kernel's spelling.
        bytes: usize,
    },
    /// One part of it is spelled for the kernel, and another one is not.
    #[error("some of it is spelled with \\xHH, and some that would have to be is not")]
    Mixed,
}

impl Name {
    /// The name that somebody typed. One that is spelled for the kernel already stays as it is.
    ///
    /// # Errors
    ///
    /// [`NameProblem`].
    pub fn new(typed: &[u8]) -> Result<Self, NameProblem> {
        match typed {
            b"" => return Err(NameProblem::Empty),
            b"." | b".." | b"control" => return Err(NameProblem::Taken),
            _ if typed.contains(&b'/') => return Err(NameProblem::Slash),
            _ if typed.contains(&0) => return Err(NameProblem::Nul),
            _ => {}
        }
        let mangled = mangled(typed)?;
        if mangled.len() >= NAME_BYTES {
            let bytes = mangled.len();
            return Err(NameProblem::Long { bytes });
        }
        Ok(Self(mangled))
    }

    /// The name that the kernel told.
    pub(crate) fn told(name: &[u8]) -> Self {
        Self(name.to_vec())
    }

    /// The kernel's spelling.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes that were meant.
    pub fn meant(&self) -> Vec<u8> {
        let (mut meant, mut rest) = (Vec::new(), &self.0[..]);
        while let Some((first, behind)) = rest.split_first() {
            if let Some(byte) = spelled(rest) {
                meant.push(byte);
                rest = &rest[4..];
            } else {
                meant.push(*first);
                rest = behind;
            }
        }
        meant
    }
}

/// As it was typed.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.meant()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0.escape_ascii())
    }
}

fn mangled(typed: &[u8]) -> Result<Vec<u8>, NameProblem> {
    let (mut mangled, mut rest) = (Vec::new(), typed);
    let (mut is_spelled, mut is_odd) = (false, false);
    while let Some((first, behind)) = rest.split_first() {
        if spelled(rest).is_some() {
            is_spelled = true;
            mangled.extend(&rest[..4]);
            rest = &rest[4..];
            continue;
        }
        if is_plain(*first) {
            mangled.push(*first);
        } else {
            is_odd = true;
            mangled.extend(format!("\\x{first:02x}").bytes());
        }
        rest = behind;
    }
    if is_spelled && is_odd {
        return Err(NameProblem::Mixed);
    }
    Ok(mangled)
}

/// The byte that a text begins with in the kernel's spelling.
fn spelled(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\x")?.get(..2)?;
    let digits = std::str::from_utf8(digits).ok()?;
    // A sign would be taken for a digit.
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok();
    byte.filter(|_| are_digits)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&byte)
}

/// What made a mapping, and of what: its identifier says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identifier(Vec<u8>);

/// The formats of which cryptsetup's mappings are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// LUKS1.
    Luks1,
    /// LUKS2.
    Luks2,
    /// Without a header.
    Plain,
}

impl Kind {
    /// As it stands in identifiers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Luks1 => "LUKS1",
            Self::Luks2 => "LUKS2",
            Self::Plain => "PLAIN",
        }
    }
}

/// What cryptsetup's mappings begin with.
const OWNER: &[u8] = b"CRYPT-";

impl Identifier {
    /// Of a mapping of this name: `uuid` is the container's, none for a plain one.
    pub fn new(kind: Kind, uuid: Option<&str>, name: &Name) -> Self {
        let mut text = [OWNER, kind.name().as_bytes(), b"-"].concat();
        if let Some(uuid) = uuid {
            text.extend(uuid.bytes().filter(|byte| *byte != b'-').take(32));
            text.push(b'-');
        }
        text.extend(name.as_bytes());
        text.truncate(UUID_BYTES - 1);
        Self(text)
    }

    pub(crate) fn told(text: &[u8]) -> Self {
        Self(text.to_vec())
    }

    /// As the kernel has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether cryptsetup, or whoever does as it does, has made it.
    pub fn is_crypt(&self) -> bool {
        self.0.starts_with(OWNER)
    }

    /// Of what it is, where that is known.
    pub fn kind(&self) -> Option<Kind> {
        let kind = self.word(1)?;
        [Kind::Luks1, Kind::Luks2, Kind::Plain]
            .into_iter()
            .find(|known| known.name().as_bytes() == kind && self.is_crypt())
    }

    /// The UUID of the container in its usual spelling, where there is one.
    pub fn uuid(&self) -> Option<String> {
        let digits = match self.kind()? {
            Kind::Plain => return None,
            Kind::Luks1 | Kind::Luks2 => std::str::from_utf8(self.word(2)?).ok()?,
        };
        let is_uuid = digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        is_uuid.then(|| {
            let [one, two, three, four, five] =
                [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
            format!("{one}-{two}-{three}-{four}-{five}")
        })
    }

    fn word(&self, index: usize) -> Option<&[u8]> {
        self.0.split(|byte| *byte == b'-').nth(index)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_libdevmapper_spells_them() {
        let long = [b'a'; 127];
        for (typed, kernels) in [
            (&b"foo"[..], &b"foo"[..]),
            (b"my name", b"my\\x20name"),
            ("ü".as_bytes(), b"\\xc3\\xbc"),
            (b"~ %", b"\\x7e\\x20\\x25"),
            (b"a\\x20b", b"a\\x20b"),
            (b"a\\b", b"a\\x5cb"),
            (b"a\\x2", b"a\\x5cx2"),
            (b"#+-.:=@_", b"#+-.:=@_"),
            (b"\xff\x01", b"\\xff\\x01"),
            (&long, &long),
        ] {
            let name = Name::new(typed).unwrap();
            assert_eq!(name.as_bytes(), kernels);
            assert_eq!(Name::new(kernels).unwrap(), name);
            if !typed.starts_with(b"a\\x20") {
                assert_eq!(name.meant(), typed);
            }
        }
        let long = NameProblem::Long { bytes: 128 };
        for (typed, problem) in [
            (&b""[..], NameProblem::Empty),
            (b".", NameProblem::Taken),
            (b"..", NameProblem::Taken),
            (b"control", NameProblem::Taken),
            (b"a/b", NameProblem::Slash),
            (b"a\0b", NameProblem::Nul),
            (b"a\\x20b c", NameProblem::Mixed),
            (&[b'a'; 128], long),
            (&[b' '; 32], long),
        ] {
            assert_eq!(Name::new(typed), Err(problem));
        }
    }

    #[test]
    fn identifiers_tell_what_they_were_made_of() {
        let uuid = "01234567-89ab-4def-8123-456789abcdef";
        let name = Name::new(b"my name").unwrap();
        let of = |kind, uuid| Identifier::new(kind, uuid, &name);
        let luks2 = of(Kind::Luks2, Some(uuid));
        assert_eq!(
            luks2.to_string(),
            "CRYPT-LUKS2-0123456789ab4def8123456789abcdef-my\\x20name"
        );
        assert_eq!(luks2.kind(), Some(Kind::Luks2));
        assert_eq!(luks2.uuid().as_deref(), Some(uuid));
        let plain = of(Kind::Plain, None);
        assert_eq!(plain.to_string(), "CRYPT-PLAIN-my\\x20name");
        assert_eq!((plain.kind(), plain.uuid()), (Some(Kind::Plain), None));
        let long = Name::new(&[b'a'; 127]).unwrap();
        let cut = Identifier::new(Kind::Luks1, Some(uuid), &long);
        assert_eq!(cut.as_bytes().len(), 128);
        assert_eq!(cut.kind(), Some(Kind::Luks1));
        for (text, is_crypt) in [
            (&b""[..], false),
            (b"LVM-abc", false),
            (b"CRYPT-", true),
            (b"CRYPT-TCRYPT-foo", true),
            (b"CRYPT-LUKS2-0123-foo", true),
        ] {
            let told = Identifier::told(text);
            assert_eq!(told.is_crypt(), is_crypt);
            assert_eq!(told.uuid(), None);
        }
    }
}
