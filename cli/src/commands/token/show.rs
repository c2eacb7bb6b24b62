//! `token list IMG` and `token export IMG`.

use std::path::Path;

use luks::luks2::{Metadata, Token};
use luks::{Header, InvalidOption, Luks, tokens};
use serde_json::{Value, json};

use crate::args::{TokenExportArgs, TokenListArgs};
use crate::change::wrote;
use crate::error::Error;
use crate::output;
use crate::unlock;
use crate::watch::Warner;
use jobs::change::{check_new, write_new};
use jobs::source::Source;
use jobs::temporary::Content;

/// Lists the tokens.
pub fn list(args: &TokenListArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let storage = source.seekable()?;
    let luks = unlock::open(&source.name, storage, &args.image.policy)?;
    // LUKS1 has none.
    let tokens = match luks.header() {
        Header::Luks1(_) => &[][..],
        Header::Luks2(header) => &header.metadata.tokens,
    };
    if args.output.json {
        let each =
            |token: &Token| json!({"id": token.id, "type": token.kind, "keyslots": token.keyslots});
        let tokens: Vec<_> = tokens.iter().map(each).collect();
        let members = json!({"image": source.name, "tokens": tokens});
        return Ok(output::json("token list", members)?);
    }
    let line = |token: &Token| {
        let keyslots: Vec<_> = token.keyslots.iter().map(u32::to_string).collect();
        let keyslots = match &keyslots[..] {
            [] => "no keyslot".to_owned(),
            [one] => format!("keyslot {one}"),
            many => format!("keyslots {}", many.join(", ")),
        };
        let kind = output::escape(&token.kind);
        let description = description(&luks, token.id);
        format!("token {}: {kind}, {keyslots}{description}\n", token.id)
    };
    let text: String = tokens.iter().map(line).collect();
    Ok(output::text(&text)?)
}

/// Which key a keyring token names.
fn description(luks: &Luks, id: u32) -> String {
    let Header::Luks2(header) = luks.header() else {
        return String::new();
    };
    let token = &header.metadata.raw()["tokens"][id.to_string()];
    match token.get("key_description").and_then(Value::as_str) {
        Some(text) if token["type"] == tokens::KEYRING => {
            format!(", key {}", output::escape(text))
        }
        _ => String::new(),
    }
}

/// Exports one token.
pub fn export(args: &TokenExportArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let luks = unlock::open(&source.name, source.seekable()?, &args.image.policy)?;
    let token = metadata(&luks)
        .and_then(|metadata| tokens::export(metadata, args.token_id))
        .map_err(|error| Error::luks(&source.name, error.into()))?;
    let id = args.token_id;
    if args.json_file == Path::new("-") {
        if args.output.json {
            let token: Value = serde_json::from_str(&token).expect("a token is exported as JSON");
            let members = json!({"image": source.name, "token": id, "file": null, "value": token});
            return Ok(output::json("token export", members)?);
        }
        return Ok(output::text(&format!("{}\n", output::escape_json(&token)))?);
    }
    let (line, file) = (
        format!("{}\n", output::escape_json(&token)),
        output::path(&args.json_file),
    );
    let bytes = line.as_bytes();
    if args.dry.run {
        check_new(&args.json_file)?;
    } else {
        write_new(&args.json_file, 0o600, Content::Public, bytes)?;
    }
    let members = json!({"image": source.name, "token": id, "file": file, "bytes": bytes.len()});
    let what = format!("token {id} of {}", source.name);
    wrote("token export", &file, &what, members, args.dry, args.output)
}

/// The metadata of a LUKS2 container.
pub fn metadata(luks: &Luks) -> Result<&Metadata, InvalidOption> {
    match luks.header() {
        Header::Luks2(header) => Ok(&header.metadata),
        Header::Luks1(_) => Err(InvalidOption::OtherFormat {
            format: "LUKS1",
            what: "tokens",
        }),
    }
}
