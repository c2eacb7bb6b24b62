use crate::common::{Place, check_all, pattern};

#[test]
fn what_qemu_img_makes_is_what_it_was_made_of() {
    let cases = [
        "cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64",
        "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256",
        "cipher-alg=aes-128,cipher-mode=ecb,ivgen-alg=plain64",
    ];
    check_all("compare with qemu-img's", &cases, |options| {
        let place = Place::new();
        place.write("key", "secret");
        place.write("raw", pattern(3 << 20));
        place.sh(&format!(
            "qemu-img convert --object secret,id=key,file=key -f raw -O luks -o key-secret=key,iter-time=10,{options} \
             raw box"
        ));
        assert_eq!(place.sh_code("luksmith compare raw box --key-file key"), 0);
        assert_eq!(place.sh_code("luksmith compare box raw --key-file key"), 0);
        // QEMU itself changes one byte of the plaintext.
        place.sh(
            "qemu-io --object secret,id=key,file=key -c 'write -P 1 2000000 512' --image-opts \
             driver=luks,key-secret=key,file.filename=box",
        );
        assert_eq!(place.sh_code("luksmith compare raw box --key-file key"), 1);
        let said = place.sh("luksmith compare raw box --key-file key || true");
        assert!(
            String::from_utf8_lossy(&said).contains("first at byte 2000000"),
            "{said:?}"
        );
        // What qemu-img reads back of it is again the same.
        place.sh(
            "qemu-img convert --object secret,id=key,file=key --image-opts \
             driver=luks,key-secret=key,file.filename=box -O raw back",
        );
        assert_eq!(place.sh_code("luksmith compare back box --key-file key"), 0);
    });
}
