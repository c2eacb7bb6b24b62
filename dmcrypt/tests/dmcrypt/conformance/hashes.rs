use super::{
    Tally,
    formats::{files, json, records},
    vectors,
};
use crate::common::unhex;
use dmcrypt::{HashAlgorithm, HashVisitor};
use hmac::{EagerHash, Hmac, KeyInit, Mac};

struct HmacOf<'a> {
    key: &'a [u8],
    message: &'a [u8],
}

impl HashVisitor for HmacOf<'_> {
    type Output = Vec<u8>;

    fn visit<D>(self) -> Vec<u8>
    where
        D: Clone + digest::Digest + EagerHash<Core: Send + Sync> + Send + Sync + 'static,
    {
        let mut mac = Hmac::<D>::new_from_slice(self.key).expect("HMAC takes keys of any length");
        mac.update(self.message);
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
    for file in files(&folder.join("blake2"), "txt") {
        for _ in records(&file, "md") {
            tally.outside("of hashes that are not built");
        }
    }
    tally.finish(8);
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
            let Ok(hash) = HashAlgorithm::parse(hash) else {
                tally.outside("of hashes that are not built");
                continue;
            };
            let [key, message, expected] = ["key", "msg", "md"].map(|name| record.bytes(name));
            let mac = hash.visit(HmacOf {
                key: &key,
                message: &message,
            });
            tally.check(&record.place, mac == expected);
        }
    }
    tally.finish(38);
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
