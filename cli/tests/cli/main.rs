//! The program as its users see it: arguments in; exit code, output and files out.

mod benchmark;
mod compare;
mod conformance;
mod consistency;
mod costs;
mod crafted;
mod create;
mod cryptsetup;
mod damage;
mod destinations;
mod dry_run;
mod generated;
mod inspect;
mod keys;
mod keyslots;
mod luks;
mod machine;
mod plain;
mod policy;
mod progress;
mod read_only;
mod refusals;
mod signals;
mod support;
mod terminal;
mod verify;
