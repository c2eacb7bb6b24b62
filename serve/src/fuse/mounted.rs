//! A plaintext that is mounted, from the first request to the last.

use std::ffi::OsString;
use std::fs::File as OpenFile;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::adapter::Session;
use super::error::MountError;
use super::file::File;
use super::mount::{self, What, unmount};
use super::mounts::mount_at;
use super::target::Target;
use crate::export::Export;
use crate::stop::Stop;

/// How something is mounted.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// What it is called in the table of mounts.
    pub source: OsString,
    /// Every user of the machine may read it, and write it unless it is read-only; else nobody but its owner, not even root.
    pub allow_other: bool,
    /// So many requests are at work at once.
    pub threads: NonZeroUsize,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            source: "luksmith".into(),
            allow_other: false,
            threads: NonZeroUsize::new(2).expect("it is not 0"),
        }
    }
}

/// A plaintext that is mounted. Without [`Mounted::serve`] whoever looks at it waits.
pub struct Mounted {
    place: Place,
    session: Session,
    file: Arc<File>,
}

impl Mounted {
    /// Mounts.
    ///
    /// # Errors
    ///
    /// What the system has against it.
    pub fn at(
        target: &Target,
        export: impl Into<Arc<Export>>,
        options: &MountOptions,
    ) -> Result<Self, MountError> {
        let export = export.into();
        let what = What {
            source: &options.source,
            read_only: export.is_read_only(),
            allow_other: options.allow_other,
        };
        let file = Arc::new(File::new(export));
        let device = mount::mount(target, &what)?;
        let place = Place::of(target.path());
        let session = Session::begin(device, Arc::clone(&file), target.is_folder(), options);
        Ok(Self {
            place,
            session: session.map_err(MountError::Session)?,
            file,
        })
    }

    /// Answers until somebody has unmounted it, or `stop` is asked for: then it is unmounted. What is in use is taken out of
    /// sight all the same, and whoever has a file of it open is told of errors from then on. In the end everything that was
    /// written is made durable.
    ///
    /// # Errors
    ///
    /// That of the last sync, and what has broken the connection to the kernel.
    pub fn serve(self, stop: &Arc<Stop>) -> io::Result<()> {
        let Self {
            place,
            session,
            file,
        } = self;
        let (say, ended) = mpsc::channel();
        let asked = Arc::clone(stop);
        thread::Builder::new()
            .name("fuse".to_owned())
            .spawn(move || {
                // Whoever does not listen any more has ended all the same.
                let _ = say.send(session.run());
                asked.ask();
            })?;
        while !stop.wait(Duration::from_secs(3600)) {}
        let mut answered = ended.try_recv().ok();
        if answered.is_none() {
            write_back(&place.target);
        }
        if place.unmount() && answered.is_none() {
            // It ends at once, unless others have taken the mount along into a view of their own.
            answered = ended.recv_timeout(PATIENCE).ok();
        }
        // The thread of one that somebody has open stays at it as long as this process lives.
        let answered = answered.unwrap_or(Ok(()));
        file.end().and(answered)
    }
}

/// So long an end that has begun may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where it is mounted. It goes with this value, and in any case out of sight.
struct Place {
    target: PathBuf,
    /// The file system's number: another one in its place is not ours.
    device: Option<String>,
}

impl Place {
    fn of(target: &Path) -> Self {
        Self {
            target: target.to_owned(),
            device: device_at(target),
        }
    }

    /// Whether nobody has it open any more.
    fn unmount(&self) -> bool {
        if !self.is_there() {
            return false;
        }
        let is_free = unmount(&self.target, false).is_ok();
        if !is_free {
            let _ = unmount(&self.target, true);
        }
        is_free
    }

    fn is_there(&self) -> bool {
        self.device.is_some() && device_at(&self.target) == self.device
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = unmount(&self.target, true);
        }
    }
}

/// Has the kernel write what was changed in memory that programs have mapped. Whatever fails is said to them.
fn write_back(target: &Path) {
    if let Ok(root) = OpenFile::open(target) {
        let _ = rustix::fs::syncfs(root);
    }
}

fn device_at(target: &Path) -> Option<String> {
    Some(mount_at(target).ok()??.device)
}
