use digest::{Digest, FixedOutput, KeyInit, MacMarker, Update};
use dmcrypt::{DerivedKey, HashAlgorithm, HashVisitor, VolumeKey};
use luks::kdf::{Argon2Variant, Effort};
use luks::{KdfParams, Luks, OsRandom, af, kdf, luks1};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::common::{memory, test_vectors, unxz};
use crate::copies::{fix_checksum, good};

fn any_hash() -> impl Strategy<Value = HashAlgorithm> {
    prop::sample::select(HashAlgorithm::ALL)
}

/// PBKDF2 by the crate of that name.
struct Oracle<'a> {
    secret: &'a [u8],
    salt: &'a [u8],
    iterations: u32,
    bytes: usize,
}

impl HashVisitor for Oracle<'_> {
    type Output = Vec<u8>;

    fn visit<D, M>(self) -> Vec<u8>
    where
        D: Clone + Digest + Send + Sync + 'static,
        M: Clone + FixedOutput + KeyInit + MacMarker + Send + Sync + Update + 'static,
    {
        let mut out = vec![0; self.bytes];
        pbkdf2::pbkdf2::<M>(self.secret, self.salt, self.iterations, &mut out).unwrap();
        out
    }
}

proptest! {
    #[test]
    fn pbkdf2_agrees_with_the_crate(
        hash in any_hash(),
        secret in prop::collection::vec(any::<u8>(), 0..200),
        salt in prop::collection::vec(any::<u8>(), 0..80),
        iterations in prop_oneof![9 => 1_u32..20, 1 => Just(300), 1 => Just(4200)],
        bytes in 1_usize..150,
        threads in 0_usize..4,
    ) {
        let params = KdfParams::Pbkdf2 { hash, iterations };
        let effort = Effort { threads, ..Effort::default() };
        let derived = kdf::derive(&params, &secret, &salt, bytes, effort).unwrap();
        let expected = hash.visit(Oracle { secret: &secret, salt: &salt, iterations, bytes });
        prop_assert_eq!(derived.expose(), &expected[..]);
    }

    #[test]
    fn argon2_agrees_with_the_crate(
        variant in prop::sample::select(&[Argon2Variant::I, Argon2Variant::Id]),
        secret in prop::collection::vec(any::<u8>(), 0..200),
        salt in prop::collection::vec(any::<u8>(), 8..80),
        time in 1_u32..5,
        lanes in 1_u32..6,
        more_kib in prop_oneof![8 => 0_u32..300, 1 => 600_u32..2000],
        bytes in 4_usize..150,
        threads in 0_usize..4,
    ) {
        let memory_kib = 8 * lanes + more_kib;
        let params = KdfParams::Argon2 { variant, time, memory_kib, lanes };
        let effort = Effort { threads, ..Effort::default() };
        let derived = kdf::derive(&params, &secret, &salt, bytes, effort).unwrap();
        let mut expected = vec![0; bytes];
        let algorithm = match variant {
            Argon2Variant::I => argon2::Algorithm::Argon2i,
            Argon2Variant::Id => argon2::Algorithm::Argon2id,
        };
        let params = argon2::Params::new(memory_kib, time, lanes, Some(bytes)).unwrap();
        argon2::Argon2::new(algorithm, argon2::Version::V0x13, params)
            .hash_password_into(&secret, &salt, &mut expected)
            .unwrap();
        prop_assert_eq!(derived.expose(), &expected[..]);
    }

    /// One bit of the material changed anywhere: another key.
    #[test]
    fn merging_needs_every_bit_of_what_was_split(
        hash in any_hash(),
        key in prop::collection::vec(any::<u8>(), 1..80),
        stripes in 2_u32..20,
        place in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let length = key.len();
        let key = VolumeKey::from_bytes(Zeroizing::new(key));
        let mut material = af::split(&key, stripes, hash, &mut OsRandom).unwrap();
        prop_assert_eq!(material.len(), length * stripes as usize);
        let merged = |material: &[u8]| {
            af::merge(&DerivedKey::from_bytes(Zeroizing::new(material.to_vec())), length, stripes, hash)
        };
        prop_assert!(merged(&material).ct_eq(&key));
        // The last hunk of a key is hashed to its own length: one byte in two ways to the same in one case of 256.
        let last_hunk = (length - 1) % hash.digest_bytes() + 1;
        prop_assume!(last_hunk >= 4);
        let place = place.index(material.len());
        material[place] ^= 1 << bit;
        prop_assert!(!merged(&material).ct_eq(&key));
    }

    #[test]
    fn luks1_headers_that_are_accepted_say_the_same_when_written(
        changes in prop::collection::vec((0_usize..luks1::Header::BYTES, any::<u8>()), 0..4),
    ) {
        let mut bytes = unxz_once("luks1/xts-256-sha1.img.xz");
        for (at, value) in changes {
            bytes[at] = value;
        }
        if let Ok(header) = luks1::Header::parse(&bytes) {
            prop_assert_eq!(luks1::Header::parse(&header.to_bytes()), Ok(header));
        }
    }

    /// Random bytes in place of JSON, checksums right: refused or accepted, never a panic, and what is accepted says
    /// the same when it is read again.
    #[test]
    fn luks2_metadata_of_any_kind_never_panic(
        changes in prop::collection::vec((0_usize..1200, any::<u8>()), 1..6),
    ) {
        let mut image = good();
        for copy in [0, 0x4000] {
            for (at, value) in &changes {
                image[copy + 4096 + at] = *value;
            }
            fix_checksum(&mut image, copy, 0x4000);
        }
        if let Ok(luks) = Luks::open(memory(image))
            && let luks::Header::Luks2(header) = luks.header()
        {
            let mut area = header.metadata.to_text().into_bytes();
            area.push(0);
            let again = luks::luks2::Metadata::parse(&area, header.binary.header_bytes).unwrap();
            prop_assert_eq!(again.raw(), header.metadata.raw());
        }
    }
}

fn unxz_once(name: &str) -> Vec<u8> {
    static HEADER: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    HEADER
        .get_or_init(|| unxz(&test_vectors().join(name))[..luks1::Header::BYTES].to_vec())
        .clone()
}
