//! What is in a container, as people see it: [`text`] shows it, [`map`] and [`picture`] draw it.

pub mod disk;
pub mod map;
pub mod picture;
pub mod text;
