//! `token list IMG` and `token export IMG`.

use std::path::Path;

use jobs::token::export::{ExportOptions, export as export_token};
use jobs::token::list::{ListOptions, ListedToken, list as list_tokens};

use crate::args::{TokenExportArgs, TokenListArgs};
use crate::change::wrote;
use crate::error::Error;
use crate::output;
use crate::watch::Warner;

/// Lists the tokens.
pub fn list(args: &TokenListArgs) -> Result<(), Error> {
    let options = ListOptions {
        policies: (&args.image.policy.policy[..]).into(),
        allow_in_use: args.busy.read_in_use,
    };
    let listed = list_tokens(&args.image.header(), &options, &Warner)?;
    if args.output.json {
        let members = serde_json::to_value(&listed).expect("a list is plain data");
        return Ok(output::json("token list", members)?);
    }
    Ok(output::text(
        &listed.tokens.iter().map(line).collect::<String>(),
    )?)
}

fn line(token: &ListedToken) -> String {
    let keyslots: Vec<_> = token.keyslots.iter().map(u32::to_string).collect();
    let keyslots = match &keyslots[..] {
        [] => "no keyslot".to_owned(),
        [one] => format!("keyslot {one}"),
        many => format!("keyslots {}", many.join(", ")),
    };
    let kind = output::escape(&token.kind);
    let key = token
        .key_description
        .as_deref()
        .map_or_else(String::new, |key| format!(", key {}", output::escape(key)));
    format!("token {}: {kind}, {keyslots}{key}\n", token.id)
}

/// Exports one token.
pub fn export(args: &TokenExportArgs) -> Result<(), Error> {
    let options = ExportOptions {
        policies: (&args.image.policy.policy[..]).into(),
        allow_in_use: args.busy.read_in_use,
        dry_run: args.dry.run,
    };
    let path = Some(&*args.json_file).filter(|path| *path != Path::new("-"));
    let id = args.token_id;
    let exported = export_token(&args.image.header(), id, path, &options, &Warner)?;
    let Some(file) = &exported.file else {
        if args.output.json {
            let members = serde_json::to_value(&exported).expect("a token is plain data");
            return Ok(output::json("token export", members)?);
        }
        return Ok(output::text(&exported.line)?);
    };
    let what = format!("token {id} of {}", exported.image);
    let dry_run = exported.dry_run;
    wrote("token export", args.output, &exported, file, dry_run, &what)
}
