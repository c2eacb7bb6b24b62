//! `umount TARGET`: a mount that ends.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;
use serve::fuse::{PLAIN, mount_of, server_of, unmount};

use crate::args::UmountArgs;
use crate::error::{Error, ServeError};
use crate::output;

/// So long a server may take to let go of its image. What was written is on the disk before.
const PATIENCE: Duration = Duration::from_secs(60);

/// Unmounts, and waits for the server's end.
pub fn run(args: &UmountArgs) -> Result<(), Error> {
    let target = &args.target;
    let mount = mount_of(target)?;
    let server = server_of(target);
    let synced = sync(target);
    unmount(target, false)?;
    if let Some(server) = server {
        wait_for(&server);
    }
    if let Err(error) = synced {
        return Err(ServeError::Ended(error).into());
    }
    if args.output.json {
        let members = json!({
            "target": output::path(target),
            "image": output::path(Path::new(&mount.source)),
        });
        output::json("umount", members)?;
    }
    Ok(())
}

/// Has everything that was written made durable, where the server is there.
fn sync(target: &Path) -> io::Result<()> {
    let inside = target.join(PLAIN);
    let file: PathBuf = if inside.exists() {
        inside
    } else {
        target.to_owned()
    };
    match File::open(file) {
        Ok(file) => file.sync_all(),
        // Another one's, or of a server that has gone: it is unmounted all the same.
        Err(_) => Ok(()),
    }
}

fn wait_for(server: &OwnedFd) {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut ended = [PollFd::new(server, PollFlags::IN)];
        match poll(&mut ended, left.try_into().ok().as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}
