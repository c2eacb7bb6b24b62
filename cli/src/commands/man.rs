//! `man DIR`.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use crate::args::{Cli, ManArgs};
use crate::error::Error;
use crate::manual;
use crate::output;

/// Writes every page; see [`manual`].
pub fn run(args: &ManArgs) -> Result<(), Error> {
    let folder = &args.directory;
    let failed = |path: &Path| {
        let name = output::path(path);
        |source| Error::Generate { name, source }
    };
    let pages = manual::pages(Cli::command());
    if !args.dry.run {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    for page in &pages {
        let path = folder.join(&page.name);
        if !args.dry.run {
            fs::write(&path, &page.text).map_err(failed(&path))?;
        }
    }
    let names: Vec<_> = pages.iter().map(|page| page.name.as_str()).collect();
    let directory = output::path(folder);
    if args.output.json {
        let mut members = json!({"directory": directory, "pages": names});
        if args.dry.run {
            members["dry_run"] = true.into();
        }
        return Ok(output::json("man", members)?);
    }
    if args.dry.run {
        return Ok(output::text(&format!(
            "nothing is written; without --dry-run into {directory}:\n{}\n",
            names.join("\n")
        ))?);
    }
    if args.output.batch_mode {
        return Ok(());
    }
    Ok(output::text(&format!(
        "{directory}: {} manual pages\n",
        names.len()
    ))?)
}
