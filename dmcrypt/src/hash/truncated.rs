//! A hash of which only the beginning is used.

use digest::{
    FixedOutput, HashMarker, Output, OutputSizeUser, Update, array::ArraySize,
    block_api::BlockSizeUser,
};
use std::marker::PhantomData;
use zeroize::Zeroize;

/// `D`, cut off after `N` bytes.
pub struct Truncated<D, N> {
    hash: D,
    size: PhantomData<fn() -> N>,
}

impl<D: Clone, N> Clone for Truncated<D, N> {
    fn clone(&self) -> Self {
        Self {
            hash: self.hash.clone(),
            size: PhantomData,
        }
    }
}

impl<D: Default, N> Default for Truncated<D, N> {
    fn default() -> Self {
        Self {
            hash: D::default(),
            size: PhantomData,
        }
    }
}

impl<D: BlockSizeUser, N> BlockSizeUser for Truncated<D, N> {
    type BlockSize = D::BlockSize;
}

impl<D, N: ArraySize + 'static> OutputSizeUser for Truncated<D, N> {
    type OutputSize = N;
}

impl<D, N> HashMarker for Truncated<D, N> {}

impl<D: Update, N> Update for Truncated<D, N> {
    fn update(&mut self, data: &[u8]) {
        self.hash.update(data);
    }
}

impl<D: FixedOutput, N: ArraySize + 'static> FixedOutput for Truncated<D, N> {
    fn finalize_into(self, out: &mut Output<Self>) {
        let mut whole = self.hash.finalize_fixed();
        out.copy_from_slice(&whole[..N::USIZE]);
        whole.as_mut_slice().zeroize();
    }
}
