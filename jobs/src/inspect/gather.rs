//! From a header of either format to the report.

use luks::luks2::{KeyslotKind, Priority, SegmentKind, SegmentSize};
use luks::reencrypt::Leavings;
use luks::{Header, KdfLimits, KdfParams, luks1, luks2, seal};
use serde_json::Value;

use super::report::{Digest, Guess, Kdf, Keyslot, Report, Seal, Segment, Token};
use crate::limits;

/// All that the header says. What is not in it, or follows from the rest, is left empty.
pub(super) fn gathered(header: &Header, limits: &KdfLimits) -> Report {
    match header {
        Header::Luks1(header) => of_luks1(header, limits),
        Header::Luks2(header) => of_luks2(header, limits),
    }
}

fn of_luks1(header: &luks1::Header, limits: &KdfLimits) -> Report {
    let active = (0u32..)
        .zip(&header.keyslots)
        .filter(|(_, slot)| slot.active);
    let keyslots: Vec<_> = active
        .map(|(id, slot)| {
            let params = header.hash().ok().map(|hash| KdfParams::Pbkdf2 {
                hash,
                iterations: slot.iterations,
            });
            Keyslot {
                id,
                kind: "luks1".into(),
                bound: true,
                reencryption: None,
                priority: "normal",
                key_bits: bits(header.key_bytes),
                area_offset: slot.area_offset(),
                area_bytes: header.area_length(),
                area_cipher: Some(format!("{}-{}", header.cipher_name, header.cipher_mode)),
                area_key_bits: Some(bits(header.key_bytes)),
                guess: params
                    .as_ref()
                    .map(|params| guess(params, header.key_bytes, limits)),
                kdf: params.as_ref().map(kdf),
            }
        })
        .collect();
    let keyslots_offset = header
        .keyslots
        .iter()
        .map(luks1::Keyslot::area_offset)
        .min()
        .unwrap_or(0);
    let keyslots_end = header
        .keyslots
        .iter()
        .map(|slot| slot.area_offset() + header.area_length())
        .max();
    Report {
        image: String::new(),
        kind: "luks1",
        uuid: header.uuid.clone(),
        label: None,
        subsystem: None,
        epoch: None,
        header_bytes: luks1::Header::BYTES as u64,
        header_copies: 1,
        keyslots_offset,
        keyslots_bytes: keyslots_end.unwrap_or(0) - keyslots_offset,
        image_bytes: 0,
        data: None,
        segments: vec![Segment {
            id: 0,
            kind: "crypt".into(),
            offset: header.data_offset(),
            bytes: None,
            cipher: Some(format!("{}-{}", header.cipher_name, header.cipher_mode)),
            sector_size: Some(512),
            iv_tweak: Some(0),
            integrity: false,
            flags: Vec::new(),
        }],
        digests: vec![Digest {
            id: 0,
            keyslots: keyslots.iter().map(|slot| slot.id).collect(),
            segments: vec![0],
            hash: Some(header.hash_spec.clone()),
            iterations: Some(header.mk_digest_iterations),
        }],
        keyslots,
        tokens: Vec::new(),
        seal: None,
        flags: Vec::new(),
        requirements: Vec::new(),
        reencryption: None,
        warnings: Vec::new(),
        metadata: None,
        map: Vec::new(),
    }
}

fn of_luks2(header: &luks2::Header, limits: &KdfLimits) -> Report {
    let metadata = &header.metadata;
    let tokens = metadata.tokens.iter().map(|token| Token {
        id: token.id,
        kind: token.kind.clone(),
        keyslots: token.keyslots.clone(),
    });
    let digests = metadata.digests.iter().map(|digest| Digest {
        id: digest.id,
        keyslots: digest.keyslots.clone(),
        segments: digest.segments.clone(),
        hash: digest
            .pbkdf2
            .as_ref()
            .ok()
            .map(|(hash, _)| hash.name().to_owned()),
        iterations: digest
            .pbkdf2
            .as_ref()
            .ok()
            .map(|(_, iterations)| *iterations),
    });
    let keyslots = metadata
        .keyslots
        .iter()
        .map(|slot| luks2_keyslot(metadata, slot, limits));
    Report {
        image: String::new(),
        kind: "luks2",
        uuid: header.binary.uuid.clone(),
        label: Some(header.binary.label.clone()),
        subsystem: Some(header.binary.subsystem.clone()),
        epoch: Some(header.binary.epoch),
        header_bytes: header.binary.header_bytes,
        header_copies: 2,
        keyslots_offset: 2 * header.binary.header_bytes,
        keyslots_bytes: metadata.config.keyslots_bytes,
        image_bytes: 0,
        data: None,
        segments: metadata.segments.iter().map(luks2_segment).collect(),
        keyslots: keyslots.collect(),
        digests: digests.collect(),
        tokens: tokens.collect(),
        seal: seal::tokens(metadata).first().map(|seal| Seal {
            token: seal.token,
            version: seal.version,
            checked: false,
        }),
        flags: metadata.config.flags.clone(),
        requirements: metadata.config.requirements.clone(),
        reencryption: None,
        warnings: Vec::new(),
        metadata: Some(Value::Object(metadata.raw().clone())),
        map: Vec::new(),
    }
}

fn luks2_segment(segment: &luks2::Segment) -> Segment {
    let (kind, crypt) = match &segment.kind {
        SegmentKind::Linear => ("linear", None),
        SegmentKind::Crypt(crypt) => ("crypt", Some(crypt)),
        SegmentKind::Other { kind } => (kind.as_str(), None),
    };
    Segment {
        id: segment.id,
        kind: kind.to_owned(),
        offset: segment.offset,
        bytes: match segment.size {
            SegmentSize::Dynamic => None,
            SegmentSize::Bytes(bytes) => Some(bytes),
        },
        cipher: crypt.map(|crypt| crypt.text.clone()),
        sector_size: crypt.map(|crypt| crypt.sector_size),
        iv_tweak: crypt.map(|crypt| crypt.iv_tweak),
        integrity: crypt.is_some_and(|crypt| crypt.integrity),
        flags: segment.flags.clone(),
    }
}

/// Which key of a reencryption that is under way a keyslot holds.
fn half_of(metadata: &luks2::Metadata, keyslot: u32) -> Option<&'static str> {
    let Some(state) = metadata.reencryption.as_deref() else {
        let (_, leavings) = Leavings::of(metadata)?;
        return leavings.keyslots.contains(&keyslot).then_some("left");
    };
    let digest = metadata.digest_of_keyslot(keyslot).map(|digest| digest.id);
    let is_of = |backup: &luks2::Backup| digest.is_some() && backup.digest == digest;
    match (is_of(&state.before), is_of(&state.after)) {
        (true, true) => Some("both"),
        (true, false) => Some("old"),
        (false, true) => Some("new"),
        (false, false) => (keyslot == state.keyslot).then_some("none"),
    }
}

fn luks2_keyslot(metadata: &luks2::Metadata, slot: &luks2::Keyslot, limits: &KdfLimits) -> Keyslot {
    let kind = slot.kind.name();
    let passphrase_slot = match &slot.kind {
        KeyslotKind::Luks2(passphrase_slot) => Some(passphrase_slot),
        KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => None,
    };
    let cipher = passphrase_slot.map(|slot| &slot.cipher);
    let params = passphrase_slot.and_then(|slot| slot.kdf.as_ref().ok());
    Keyslot {
        id: slot.id,
        kind: kind.to_owned(),
        bound: metadata.is_bound(slot.id),
        reencryption: half_of(metadata, slot.id),
        priority: match slot.priority {
            Priority::Ignore => "ignore",
            Priority::Normal => "normal",
            Priority::Prefer => "prefer",
        },
        key_bits: match slot.kind {
            // Its one byte is no key.
            KeyslotKind::Reencrypt(_) => 0,
            _ => bits(slot.key_bytes),
        },
        area_offset: slot.area.offset,
        area_bytes: slot.area.size,
        area_cipher: cipher.map(|cipher| cipher.text.clone()),
        area_key_bits: cipher.map(|cipher| bits(cipher.key_bytes)),
        guess: params
            .zip(cipher)
            .map(|(params, cipher)| guess(params, cipher.key_bytes, limits)),
        kdf: params.map(kdf),
    }
}

fn bits(bytes: u32) -> u64 {
    u64::from(bytes) * 8
}

fn kdf(params: &KdfParams) -> Kdf {
    let (hash, iterations, memory_kib, lanes) = match *params {
        KdfParams::Pbkdf2 { hash, iterations } => (Some(hash.name()), iterations, None, None),
        KdfParams::Argon2 {
            time,
            memory_kib,
            lanes,
            ..
        } => (None, time, Some(memory_kib), Some(lanes)),
    };
    Kdf {
        kind: params.name(),
        hash,
        iterations,
        memory_kib,
        lanes,
    }
}

fn guess(params: &KdfParams, key_bytes: u32, limits: &KdfLimits) -> Guess {
    let key_bytes = key_bytes as usize;
    let time = limits::guess(params, key_bytes, limits);
    Guess {
        milliseconds: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        memory_kib: match *params {
            KdfParams::Pbkdf2 { .. } => 0,
            KdfParams::Argon2 { memory_kib, .. } => memory_kib,
        },
        refused: limits
            .check(params, key_bytes)
            .err()
            .map(|excess| excess.to_string()),
    }
}
