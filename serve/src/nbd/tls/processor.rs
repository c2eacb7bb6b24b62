//! What computes TLS, and the processors that it is written for.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::TlsError;

/// What computes TLS, where the processor has all that it wants: it would panic otherwise.
///
/// # Errors
///
/// What the processor lacks.
pub fn computing() -> Result<Arc<CryptoProvider>, TlsError> {
    check(&wanted())?;
    provider()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "there is none on other processors"
)]
fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    Ok(Arc::new(rustls_graviola::default_provider()))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    Err(TlsError::Processor(
        "all that x86-64 and ARM64 have".to_owned(),
    ))
}

fn check(wanted: &[(&str, bool)]) -> Result<(), TlsError> {
    let lacking = wanted.iter().filter(|(_, is_there)| !is_there);
    let lacking: Vec<_> = lacking.map(|(name, _)| *name).collect();
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(TlsError::Processor(lacking.join(", ")))
    }
}

/// Instructions by name, and whether they are there.
#[cfg(target_arch = "x86_64")]
fn wanted() -> [(&'static str, bool); 8] {
    use std::arch::is_x86_feature_detected as has;
    [
        ("aes", has!("aes")),
        ("ssse3", has!("ssse3")),
        ("pclmulqdq", has!("pclmulqdq")),
        ("avx", has!("avx")),
        ("avx2", has!("avx2")),
        ("bmi1", has!("bmi1")),
        ("bmi2", has!("bmi2")),
        ("adx", has!("adx")),
    ]
}

/// Instructions by name, and whether they are there.
#[cfg(target_arch = "aarch64")]
fn wanted() -> [(&'static str, bool); 4] {
    use std::arch::is_aarch64_feature_detected as has;
    [
        ("neon", has!("neon")),
        ("aes", has!("aes")),
        ("pmull", has!("pmull")),
        ("sha2", has!("sha2")),
    ]
}

/// None of them is known here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn wanted() -> [(&'static str, bool); 0] {
    []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_processor_lacks_is_named() {
        assert!(check(&[("aes", true)]).is_ok());
        let error = check(&[("aes", true), ("adx", false), ("bmi2", false)]).unwrap_err();
        let said = "there is no TLS on this processor: it lacks adx, bmi2";
        assert_eq!(error.to_string(), said);
    }
}
