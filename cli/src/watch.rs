//! What is seen and heard of a job while it runs.

use std::fmt::Display;
use std::sync::{PoisonError, RwLock};

use jobs::{Report, Watch};

use crate::args::{OutputArgs, WorkArgs};
use crate::output;
use crate::progress::Progress;
use crate::report::Said;
use crate::signals;

/// Prints warnings, and what is heard of the job of one verb.
pub struct Teller<'a> {
    verb: &'a str,
    work: &'a WorkArgs,
    say: OutputArgs,
    progress: RwLock<Option<Progress>>,
}

impl<'a> Teller<'a> {
    /// Nothing is seen of it so far.
    pub fn new(verb: &'a str, work: &'a WorkArgs, say: OutputArgs) -> Self {
        Self {
            verb,
            work,
            say,
            progress: RwLock::default(),
        }
    }
}

impl Watch for Teller<'_> {
    fn warn(&self, warning: &dyn Display) {
        output::warn(warning);
    }

    fn machine_is_busy(&self, warning: &dyn Display) {
        busy(warning);
    }

    fn has_no_data(&self, name: &str, warning: &dyn Display) {
        output::warn(format_args!(
            "{warning}; decrypt DATA --header {name} reads data in another file"
        ));
    }

    fn planned(&self, report: &Report) {
        report.begin(self.verb, self.work, self.say);
    }

    fn begin(&self, name: &str, bytes: Option<u64>) {
        let progress = Progress::start(self.work, self.say, name, bytes);
        let mut place = self
            .progress
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(progress);
    }

    fn changes_in_place(&self) {
        signals::hold();
    }

    fn is_cancelled(&self) -> bool {
        signals::is_asked()
    }

    fn advance(&self, done: u64) {
        let progress = self.progress.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = &*progress {
            progress.update(done);
        }
    }

    fn finish(&self, done: u64) {
        let mut place = self
            .progress
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = place.take() {
            progress.finish(done);
        }
    }
}

/// Prints warnings, and shows nothing.
pub struct Warner;

impl Watch for Warner {
    fn warn(&self, warning: &dyn Display) {
        output::warn(warning);
    }

    fn machine_is_busy(&self, warning: &dyn Display) {
        busy(warning);
    }

    fn must_not_be_cut_off(&self) {
        signals::hold();
    }

    fn is_cancelled(&self) -> bool {
        signals::is_asked()
    }
}

fn busy(warning: &dyn Display) {
    output::warn(format_args!(
        "{warning}; --pbkdf-force-iterations says what it is to be"
    ));
}
