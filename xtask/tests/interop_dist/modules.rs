//! The modules of the kernel that tests run, found by depmod's list.

use std::fs;
use std::path::{Path, PathBuf};

/// Their files, each behind those that it needs.
pub fn with_what_they_need(names: &[&str]) -> Vec<PathBuf> {
    let folders = fs::read_dir("/usr/lib/uml/modules")
        .unwrap_or_else(|error| panic!("modules of user-mode-linux: {error}"));
    let folder = folders
        .map(|entry| entry.unwrap().path())
        .max()
        .expect("a kernel's modules");
    let list = fs::read_to_string(folder.join("modules.dep")).unwrap();
    let mut files = Vec::new();
    for name in names {
        let end = format!("/{name}.ko");
        let line = list
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| file.ends_with(&end));
        let (file, needs) = line.unwrap_or_else(|| panic!("no module {name}"));
        // The nearest stands first.
        let needs = needs.split_whitespace().rev();
        for file in needs.chain([file]).map(|file| folder.join(Path::new(file))) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    files
}
