//! The hashes that IVs, plain keys and LUKS share, by the names that cryptsetup gives them.

use crate::Error;
use digest::Digest;
use hmac::EagerHash;
use zeroize::Zeroizing;

/// Declares [`HashAlgorithm`] from one table: variant, cryptsetup's name, the kernel's where it differs, type.
macro_rules! hash_table {
    ($($(#[$doc:meta])* $variant:ident, $name:literal $(| $alias:literal)*, $bytes:literal, $digest:ty;)*) => {
        /// A hash that is built here.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum HashAlgorithm { $($(#[$doc])* $variant,)* }

        impl HashAlgorithm {
            /// Every hash that is built here.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The hash of that name: cryptsetup's, or the kernel's where that differs (`rmd160`, `wp512`), in any case,
            /// since headers written long ago say `SHA1`.
            ///
            /// # Errors
            /// [`Error::UnsupportedHash`] for every other name, whether or not such a hash exists.
            pub fn parse(name: &str) -> Result<Self, Error> {
                match name.to_ascii_lowercase().as_str() {
                    $($name $(| $alias)* => Ok(Self::$variant),)*
                    _ => Err(Error::UnsupportedHash { hash: name.to_owned() }),
                }
            }

            /// cryptsetup's name, which is also what LUKS headers hold.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The length of a digest in bytes.
            pub fn digest_bytes(self) -> usize {
                match self { $(Self::$variant => $bytes,)* }
            }

            /// Runs `visitor` with the concrete type of this hash.
            pub fn visit<V: HashVisitor>(self, visitor: V) -> V::Output {
                match self { $(Self::$variant => visitor.visit::<$digest>(),)* }
            }
        }
    };
}

hash_table! {
    /// SHA-1 (FIPS 180-4), the hash of most LUKS1 headers.
    Sha1, "sha1", 20, sha1::Sha1;
    /// SHA-224 (FIPS 180-4).
    Sha224, "sha224", 28, sha2::Sha224;
    /// SHA-256 (FIPS 180-4), the default of today.
    Sha256, "sha256", 32, sha2::Sha256;
    /// SHA-384 (FIPS 180-4).
    Sha384, "sha384", 48, sha2::Sha384;
    /// SHA-512 (FIPS 180-4).
    Sha512, "sha512", 64, sha2::Sha512;
    /// RIPEMD-160 (ISO/IEC 10118-3), the default of plain mode before cryptsetup 2.7.
    Ripemd160, "ripemd160" | "rmd160", 20, ripemd::Ripemd160;
    /// Whirlpool (ISO/IEC 10118-3).
    Whirlpool, "whirlpool" | "wp512", 64, whirlpool::Whirlpool;
}

/// Generic code that runs with the concrete hash: a key derivation loop is compiled once for each hash, and the crate that
/// holds the loop names none of them. Start it with [`HashAlgorithm::visit`].
///
/// `D` is enough for `hmac::Hmac<D>` with `KeyInit`, `Mac` and `Clone`.
pub trait HashVisitor {
    /// What [`visit`](Self::visit) returns.
    type Output;

    /// The code, with the hash `D`.
    fn visit<D>(self) -> Self::Output
    where
        D: Clone + Digest + EagerHash<Core: Send + Sync> + Send + Sync + 'static;
}

impl HashAlgorithm {
    /// H(parts\[0\] || parts\[1\] || ...).
    pub fn digest(self, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        self.visit(Concatenation(parts))
    }
}

struct Concatenation<'a>(&'a [&'a [u8]]);

impl HashVisitor for Concatenation<'_> {
    type Output = Zeroizing<Vec<u8>>;

    fn visit<D>(self) -> Self::Output
    where
        D: Clone + Digest + EagerHash<Core: Send + Sync> + Send + Sync + 'static,
    {
        let mut hash = D::new();
        for part in self.0 {
            Digest::update(&mut hash, part);
        }
        // The digest of a passphrase is a key: it is built where it stays, and no copy is left behind.
        let mut digest = Zeroizing::new(vec![0; <D as Digest>::output_size()]);
        hash.finalize_into(
            digest
                .as_mut_slice()
                .try_into()
                .expect("the vector has the length of a digest"),
        );
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::{HashAlgorithm, HashVisitor};
    use crate::Error;
    use digest::Digest;
    use hmac::{EagerHash, Hmac, KeyInit, Mac};

    /// The digests of "abc": FIPS 180-4's examples, the RIPEMD-160 paper's and ISO/IEC 10118-3's.
    #[test]
    fn digests_of_abc_are_those_of_the_standards() {
        let expected = [
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
            "4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce721ae1b303d97e6d4c7181eebdb6c57e277d0e34957114cbd6c797fc9d95d8b582d225292076d4eef5",
        ];
        for (hash, expected) in HashAlgorithm::ALL.iter().zip(expected) {
            assert_eq!(
                hex::encode(hash.digest(&[b"a", b"", b"bc"])),
                expected,
                "{}",
                hash.name()
            );
            assert_eq!(hash.digest_bytes(), expected.len() / 2);
        }
    }

    #[test]
    fn names_parse_in_any_case_and_print_as_cryptsetup_does() {
        for &hash in HashAlgorithm::ALL {
            assert_eq!(HashAlgorithm::parse(hash.name()), Ok(hash));
            assert_eq!(
                HashAlgorithm::parse(&hash.name().to_ascii_uppercase()),
                Ok(hash)
            );
        }
        assert_eq!(HashAlgorithm::parse("rmd160"), Ok(HashAlgorithm::Ripemd160));
        assert_eq!(HashAlgorithm::parse("wp512"), Ok(HashAlgorithm::Whirlpool));
        for name in [
            "sha3-256",
            "blake2b-512",
            "md5",
            "",
            "sha",
            "sha-256",
            "sha256 ",
        ] {
            assert_eq!(
                HashAlgorithm::parse(name),
                Err(Error::UnsupportedHash {
                    hash: name.to_owned()
                })
            );
        }
    }

    /// A key derivation loop keeps a keyed HMAC and clones it for each round.
    struct HmacOfTwo<'a>(&'a [u8], &'a [u8]);

    impl HashVisitor for HmacOfTwo<'_> {
        type Output = [Vec<u8>; 2];

        fn visit<D>(self) -> Self::Output
        where
            D: Clone + Digest + EagerHash<Core: Send + Sync> + Send + Sync + 'static,
        {
            fn assert_can_cross_threads<T: Send + Sync + 'static>(_: &T) {}
            let keyed = Hmac::<D>::new_from_slice(self.0).expect("HMAC takes keys of any length");
            assert_can_cross_threads(&keyed);
            [keyed.clone(), keyed].map(|mut mac| {
                mac.update(self.1);
                mac.finalize().into_bytes().to_vec()
            })
        }
    }

    /// RFC 2202 and RFC 4231, test case 2; RIPEMD-160's is in RFC 2286.
    #[test]
    fn a_visitor_computes_hmac_with_every_hash() {
        let expected = [
            Some("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            Some("a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            Some("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            Some(
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            Some(
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            Some("dda6c0213a485a9e24f4742064a7f033b43c4069"),
            None,
        ];
        for (&hash, expected) in HashAlgorithm::ALL.iter().zip(expected) {
            let [first, second] = hash.visit(HmacOfTwo(b"Jefe", b"what do ya want for nothing?"));
            assert_eq!(first, second, "{}", hash.name());
            assert_eq!(first.len(), hash.digest_bytes());
            if let Some(expected) = expected {
                assert_eq!(hex::encode(first), expected, "{}", hash.name());
            }
        }
    }
}
