//! One type for each role that secret bytes play, so that none can be taken for another.
//!
//! All lie on pages that the system is asked to keep out of swap and core dumps, are wiped when dropped, are compared in
//! constant time only, and have neither `Debug` nor `Clone`.

use crate::low::pages::{self, Pages};
use std::alloc::Layout;
use std::ops::{Deref, DerefMut};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize as _, Zeroizing};

/// Secret bytes that have no role yet, on pages of their own: locked in memory where the system allows it
/// ([`is_lock_refused`]), left out of core dumps, wiped when dropped.
pub struct LockedBytes(Pages);

impl LockedBytes {
    /// `len_bytes` zero bytes, to be filled in place.
    ///
    /// # Panics
    /// Where so many bytes are not possible.
    pub fn zeroed(len_bytes: usize) -> Self {
        Self(Pages::new(
            Layout::array::<u8>(len_bytes).expect("no object has so many bytes"),
        ))
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }

    /// Whether both hold the same bytes, in a time that depends on nothing but their lengths.
    pub fn ct_eq(&self, other: &Self) -> bool {
        (**self).ct_eq(&**other).into()
    }
}

impl Deref for LockedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl DerefMut for LockedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// Whether the system has refused to lock a secret in memory since the process began (`RLIMIT_MEMLOCK`), so that it may
/// have been written to swap.
pub fn is_lock_refused() -> bool {
    pages::refused()
}

macro_rules! secret_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(LockedBytes);

        impl $name {
            /// `len_bytes` zero bytes, to be filled in place.
            pub fn zeroed(len_bytes: usize) -> Self {
                Self(LockedBytes::zeroed(len_bytes))
            }

            /// Copies `bytes` to locked memory, and wipes them.
            pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
                Self(LockedBytes::copy_of(&bytes))
            }

            /// The same bytes, now with a role.
            pub fn from_locked(bytes: LockedBytes) -> Self {
                Self(bytes)
            }

            /// The secret bytes.
            pub fn expose(&self) -> &[u8] {
                &self.0
            }

            /// The secret bytes, to be filled in place.
            pub fn expose_mut(&mut self) -> &mut [u8] {
                &mut self.0
            }

            /// The length in bytes, which is no secret.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are no bytes at all.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// Whether both hold the same bytes, in a time that depends on nothing but their lengths.
            pub fn ct_eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0)
            }
        }
    };
}

secret_bytes! {
    /// The key that encrypts the data of a volume, as dm-crypt gets it (both halves for XTS).
    VolumeKey
}
secret_bytes! {
    /// What a person types or a key file holds.
    Passphrase
}
secret_bytes! {
    /// What a key derivation function makes of a [`Passphrase`]: it encrypts the area of a keyslot.
    DerivedKey
}

/// Overwrites what calls that have returned left on this thread's stack, 64 KiB deep: ciphers hold round keys in
/// registers, which compilers spill there.
#[inline(never)]
#[expect(
    clippy::large_stack_arrays,
    reason = "the stack is what is to be overwritten"
)]
pub fn wipe_stack() {
    let mut below = [0_u8; 64 << 10];
    below.zeroize();
    std::hint::black_box(&below);
}

#[cfg(test)]
mod tests {
    use super::{DerivedKey, Passphrase, VolumeKey};
    use std::{fmt, marker::PhantomData};
    use zeroize::Zeroizing;

    /// Whether a type has a trait.
    macro_rules! has {
        ($type:ty: $bound:path) => {{
            trait Otherwise {
                const HAS: bool = false;
            }
            impl<T> Otherwise for T {}
            struct Probe<T>(PhantomData<T>);
            impl<T: $bound> Probe<T> {
                const HAS: bool = true;
            }
            // What a text has is found.
            assert!(Probe::<String>::HAS);
            Probe::<$type>::HAS
        }};
    }

    #[test]
    fn a7_secrets_are_not_compared_shown_or_copied_by_the_usual_means() {
        macro_rules! has_any {
            ($type:ty) => {
                [
                    has!($type: PartialEq),
                    has!($type: PartialOrd),
                    has!($type: std::hash::Hash),
                    has!($type: fmt::Debug),
                    has!($type: fmt::Display),
                    has!($type: Clone),
                ]
            };
        }
        assert_eq!(has_any!(VolumeKey), [false; 6]);
        assert_eq!(has_any!(Passphrase), [false; 6]);
        assert_eq!(has_any!(DerivedKey), [false; 6]);
    }

    #[test]
    fn equality_looks_at_every_byte_and_at_the_length() {
        let key = |bytes: &[u8]| VolumeKey::from_bytes(Zeroizing::new(bytes.to_vec()));
        assert!(key(b"abcd").ct_eq(&key(b"abcd")));
        assert!(!key(b"abcd").ct_eq(&key(b"abce")));
        assert!(!key(b"abcd").ct_eq(&key(b"bbcd")));
        assert!(!key(b"abcd").ct_eq(&key(b"abc")));
        assert!(key(b"").ct_eq(&key(b"")));
    }

    #[test]
    fn a_zeroed_secret_is_filled_in_place() {
        let mut passphrase = Passphrase::zeroed(3);
        passphrase.expose_mut().copy_from_slice(b"abc");
        assert_eq!(passphrase.expose(), b"abc");
        assert_eq!(passphrase.len(), 3);
        assert!(!passphrase.is_empty());
        assert!(Passphrase::zeroed(0).is_empty());
    }
}
