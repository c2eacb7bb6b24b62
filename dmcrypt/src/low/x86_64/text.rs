//! The assembly of the kernels. `{x0}` to `{x7}` are eight vectors of data of whatever width, which pass through a round
//! side by side: that is what hides the latency of an AES instruction. Written with intrinsics the compiler puts the
//! rounds of each vector one after the other; hence text.
//!
//! A bit of the tweak never selects an address or a branch.

/// A round of all eight vectors with the key in place `$at`, and after each instruction of AES a piece of other work.
///
/// An AES instruction occupies two of the processor's ports, and leaves the others and the front end to this.
macro_rules! round {
    ($mov:literal, $aes:literal, $at:literal, $work:ident, $k:literal) => {
        concat!(
            $mov,
            " {key}, [{keys} + 64*",
            $at,
            "]\n",
            $aes,
            " {x0}, {x0}, {key}\n",
            $work!($k, 0),
            $aes,
            " {x1}, {x1}, {key}\n",
            $work!($k, 1),
            $aes,
            " {x2}, {x2}, {key}\n",
            $work!($k, 2),
            $aes,
            " {x3}, {x3}, {key}\n",
            $work!($k, 3),
            $aes,
            " {x4}, {x4}, {key}\n",
            $work!($k, 4),
            $aes,
            " {x5}, {x5}, {key}\n",
            $work!($k, 5),
            $aes,
            " {x6}, {x6}, {key}\n",
            $work!($k, 6),
            $aes,
            " {x7}, {x7}, {key}\n",
            $work!($k, 7),
        )
    };
}

/// The rounds in the middle: 9, 11 or 13 of them, for 10, 12 or 14 `{rounds}`. The first four do `$early` work, the next
/// four `$late` work.
macro_rules! rounds {
    ($mov:literal, $aes:literal, $early:ident, $late:ident) => {
        concat!(
            round!($mov, $aes, 1, $early, 0),
            round!($mov, $aes, 2, $early, 1),
            round!($mov, $aes, 3, $early, 2),
            round!($mov, $aes, 4, $early, 3),
            round!($mov, $aes, 5, $late, 4),
            round!($mov, $aes, 6, $late, 5),
            round!($mov, $aes, 7, $late, 6),
            round!($mov, $aes, 8, $late, 7),
            round!($mov, $aes, 9, nothing, 8),
            "cmp {rounds}, 12\n",
            "jb 2f\n",
            round!($mov, $aes, 10, nothing, 9),
            round!($mov, $aes, 11, nothing, 10),
            "je 2f\n",
            round!($mov, $aes, 12, nothing, 11),
            round!($mov, $aes, 13, nothing, 12),
            "2:\n",
        )
    };
}

/// No other work.
macro_rules! nothing {
    ($k:literal, $j:tt) => {
        ""
    };
}

/// Two tweaks in round `$k`, a quarter of one after each AES instruction.
macro_rules! two_tweaks {
    ($k:literal, 0) => {
        quarter!(0, 2, $k, 0)
    };
    ($k:literal, 1) => {
        quarter!(1, 2, $k, 0)
    };
    ($k:literal, 2) => {
        quarter!(2, 2, $k, 0)
    };
    ($k:literal, 3) => {
        quarter!(3, 2, $k, 0)
    };
    ($k:literal, 4) => {
        quarter!(0, 2, $k, 1)
    };
    ($k:literal, 5) => {
        quarter!(1, 2, $k, 1)
    };
    ($k:literal, 6) => {
        quarter!(2, 2, $k, 1)
    };
    ($k:literal, 7) => {
        quarter!(3, 2, $k, 1)
    };
}

/// Four tweaks in round `$k`, half of one after each AES instruction.
macro_rules! four_tweaks {
    ($k:literal, 0) => {
        concat!(quarter!(0, 4, $k, 0), quarter!(1, 4, $k, 0))
    };
    ($k:literal, 1) => {
        concat!(quarter!(2, 4, $k, 0), quarter!(3, 4, $k, 0))
    };
    ($k:literal, 2) => {
        concat!(quarter!(0, 4, $k, 1), quarter!(1, 4, $k, 1))
    };
    ($k:literal, 3) => {
        concat!(quarter!(2, 4, $k, 1), quarter!(3, 4, $k, 1))
    };
    ($k:literal, 4) => {
        concat!(quarter!(0, 4, $k, 2), quarter!(1, 4, $k, 2))
    };
    ($k:literal, 5) => {
        concat!(quarter!(2, 4, $k, 2), quarter!(3, 4, $k, 2))
    };
    ($k:literal, 6) => {
        concat!(quarter!(0, 4, $k, 3), quarter!(1, 4, $k, 3))
    };
    ($k:literal, 7) => {
        concat!(quarter!(2, 4, $k, 3), quarter!(3, 4, $k, 3))
    };
}

/// The tweak `{hi}:{lo}` goes to place `$each * $k + $i` of `{made}`, and is multiplied by x: two instructions at a time.
/// Scalar instructions, since vector ones would take their turns from AES.
macro_rules! quarter {
    (0, $each:literal, $k:literal, $i:literal) => {
        concat!(
            "mov qword ptr [{made} + 16*(",
            $each,
            "*",
            $k,
            "+",
            $i,
            ")], {lo}\n",
            "mov qword ptr [{made} + 16*(",
            $each,
            "*",
            $k,
            "+",
            $i,
            ") + 8], {hi}\n",
        )
    };
    (1, $each:literal, $k:literal, $i:literal) => {
        "mov {over}, {hi}\nsar {over}, 63\n"
    };
    (2, $each:literal, $k:literal, $i:literal) => {
        "and {over:e}, 0x87\nadd {lo}, {lo}\n"
    };
    (3, $each:literal, $k:literal, $i:literal) => {
        "adc {hi}, {hi}\nxor {lo}, {over}\n"
    };
}

/// A line for each of the eight vectors.
macro_rules! each_vector {
    ($line:ident, $($with:tt)*) => {
        concat!(
            $line!("{x0}", 0, $($with)*),
            $line!("{x1}", 1, $($with)*),
            $line!("{x2}", 2, $($with)*),
            $line!("{x3}", 3, $($with)*),
            $line!("{x4}", 4, $($with)*),
            $line!("{x5}", 5, $($with)*),
            $line!("{x6}", 6, $($with)*),
            $line!("{x7}", 7, $($with)*),
        )
    };
}

/// The next data into a vector, with its tweak and the first key.
macro_rules! begin {
    ($x:literal, $i:literal, $bytes:literal, $mov:literal, $xor:literal) => {
        concat!(
            $xor,
            " ",
            $x,
            ", {first}, [{used} + ",
            $bytes,
            "*",
            $i,
            "]\n", //
            $xor,
            " ",
            $x,
            ", ",
            $x,
            ", [{from} + ",
            $bytes,
            "*",
            $i,
            "]\n",
        )
    };
}

/// The last round of a vector, its tweak again, and to memory.
macro_rules! finish {
    ($x:literal, $i:literal, $bytes:literal, $mov:literal, $xor:literal, $last:literal) => {
        concat!(
            $last,
            " ",
            $x,
            ", ",
            $x,
            ", {last}\n", //
            $xor,
            " ",
            $x,
            ", ",
            $x,
            ", [{tweaks} + ",
            $bytes,
            "*",
            $i,
            "]\n", //
            $mov,
            " [{to} + ",
            $bytes,
            "*",
            $i,
            "], ",
            $x,
            "\n",
        )
    };
}

/// [`finish`] and [`begin`] vector by vector, so that while one leaves and its successor enters, the others have AES to do.
macro_rules! turn {
    ($x:literal, $i:literal, $bytes:literal, $mov:literal, $xor:literal, $last:literal) => {
        concat!(
            finish!($x, $i, $bytes, $mov, $xor, $last),
            begin!($x, $i, $bytes, $mov, $xor),
        )
    };
}

pub(super) use {
    begin, each_vector, finish, four_tweaks, nothing, quarter, round, rounds, turn, two_tweaks,
};
