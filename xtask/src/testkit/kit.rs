//! The kit while it is made: bases, and cases by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::case::{Case, Patch, Source};
use super::images::{BINARY, BOTH, COPY, Json, Luks2};
use super::patches;

/// The bases, by the names that cases use.
pub const BASES: [&str; 4] = ["luks1", "luks1-qemu", "luks2", "luks2-reencrypt"];

/// Where the eight numbers of the grids lie.
pub const GRID: [(&str, u64); 8] = [
    ("0", 0),
    ("1", 1),
    ("4095", 4095),
    ("4096", 4096),
    ("2p31", 1 << 31),
    ("2p32", 1 << 32),
    ("2p63", 1 << 63),
    ("2p64-1", u64::MAX),
];

/// Those of them that a 32-bit field holds, and its largest.
pub const GRID32: [(&str, u32); 6] = [
    ("0", 0),
    ("1", 1),
    ("4095", 4095),
    ("4096", 4096),
    ("2p31", 1 << 31),
    ("2p32-1", u32::MAX),
];

/// What must come of a case.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Nothing is wrong.
    Opens,
    /// It loads, and the passphrase does not open it, for this reason.
    Locked(&'static str),
    /// One copy counts, the other is passed over for this reason.
    Recovers(Copy, &'static str),
    /// It must be refused.
    Invalid(String),
    /// It must be refused for this member.
    Member(&'static str, String),
}

/// The copy that counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Copy {
    Primary,
    Secondary,
}

pub fn invalid(kind: &str) -> Expect {
    Expect::Invalid(kind.to_owned())
}

pub fn member(problem: &'static str, path: &str) -> Expect {
    Expect::Member(problem, path.to_owned())
}

pub struct Kit {
    pub bases: BTreeMap<&'static str, Vec<u8>>,
    pub cases: BTreeMap<String, Case>,
}

impl Kit {
    /// Reads the bases.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let mut bases = BTreeMap::new();
        for name in BASES {
            let path = folder.join(format!("bases/{name}.img.xz"));
            let output = Command::new("xz").arg("-dc").arg(&path).output();
            let output = output.map_err(|error| format!("xz: {error}"))?;
            if !output.status.success() {
                return Err(format!("xz -dc {}: {}", path.display(), output.status));
            }
            bases.insert(name, output.stdout);
        }
        Ok(Self {
            bases,
            cases: BTreeMap::new(),
        })
    }

    pub fn base(&self, name: &str) -> &[u8] {
        &self.bases[name]
    }

    pub fn luks2(&self) -> Luks2 {
        Luks2 {
            image: self.base("luks2").to_vec(),
        }
    }

    /// The metadata of the LUKS2 base.
    pub fn metadata(&self) -> Json {
        Json::new(&self.luks2().text())
    }

    /// Adds a case; what it returns may say more about it.
    pub fn add(
        &mut self,
        base: &'static str,
        name: &str,
        what: &str,
        rule: &str,
        expect: &Expect,
        image: &[u8],
    ) -> &mut Case {
        let copies = same_ends(self.base(base), image);
        self.add_after(base, name, what, rule, expect, image, copies)
    }

    /// The same, where copies of the base make the patches shorter.
    #[expect(clippy::too_many_arguments, reason = "they are the members of a case")]
    pub fn add_after(
        &mut self,
        base: &'static str,
        name: &str,
        what: &str,
        rule: &str,
        expect: &Expect,
        image: &[u8],
        copies: Vec<Patch>,
    ) -> &mut Case {
        let bytes = self.base(base);
        let mut case = Case {
            base: base.to_owned(),
            bytes: (image.len() != bytes.len()).then_some(image.len() as u64),
            what: what.to_owned(),
            rule: rule.to_owned(),
            verdict: "valid".to_owned(),
            opens: true,
            patches: patches::between(bytes, image, copies),
            ..Case::default()
        };
        match expect {
            Expect::Opens => {}
            Expect::Locked(kind) => {
                case.opens = false;
                case.kind = Some((*kind).to_owned());
            }
            Expect::Recovers(copy, kind) => {
                "recoverable".clone_into(&mut case.verdict);
                case.kind = Some((*kind).to_owned());
                let uses = match copy {
                    Copy::Primary => "primary",
                    Copy::Secondary => "secondary",
                };
                case.uses = Some(uses.to_owned());
            }
            Expect::Invalid(_) | Expect::Member(..) => {
                "invalid".clone_into(&mut case.verdict);
                case.opens = false;
                if let Expect::Member(problem, path) = expect {
                    case.kind = Some(format!("Member.{problem}"));
                    case.path = Some(path.clone());
                } else if let Expect::Invalid(kind) = expect {
                    case.kind = Some(kind.clone());
                }
            }
        }
        assert!(
            case.image(self.base(base)) == image,
            "{name}: its patches do not make its image"
        );
        let file = format!("cases/{name}.toml");
        let old = self.cases.insert(file.clone(), case);
        assert!(old.is_none(), "{name} is there twice");
        self.cases.get_mut(&file).expect("it was inserted")
    }

    /// Adds a case of LUKS2 metadata: both copies hold this text.
    pub fn json(
        &mut self,
        name: &str,
        what: &str,
        rule: &str,
        expect: &Expect,
        text: &str,
    ) -> &mut Case {
        let image = self.luks2().json(BOTH, text.as_bytes());
        self.add("luks2", name, what, rule, expect, &image)
    }

    /// Names the class of another test suite that a case is of.
    pub fn class(&mut self, name: &str, class: &str) {
        let file = format!("cases/{name}.toml");
        let case = self.cases.get_mut(&file);
        case.unwrap_or_else(|| panic!("{class} is of {name}, which is not there"))
            .class
            .push(class.to_owned());
    }
}

/// Where the JSON texts end as the base's does, further on or further back: those bytes are copied.
fn same_ends(base: &[u8], image: &[u8]) -> Vec<Patch> {
    /// Fewer are not worth it.
    const LEAST: usize = 40;
    let mut patches: Vec<Patch> = Vec::new();
    if base.len().min(image.len()) < 2 * COPY || base.get(6..8) != Some(&[0, 2]) {
        return patches;
    }
    let old = json(base, 0);
    for copy in BOTH {
        let new = json(image, *copy);
        let pairs = old.iter().rev().zip(new.iter().rev());
        let count = pairs.take_while(|(a, b)| a == b).count();
        if count < LEAST || new.len() == old.len() {
            continue;
        }
        let at = (copy + BINARY + new.len() - count) as u64;
        let source = Source::Base((BINARY + old.len() - count) as u64, count);
        match patches.iter_mut().find(|patch| patch.source == source) {
            Some(patch) => patch.at.push(at),
            None => patches.push(Patch {
                at: vec![at],
                source,
            }),
        }
    }
    patches
}

/// The text of the JSON area of the copy at `at`.
fn json(image: &[u8], at: usize) -> &[u8] {
    let area = &image[at + BINARY..at + COPY];
    let end = area.iter().position(|byte| *byte == 0);
    &area[..end.unwrap_or(area.len())]
}
