//! The index of the kit: each case with its verdict and with what the implementations make of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::IMPLEMENTATIONS;
use super::case::{Case, quoted};
use super::differences::Differences;

/// By file, then by implementation.
pub type Measured = BTreeMap<String, BTreeMap<String, String>>;

const HEAD: &str = "\
# Every case with its verdict, and what implementations made of it. README.md describes the keys; `cargo xtask testkit`
# writes this file, `cargo xtask testkit --check` compares it.
passphrase = \"testkit\"
# What takes longer hangs.
seconds = 3
";

/// The index for the first run of the implementations.
pub fn without_verdicts(cases: &BTreeMap<String, Case>) -> String {
    let mut text = HEAD.to_owned();
    for (file, case) in cases {
        entry(&mut text, file, case);
    }
    text
}

/// # Errors
///
/// Verdicts that are missing, and those that are not the meant ones and that nobody has explained.
pub fn text(cases: &BTreeMap<String, Case>, measured: &Measured) -> Result<String, String> {
    let mut text = HEAD.to_owned();
    let mut problems = Vec::new();
    let mut differences = Differences::read()?;
    for (file, case) in cases {
        entry(&mut text, file, case);
        let mut reasons = Vec::new();
        let mut kind = None;
        for name in IMPLEMENTATIONS {
            let result = measured.get(file).and_then(|results| results.get(name));
            let Some(result) = result else {
                if name != "qemu-img" || case.base.starts_with("luks1") {
                    problems.push(format!("{file}: no verdict of {name}"));
                }
                continue;
            };
            line(&mut text, name, &quoted(result));
            if result == case.meant() {
                continue;
            }
            match differences.explain(name, file, result) {
                Some(difference) => {
                    reasons.push(format!("{name}: {}", difference.why));
                    kind = kind.or(difference.kind.clone());
                }
                None => problems.push(format!("{file}: {name} {result}, meant {}", case.meant())),
            }
        }
        if let Some(kind) = kind {
            line(&mut text, "luksmith-kind", &quoted(&kind));
        }
        if !reasons.is_empty() {
            line(&mut text, "why", &quoted(&reasons.join("; ")));
        }
    }
    problems.extend(differences.not_needed());
    if problems.is_empty() {
        Ok(text)
    } else {
        Err(problems.join("\n"))
    }
}

/// The verdicts of the implementations that an index holds.
pub fn parse(text: &str) -> Result<Measured, String> {
    let table: toml::Table = text
        .parse()
        .map_err(|error| format!("index.toml: {error}"))?;
    let cases = table.get("case").and_then(toml::Value::as_array);
    let mut measured = Measured::new();
    for case in cases.ok_or("index.toml has no [[case]]")? {
        let string = |name: &str| case.get(name).and_then(toml::Value::as_str);
        let file = string("file").ok_or("index.toml: a case has no file")?;
        let results = IMPLEMENTATIONS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), string(name)?.to_owned())));
        measured.insert(file.to_owned(), results.collect());
    }
    Ok(measured)
}

fn entry(text: &mut String, file: &str, case: &Case) {
    text.push_str("\n[[case]]\n");
    line(text, "file", &quoted(file));
    line(text, "verdict", &quoted(&case.verdict));
    if case.verdict != "invalid" {
        line(text, "opens", &case.opens.to_string());
    }
    if let Some(kind) = &case.kind {
        line(text, "kind", &quoted(kind));
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name} = {value}").expect("a String takes everything");
}
