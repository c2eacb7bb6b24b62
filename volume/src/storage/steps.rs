//! Random changes of a storage, for the tests that hold one implementation against another.

use proptest::prelude::*;

use super::Storage;

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// At an offset.
    Write(u16, Vec<u8>),
    /// Offset and length.
    Punch(u16, u16),
    /// The new length.
    SetLen(u16),
}

impl Step {
    pub(super) fn apply(&self, storage: &dyn Storage) {
        let done = match self {
            Self::Write(at, data) => storage.write_at((*at).into(), data),
            Self::Punch(at, len) => storage.punch_hole((*at).into(), (*len).into()),
            Self::SetLen(len) => storage.set_len((*len).into()),
        };
        done.expect("a storage in memory takes it");
    }
}

/// Some within a page and some over several; no byte that is written is zero.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..20_000u16, prop::collection::vec(1..=255u8, 0..9000))
            .prop_map(|(at, data)| Step::Write(at, data)),
        (0..30_000u16, 0..20_000u16).prop_map(|(at, len)| Step::Punch(at, len)),
        (0..30_000u16).prop_map(Step::SetLen),
    ];
    prop::collection::vec(step, 1..20)
}
