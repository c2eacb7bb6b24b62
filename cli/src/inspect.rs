//! What is in a container, as data: [`report`] gathers it and [`warnings`] what is weak or wrong with it, [`text`]
//! shows it to a person, [`map`] and [`picture`] draw it.

pub mod map;
pub mod picture;
pub mod report;
pub mod text;
pub mod warnings;

pub use report::Report;
