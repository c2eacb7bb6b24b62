//! What device-mapper is asked and answers: bytes at named offsets, in locked memory, wiped when they are dropped.
//!
//! `struct dm_ioctl` of `<linux/dm-ioctl.h>`, 312 bytes, every number in the processor's own order; what a command takes or
//! gives beside it follows.

use std::fs::File;
use std::io;

use dmcrypt::LockedBytes;

use crate::low::{self, DM_BYTES};

/// The numbers of the commands.
pub(crate) mod command {
    pub(crate) const LIST_DEVICES: u32 = 2;
    pub(crate) const DEV_CREATE: u32 = 3;
    pub(crate) const DEV_REMOVE: u32 = 4;
    pub(crate) const DEV_SUSPEND: u32 = 6;
    pub(crate) const DEV_STATUS: u32 = 7;
    pub(crate) const TABLE_LOAD: u32 = 9;
    pub(crate) const TABLE_CLEAR: u32 = 10;
    pub(crate) const TABLE_DEPS: u32 = 11;
    pub(crate) const TABLE_STATUS: u32 = 12;
    pub(crate) const TARGET_MSG: u32 = 14;
    pub(crate) const GET_TARGET_VERSION: u32 = 17;
}

/// Bits of the field `flags`.
pub(crate) mod flag {
    pub(crate) const READ_ONLY: u32 = 1;
    pub(crate) const SUSPEND: u32 = 1 << 1;
    pub(crate) const STATUS_TABLE: u32 = 1 << 4;
    pub(crate) const ACTIVE_PRESENT: u32 = 1 << 5;
    pub(crate) const INACTIVE_PRESENT: u32 = 1 << 6;
    pub(crate) const BUFFER_FULL: u32 = 1 << 8;
    pub(crate) const SECURE_DATA: u32 = 1 << 15;
    pub(crate) const DEFERRED_REMOVE: u32 = 1 << 17;
}

/// Where the fields lie.
mod at {
    pub(super) const VERSION: usize = 0;
    pub(super) const DATA_SIZE: usize = 12;
    pub(super) const DATA_START: usize = 16;
    pub(super) const TARGET_COUNT: usize = 20;
    pub(super) const OPEN_COUNT: usize = 24;
    pub(super) const FLAGS: usize = 28;
    pub(super) const EVENT_NR: usize = 32;
    pub(super) const DEV: usize = 40;
    pub(super) const NAME: usize = 48;
    pub(super) const UUID: usize = 176;
}

/// Bytes of a name, its NUL included.
pub(crate) const NAME_BYTES: usize = 128;
/// Bytes of an identifier, its NUL included.
pub(crate) const UUID_BYTES: usize = 129;
/// What this crate speaks: any kernel with a 4 in front answers.
const VERSION: [u32; 3] = [4, 0, 0];
/// No answer is longer.
const MAX_BYTES: usize = 4 << 20;

/// One question, and then its answer.
pub(crate) struct Request {
    bytes: LockedBytes,
}

impl Request {
    /// A question without anything beside it, and room for so many bytes of an answer.
    pub(crate) fn new(room: usize) -> Self {
        let mut request = Self {
            bytes: LockedBytes::zeroed(DM_BYTES + room),
        };
        for (index, number) in VERSION.into_iter().enumerate() {
            request.put_u32(at::VERSION + 4 * index, number);
        }
        request.put_u32(at::DATA_START, to_u32(DM_BYTES));
        request
    }

    /// About the mapping of this name.
    pub(crate) fn named(mut self, name: &[u8]) -> Self {
        assert!(name.len() < NAME_BYTES, "a name is checked");
        self.bytes[at::NAME..at::NAME + name.len()].copy_from_slice(name);
        self
    }

    /// About a mapping that is to have this identifier.
    pub(crate) fn with_uuid(mut self, uuid: &[u8]) -> Self {
        assert!(uuid.len() < UUID_BYTES, "an identifier is cut to fit");
        self.bytes[at::UUID..at::UUID + uuid.len()].copy_from_slice(uuid);
        self
    }

    pub(crate) fn with_flags(mut self, flags: u32) -> Self {
        let flags = self.flags() | flags;
        self.put_u32(at::FLAGS, flags);
        self
    }

    pub(crate) fn with_event(mut self, event: u32) -> Self {
        self.put_u32(at::EVENT_NR, event);
        self
    }

    pub(crate) fn with_targets(mut self, count: u32) -> Self {
        self.put_u32(at::TARGET_COUNT, count);
        self
    }

    /// What lies beside the head.
    pub(crate) fn data(&mut self) -> &mut [u8] {
        &mut self.bytes[DM_BYTES..]
    }

    /// Asks. The answer takes its place.
    pub(crate) fn ask(&mut self, control: &File, command: u32) -> io::Result<()> {
        low::device_mapper(control, command, &mut self.bytes)
    }

    /// Asks anew with more room until the answer fits: `make` has the question.
    pub(crate) fn ask_with_room(
        control: &File,
        command: u32,
        make: impl Fn(usize) -> Self,
    ) -> io::Result<Self> {
        let mut room = 4 << 10;
        loop {
            let mut request = make(room);
            request.ask(control, command)?;
            if request.flags() & flag::BUFFER_FULL == 0 {
                return Ok(request);
            }
            room *= 4;
            if room > MAX_BYTES {
                return Err(io::Error::other("the answer of the kernel has no end"));
            }
        }
    }

    pub(crate) fn flags(&self) -> u32 {
        self.u32(at::FLAGS)
    }

    pub(crate) fn open_count(&self) -> u32 {
        self.u32(at::OPEN_COUNT)
    }

    pub(crate) fn target_count(&self) -> u32 {
        self.u32(at::TARGET_COUNT)
    }

    /// The device's number, as the C library has it.
    pub(crate) fn device(&self) -> u64 {
        device_number(u64_at(&self.bytes, at::DEV).unwrap_or(0))
    }

    pub(crate) fn name(&self) -> &[u8] {
        until_nul(&self.bytes[at::NAME..at::NAME + NAME_BYTES])
    }

    pub(crate) fn uuid(&self) -> &[u8] {
        until_nul(&self.bytes[at::UUID..at::UUID + UUID_BYTES])
    }

    /// What the kernel has put beside the head.
    pub(crate) fn answer(&self) -> &[u8] {
        let size = to_usize(self.u32(at::DATA_SIZE)).min(self.bytes.len());
        let start = to_usize(self.u32(at::DATA_START)).clamp(DM_BYTES, self.bytes.len());
        self.bytes.get(start..size).unwrap_or_default()
    }

    fn u32(&self, offset: usize) -> u32 {
        u32_at(&self.bytes, offset).unwrap_or(0)
    }

    fn put_u32(&mut self, offset: usize, number: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&number.to_ne_bytes());
    }
}

/// The kernel's wide form of a device's number, in the C library's: twelve bits of the major number from bit 8 on, twenty of
/// the minor one around them.
pub(crate) fn device_number(wide: u64) -> u64 {
    let major = (wide >> 8) & 0xfff;
    let minor = (wide & 0xff) | ((wide >> 12) & 0xf_ff00);
    // Both fit: they have twelve and twenty bits.
    rustix::fs::makedev(
        u32::try_from(major).unwrap_or(0),
        u32::try_from(minor).unwrap_or(0),
    )
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

pub(crate) fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).expect("requests are small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_devices_are_the_c_librarys() {
        for (wide, major, minor) in [
            (0x0700, 7, 0),
            (0xfe05, 254, 5),
            (0x0010_07ff, 7, 0x1ff),
            (0xffff_ffff, 0xfff, 0xf_ffff),
        ] {
            assert_eq!(device_number(wide), rustix::fs::makedev(major, minor));
        }
    }

    #[test]
    fn an_answer_lies_in_its_bytes_whatever_it_says() {
        let mut request = Request::new(8);
        request.data().copy_from_slice(b"answered");
        request.put_u32(at::DATA_SIZE, to_u32(DM_BYTES + 4));
        assert_eq!(request.answer(), b"answ");
        for (size, start) in [(u32::MAX, u32::MAX), (0, 0), (u32::MAX, 0), (100, 400)] {
            request.put_u32(at::DATA_SIZE, size);
            request.put_u32(at::DATA_START, start);
            let answer = request.answer();
            assert!(answer.is_empty() || answer == b"answered");
        }
    }
}
