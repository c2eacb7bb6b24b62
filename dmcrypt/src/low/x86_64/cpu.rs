//! Tokens: who holds one may run instructions that not every processor has.

/// AES and VEX encoding: one block in each vector.
#[derive(Clone, Copy)]
pub(crate) struct AesNi(());

/// AES on vectors of two blocks.
#[derive(Clone, Copy)]
pub(crate) struct Vaes(());

/// AES on vectors of four blocks.
#[derive(Clone, Copy)]
pub(crate) struct Vaes512(());

/// Words in vectors of 256 bits.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Words and bytes in vectors of 512 bits.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Self(()))
    }
}

impl Avx512 {
    pub(crate) fn new() -> Option<Self> {
        Avx2::new()?;
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        has.then_some(Self(()))
    }
}

/// Arithmetic of GF(2^8) in vectors of 512 bits.
#[derive(Clone, Copy)]
pub(crate) struct Gfni512(());

impl Gfni512 {
    pub(crate) fn new() -> Option<Self> {
        Avx512::new()?;
        is_x86_feature_detected!("gfni").then_some(Self(()))
    }
}

/// The rounds and the message schedule of SHA-256.
#[derive(Clone, Copy)]
pub(crate) struct ShaNi(());

impl ShaNi {
    pub(crate) fn new() -> Option<Self> {
        (is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1")).then_some(Self(()))
    }
}

impl AesNi {
    pub(crate) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx") && is_x86_feature_detected!("aes")).then_some(Self(()))
    }
}

impl Vaes {
    pub(crate) fn new() -> Option<Self> {
        AesNi::new()?;
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("vaes")).then_some(Self(()))
    }

    /// What has wide vectors has narrow ones.
    #[expect(clippy::unused_self, reason = "the token is the proof")]
    pub(super) fn narrow(self) -> AesNi {
        AesNi(())
    }
}

impl Vaes512 {
    pub(crate) fn new() -> Option<Self> {
        Vaes::new()?;
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    /// What has wide vectors has narrow ones.
    #[expect(clippy::unused_self, reason = "the token is the proof")]
    pub(super) fn narrow(self) -> AesNi {
        AesNi(())
    }
}
