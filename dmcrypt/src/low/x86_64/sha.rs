//! Rounds of HMAC-SHA-256 whose message is the digest before, by the processor's SHA instructions, all of it in registers.
//!
//! The digest need not go through memory: its words are the first eight of the next message, whose other eight never change.
//! One lane waits for its own results most of the time, so that two take little longer than one.

use super::cpu::ShaNi;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_castps_si128, _mm_castsi128_ps, _mm_extract_epi32,
    _mm_set_epi32, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi32, _mm_shuffle_ps, _mm_xor_si128,
};

/// `K_0` to `K_63` (FIPS 180-4 4.2.2).
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Bits of a message that is a block of the key and a digest.
const MESSAGE_BITS: i32 = 8 * (64 + 32);

/// The last digest of a lane, and the XOR of all.
pub(crate) struct Lane {
    pub(crate) last: [u32; 8],
    pub(crate) sum: [u32; 8],
}

impl ShaNi {
    /// `rounds` times for each lane: the digest of the digest before behind the state `inner`, the digest of that behind
    /// `outer`, added to the sum.
    #[expect(clippy::unused_self, reason = "the token is the proof")]
    pub(crate) fn hmac_rounds<const N: usize>(
        self,
        inner: &[u32; 8],
        outer: &[u32; 8],
        lanes: &mut [Lane; N],
        rounds: u32,
    ) {
        // SAFETY: the token says that the processor has these instructions.
        unsafe { hmac_rounds(inner, outer, lanes, rounds) }
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn hmac_rounds<const N: usize>(
    inner: &[u32; 8],
    outer: &[u32; 8],
    lanes: &mut [Lane; N],
    rounds: u32,
) {
    let midstates = [State::load(inner), State::load(outer)];
    let mut last = lanes.each_ref().map(|lane| State::load(&lane.last));
    let mut sum = lanes.each_ref().map(|lane| State::load(&lane.sum));
    for _ in 0..rounds {
        for midstate in &midstates {
            last = compress(midstate, last);
        }
        for (sum, last) in sum.iter_mut().zip(&last) {
            sum.abef = _mm_xor_si128(sum.abef, last.abef);
            sum.cdgh = _mm_xor_si128(sum.cdgh, last.cdgh);
        }
    }
    for ((lane, last), sum) in lanes.iter_mut().zip(last).zip(sum) {
        lane.last = last.words();
        lane.sum = sum.words();
    }
}

/// A state of SHA-256 as the instructions want it, the first letter in the highest word.
#[derive(Clone, Copy)]
struct State {
    abef: __m128i,
    cdgh: __m128i,
}

impl State {
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn load(words: &[u32; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
        Self {
            abef: _mm_set_epi32(a, b, e, f),
            cdgh: _mm_set_epi32(c, d, g, h),
        }
    }

    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn words(self) -> [u32; 8] {
        let [abcd, efgh] = self.message();
        let words = |vector| {
            [
                _mm_extract_epi32::<0>(vector),
                _mm_extract_epi32::<1>(vector),
                _mm_extract_epi32::<2>(vector),
                _mm_extract_epi32::<3>(vector),
            ]
        };
        let [a, b, c, d] = words(abcd);
        let [e, f, g, h] = words(efgh);
        [a, b, c, d, e, f, g, h].map(i32::cast_unsigned)
    }

    /// The words in their order, the first in the lowest.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn message(self) -> [__m128i; 2] {
        let (abef, cdgh) = (_mm_castsi128_ps(self.abef), _mm_castsi128_ps(self.cdgh));
        [
            _mm_castps_si128(_mm_shuffle_ps::<0b10_11_10_11>(abef, cdgh)),
            _mm_castps_si128(_mm_shuffle_ps::<0b00_01_00_01>(abef, cdgh)),
        ]
    }
}

/// The states behind `midstate` and a message that is a digest.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress<const N: usize>(midstate: &State, digests: [State; N]) -> [State; N] {
    let padding = [
        _mm_set_epi32(0, 0, 0, i32::MIN),
        _mm_set_epi32(MESSAGE_BITS, 0, 0, 0),
    ];
    let mut states = [*midstate; N];
    let mut schedules = digests.map(|digest| {
        let [first, second] = digest.message();
        [first, second, padding[0], padding[1]]
    });
    // Written out: the schedule is to stay in registers.
    macro_rules! four_rounds {
        ($($quarter:literal)*) => {$(
            let [k0, k1, k2, k3] = [0, 1, 2, 3].map(|i| K[4 * $quarter + i].cast_signed());
            let k = _mm_set_epi32(k3, k2, k1, k0);
            for (state, w) in states.iter_mut().zip(&mut schedules) {
                let [w0, w1, w2, w3] = [0, 1, 2, 3].map(|i| w[($quarter + i) % 4]);
                let sum = _mm_add_epi32(w0, k);
                state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, sum);
                state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32::<0x0e>(sum));
                if $quarter < 12 {
                    let t = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
                    w[$quarter % 4] = _mm_sha256msg2_epu32(t, w3);
                }
            }
        )*};
    }
    four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for state in &mut states {
        state.abef = _mm_add_epi32(state.abef, midstate.abef);
        state.cdgh = _mm_add_epi32(state.cdgh, midstate.cdgh);
    }
    states
}
