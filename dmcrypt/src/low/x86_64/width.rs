//! The kernels, made of one text for each width and direction.

use super::{
    cpu::{AesNi, Vaes, Vaes512},
    schedule::Schedule,
    text::{
        begin, each_vector, finish, four_tweaks, nothing, quarter, round, rounds, turn, two_tweaks,
    },
};
use crate::kernels::{
    wipe,
    xts::{BLOCK_BYTES, Direction, double},
};
use std::{
    arch::{
        asm,
        x86_64::{
            __m128i, __m256i, __m512i, _mm_setzero_si128, _mm256_setzero_si256,
            _mm512_setzero_si512,
        },
    },
    mem::MaybeUninit,
    ptr,
};

/// XTS kernels work on pieces of a sector of this size.
pub(super) const PIECE_BYTES: usize = 512;
const PIECE_BLOCKS: usize = PIECE_BYTES / BLOCK_BYTES;
/// Vectors that pass through the rounds side by side.
const VECTORS: usize = 8;

/// Tweaks of eight pieces, of which two are alive: the one in use, and the next, which is being made meanwhile.
///
/// The place in it moves along with the place in the data, [`RING_LEAD_BYTES`] ahead modulo a page: a processor takes a
/// load for one of what was just stored when the last twelve bits of the addresses are the same, and waits.
///
/// It is not filled with zeros first: that would take as long as many a short request.
#[repr(C, align(4096))]
struct Ring([MaybeUninit<u128>; RING_BYTES / BLOCK_BYTES]);
const RING_BYTES: usize = 4096;
const RING_LEAD_BYTES: usize = 2 * PIECE_BYTES;

/// No mask, for as many bytes as pass at once with the widest vectors.
#[repr(C, align(64))]
struct Zeros([u8; PIECE_BYTES]);
static ZEROS: Zeros = Zeros([0; PIECE_BYTES]);

/// AES on vectors of one width, proven by a token to be there.
pub(crate) trait Width: Copy + Send + Sync + 'static {
    /// For people: `vaes`.
    const NAME: &'static str;
    /// Bytes that pass through the rounds side by side, a divisor of [`PIECE_BYTES`].
    const BATCH_BYTES: usize;

    /// The same token for narrow vectors.
    fn narrow(self) -> AesNi;

    /// XTS in place over units of `unit_bytes`; `seeds` holds the first tweak of each.
    ///
    /// # Panics
    /// Unless there is one tweak for each unit, at least one unit, and a unit is a whole number of [`PIECE_BYTES`].
    fn xts(
        self,
        direction: Direction,
        schedule: &Schedule,
        seeds: &[[u8; BLOCK_BYTES]],
        unit_bytes: usize,
        data: &mut [u8],
    );

    /// E(block ^ before) ^ after for each block, in place, or D likewise. A mask that is `None` is zero.
    ///
    /// # Panics
    /// Unless `data` is a whole number, at least one, of [`BATCH_BYTES`](Self::BATCH_BYTES), and the masks are as long.
    fn masked(
        self,
        direction: Direction,
        schedule: &Schedule,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
        data: &mut [u8],
    );
}

/// [`Width`] for the token `$token`: `$bytes` in a vector of the register class `$class`, of which `$zero` makes one, with
/// the instructions `$mov` and `$xor`; while four rounds pass, `$early` and then `$late` tweaks are made in each.
macro_rules! width {
    (
        $token:ident, $name:literal, $features:literal, $class:ident, $vector:ident, $zero:ident, $bytes:literal,
        $mov:literal, $xor:literal, $early:ident, $late:ident
    ) => {
        impl Width for $token {
            const NAME: &'static str = $name;
            const BATCH_BYTES: usize = VECTORS * $bytes;

            fn narrow(self) -> AesNi {
                width!(@narrow $token self)
            }

            fn xts(
                self,
                direction: Direction,
                schedule: &Schedule,
                seeds: &[[u8; BLOCK_BYTES]],
                unit_bytes: usize,
                data: &mut [u8],
            ) {
                assert!(
                    !data.is_empty()
                        && unit_bytes.is_multiple_of(PIECE_BYTES)
                        && data.len() == seeds.len() * unit_bytes,
                    "one tweak for each unit"
                );
                // SAFETY: the token says that the processor has these instructions.
                unsafe {
                    match direction {
                        Direction::Encrypt => encrypt_xts(schedule, seeds, unit_bytes, data),
                        Direction::Decrypt => decrypt_xts(schedule, seeds, unit_bytes, data),
                    }
                }

                width!(@xts encrypt_xts, "vaesenc", "vaesenclast", $features, $class, $vector, $zero, $bytes, $mov, $xor, $early, $late);
                width!(@xts decrypt_xts, "vaesdec", "vaesdeclast", $features, $class, $vector, $zero, $bytes, $mov, $xor, $early, $late);
            }

            fn masked(
                self,
                direction: Direction,
                schedule: &Schedule,
                before: Option<&[u8]>,
                after: Option<&[u8]>,
                data: &mut [u8],
            ) {
                assert!(
                    !data.is_empty()
                        && data.len().is_multiple_of(Self::BATCH_BYTES)
                        && [before, after]
                            .into_iter()
                            .flatten()
                            .all(|mask| mask.len() == data.len()),
                    "whole batches, with masks as long"
                );
                // SAFETY: the token says that the processor has these instructions.
                unsafe {
                    match direction {
                        Direction::Encrypt => encrypt_masked(schedule, before, after, data),
                        Direction::Decrypt => decrypt_masked(schedule, before, after, data),
                    }
                }

                width!(@masked encrypt_masked, "vaesenc", "vaesenclast", $features, $class, $vector, $zero, $bytes, $mov, $xor);
                width!(@masked decrypt_masked, "vaesdec", "vaesdeclast", $features, $class, $vector, $zero, $bytes, $mov, $xor);
            }
        }
    };

    (@narrow AesNi $this:ident) => { $this };
    (@narrow $token:ident $this:ident) => { $this.narrow() };

    (
        @xts $function:ident, $aes:literal, $last:literal, $features:literal, $class:ident, $vector:ident, $zero:ident,
        $bytes:literal, $mov:literal, $xor:literal, $early:ident, $late:ident
    ) => {
        #[target_feature(enable = $features)]
        fn $function(
            schedule: &Schedule,
            seeds: &[[u8; BLOCK_BYTES]],
            unit_bytes: usize,
            data: &mut [u8],
        ) {
            const BATCH_BYTES: usize = VECTORS * $bytes;
            let mut ring = Ring([const { MaybeUninit::uninit() }; RING_BYTES / BLOCK_BYTES]);
            let lead = data.as_ptr().addr() / PIECE_BYTES * PIECE_BYTES % RING_BYTES + RING_LEAD_BYTES;
            let unit_pieces = unit_bytes / PIECE_BYTES;
            let mut seeds = seeds.iter();
            let first = seeds.next().expect("there is a unit");
            let mut next = u128::from_le_bytes(*first);
            for place in &mut ring.0[lead % RING_BYTES / BLOCK_BYTES..][..PIECE_BLOCKS] {
                place.write(next);
                next = double(next);
            }
            // What was multiplied through a piece is the first tweak of the next.
            let [mut lo, mut hi] = halves(next);
            let mut pieces_left = unit_pieces;
            let ring_place = ptr::from_mut(&mut ring.0).cast::<u8>();
            let len = data.len();
            let data = data.as_mut_ptr();
            let mut x: [$vector; VECTORS] = [$zero(); VECTORS];
            // SAFETY: it is within the ring.
            let used = unsafe { ring_place.add(lead % RING_BYTES) };
            width!(@begin x, $class, $bytes, $mov, $xor, schedule, data, used);
            let mut at = 0;
            loop {
                if at % PIECE_BYTES == 0 {
                    pieces_left -= 1;
                    if pieces_left == 0 {
                        pieces_left = unit_pieces;
                        // After the last unit, tweaks that nothing uses.
                        if let Some(seed) = seeds.next() {
                            [lo, hi] = halves(u128::from_le_bytes(*seed));
                        }
                    }
                }
                // SAFETY: the tweaks of a batch, in the half of the ring that is not in use, and all keys of the schedule.
                unsafe {
                    asm!(
                        rounds!($mov, $aes, $early, $late),
                        keys = in(reg) schedule.keys(),
                        rounds = in(reg) schedule.rounds(),
                        made = in(reg) ring_place.add((lead + at + PIECE_BYTES) % RING_BYTES),
                        lo = inout(reg) lo,
                        hi = inout(reg) hi,
                        over = out(reg) _,
                        key = out($class) _,
                        x0 = inout($class) x[0],
                        x1 = inout($class) x[1],
                        x2 = inout($class) x[2],
                        x3 = inout($class) x[3],
                        x4 = inout($class) x[4],
                        x5 = inout($class) x[5],
                        x6 = inout($class) x[6],
                        x7 = inout($class) x[7],
                        options(nostack),
                    );
                }
                let next = at + BATCH_BYTES;
                // SAFETY: `at` is a multiple of a batch below the length of the data, which is a multiple too.
                let (to, tweaks) =
                    unsafe { (data.add(at), ring_place.add((lead + at) % RING_BYTES)) };
                if next == len {
                    width!(@finish x, $class, $bytes, $mov, $xor, $last, schedule, to, tweaks);
                    break;
                }
                // SAFETY: as above, for the next batch.
                let (from, used) =
                    unsafe { (data.add(next), ring_place.add((lead + next) % RING_BYTES)) };
                width!(@turn x, $class, $bytes, $mov, $xor, $last, schedule, to, tweaks, from, used);
                at = next;
            }
            wipe(&mut ring.0, MaybeUninit::zeroed());
        }
    };

    (
        @masked $function:ident, $aes:literal, $last:literal, $features:literal, $class:ident, $vector:ident, $zero:ident,
        $bytes:literal, $mov:literal, $xor:literal
    ) => {
        #[target_feature(enable = $features)]
        fn $function(
            schedule: &Schedule,
            before: Option<&[u8]>,
            after: Option<&[u8]>,
            data: &mut [u8],
        ) {
            const BATCH_BYTES: usize = VECTORS * $bytes;
            // A step of zero stays on the zeros.
            let [(before, before_step), (after, after_step)] =
                [before, after].map(|mask| match mask {
                    Some(mask) => (mask.as_ptr(), 1),
                    None => (ZEROS.0.as_ptr(), 0),
                });
            let len = data.len();
            let data = data.as_mut_ptr();
            let mut x: [$vector; VECTORS] = [$zero(); VECTORS];
            width!(@begin x, $class, $bytes, $mov, $xor, schedule, data, before);
            let mut at = 0;
            loop {
                // SAFETY: all keys of the schedule.
                unsafe {
                    asm!(
                        rounds!($mov, $aes, nothing, nothing),
                        keys = in(reg) schedule.keys(),
                        rounds = in(reg) schedule.rounds(),
                        key = out($class) _,
                        x0 = inout($class) x[0],
                        x1 = inout($class) x[1],
                        x2 = inout($class) x[2],
                        x3 = inout($class) x[3],
                        x4 = inout($class) x[4],
                        x5 = inout($class) x[5],
                        x6 = inout($class) x[6],
                        x7 = inout($class) x[7],
                        options(nostack, readonly),
                    );
                }
                let next = at + BATCH_BYTES;
                // SAFETY: `at` is a multiple of a batch below the length of the data, which is a multiple too; masks are as
                // long or stay on the zeros.
                let (to, tweaks) = unsafe { (data.add(at), after.add(at * after_step)) };
                if next == len {
                    width!(@finish x, $class, $bytes, $mov, $xor, $last, schedule, to, tweaks);
                    break;
                }
                // SAFETY: as above, for the next batch.
                let (from, used) = unsafe { (data.add(next), before.add(next * before_step)) };
                width!(@turn x, $class, $bytes, $mov, $xor, $last, schedule, to, tweaks, from, used);
                at = next;
            }
        }
    };

    (@begin $x:ident, $class:ident, $bytes:literal, $mov:literal, $xor:literal, $schedule:ident, $from:ident, $used:ident) => {
        // SAFETY: reads one batch of data and of masks, and the first key.
        unsafe {
            asm!(
                concat!($mov, " {first}, [{keys}]\n"),
                each_vector!(begin, $bytes, $mov, $xor),
                keys = in(reg) $schedule.keys(),
                used = in(reg) $used,
                from = in(reg) $from,
                first = out($class) _,
                x0 = out($class) $x[0],
                x1 = out($class) $x[1],
                x2 = out($class) $x[2],
                x3 = out($class) $x[3],
                x4 = out($class) $x[4],
                x5 = out($class) $x[5],
                x6 = out($class) $x[6],
                x7 = out($class) $x[7],
                options(nostack, preserves_flags, readonly),
            );
        }
    };

    (
        @finish $x:ident, $class:ident, $bytes:literal, $mov:literal, $xor:literal, $last:literal, $schedule:ident, $to:ident,
        $tweaks:ident
    ) => {
        // SAFETY: reads one batch of masks and the last key, writes one batch of data.
        unsafe {
            asm!(
                concat!($mov, " {last}, [{keys} + 64*14]\n"),
                each_vector!(finish, $bytes, $mov, $xor, $last),
                keys = in(reg) $schedule.keys(),
                to = in(reg) $to,
                tweaks = in(reg) $tweaks,
                last = out($class) _,
                x0 = inout($class) $x[0] => _,
                x1 = inout($class) $x[1] => _,
                x2 = inout($class) $x[2] => _,
                x3 = inout($class) $x[3] => _,
                x4 = inout($class) $x[4] => _,
                x5 = inout($class) $x[5] => _,
                x6 = inout($class) $x[6] => _,
                x7 = inout($class) $x[7] => _,
                options(nostack, preserves_flags),
            );
        }
    };

    (
        @turn $x:ident, $class:ident, $bytes:literal, $mov:literal, $xor:literal, $last:literal, $schedule:ident, $to:ident,
        $tweaks:ident, $from:ident, $used:ident
    ) => {
        // SAFETY: `finish` of one batch and `begin` of another.
        unsafe {
            asm!(
                concat!($mov, " {first}, [{keys}]\n"),
                concat!($mov, " {last}, [{keys} + 64*14]\n"),
                each_vector!(turn, $bytes, $mov, $xor, $last),
                keys = in(reg) $schedule.keys(),
                to = in(reg) $to,
                tweaks = in(reg) $tweaks,
                from = in(reg) $from,
                used = in(reg) $used,
                first = out($class) _,
                last = out($class) _,
                x0 = inout($class) $x[0],
                x1 = inout($class) $x[1],
                x2 = inout($class) $x[2],
                x3 = inout($class) $x[3],
                x4 = inout($class) $x[4],
                x5 = inout($class) $x[5],
                x6 = inout($class) $x[6],
                x7 = inout($class) $x[7],
                options(nostack, preserves_flags),
            );
        }
    };
}

width!(
    AesNi,
    "aes-ni",
    "avx,aes",
    xmm_reg,
    __m128i,
    _mm_setzero_si128,
    16, //
    "vmovdqu",
    "vpxor",
    two_tweaks,
    nothing
);
width!(
    Vaes,
    "vaes",
    "avx2,vaes",
    ymm_reg,
    __m256i,
    _mm256_setzero_si256,
    32, //
    "vmovdqu",
    "vpxor",
    two_tweaks,
    two_tweaks
);
width!(
    Vaes512,
    "vaes-avx512",
    "avx512f,vaes",
    zmm_reg,
    __m512i,
    _mm512_setzero_si512,
    64, //
    "vmovdqu64",
    "vpxorq",
    four_tweaks,
    four_tweaks
);

/// The low and the high half of a tweak.
fn halves(tweak: u128) -> [u64; 2] {
    let bytes = tweak.to_le_bytes();
    let [lo, hi] = [&bytes[..8], &bytes[8..]];
    [lo, hi].map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")))
}
