//! The S-boxes, as operations on four words of which each holds one bit of every input.
//!
//! The circuits were found by a search for few operations, and most of them are few of three inputs too, which is what a
//! processor with AVX-512 makes of them. What they must be is in the tests: the tables of the submission.
#![expect(
    clippy::inline_always,
    reason = "a function must be compiled inside the one that is made for the vectors of the processor"
)]

use crate::kernels::lanes::Lanes;

#[inline(always)]
pub(super) fn s0<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x2.xor(x0);
    let t1 = x3.or(x1);
    let t2 = x2.xor(x1);
    let t3 = t2.xor(x3.or(x0));
    let t4 = x3.xor(x1.without_in(t3));
    let t5 = t4.xor(t0).without_in(t2.or(t4.not()));
    let t6 = t1.xor(x0);
    let t7 = t6.xor(t5.without_in(t3));
    let t8 = t5.xor(t0);
    let t9 = t8.xor(x1.without_in(t6));
    [t9, t5, t7, t3]
}

#[inline(always)]
pub(super) fn s1<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.and(x1.xor(x0));
    let t1 = x2.xor(x0.without_in(x1));
    let t2 = t1.xor(x3.not());
    let t3 = x1.xor(x2.without_in(x0));
    let t4 = t3.xor(t0.without_in(t2));
    let t5 = t1.xor(x0);
    let t6 = t5.xor(t4.xor(t0));
    let t7 = t1.xor(t4.or(t6.not()));
    [t7, t4, t2, t6]
}

#[inline(always)]
pub(super) fn s2<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.xor(x1);
    let t1 = t0.xor(x0.without_in(x2));
    let t2 = x0.xor(x2.or(x1));
    let t3 = t2.xor(t1.or(x1.not()));
    let t4 = x3.and(t1.or(x0));
    let t5 = t4.xor(t2.xor(x2));
    let t6 = x2.and(t1.or(x1));
    let t7 = t6.xor(t5.and(t2));
    [t1, t7, t5, t3]
}

#[inline(always)]
pub(super) fn s3<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x1.or(x0);
    let t1 = t0.xor(x3);
    let t2 = x1.xor(t1.or(x0));
    let t3 = t1.xor(t2.without_in(x2));
    let t4 = x2.xor(x1.without_in(t2));
    let t5 = t4.xor(t3.without_in(x0));
    let t6 = t3.or(t2);
    let t7 = t6.xor(t5.xor(x0));
    let t8 = t2.xor(t5.without_in(t7));
    [t8, t7, t5, t3]
}

#[inline(always)]
pub(super) fn s4<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x1.xor(x0);
    let t1 = x2.xor(x0);
    let t2 = x3.xor(x0);
    let t3 = t1.xor(t2.without_in(t0.not()));
    let t4 = t2.xor(x1.or(t3.not()));
    let t5 = x1.xor(t3.and(x0));
    let t6 = t5.xor(t2.without_in(t4));
    let t7 = t2.xor(t1.without_in(t0));
    let t8 = t7.xor(t6.without_in(t4));
    [t3, t8, t6, t4]
}

#[inline(always)]
pub(super) fn s5<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x1.xor(x0.xor(x3));
    let t1 = x2.xor(x0.without_in(x1));
    let t2 = t1.xor(t0.and(x3).not());
    let t3 = t0.xor(t2.or(x3));
    let t4 = t0.without_in(x3.or(x2));
    let t5 = t4.xor(x1.without_in(t2));
    let t6 = t1.xor(x1);
    let t7 = t6.xor(t0.without_in(t5));
    [t2, t3, t5, t7]
}

#[inline(always)]
pub(super) fn s6<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.without_in(x1);
    let t1 = x1.without_in(x0);
    let t2 = x3.and(x0);
    let t3 = t2.xor(x2.xor(x1.not()));
    let t4 = x0.xor(t0.without_in(t3));
    let t5 = x3.xor(t1.without_in(t4));
    let t6 = t4.xor(x1);
    let t7 = t6.xor(t3.without_in(t5));
    let t8 = t2.xor(x2);
    let t9 = t8.xor(t5.without_in(t6));
    [t5, t3, t7, t9]
}

#[inline(always)]
pub(super) fn s7<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x2.xor(x1);
    let t1 = x3.xor(x1.without_in(x2));
    let t2 = t0.xor(t1.without_in(x0));
    let t3 = x0.xor(x3.without_in(x1));
    let t4 = t1.xor(t3.and(t2));
    let t5 = x0.and(t0.or(x3));
    let t6 = t5.xor(t1.xor(x1));
    let t7 = x0.xor(x3.or(x2));
    let t8 = t1.xor(t2.or(t7.not()));
    [t8, t6, t4, t2]
}

#[inline(always)]
pub(super) fn inverse_s0<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.xor(x1);
    let t1 = x1.without_in(x0);
    let t2 = t0.xor(x0);
    let t3 = t1.xor(t0.xor(x2.not()));
    let t4 = t2.or(x3.without_in(t3));
    let t5 = t4.xor(x2.and(x0));
    let t6 = t1.xor(x0.without_in(x2));
    let t7 = t6.xor(x3.without_in(t4));
    let t8 = t3.xor(x3);
    let t9 = t8.xor(t7.or(t5));
    [t5, t9, t3, t7]
}

#[inline(always)]
pub(super) fn inverse_s1<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x2.xor(x0);
    let t1 = x3.and(x2);
    let t2 = x2.without_in(x1);
    let t3 = x2.xor(x1);
    let t4 = t0.xor(x1.without_in(x3));
    let t5 = x3.xor(t2.without_in(t4));
    let t6 = t3.xor(t5.without_in(t1.not()));
    let t7 = t6.or(t5);
    let t8 = t7.xor(t4.xor(x2));
    let t9 = t5.xor(t8.and(t6).not());
    [t6, t9, t8, t4]
}

#[inline(always)]
pub(super) fn inverse_s2<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.or(x1);
    let t1 = x0.xor(x2.or(x1));
    let t2 = t1.xor(x3.and(x1));
    let t3 = t2.without_in(x3).without_in(x2);
    let t4 = t3.xor(t1.and(t0));
    let t5 = x0.xor(x3.and(x2));
    let t6 = t5.xor(t4.xor(t0.not()));
    let t7 = t4.xor(x0);
    let t8 = t7.xor(t2.without_in(t6));
    [t2, t4, t6, t8]
}

#[inline(always)]
pub(super) fn inverse_s3<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x2.xor(x1);
    let t1 = x0.xor(x2.without_in(x1));
    let t2 = t0.xor(t1.or(x3));
    let t3 = x3.xor(x1.or(x0));
    let t4 = t1.xor(t3.without_in(t2));
    let t5 = t2.without_in(t0);
    let t6 = t5.xor(t4.xor(t3));
    let t7 = t1.and(x3);
    let t8 = t7.xor(t5.xor(x1));
    [t2, t6, t8, t4]
}

#[inline(always)]
pub(super) fn inverse_s4<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x2.without_in(x0);
    let t1 = x2.xor(x1.without_in(x0));
    let t2 = t1.xor(t0.or(x3));
    let t3 = x1.xor(x0);
    let t4 = t3.xor(x3.without_in(t1));
    let t5 = t2.without_in(x0);
    let t6 = t5.xor(t4.xor(x3.not()));
    let t7 = t5.xor(t1.xor(x1));
    let t8 = t7.xor(t6.or(t4));
    [t6, t2, t8, t4]
}

#[inline(always)]
pub(super) fn inverse_s5<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.xor(x0);
    let t1 = x2.xor(x3.and(x0));
    let t2 = t0.xor(t1.and(x1));
    let t3 = x2.without_in(x0);
    let t4 = t1.xor(t3.or(x1.not()));
    let t5 = t2.xor(x1);
    let t6 = t5.xor(t4.without_in(x0));
    let t7 = x0.xor(t1.or(x1));
    let t8 = t7.xor(t2.without_in(t6));
    [t2, t6, t8, t4]
}

#[inline(always)]
pub(super) fn inverse_s6<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x1.and(x0);
    let t1 = t0.xor(x2);
    let t2 = x1.xor(x0.without_in(x2));
    let t3 = t2.xor(x3.not());
    let t4 = x1.without_in(x2.xor(x0));
    let t5 = t1.xor(t4.or(t3));
    let t6 = x2.xor(x3.or(x0));
    let t7 = t6.xor(x1.without_in(t5));
    let t8 = t2.xor(x3.or(x2));
    let t9 = t8.xor(t6.xor(t5));
    [t9, t3, t7, t5]
}

#[inline(always)]
pub(super) fn inverse_s7<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let t0 = x3.or(x0);
    let t1 = t0.xor(x2);
    let t3 = x0.xor(t1.or(x3));
    let t4 = t1.xor(t3.without_in(x1.not()));
    let t5 = x1.xor(t3.and(x2));
    let t6 = t5.xor(x3.without_in(t4));
    let t7 = x3.xor(t3.without_in(t4));
    let t8 = t7.xor(t6);
    let t9 = t3.xor(t6.without_in(t7));
    [t4, t6, t8, t9]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S0 to S7 of the submission.
    const TABLES: [[u8; 16]; 8] = [
        [3, 8, 15, 1, 10, 6, 5, 11, 14, 13, 4, 2, 7, 0, 9, 12],
        [15, 12, 2, 7, 9, 0, 5, 10, 1, 11, 14, 8, 6, 13, 3, 4],
        [8, 6, 7, 9, 3, 12, 10, 15, 13, 1, 14, 4, 0, 11, 5, 2],
        [0, 15, 11, 8, 12, 9, 6, 3, 13, 1, 2, 4, 10, 7, 5, 14],
        [1, 15, 8, 3, 12, 0, 11, 6, 2, 5, 4, 10, 9, 14, 7, 13],
        [15, 5, 2, 11, 4, 10, 9, 12, 0, 3, 14, 8, 13, 6, 7, 1],
        [7, 2, 12, 5, 8, 4, 6, 11, 14, 9, 1, 15, 13, 3, 10, 0],
        [1, 13, 15, 0, 14, 8, 2, 11, 7, 4, 12, 10, 9, 3, 5, 6],
    ];

    fn of_word(sbox: fn([u32; 4]) -> [u32; 4], input: u8) -> u8 {
        let output = sbox([0, 1, 2, 3].map(|bit| u32::from(input >> bit & 1)));
        (0..4).fold(0, |word, bit| word | u8::from(output[bit] & 1 == 1) << bit)
    }

    #[test]
    fn circuits_are_the_tables() {
        let forth: [fn([u32; 4]) -> [u32; 4]; 8] = [s0, s1, s2, s3, s4, s5, s6, s7];
        let back: [fn([u32; 4]) -> [u32; 4]; 8] = [
            inverse_s0, inverse_s1, inverse_s2, inverse_s3, inverse_s4, inverse_s5, inverse_s6,
            inverse_s7,
        ];
        for ((table, forth), back) in TABLES.iter().zip(forth).zip(back) {
            for (input, &output) in (0..16).zip(table) {
                assert_eq!(of_word(forth, input), output);
                assert_eq!(of_word(back, output), input);
            }
        }
    }
}
