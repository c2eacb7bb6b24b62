use super::{
    Tally,
    formats::{files, json, records},
    vectors,
};
use crate::common::unhex;
use digest::{Digest, FixedOutput, Mac, MacMarker, Update};
use dmcrypt::{HashAlgorithm, HashVisitor};
use hmac::KeyInit;

struct HmacOf<'a> {
    key: &'a [u8],
    message: &'a [u8],
}

impl HashVisitor for HmacOf<'_> {
    type Output = Vec<u8>;

    fn visit<D, M>(self) -> Vec<u8>
    where
        D: Clone + Digest + Send + Sync + 'static,
        M: Clone + FixedOutput + KeyInit + MacMarker + Send + Sync + Update + 'static,
    {
        let mut mac =
            <M as KeyInit>::new_from_slice(self.key).expect("HMAC takes keys of any length");
        Mac::update(&mut mac, self.message);
        mac.finalize().into_bytes().to_vec()
    }
}

#[test]
fn digests() {
    let Some(vectors) = vectors() else { return };

    let mut tally = Tally::new("botan-hashes");
    for (file, hash) in [
        ("ripemd160.vec", HashAlgorithm::Ripemd160),
        ("whirlpool.vec", HashAlgorithm::Whirlpool),
    ] {
        for record in records(&vectors.join("botan").join(file), "out") {
            let digest = hash.digest(&[&record.bytes("in")]);
            tally.check(&record.place, *digest == record.bytes("out"));
        }
    }
    tally.finish(87);

    let mut tally = Tally::new("pyca-hashes");
    let folder = vectors.join("pyca-cryptography-vectors/hashes");
    for record in records(&folder.join("ripemd160/ripevectors.txt"), "md") {
        let bits: usize = record.field("len").parse().expect("a number");
        let message = &record.bytes("msg")[..bits / 8];
        let digest = HashAlgorithm::Ripemd160.digest(&[message]);
        tally.check(&record.place, *digest == record.bytes("md"));
    }
    for (file, hash) in [
        ("blake2b.txt", HashAlgorithm::Blake2b512),
        ("blake2s.txt", HashAlgorithm::Blake2s256),
    ] {
        for record in records(&folder.join("blake2").join(file), "md") {
            let bits: usize = record.field("len").parse().expect("a number");
            let digest = hash.digest(&[&record.bytes("msg")[..bits / 8]]);
            tally.check(&record.place, *digest == record.bytes("md"));
        }
    }
    tally.finish(22);
}

#[test]
fn hmac_of_rfcs() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("rfc-hmac");
    for file in files(&vectors.join("pyca-cryptography-vectors/HMAC"), "txt") {
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let hash = name.rsplit('-').next().expect("the name of a hash");
        for record in records(&file, "md") {
            let hash = HashAlgorithm::parse_plain(hash).expect("it is built");
            let [key, message, expected] = ["key", "msg", "md"].map(|name| record.bytes(name));
            let mac = hash.visit(HmacOf {
                key: &key,
                message: &message,
            });
            // One of MD5's is given in its first 96 bits as well.
            tally.check(&record.place, mac.starts_with(&expected));
        }
    }
    tally.finish(45);
}

/// A tag may be cut off; one that is marked as invalid must not come out.
#[test]
fn hmac_of_wycheproof() {
    let Some(vectors) = vectors() else { return };
    let mut tally = Tally::new("wycheproof-hmac");
    for hash in [
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha512,
    ] {
        let file = json(&vectors.join(format!("wycheproof/hmac_{}_test.json", hash.name())));
        for group in file["testGroups"].as_array().expect("groups") {
            for test in group["tests"].as_array().expect("tests") {
                let [key, message, tag] =
                    ["key", "msg", "tag"].map(|name| unhex(test[name].as_str().expect("text")));
                let mac = hash.visit(HmacOf {
                    key: &key,
                    message: &message,
                });
                tally.check(
                    &test.to_string(),
                    mac.starts_with(&tag) == (test["result"] == "valid"),
                );
            }
        }
    }
    tally.finish(518);
}
