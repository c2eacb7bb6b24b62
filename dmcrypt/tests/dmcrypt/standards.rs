use crate::common::{cbc, cipher, ecb, unhex};
use dmcrypt::AesXts;

/// FIPS 197 (2001), appendix C: the example vectors of each key size.
#[test]
fn fips_197_appendix_c() {
    let plaintext = unhex("00112233445566778899aabbccddeeff");
    for (key_bytes, ciphertext) in [
        (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (32, "8ea2b7ca516745bfeafc49904b496089"),
    ] {
        let key: Vec<u8> = (0..key_bytes).collect();
        assert_eq!(hex::encode(ecb("aes", &key, true, &plaintext)), ciphertext);
        assert_eq!(ecb("aes", &key, false, &unhex(ciphertext)), plaintext);
    }
}

const SP_800_38A_PLAINTEXT: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                                    30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

/// SP 800-38A, F.2: CBC-AES128, CBC-AES192, CBC-AES256.
#[test]
fn sp_800_38a_cbc() {
    let iv = unhex("000102030405060708090a0b0c0d0e0f");
    let plaintext = unhex(SP_800_38A_PLAINTEXT);
    for (key, ciphertext) in [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
             73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        ),
        (
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
             571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
             39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ] {
        let key = unhex(key);
        assert_eq!(
            hex::encode(cbc("aes", &key, &iv, true, &plaintext)),
            ciphertext
        );
        assert_eq!(cbc("aes", &key, &iv, false, &unhex(ciphertext)), plaintext);
    }
}

/// SP 800-38A, F.1: ECB-AES128, all four blocks.
#[test]
fn sp_800_38a_ecb() {
    let key = unhex("2b7e151628aed2a6abf7158809cf4f3c");
    let plaintext = unhex(SP_800_38A_PLAINTEXT);
    let ciphertext = unhex(
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf\
         43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
    );
    assert_eq!(ecb("aes", &key, true, &plaintext), ciphertext);
    assert_eq!(ecb("aes", &key, false, &ciphertext), plaintext);
}

/// IEEE 1619-2007, annex B: vectors 1 to 3, of two blocks each.
#[test]
fn ieee_1619_short_units() {
    for (key, tweak, plaintext, ciphertext) in [
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            0_u128,
            "0000000000000000000000000000000000000000000000000000000000000000",
            "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e",
        ),
        (
            "1111111111111111111111111111111122222222222222222222222222222222",
            0x33_3333_3333,
            "4444444444444444444444444444444444444444444444444444444444444444",
            "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0",
        ),
        (
            "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f022222222222222222222222222222222",
            0x33_3333_3333,
            "4444444444444444444444444444444444444444444444444444444444444444",
            "af85336b597afc1a900b2eb21ec949d292df4c047e0b21532186a5971a227a89",
        ),
    ] {
        let xts = AesXts::new(&unhex(key)).expect("a key of AES-128-XTS");
        let mut unit = unhex(plaintext);
        xts.encrypt_unit(tweak.to_le_bytes(), &mut unit);
        assert_eq!(hex::encode(&unit), ciphertext);
        xts.decrypt_unit(tweak.to_le_bytes(), &mut unit);
        assert_eq!(hex::encode(&unit), plaintext);
    }
}

/// IEEE 1619-2007, annex B, vector 4 (AES-128, data unit 0) and vector 10 (AES-256, data unit 0xff): 512 bytes each, of
/// which the first and the last 16 stand here. A data unit is a sector, and its number a plain64 IV.
#[test]
fn ieee_1619_units_of_512_bytes_are_sectors() {
    let plaintext: Vec<u8> = (0..512).map(|at: u32| at.to_le_bytes()[0]).collect();
    for (key, sector, first, last) in [
        (
            "2718281828459045235360287471352631415926535897932384626433832795",
            0,
            "27a7479befa1d476489f308cd4cfa6e2",
            "0a282df920147beabe421ee5319d0568",
        ),
        (
            "2718281828459045235360287471352662497757247093699959574966967627\
             3141592653589793238462643383279502884197169399375105820974944592",
            0xff,
            "1c3b3a102f770386e4836c99e370cf9b",
            "c4f36ffda9fcea70b9c6e693e148c151",
        ),
    ] {
        let xts = cipher("aes-xts-plain64", &unhex(key), 512).expect("AES-XTS is built");
        let mut data = plaintext.clone();
        xts.encrypt(sector, &mut data);
        assert_eq!(hex::encode(&data[..16]), first);
        assert_eq!(hex::encode(&data[496..]), last);
        xts.decrypt(sector, &mut data);
        assert_eq!(data, plaintext);
    }
}

/// RFC 5794 (ARIA), appendix A; GB/T 32907 (SM4), appendix A.1; RFC 7801 (Kuznyechik), 5.5: no kernel at hand has these.
#[test]
fn ciphers_that_no_kernel_at_hand_has() {
    const COUNTING: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    for (cipher, key, plaintext, ciphertext) in [
        (
            "aria",
            &COUNTING[..32],
            "00112233445566778899aabbccddeeff",
            "d718fbd6ab644c739da95f3be6451778",
        ),
        (
            "aria",
            &COUNTING[..48],
            "00112233445566778899aabbccddeeff",
            "26449c1805dbe7aa25a468ce263a9e79",
        ),
        (
            "aria",
            COUNTING,
            "00112233445566778899aabbccddeeff",
            "f92bd7c79fb72e2f2b8f80c1972d24fc",
        ),
        (
            "sm4",
            "0123456789abcdeffedcba9876543210",
            "0123456789abcdeffedcba9876543210",
            "681edf34d206965e86b3e94f536e4246",
        ),
        (
            "kuznyechik",
            "8899aabbccddeeff0011223344556677fedcba98765432100123456789abcdef",
            "1122334455667700ffeeddccbbaa9988",
            "7f679d90bebc24305a468d42b9d4edcd",
        ),
    ] {
        let [key, plaintext, ciphertext] = [key, plaintext, ciphertext].map(unhex);
        assert_eq!(ecb(cipher, &key, true, &plaintext), ciphertext, "{cipher}");
        assert_eq!(ecb(cipher, &key, false, &ciphertext), plaintext, "{cipher}");
    }
}
