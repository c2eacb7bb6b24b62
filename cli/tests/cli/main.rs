//! The program as its users see it: arguments in; exit code, output and files out.

mod conformance;
mod destinations;
mod generated;
mod keys;
mod plain;
mod progress;
mod refusals;
mod signals;
mod support;
mod terminal;
