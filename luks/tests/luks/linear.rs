use luks::{Corrupt, Error, Luks, UnlockOptions, Unsupported};

use crate::common::{self, open};
use crate::copies::{fix_checksum, good};
use crate::patches::{json_error, json_patched};

/// Two segments of one plaintext: what cryptsetup leaves half way through a reencryption, without its requirement.
#[test]
fn crypt_and_linear_segments_make_one_plaintext() {
    let whole = json_patched("\"tokens\"", "\"tokens\"").unwrap();
    let expected = common::decrypt(&whole, whole.storage().clone(), b"golden").unwrap();
    let two = "\"size\":\"8192\",\"iv_tweak\":\"0\",\"encryption\":\"aes-cbc-essiv:sha256\",\"sector_size\":4096},\
               \"1\":{\"type\":\"linear\",\"offset\":\"106496\",\"size\":\"4096\"},\
               \"2\":{\"type\":\"crypt\",\"offset\":\"110592\",\"size\":\"dynamic\",\"iv_tweak\":\"24\"";
    // The digest is bound to segment 0 alone.
    let unbound = json_error("\"size\":\"dynamic\",\"iv_tweak\":\"0\"", two);
    assert!(
        matches!(
            unbound,
            Some(Error::Corrupt(Corrupt::SegmentWithoutDigest(2)))
        ),
        "{unbound:?}"
    );

    let bound = |image: &mut Vec<u8>, from: &str, to: &str| {
        for copy in [0, 0x4000] {
            let area = &mut image[copy + 4096..copy + 0x4000];
            let end = area.iter().position(|byte| *byte == 0).unwrap();
            let text = String::from_utf8(area[..end].to_vec()).unwrap();
            let text = text
                .replacen("\"size\":\"dynamic\",\"iv_tweak\":\"0\"", two, 1)
                .replacen(from, to, 1);
            area.fill(0);
            area[..text.len()].copy_from_slice(text.as_bytes());
            fix_checksum(image, copy, 0x4000);
        }
    };
    let mut image = good();
    let other_digest = "\"digests\":{\"1\":{\"type\":\"pbkdf2\",\"keyslots\":[],\"segments\":[\"2\"],\
                        \"salt\":\"AAAA\",\"digest\":\"AAAA\",\"hash\":\"sha256\",\"iterations\":1000},";
    bound(&mut image, "\"digests\":{", other_digest);
    let (storage, luks) = open(image).unwrap();
    let allowed = |luks: &Luks| {
        let options = UnlockOptions {
            null_cipher: true,
            ..UnlockOptions::default()
        };
        let secret = common::passphrase(b"golden");
        luks.unlock(&secret, &options).unwrap()
    };
    let split = allowed(&luks).volume(storage);
    assert!(
        matches!(split, Err(Error::Unsupported(Unsupported::ManyKeys))),
        "{:?}",
        split.err()
    );

    let mut image = good();
    bound(
        &mut image,
        "\"segments\":[\"0\"]",
        "\"segments\":[\"0\",\"2\"]",
    );
    let ciphertext = image[106_496..110_592].to_vec();
    let (storage, luks) = open(image).unwrap();
    assert!(matches!(
        common::unlock(&luks, b"golden"),
        Err(Error::Linear { segment: 1 })
    ));
    let volume = allowed(&luks).volume(storage);
    let plaintext = common::plaintext(&volume.unwrap());
    assert_eq!(plaintext.len(), expected.len());
    assert!(
        plaintext[..8192] == expected[..8192],
        "the first crypt segment"
    );
    assert!(
        plaintext[8192..12288] == ciphertext,
        "the linear segment is as it lies there"
    );
    assert!(
        plaintext[12288..] == expected[12288..],
        "the second crypt segment goes on with its own IVs"
    );
}
