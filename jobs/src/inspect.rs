//! What is in a container, as data: [`report`] gathers it, and [`warnings`] what is weak or wrong with it.

pub mod report;
pub mod warnings;

pub use report::Report;
