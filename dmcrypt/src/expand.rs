//! From a key to a cipher of another crate, in pages that are locked.

use crate::{
    kernels::{
        block::BlockCipher,
        xts::{Batched, Direction, XtsKernel},
    },
    low::pages::Locked,
};
use ::cipher::KeyInit;

/// [`Cipher::expand`](crate::ciphers::Cipher::expand) of a type that takes every size of key.
///
/// # Panics
/// When it does not take this one.
pub(crate) fn expand<C: BlockCipher + KeyInit + 'static>(key: &[u8]) -> Box<dyn BlockCipher> {
    let cipher = C::new_from_slice(key).expect("the length of the key was checked");
    Box::new(Locked::new(cipher))
}

/// [`Cipher::expand_xts`](crate::ciphers::Cipher::expand_xts) of such a type.
///
/// # Panics
/// When it does not take keys of these sizes.
pub(crate) fn expand_xts<C>(data_key: &[u8], tweak_key: &[u8]) -> Box<dyn XtsKernel>
where
    C: KeyInit + 'static,
    Batched<C>: XtsKernel,
{
    Box::new(Locked::new(Batched::<C>::new(data_key, tweak_key)))
}

/// [`Cipher::expand`](crate::ciphers::Cipher::expand) of three types, for keys of 16, 24 and 32 bytes.
///
/// # Panics
/// When the key has another size.
pub(crate) fn expand_by_size<C128, C192, C256>(key: &[u8]) -> Box<dyn BlockCipher>
where
    C128: BlockCipher + KeyInit + 'static,
    C192: BlockCipher + KeyInit + 'static,
    C256: BlockCipher + KeyInit + 'static,
{
    match key.len() {
        16 => expand::<C128>(key),
        24 => expand::<C192>(key),
        32 => expand::<C256>(key),
        bytes => panic!("there is no key of {bytes} bytes"),
    }
}

/// [`Cipher::expand_xts`](crate::ciphers::Cipher::expand_xts) of such types.
///
/// # Panics
/// When the keys have another size.
pub(crate) fn expand_xts_by_size<C128, C192, C256>(
    data_key: &[u8],
    tweak_key: &[u8],
) -> Box<dyn XtsKernel>
where
    C128: KeyInit + 'static,
    C192: KeyInit + 'static,
    C256: KeyInit + 'static,
    Batched<C128>: XtsKernel,
    Batched<C192>: XtsKernel,
    Batched<C256>: XtsKernel,
{
    match data_key.len() {
        16 => expand_xts::<C128>(data_key, tweak_key),
        24 => expand_xts::<C192>(data_key, tweak_key),
        32 => expand_xts::<C256>(data_key, tweak_key),
        bytes => panic!("there is no key of {bytes} bytes"),
    }
}

/// A cipher that runs on the vectors that the processor has.
pub(crate) trait NamedCode: BlockCipher + KeyInit {
    /// The name of that code.
    fn code() -> &'static str;
}

/// [`Cipher::expand`](crate::ciphers::Cipher::expand) of such a cipher.
///
/// # Panics
/// When it does not take a key of this size.
pub(crate) fn expand_named<C: NamedCode + 'static>(key: &[u8]) -> Box<dyn BlockCipher> {
    Box::new(Locked::new(Named {
        name: C::code(),
        inner: C::new_from_slice(key).expect("the length of the key was checked"),
    }))
}

/// [`Cipher::expand_xts`](crate::ciphers::Cipher::expand_xts) of such a cipher.
///
/// # Panics
/// When it does not take keys of these sizes.
pub(crate) fn expand_xts_named<C: NamedCode + 'static>(
    data_key: &[u8],
    tweak_key: &[u8],
) -> Box<dyn XtsKernel>
where
    Batched<C>: XtsKernel,
{
    Box::new(Locked::new(Named {
        name: C::code(),
        inner: Batched::<C>::new(data_key, tweak_key),
    }))
}

/// Code under its name.
struct Named<K> {
    name: &'static str,
    inner: K,
}

impl<C: BlockCipher> BlockCipher for Named<C> {
    fn encrypt_blocks(&self, blocks: &mut [u8]) {
        self.inner.encrypt_blocks(blocks);
    }

    fn decrypt_blocks(&self, blocks: &mut [u8]) {
        self.inner.decrypt_blocks(blocks);
    }

    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]) {
        self.inner.encrypt_chains(links, chain_bytes, data);
    }

    fn kernel(&self) -> &'static str {
        self.name
    }
}

impl<K: XtsKernel> XtsKernel for Named<K> {
    fn apply(&self, direction: Direction, ivs: &mut [u8], unit_bytes: usize, data: &mut [u8]) {
        self.inner.apply(direction, ivs, unit_bytes, data);
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

/// What is locked is its keys.
impl<C: BlockCipher> BlockCipher for Locked<C> {
    fn encrypt_blocks(&self, blocks: &mut [u8]) {
        (**self).encrypt_blocks(blocks);
    }

    fn decrypt_blocks(&self, blocks: &mut [u8]) {
        (**self).decrypt_blocks(blocks);
    }

    fn decrypt_under(&self, masks: &[u8], blocks: &mut [u8]) {
        (**self).decrypt_under(masks, blocks);
    }

    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]) {
        (**self).encrypt_chains(links, chain_bytes, data);
    }

    fn kernel(&self) -> &'static str {
        (**self).kernel()
    }
}

/// What is locked is its keys.
impl<K: XtsKernel> XtsKernel for Locked<K> {
    fn apply(&self, direction: Direction, ivs: &mut [u8], unit_bytes: usize, data: &mut [u8]) {
        (**self).apply(direction, ivs, unit_bytes, data);
    }

    fn name(&self) -> &'static str {
        (**self).name()
    }
}
