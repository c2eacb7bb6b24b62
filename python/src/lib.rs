//! The part of the Python package `luksmith` that Python is too slow for, or cannot reach: what `jobs` does, and a plaintext
//! that stays open. What Python's users see stands in `luksmith/*.py`.
//!
//! Each job runs on a thread of its own without the interpreter's lock, while the thread that has called it looks after
//! signals, tells how far it is and asks for secrets ([`job`]).

mod argument;
mod buffer;
mod descriptor;
mod error;
mod file_object;
mod header;
mod images;
mod job;
mod keys;
mod options;
mod secret;
mod served;
mod volume;

/// What Python loads.
#[pyo3::pymodule]
mod _luksmith {
    #[pymodule_export]
    use crate::header::{info, is_luks};
    #[pymodule_export]
    use crate::images::{clone, decrypt, encrypt, format, measure};
    #[pymodule_export]
    use crate::keys::{add_key, change_key, remove_key, test_key, verify};
    #[pymodule_export]
    use crate::served::{Server, mount, serve};
    #[pymodule_export]
    use crate::volume::{Volume, open};
}
