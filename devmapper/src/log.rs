//! What the kernel says in its log of why it refuses a table: the call itself says `EINVAL` and no more.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{OFlags, SeekFrom, seek};

/// The log from now on.
pub struct KernelLog(Option<File>);

/// One record is no longer.
const RECORD_BYTES: usize = 8192;
/// So many are looked at.
const RECORDS: usize = 256;
/// How its lines begin.
const MARK: &str = "device-mapper: ";

impl KernelLog {
    /// What follows now. Where the log may not be read it says nothing.
    pub fn from_now_on() -> Self {
        let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open("/dev/kmsg");
        Self(
            opened
                .ok()
                .filter(|file| seek(file, SeekFrom::End(0)).is_ok()),
        )
    }

    /// What was said of this device or of dm-crypt since: the last line that tells more than that something went wrong,
    /// without what it begins with.
    pub fn reason(self) -> Option<String> {
        let mut file = self.0?;
        let mut record = vec![0; RECORD_BYTES];
        let mut found = None;
        for _ in 0..RECORDS {
            // One read gives one record; none is left where it would wait.
            let Ok(length) = file.read(&mut record) else {
                break;
            };
            found = better(found, reason_in(&record[..length]));
        }
        found
    }
}

/// A line of the call itself follows the one of the target, and tells nothing that its code does not.
fn better(found: Option<String>, next: Option<String>) -> Option<String> {
    let is_of_the_call = |reason: &String| reason.starts_with("ioctl: ");
    match (&found, &next) {
        (Some(_), Some(reason)) if is_of_the_call(reason) => found,
        _ => next.or(found),
    }
}

/// A record is `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`, and lines of other things behind.
fn reason_in(record: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(record);
    let (_, text) = text.split_once(';')?;
    let line = text.lines().next()?.strip_prefix(MARK)?;
    // `table: 254:0: crypt: REASON (-EINVAL)`
    let reason = line.strip_prefix("table: ").unwrap_or(line);
    let reason = reason.split_once(": crypt: ").map_or(reason, |it| it.1);
    Some(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_taken_out_of_their_lines() {
        for (record, reason) in [
            (
                "3,312,4711,-;device-mapper: table: 254:0: crypt: Device size is not multiple of sector_size feature (-EINVAL)\n SUBSYSTEM=x\n",
                Some("Device size is not multiple of sector_size feature (-EINVAL)"),
            ),
            (
                "3,1,2,-;device-mapper: ioctl: error adding target to table\n",
                Some("ioctl: error adding target to table"),
            ),
            ("6,1,2,-;loop0: detected capacity change\n", None),
            ("", None),
        ] {
            assert_eq!(reason_in(record.as_bytes()).as_deref(), reason);
        }
    }

    #[test]
    fn the_line_of_the_call_does_not_hide_the_reason() {
        let told = |reasons: &[&str]| {
            let reasons = reasons.iter().map(|reason| Some((*reason).to_owned()));
            reasons.fold(None, better)
        };
        let (reason, call) = (
            "Error allocating crypto tfm (-ENOENT)",
            "ioctl: error adding target to table",
        );
        assert_eq!(told(&[reason, call]).as_deref(), Some(reason));
        assert_eq!(told(&[call]).as_deref(), Some(call));
        assert_eq!(told(&[call, reason]).as_deref(), Some(reason));
        assert_eq!(told(&[]), None);
    }
}
