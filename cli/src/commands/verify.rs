//! `verify IMG`: is a container sound, as far as can be seen?

mod areas;

use std::fmt::Write as _;

use luks::luks2::SegmentSize;
use luks::verify::{Role, Stretch};
use luks::{Header, Luks};
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::unlock;
use crate::watch::Warner;
use jobs::Place;
use jobs::policy;
use jobs::source::{Data, Source};

/// Verifies. Nothing is written; a key is checked where one is given.
pub fn run(args: &VerifyArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let storage = source.seekable()?;
    let image_bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let failed = |error| Error::luks(&source.name, error);
    let luks = Luks::open(storage.clone())
        .map_err(|error| jobs::Error::of_image(&source.name, error, &*storage))?;
    let policies = policy::read(&args.image.policy.policy)?;
    policy::check(&policies, &luks, &source.name)?;
    policy::check_data(&policies, &luks, &source.name, Some(image_bytes))?;
    let stretches = luks::verify::examine(&**luks.storage(), luks.header()).map_err(failed)?;

    let mut findings = Findings::default();
    let data = Data::of(args.image.data(), args.busy.read_in_use, &Warner)?;
    findings.header(&luks, data.as_ref().map_or(image_bytes, |data| data.bytes));
    for stretch in &stretches {
        areas::judge(stretch, &mut findings);
    }
    findings.cut_off(luks.header(), &stretches, image_bytes);
    let key = args.has_key().then(|| check_key(args, &source.name, &luks));
    let report = Report {
        name: &source.name,
        luks: &luks,
        stretches: &stretches,
        findings: &findings,
        key: key.as_ref(),
    };
    if args.output.json {
        output::json("verify", report.members())?;
    } else {
        output::text(&report.text())?;
    }
    if !findings.problems.is_empty() {
        return Err(Error::NotSound {
            name: source.name,
            problems: findings.problems,
        });
    }
    key.map_or(Ok(()), |outcome| outcome.map(drop))
}

/// The keyslot that the key opens; none for the volume key itself. Either way the volume key matches its digest.
fn check_key(args: &VerifyArgs, name: &str, luks: &Luks) -> Result<Option<u32>, Error> {
    let keys = KeyInput::new(&args.keys, args.image.header() == Place::Standard)?;
    Ok(unlock::unlock(luks, name, &keys, &args.unlock)?.keyslot())
}

/// What was found.
#[derive(Default)]
struct Findings {
    /// What is wrong.
    problems: Vec<String>,
    /// What is worth knowing, and may be as it should.
    notes: Vec<String>,
    /// The header asks for something that is not built.
    nothing_opens: bool,
}

impl Findings {
    fn header(&mut self, luks: &Luks, image_bytes: u64) {
        self.problems
            .extend(luks.warnings().iter().map(ToString::to_string));
        if let Err(error) = luks.check_encrypted() {
            self.notes.push(format!("warning: {error}"));
        }
        let unsupported = luks::verify::unsupported(luks.header());
        self.nothing_opens = !unsupported.is_empty();
        self.problems.extend(
            unsupported
                .iter()
                .map(|unsupported| format!("{unsupported}: nothing opens it")),
        );
        match luks.header().data_offset() {
            Some(start) if start >= image_bytes && start != 0 => self.notes.push(format!(
                "data would start at {start}, and the image ends at {image_bytes}: a header alone, or the data is cut off"
            )),
            Some(_) => self.segments(luks, image_bytes),
            None => {}
        }
    }

    /// The padding of the last area may be all that is missing.
    fn cut_off(&mut self, header: &Header, stretches: &[Stretch], image_bytes: u64) {
        let Header::Luks2(header) = header else {
            return;
        };
        let end = header.metadata.keyslots_area().end;
        let is_said = stretches
            .iter()
            .any(|stretch| stretch.content.missing_bytes > 0);
        if end > image_bytes && !is_said {
            self.problems.push(format!(
                "the keyslots area ends at {end}, beyond the end of the image at {image_bytes}"
            ));
        }
    }

    /// Only LUKS2 says how long its data is, and that rarely.
    fn segments(&mut self, luks: &Luks, image_bytes: u64) {
        let Header::Luks2(header) = luks.header() else {
            return;
        };
        for segment in header.metadata.data_segments() {
            if let SegmentSize::Bytes(bytes) = segment.size
                && segment.offset.saturating_add(bytes) > image_bytes
            {
                self.problems.push(format!(
                    "segment {}: {bytes} bytes at {} do not fit the image's {image_bytes}",
                    segment.id, segment.offset
                ));
            }
        }
    }
}

struct Report<'a> {
    name: &'a str,
    luks: &'a Luks,
    stretches: &'a [Stretch],
    findings: &'a Findings,
    /// What the key opens, where one was given.
    key: Option<&'a Result<Option<u32>, Error>>,
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12}{value}");
        };
        line("image", self.name.to_owned());
        line(
            "header",
            match self.luks.header() {
                Header::Luks1(_) if self.findings.nothing_opens => {
                    "LUKS1, of a kind that nothing opens; there is one copy, without a checksum"
                        .to_owned()
                }
                Header::Luks1(_) => {
                    "LUKS1, sound; there is one copy, without a checksum".to_owned()
                }
                Header::Luks2(header) => {
                    let copies = if self.luks.warnings().is_empty() {
                        "both copies are sound and agree"
                    } else {
                        "only one copy is used"
                    };
                    format!("LUKS2, {copies}, epoch {}", header.binary.epoch)
                }
            },
        );
        for stretch in self.stretches {
            line(&areas::name(stretch.role), areas::line(stretch));
        }
        match self.key {
            Some(Ok(Some(keyslot))) => line(
                "key",
                format!("opens keyslot {keyslot}, and the volume key matches its digest"),
            ),
            Some(Ok(None)) => line("key", "is the volume key: it matches its digest".to_owned()),
            Some(Err(_)) | None => {}
        }
        for note in &self.findings.notes {
            line("note", output::escape(note));
        }
        if self.findings.problems.is_empty() && !matches!(self.key, Some(Err(_))) {
            let all = "sound, as far as can be seen";
            line(
                "result",
                match self.luks.check_encrypted() {
                    Ok(()) => all.to_owned(),
                    Err(_) => format!("{all}, and not all of its data is encrypted"),
                },
            );
        }
        text
    }

    fn members(&self) -> Value {
        let areas: Vec<_> = self.stretches.iter().map(areas::members).collect();
        let key = match self.key {
            Some(Ok(keyslot)) => json!({"fits": true, "keyslot": keyslot}),
            Some(Err(error)) => json!({"fits": false, "error": error.to_string()}),
            None => Value::Null,
        };
        json!({
            "image": self.name,
            "type": match self.luks.header() {
                Header::Luks1(_) => "luks1",
                Header::Luks2(_) => "luks2",
            },
            "sound": self.findings.problems.is_empty(),
            "problems": self.findings.problems,
            "notes": self.findings.notes,
            "areas": areas,
            "key": key,
        })
    }
}

impl Findings {
    fn problem(&mut self, role: Role, what: &str) {
        self.problems.push(format!("{}: {what}", areas::name(role)));
    }

    fn note(&mut self, role: Role, what: &str) {
        self.notes.push(format!("{}: {what}", areas::name(role)));
    }
}
