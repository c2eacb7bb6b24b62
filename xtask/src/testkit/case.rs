//! A case as it lies in its file, for the generator and for the tests that judge by it.

use std::fmt::Write as _;

/// One header, made from a base by patches, and what must come of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Name of the base.
    pub base: String,
    /// Bytes of the image, where they are not the base's.
    pub bytes: Option<u64>,
    /// What is wrong with it, or what it shows.
    pub what: String,
    /// The section of a specification that decides.
    pub rule: String,
    /// What test suites of others call it.
    pub class: Vec<String>,
    /// `valid`, `recoverable` or `invalid`.
    pub verdict: String,
    /// Whether the kit's passphrase opens it.
    pub opens: bool,
    /// What is wrong; none where nothing is.
    pub kind: Option<String>,
    /// The JSON member that is wrong.
    pub path: Option<String>,
    /// The copy that counts, `primary` or `secondary`.
    pub uses: Option<String>,
    /// The epoch (`seqid`) of the copy that counts.
    pub epoch: Option<u64>,
    /// In their order.
    pub patches: Vec<Patch>,
}

/// Bytes that are written over the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Where; the same bytes may go to several places.
    pub at: Vec<u64>,
    /// Which bytes.
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// These, so many times.
    Bytes(Vec<u8>, usize),
    /// Those of the base, from this offset, so many.
    Base(u64, usize),
}

impl Case {
    /// What an implementation does that judges as the case is meant.
    pub fn meant(&self) -> &'static str {
        match (self.verdict.as_str(), self.opens) {
            ("invalid", _) => "refuses",
            (_, true) => "opens",
            (_, false) => "loads",
        }
    }

    /// The image that the case is about.
    ///
    /// # Panics
    ///
    /// When a patch leaves the image or the base.
    pub fn image(&self, base: &[u8]) -> Vec<u8> {
        let mut image = base.to_vec();
        if let Some(bytes) = self.bytes {
            image.resize(to_index(bytes), 0);
        }
        for patch in &self.patches {
            let bytes = match &patch.source {
                Source::Bytes(bytes, count) => bytes.repeat(*count),
                Source::Base(from, count) => base[to_index(*from)..][..*count].to_vec(),
            };
            for at in &patch.at {
                image[to_index(*at)..][..bytes.len()].copy_from_slice(&bytes);
            }
        }
        image
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(text, "{name} = {value}").expect("a String takes everything");
        };
        line("what", quoted(&self.what));
        line("rule", quoted(&self.rule));
        if !self.class.is_empty() {
            let classes: Vec<_> = self.class.iter().map(|class| quoted(class)).collect();
            line("class", format!("[{}]", classes.join(", ")));
        }
        line("verdict", quoted(&self.verdict));
        if self.verdict != "invalid" {
            line("opens", self.opens.to_string());
        }
        for (name, value) in [
            ("kind", &self.kind),
            ("path", &self.path),
            ("uses", &self.uses),
        ] {
            if let Some(value) = value {
                line(name, quoted(value));
            }
        }
        if let Some(epoch) = self.epoch {
            line("epoch", quoted(&epoch.to_string()));
        }
        line("base", quoted(&self.base));
        if let Some(bytes) = self.bytes {
            line("bytes", bytes.to_string());
        }
        for patch in &self.patches {
            line("\n[[patch]]\nat", format!("{:?}", patch.at));
            match &patch.source {
                Source::Base(from, count) => {
                    line("from", from.to_string());
                    line("count", count.to_string());
                }
                Source::Bytes(bytes, count) => {
                    let is_text = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'\'';
                    match std::str::from_utf8(bytes) {
                        Ok(plain) if bytes.iter().all(is_text) => {
                            line("text", format!("'{plain}'"));
                        }
                        _ => line("hex", quoted(&hex::encode(bytes))),
                    }
                    if *count != 1 {
                        line("count", count.to_string());
                    }
                }
            }
        }
        text
    }

    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
        let string = |name: &str| {
            table
                .get(name)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        };
        let needed = |name: &str| string(name).ok_or(format!("no {name}"));
        let verdict = needed("verdict")?;
        let opens = table.get("opens").and_then(toml::Value::as_bool);
        if opens.is_none() && verdict != "invalid" {
            return Err("no opens".into());
        }
        let array = |name: &str| table.get(name).and_then(toml::Value::as_array);
        let patches = array("patch").map_or(&[][..], Vec::as_slice);
        Ok(Self {
            base: needed("base")?,
            bytes: table.get("bytes").map(number).transpose()?,
            what: needed("what")?,
            rule: needed("rule")?,
            class: texts(table.get("class")),
            verdict,
            opens: opens.unwrap_or(false),
            kind: string("kind"),
            path: string("path"),
            uses: string("uses"),
            epoch: match string("epoch") {
                Some(epoch) => Some(epoch.parse().map_err(|_| "epoch is no number")?),
                None => None,
            },
            patches: patches.iter().map(Patch::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl Patch {
    fn parse(value: &toml::Value) -> Result<Self, String> {
        let at = value.get("at").and_then(toml::Value::as_array);
        let at = at.ok_or("a patch has no at")?;
        let count = value.get("count").map(number).transpose()?.map(to_index);
        let string = |name: &str| value.get(name).and_then(toml::Value::as_str);
        let source = match (string("text"), string("hex"), value.get("from")) {
            (Some(text), None, None) => Source::Bytes(text.into(), count.unwrap_or(1)),
            (None, Some(digits), None) => {
                let bytes = hex::decode(digits).map_err(|error| format!("{digits}: {error}"))?;
                Source::Bytes(bytes, count.unwrap_or(1))
            }
            (None, None, Some(from)) => {
                Source::Base(number(from)?, count.ok_or("a patch has no count")?)
            }
            _ => return Err("a patch has not one of text, hex, from".into()),
        };
        Ok(Self {
            at: at.iter().map(number).collect::<Result<_, _>>()?,
            source,
        })
    }
}

/// The texts of an array, none where there is no array.
pub fn texts(value: Option<&toml::Value>) -> Vec<String> {
    let values = value.and_then(toml::Value::as_array);
    let texts = values.into_iter().flatten().filter_map(toml::Value::as_str);
    texts.map(str::to_owned).collect()
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control)).expect("a String takes everything");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn number(value: &toml::Value) -> Result<u64, String> {
    value
        .as_integer()
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(format!("{value} is no offset"))
}

fn to_index(value: u64) -> usize {
    usize::try_from(value).expect("images are small")
}
