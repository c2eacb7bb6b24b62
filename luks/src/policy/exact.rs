//! The policy that one header fulfils.

use super::facts::{Costs, Facts, PassphraseFacts};
use super::{
    Bounds, DataPolicy, DigestPolicy, KdfPolicy, KeyslotPolicy, Policy, SealPolicy, TokenPolicy,
};
use crate::fingerprint::Fingerprint;
use crate::number::to_u64;
use crate::seal::SEAL_TYPE;

/// Every rule, as narrow as `facts` allow.
pub(super) fn policy(fingerprint: Fingerprint, facts: &Facts) -> Policy {
    let luks2 = facts.luks2.as_ref();
    Policy {
        format: Some(vec![facts.version]),
        fingerprint: Some(vec![fingerprint]),
        equal_copies: true,
        known_members: luks2.is_none_or(|luks2| luks2.unknown_members.is_empty()),
        uuid: Some(vec![facts.uuid.clone()]),
        label: luks2.map(|luks2| vec![luks2.label.clone()]),
        subsystem: luks2.map(|luks2| vec![luks2.subsystem.clone()]),
        epoch: luks2.map(|luks2| Bounds::exactly(luks2.epoch)),
        header_bytes: luks2.map(|luks2| Bounds::exactly(luks2.header_bytes)),
        keyslots_area_bytes: luks2.map(|luks2| Bounds::exactly(luks2.keyslots_area_bytes)),
        flags: luks2.map(|luks2| luks2.flags.clone()),
        requirements: luks2.map(|luks2| luks2.requirements.clone()),
        data: data(facts),
        keyslots: keyslots(facts),
        kdf: kdf(facts),
        digests: digests(facts),
        tokens: TokenPolicy {
            count: luks2.map(|luks2| count(luks2.tokens.len())),
            types: luks2.map(|luks2| each(luks2.tokens.iter().map(|(_, kind)| kind.clone()))),
        },
        seal: SealPolicy {
            required: luks2
                .is_some_and(|luks2| luks2.tokens.iter().any(|(_, kind)| kind == SEAL_TYPE)),
        },
    }
}

fn data(facts: &Facts) -> DataPolicy {
    let segments = facts.segments.iter();
    let crypt = segments
        .clone()
        .filter_map(|segment| segment.crypt.as_ref());
    DataPolicy {
        segments: Some(count(facts.segments.len())),
        types: Some(each(segments.clone().map(|segment| segment.kind.clone()))),
        flags: Some(each(
            segments.clone().flat_map(|segment| segment.flags.clone()),
        )),
        ciphers: Some(each(crypt.clone().map(|crypt| crypt.cipher.clone()))),
        sector_bytes: Some(each(crypt.clone().map(|crypt| crypt.sector_bytes))),
        offset_bytes: Bounds::around(segments.clone().map(|segment| segment.offset_bytes)),
        sizes: Some(each(segments.map(|segment| segment.size.clone()))),
        iv_tweak: Bounds::around(crypt.clone().map(|crypt| crypt.iv_tweak)),
        integrity: Some(crypt.clone().any(|crypt| crypt.integrity)),
        // The header does not say where its data end.
        length_bytes: None,
    }
}

fn keyslots(facts: &Facts) -> KeyslotPolicy {
    let keyslots = facts.keyslots.iter();
    let slots = passphrases(facts);
    KeyslotPolicy {
        count: Some(count(facts.keyslots.len())),
        types: Some(each(keyslots.clone().map(|slot| slot.kind.clone()))),
        unbound: Some(keyslots.clone().any(|slot| slot.unbound)),
        priorities: Some(each(keyslots.clone().map(|slot| slot.priority.to_owned()))),
        key_bits: Some(each(keyslots.clone().map(|slot| slot.key_bits))),
        ciphers: Some(each(slots.clone().map(|slot| slot.cipher.clone()))),
        cipher_key_bits: Some(each(slots.clone().map(|slot| slot.cipher_key_bits))),
        splitter_hashes: Some(each(slots.map(|slot| slot.splitter_hash.clone()))),
        area_offset_bytes: Bounds::around(keyslots.clone().map(|slot| slot.area_offset_bytes)),
        area_bytes: Bounds::around(keyslots.map(|slot| slot.area_bytes)),
    }
}

fn kdf(facts: &Facts) -> KdfPolicy {
    let slots = passphrases(facts);
    let pbkdf2 = slots.clone().filter_map(|slot| match slot.costs {
        Some(Costs::Pbkdf2 { iterations }) => Some(iterations),
        _ => None,
    });
    let argon2 = slots.clone().filter_map(|slot| match slot.costs {
        Some(Costs::Argon2 {
            time,
            memory_kib,
            lanes,
        }) => Some((time, memory_kib, lanes)),
        _ => None,
    });
    let hashes = slots.clone().filter_map(|slot| slot.pbkdf2_hash.clone());
    KdfPolicy {
        types: Some(each(slots.clone().map(|slot| slot.kdf.clone()))),
        pbkdf2_hashes: Some(each(hashes)),
        pbkdf2_iterations: Bounds::around(pbkdf2),
        argon2_time: Bounds::around(argon2.clone().map(|(time, _, _)| time)),
        argon2_memory_kib: Bounds::around(argon2.clone().map(|(_, memory, _)| memory)),
        argon2_lanes: Bounds::around(argon2.map(|(_, _, lanes)| lanes)),
        salt_bytes: Bounds::around(slots.map(|slot| slot.salt_bytes)),
    }
}

fn digests(facts: &Facts) -> DigestPolicy {
    let digests = facts.digests.iter();
    DigestPolicy {
        count: Some(count(facts.digests.len())),
        types: Some(each(digests.clone().map(|digest| digest.kind.clone()))),
        hashes: Some(each(digests.clone().map(|digest| digest.hash.clone()))),
        iterations: Bounds::around(digests.clone().filter_map(|digest| digest.iterations)),
        salt_bytes: Bounds::around(digests.clone().map(|digest| digest.salt_bytes)),
        digest_bytes: Bounds::around(digests.map(|digest| digest.digest_bytes)),
    }
}

fn passphrases(facts: &Facts) -> impl Iterator<Item = &PassphraseFacts> + Clone {
    let keyslots = facts.keyslots.iter();
    keyslots.filter_map(|slot| slot.passphrase.as_ref())
}

fn count(objects: usize) -> Bounds {
    Bounds::exactly(to_u64(objects))
}

/// Each value once, in the order of its first appearance.
fn each<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
