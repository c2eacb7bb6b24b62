//! What is in a container, as data: [`report`] gathers it, [`text`] shows it to a person, [`map`] draws it.

pub mod map;
pub mod report;
pub mod text;

pub use report::Report;
