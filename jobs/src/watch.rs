//! Who watches a job.

use std::fmt::Display;
use std::time::Duration;

use crate::report::Report;

/// Is told of what a job notices and of how far it is, and may end it. Each method does nothing unless it is written:
/// `&()` watches nothing.
pub trait Watch: Sync {
    /// Something is not as it should be, and the job goes on: one line, without a full stop.
    fn warn(&self, warning: &dyn Display) {
        let _ = warning;
    }

    /// Others keep this machine so busy that what was measured is not what was wanted: a warning.
    fn machine_is_busy(&self, warning: &dyn Display) {
        self.warn(warning);
    }

    /// The header in the image that messages call `name` has data elsewhere, it seems: a warning.
    fn has_no_data(&self, name: &str, warning: &dyn Display) {
        let _ = name;
        self.warn(warning);
    }

    /// It is known that the job can run, and this is what will come of it. Nothing was asked for or written yet.
    fn planned(&self, report: &Report) {
        let _ = report;
    }

    /// The payload of the image that messages call `name` begins to be copied or compared; `bytes` of it, where that is
    /// known.
    fn begin(&self, name: &str, bytes: Option<u64>) {
        let _ = (name, bytes);
    }

    /// So many guesses at a passphrase begin to be tried, and one takes about so long. [`Self::advance`] and
    /// [`Self::finish`] count them then.
    fn begin_guesses(&self, guesses: u64, each: Duration) {
        let _ = (guesses, each);
    }

    /// So many bytes of it are done. Called by several threads.
    fn advance(&self, done: u64) {
        let _ = done;
    }

    /// All is done, so many bytes.
    fn finish(&self, done: u64) {
        let _ = done;
    }

    /// From now on until it is over the job changes data where they lie. Where it is to end it does so when what it has
    /// written is whole, as far as it is, and can be gone on with: it asks [`Self::is_cancelled`] there, and may take a
    /// second. To end the process leaves what a crash leaves.
    fn changes_in_place(&self) {}

    /// From now on the job has to undo what it does where it is to end: it asks [`Self::is_cancelled`], and soon.
    fn must_not_be_cut_off(&self) {
        self.changes_in_place();
    }

    /// Whether the job is to end, and leave nothing. Asked again and again, by several threads.
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Watch for () {}
