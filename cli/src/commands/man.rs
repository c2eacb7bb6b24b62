//! `man DIR`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::sync::Arc;

use clap::CommandFactory;
use jobs::folder::Folder;
use jobs::temporary::{Content, TemporaryFile};
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
    if !args.dry.run {
        let open = Arc::new(Folder::open(folder).map_err(failed(folder))?);
        for page in &pages {
            let path = folder.join(&page.name);
            write(&open, page.name.as_ref(), page.text.as_ref()).map_err(failed(&path))?;
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

/// Writes a page, which is complete when it has its name: what had it is replaced, and a link of that name not followed.
fn write(folder: &Arc<Folder>, name: &OsStr, text: &[u8]) -> io::Result<()> {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".luksmith-{}", process::id()));
    let (mut file, temporary) = TemporaryFile::create(folder, &temporary, 0o666, Content::Public)?;
    file.write_all(text)?;
    temporary.keep(|temporary| folder.rename(temporary.name(), name))
}
