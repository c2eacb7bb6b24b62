//! `close NAME`, whoever opened it.

use jobs::mapping::close::{CloseOptions, close};

use super::asker::Teller;
use super::{check_active, failure, fuse};
use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::session::{Session, say};

pub(in crate::cryptsetup) fn run(session: &Session) -> Result<(), Failure> {
    let name = session.device_path();
    if fuse::is_one(name.as_os_str()) {
        return fuse::close(session);
    }
    check_active(Action::Close, &name)?;
    let options = CloseOptions {
        deferred: session.given.has("deferred"),
        cancel_deferred: session.given.has("cancel-deferred"),
        foreign: true,
        ..CloseOptions::default()
    };
    let closed = close(name.as_os_str(), &options, &Teller)
        .map_err(|error| failure::of(Action::Close, session, error))?;
    if closed.outcome == "deferred" {
        say(format!(
            "Device {} is still active and scheduled for deferred removal.",
            session.device()
        ))?;
    }
    Ok(())
}
