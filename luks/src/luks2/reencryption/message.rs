//! What the digest of a reencryption is a digest of.

use dmcrypt::VolumeKey;
use zeroize::Zeroizing;

use super::{Reencryption, ReencryptionVersion};
use crate::luks2::{Segment, SegmentKind, SegmentSize};

impl Reencryption {
    /// The bytes: version, both keys, keyslot, area and backup segments; each part that is not there is left out.
    ///
    /// `old` is the key before, `new` the one after where it is another one.
    pub(crate) fn message(&self, old: Option<&VolumeKey>, new: Option<&VolumeKey>) -> VolumeKey {
        let version = match self.version {
            ReencryptionVersion::V1 => b'1',
            ReencryptionVersion::V2 => b'2',
            ReencryptionVersion::V3 => b'3',
        };
        let mut message = Zeroizing::new(vec![b'v', version]);
        for key in [old, new].into_iter().flatten() {
            message.extend_from_slice(key.expose());
        }
        let (slot, resilience) = (&self.slot, &self.slot.resilience);
        for member in [slot.mode.name(), slot.direction.name(), resilience.name()] {
            message.extend_from_slice(member.as_bytes());
        }
        message.extend_from_slice(&self.area.offset.to_be_bytes());
        message.extend_from_slice(&self.area.size.to_be_bytes());
        if let Some(checksum) = resilience.checksum() {
            message.extend_from_slice(checksum.text.as_bytes());
            message.extend_from_slice(&checksum.block_bytes.to_be_bytes());
        }
        if let Some(bytes) = resilience.shift_bytes() {
            message.extend_from_slice(&bytes.to_be_bytes());
        }
        for backup in [&self.before, &self.after].into_iter().chain(&self.moved) {
            add_segment(&mut message, &backup.segment);
        }
        let mut secret = VolumeKey::zeroed(message.len());
        secret.expose_mut().copy_from_slice(&message);
        secret
    }
}

fn add_segment(message: &mut Vec<u8>, segment: &Segment) {
    let kind = match &segment.kind {
        SegmentKind::Linear => "linear",
        SegmentKind::Crypt(_) => "crypt",
        SegmentKind::Other { kind } => kind,
    };
    message.extend_from_slice(kind.as_bytes());
    message.extend_from_slice(&segment.offset.to_be_bytes());
    match segment.size {
        SegmentSize::Dynamic => message.extend_from_slice(b"dynamic"),
        SegmentSize::Bytes(bytes) => message.extend_from_slice(&bytes.to_be_bytes()),
    }
    if let SegmentKind::Crypt(crypt) = &segment.kind {
        message.extend_from_slice(&crypt.iv_tweak.to_be_bytes());
        message.extend_from_slice(crypt.text.as_bytes());
        message.extend_from_slice(&crypt.sector_size.to_be_bytes());
    }
}
