//! The manual pages: one for each verb out of the definitions of its options, and those that are written by hand.

use std::io;

use clap::Command;
use clap_mangen::Man;

/// A page, with the name of its file.
pub struct Page {
    /// Such as `luksmith-key-add.1`.
    pub name: String,
    /// Its source, in troff.
    pub text: Vec<u8>,
}

/// All of them. `command` has the definitions.
pub fn pages(command: Command) -> Vec<Page> {
    let mut command = command;
    // Without it the inner verbs do not know what they are called.
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    pages
}

fn collect(command: &Command, pages: &mut Vec<Page>) {
    for inner in command.get_subcommands() {
        collect(inner, pages);
    }
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    let rendered: io::Result<()> = man.render(&mut text);
    rendered.expect("memory takes what is written");
    pages.push(Page {
        name: man.get_filename(),
        text,
    });
}
