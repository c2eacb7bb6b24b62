//! A policy against the facts.

use std::fmt::{self, Debug, Display};

use super::facts::{Costs, DigestFacts, Facts, KeyslotFacts, Luks2Facts, SegmentFacts};
use super::{Bounds, Policy};
use crate::error::PolicyViolation;
use crate::format::Version;
use crate::number::to_u64;

/// Everything in `facts` that `policy` does not allow.
pub(super) fn violations(policy: &Policy, facts: &Facts) -> Vec<PolicyViolation> {
    let mut check = Check::default();
    let formats = policy.format.iter().flatten().copied().map(format_name);
    let formats: Vec<_> = formats.collect();
    check.one_of(
        "format",
        &format_name(facts.version),
        policy.format.is_some().then_some(&formats),
    );
    if let Some(allowed) = &policy.fingerprint {
        match facts.fingerprint {
            Some(fingerprint) => check.one_of("fingerprint", &fingerprint, Some(allowed)),
            None => check.violation("header", "has no fingerprint: a copy is not used"),
        }
    }
    if policy.equal_copies && facts.fingerprint.is_none() {
        check.violation("header", "has not two equal copies");
    }
    check.one_of("UUID", &facts.uuid, policy.uuid.as_deref());
    if let Some(luks2) = &facts.luks2 {
        luks2_rules(policy, luks2, &mut check);
    }
    check.within(
        "number of segments",
        to_u64(facts.segments.len()),
        policy.data.segments,
    );
    for segment in &facts.segments {
        segment_rules(policy, segment, &mut check);
    }
    check.within(
        "number of keyslots",
        to_u64(facts.keyslots.len()),
        policy.keyslots.count,
    );
    for keyslot in &facts.keyslots {
        keyslot_rules(policy, keyslot, &mut check);
    }
    check.within(
        "number of digests",
        to_u64(facts.digests.len()),
        policy.digests.count,
    );
    for digest in &facts.digests {
        digest_rules(policy, digest, &mut check);
    }
    check.violations
}

/// What `policy` does not allow of data that start at `offset` in a file or device of `storage_bytes`.
pub(super) fn data_violations(
    policy: &Policy,
    offset: Option<u64>,
    storage_bytes: Option<u64>,
) -> Vec<PolicyViolation> {
    let mut check = Check::default();
    if let Some(allowed) = policy.data.length_bytes {
        match (offset, storage_bytes) {
            (Some(offset), Some(bytes)) => check.within(
                "length of the data",
                bytes.saturating_sub(offset),
                Some(allowed),
            ),
            _ => check.violation("length of the data", "is not known before a stream ends"),
        }
    }
    check.violations
}

fn format_name(version: Version) -> &'static str {
    match version {
        Version::Luks1 => "luks1",
        Version::Luks2 => "luks2",
    }
}

fn luks2_rules(policy: &Policy, luks2: &Luks2Facts, check: &mut Check) {
    if policy.known_members {
        for path in &luks2.unknown_members {
            check.violation("header", format!("has the unknown member {path:?}"));
        }
    }
    check.one_of("label", &luks2.label, policy.label.as_deref());
    check.one_of("subsystem", &luks2.subsystem, policy.subsystem.as_deref());
    check.within("epoch", luks2.epoch, policy.epoch);
    check.within(
        "size of a header copy",
        luks2.header_bytes,
        policy.header_bytes,
    );
    check.within(
        "size of the keyslots area",
        luks2.keyslots_area_bytes,
        policy.keyslots_area_bytes,
    );
    for flag in &luks2.flags {
        check.one_of("flag", flag, policy.flags.as_deref());
    }
    for requirement in &luks2.requirements {
        check.one_of("requirement", requirement, policy.requirements.as_deref());
    }
    check.within(
        "number of tokens",
        to_u64(luks2.tokens.len()),
        policy.tokens.count,
    );
    for (id, kind) in &luks2.tokens {
        let what = format!("token {id}: type");
        check.one_of(what, kind, policy.tokens.types.as_deref());
    }
}

fn segment_rules(policy: &Policy, segment: &SegmentFacts, check: &mut Check) {
    let rules = &policy.data;
    let of = |what: &str| format!("segment {}: {what}", segment.id);
    check.one_of(of("type"), &segment.kind, rules.types.as_deref());
    for flag in &segment.flags {
        check.one_of(of("flag"), flag, rules.flags.as_deref());
    }
    check.within(of("offset"), segment.offset_bytes, rules.offset_bytes);
    check.one_of(of("size"), &segment.size, rules.sizes.as_deref());
    if let Some(crypt) = &segment.crypt {
        check.one_of(of("cipher"), &crypt.cipher, rules.ciphers.as_deref());
        check.one_of(
            of("sector size"),
            &crypt.sector_bytes,
            rules.sector_bytes.as_deref(),
        );
        check.within(of("IV tweak"), crypt.iv_tweak, rules.iv_tweak);
        if crypt.integrity && rules.integrity == Some(false) {
            check.violation(format!("segment {}", segment.id), "has integrity tags");
        }
    }
}

fn keyslot_rules(policy: &Policy, keyslot: &KeyslotFacts, check: &mut Check) {
    let rules = &policy.keyslots;
    let of = |what: &str| format!("keyslot {}: {what}", keyslot.id);
    check.one_of(of("type"), &keyslot.kind, rules.types.as_deref());
    if keyslot.unbound && rules.unbound == Some(false) {
        check.violation(format!("keyslot {}", keyslot.id), "is unbound");
    }
    check.one_of(
        of("priority"),
        keyslot.priority,
        rules.priorities.as_deref(),
    );
    check.one_of(
        of("key size in bits"),
        &keyslot.key_bits,
        rules.key_bits.as_deref(),
    );
    check.within(
        of("area offset"),
        keyslot.area_offset_bytes,
        rules.area_offset_bytes,
    );
    check.within(of("area size"), keyslot.area_bytes, rules.area_bytes);
    let Some(slot) = &keyslot.passphrase else {
        return;
    };
    check.one_of(of("cipher"), &slot.cipher, rules.ciphers.as_deref());
    check.one_of(
        of("cipher's key size in bits"),
        &slot.cipher_key_bits,
        rules.cipher_key_bits.as_deref(),
    );
    check.one_of(
        of("splitter hash"),
        &slot.splitter_hash,
        rules.splitter_hashes.as_deref(),
    );
    let rules = &policy.kdf;
    check.one_of(of("key derivation"), &slot.kdf, rules.types.as_deref());
    check.within(of("salt size"), slot.salt_bytes, rules.salt_bytes);
    if let Some(hash) = &slot.pbkdf2_hash {
        check.one_of(of("PBKDF2 hash"), hash, rules.pbkdf2_hashes.as_deref());
    }
    match slot.costs {
        Some(Costs::Pbkdf2 { iterations }) => {
            check.within(of("PBKDF2 iterations"), iterations, rules.pbkdf2_iterations);
        }
        Some(Costs::Argon2 {
            time,
            memory_kib,
            lanes,
        }) => {
            check.within(of("Argon2 time"), time, rules.argon2_time);
            check.within(
                of("Argon2 memory in KiB"),
                memory_kib,
                rules.argon2_memory_kib,
            );
            check.within(of("Argon2 lanes"), lanes, rules.argon2_lanes);
        }
        // Nothing is derived by it: the keyslot cannot be used.
        None => {}
    }
}

fn digest_rules(policy: &Policy, digest: &DigestFacts, check: &mut Check) {
    let rules = &policy.digests;
    let of = |what: &str| format!("digest {}: {what}", digest.id);
    check.one_of(of("type"), &digest.kind, rules.types.as_deref());
    check.one_of(of("hash"), &digest.hash, rules.hashes.as_deref());
    if let Some(iterations) = digest.iterations {
        check.within(of("iterations"), iterations, rules.iterations);
    }
    check.within(of("salt size"), digest.salt_bytes, rules.salt_bytes);
    check.within(of("size"), digest.digest_bytes, rules.digest_bytes);
}

#[derive(Default)]
struct Check {
    violations: Vec<PolicyViolation>,
}

impl Check {
    fn violation(&mut self, object: impl Into<String>, problem: impl Into<String>) {
        self.violations.push(PolicyViolation {
            object: object.into(),
            problem: problem.into(),
        });
    }

    fn within(&mut self, object: impl Into<String>, have: u64, allowed: Option<Bounds>) {
        if let Some(bounds) = allowed
            && !bounds.contain(have)
        {
            self.violation(object, format!("{have} is not {bounds}"));
        }
    }

    fn one_of<T, A>(&mut self, object: impl Into<String>, have: &T, allowed: Option<&[A]>)
    where
        T: Debug + ?Sized,
        A: Debug + PartialEq<T>,
    {
        if let Some(allowed) = allowed
            && !allowed.iter().any(|one| *one == *have)
        {
            // Texts come from the header: `Debug` escapes them.
            let problem = match allowed {
                [] => format!("{have:?} is not allowed, nor is any other"),
                _ => format!("{have:?} is none of {}", List(allowed)),
            };
            self.violation(object, problem);
        }
    }
}

struct List<'a, A>(&'a [A]);

impl<A: Debug> Display for List<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{one:?}")?;
        }
        Ok(())
    }
}
