//! The JSON text: strict parsing, and members taken with their place in every error.

mod reader;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use crate::error::{Corrupt, MemberProblem};

use reader::Dialect;

/// Deepest nesting that is read; metadata uses five levels, tokens may bring their own.
const MAX_DEPTH: usize = 32;
/// Most values that are read, names of members included. Metadata has a few hundred, and 4 MiB of text could have two
/// million, which would fill hundreds of megabytes of memory.
const MAX_VALUES: usize = 16 * 1024;
/// Longest salt or digest that is read, in bytes.
const MAX_BINARY_BYTES: usize = 64 * 1024;

/// Parses the text of a JSON area: an object, no duplicate member anywhere, nothing behind it.
pub(super) fn parse(area: &[u8]) -> Result<Map<String, Value>, Corrupt> {
    if area.first() != Some(&b'{') {
        return Err(Corrupt::JsonStart);
    }
    let end = area
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(Corrupt::JsonNotTerminated)?;
    if let Some(index) = area[end..].iter().position(|byte| *byte != 0) {
        return Err(Corrupt::JsonTail(end.saturating_add(index)));
    }
    let text = &area[..end];
    if text.last() != Some(&b'}') {
        return Err(Corrupt::JsonTail(end.saturating_sub(1)));
    }
    match reader::read(text, Dialect::Strict)
        .map_err(|problem| Corrupt::JsonSyntax(problem.into()))?
    {
        Value::Object(object) => Ok(object),
        _ => Err(Corrupt::JsonStart),
    }
}

/// Reads an object as generously as json-c does, which cryptsetup takes tokens with; why that is none.
pub(super) fn parse_generously(text: &[u8]) -> Result<Map<String, Value>, String> {
    // A text ends at its NUL.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match reader::read(text, Dialect::JsonC)? {
        Value::Object(object) => Ok(object),
        _ => Err("no object".to_owned()),
    }
}

/// Whether [`parse`] reads JSON that was built in memory as far as depth and number of values go.
pub(super) fn check_bounds(members: &Map<String, Value>) -> Result<(), Corrupt> {
    // What lies side by side, from the outside to the inside.
    let mut level: Vec<&Value> = members.values().collect();
    let mut count = members.len().saturating_add(level.len()).saturating_add(1);
    for _ in 1..=MAX_DEPTH {
        if count > MAX_VALUES {
            return Err(Corrupt::JsonSyntax(too_many().into()));
        }
        let mut inner = Vec::new();
        let mut is_deeper = false;
        for value in level {
            match value {
                Value::Object(members) => {
                    is_deeper = true;
                    count = count.saturating_add(members.len());
                    inner.extend(members.values());
                }
                Value::Array(values) => {
                    is_deeper = true;
                    inner.extend(values);
                }
                _ => {}
            }
        }
        if !is_deeper {
            return Ok(());
        }
        count = count.saturating_add(inner.len());
        level = inner;
    }
    Err(Corrupt::JsonSyntax(too_deep().into()))
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH}")
}

fn too_many() -> String {
    format!("more than {MAX_VALUES} names and values")
}

/// An object together with its place.
pub(super) struct Object<'a> {
    path: String,
    members: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(super) fn root(members: &'a Map<String, Value>) -> Self {
        Self {
            path: String::new(),
            members,
        }
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.into()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(super) fn problem(&self, name: &str, problem: MemberProblem) -> Corrupt {
        Corrupt::Member {
            path: self.place(name).into(),
            problem,
        }
    }

    fn value(&self, name: &str) -> Result<&'a Value, Corrupt> {
        self.members
            .get(name)
            .ok_or_else(|| self.problem(name, MemberProblem::Missing))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(super) fn object(&self, name: &str) -> Result<Object<'a>, Corrupt> {
        let members = self
            .value(name)?
            .as_object()
            .ok_or_else(|| self.problem(name, MemberProblem::NotA("an object")))?;
        Ok(Object {
            path: self.place(name),
            members,
        })
    }

    pub(super) fn string(&self, name: &str) -> Result<&'a str, Corrupt> {
        self.value(name)?
            .as_str()
            .ok_or_else(|| self.problem(name, MemberProblem::NotA("a string")))
    }

    /// A string that is not empty.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Corrupt> {
        match self.string(name)? {
            "" => Err(self.problem(name, MemberProblem::Empty)),
            text => Ok(text),
        }
    }

    /// One of the texts that a member can be.
    pub(super) fn one_of(&self, name: &str, known: &[&str]) -> Result<&'a str, Corrupt> {
        let text = self.text(name)?;
        if known.contains(&text) {
            return Ok(text);
        }
        Err(self.problem(name, MemberProblem::Value(format!("{text:?}").into())))
    }

    pub(super) fn u32(&self, name: &str) -> Result<u32, Corrupt> {
        self.value(name)?
            .as_u64()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| self.problem(name, MemberProblem::NotU32))
    }

    /// "JSON cannot store 64-bit integers directly, a value that represents an unsigned 64-bit integer is stored as
    /// a string in the decimal notation" (LUKS2 specification 3).
    pub(super) fn u64_string(&self, name: &str) -> Result<u64, Corrupt> {
        let text = self.string(name)?;
        decimal(text).ok_or_else(|| self.problem(name, MemberProblem::NotU64String))
    }

    pub(super) fn base64(&self, name: &str) -> Result<Vec<u8>, Corrupt> {
        let bytes = BASE64
            .decode(self.text(name)?)
            .map_err(|_| self.problem(name, MemberProblem::NotBase64))?;
        if bytes.len() > MAX_BINARY_BYTES {
            return Err(self.problem(
                name,
                MemberProblem::Value(format!("longer than {MAX_BINARY_BYTES} bytes").into()),
            ));
        }
        Ok(bytes)
    }

    /// An array of strings; an absent member reads as none where `name` is optional.
    pub(super) fn strings(&self, name: &str) -> Result<Vec<String>, Corrupt> {
        let values = self
            .value(name)?
            .as_array()
            .ok_or_else(|| self.problem(name, MemberProblem::NotA("an array")))?;
        values
            .iter()
            .map(|value| {
                let text = value
                    .as_str()
                    .ok_or_else(|| self.problem(name, MemberProblem::NotA("an array of strings")));
                text.map(str::to_owned)
            })
            .collect()
    }

    pub(super) fn optional_strings(&self, name: &str) -> Result<Vec<String>, Corrupt> {
        if self.has(name) {
            self.strings(name)
        } else {
            Ok(Vec::new())
        }
    }

    /// An array that names objects: each a number that `exists`.
    pub(super) fn references(
        &self,
        name: &str,
        exists: impl Fn(u32) -> bool,
    ) -> Result<Vec<u32>, Corrupt> {
        self.strings(name)?
            .into_iter()
            .map(|text| match number(&text) {
                Some(id) if exists(id) => Ok(id),
                _ => Err(Corrupt::DanglingReference {
                    path: self.place(name).into(),
                    name: text.into(),
                }),
            })
            .collect()
    }

    /// The objects of a section, by number: "all JSON objects must have their names formatted as a string that
    /// represents a number in the decimal notation" (LUKS2 specification 3).
    pub(super) fn numbered(&self, limit: usize) -> Result<Vec<(u32, Object<'a>)>, Corrupt> {
        if self.members.len() > limit {
            return Err(Corrupt::TooManyObjects {
                path: self.path.clone().into(),
                count: self.members.len(),
                limit,
            });
        }
        let mut objects = Vec::with_capacity(self.members.len());
        for name in self.members.keys() {
            let id =
                number(name).ok_or_else(|| self.problem(name, MemberProblem::NotANumberedName))?;
            objects.push((id, self.object(name)?));
        }
        objects.sort_by_key(|(id, _)| *id);
        Ok(objects)
    }
}

/// A 64-bit number in its one decimal spelling.
fn decimal(text: &str) -> Option<u64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn number(text: &str) -> Option<u32> {
    decimal(text).and_then(|value| u32::try_from(value).ok())
}

/// Binary data as LUKS2 metadata holds it.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}
