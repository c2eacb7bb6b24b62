//! Disks in qcow2 images, written in their place through `serve` and `mount`, and read by QEMU.

use crate::common::{PROGRAM, Place, pattern};

const LUKS: &str = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
const SECRET: &str = "--object secret,id=s,file=pw";
/// How QEMU opens `disk`.
const DISK: &str = "driver=qcow2,file.filename=disk,encrypt.key-secret=s";
/// Writes that begin and end anywhere, by whom: what is new, what snapshots have, what was zeros.
const WRITES: &str = "-c 'write -P 1 10k 100k' -c 'write -P 2 300000 70000' -c 'write -P 3 777 1' \
                      -c 'write -P 4 511k 2k' -c 'write -z 600k 90k' -c flush -c 'write -P 5 890k 10k'";

/// `raw`, 900 KiB with a hole, and its passphrase.
fn place() -> Place {
    let place = Place::new();
    let mut raw = pattern(900 << 10);
    raw[100 << 10..400 << 10].fill(0);
    place.write("raw", raw);
    place.write("pw", "first");
    place.write("pw2", "second");
    place
}

/// Runs lines, each of which must succeed.
fn sh(place: &Place, lines: &str) {
    place.sh(&["set -e\n", lines].concat());
}

/// `disk` as a qcow2 image with LUKS inside, as qemu-img makes it, with a snapshot of it that has been left behind.
fn with_snapshot(place: &Place, options: &str) {
    sh(
        place,
        &format!(
            "qemu-img convert -q -f raw -O qcow2 {SECRET} -o {LUKS}{options} raw disk
         qemu-img snapshot {SECRET} -c one --image-opts {DISK}
         qemu-io {SECRET} -c 'write -P 9 50k 30k' --image-opts {DISK} >/dev/null
         qemu-io -f raw -c 'write -P 9 50k 30k' raw >/dev/null"
        ),
    );
}

/// `disk` is whole, and holds what `raw` does; `one` is as it was.
fn is_the_same(place: &Place) {
    sh(
        place,
        &format!(
            "qemu-img check -q {SECRET} --image-opts {DISK}
         qemu-img compare -q {SECRET} --image-opts {DISK} driver=raw,file.filename=raw
         luksmith verify --from qcow2 disk --key-file pw >/dev/null"
        ),
    );
    sh(
        place,
        &format!(
            "qemu-img convert {SECRET} -O raw -l snapshot.name=one --image-opts {DISK} kept
             cmp kept before"
        ),
    );
}

#[test]
fn what_is_written_through_serve_and_mount_qemu_reads() {
    for options in [
        "",
        ",cluster_size=4k",
        ",extended_l2=on",
        ",cluster_size=512,compat=0.10",
        ",cluster_size=2M",
    ] {
        let place = place();
        sh(&place, "cp raw before");
        with_snapshot(&place, options);
        // In the process, over NBD.
        sh(&place, &format!(
            "luksmith serve --from qcow2 disk --key-file pw --run 'qemu-io -f raw {} \"$uri\"' >/dev/null
             qemu-io -f raw {WRITES} raw >/dev/null",
            WRITES.replace('\'', "\"")
        ));
        is_the_same(&place);
        // In the background, as a file.
        sh(
            &place,
            "mkdir m; luksmith mount --from qcow2 disk m --key-file pw -q
             for f in m/plain raw; do
                 head -c 70001 raw | tr a-z A-Z >text
                 dd if=text of=$f bs=1 seek=123457 conv=notrunc status=none obs=64k
                 dd if=text of=$f bs=5000 seek=100 count=9 conv=notrunc,fsync status=none
             done
             luksmith umount m",
        );
        is_the_same(&place);
        // In the background, over NBD; what is trimmed goes, and is zeros.
        sh(
            &place,
            "luksmith serve --from qcow2 disk --key-file pw --socket s --pid-file pid --allow-discards -q
             for f in \"nbd+unix:///?socket=s\" raw; do
                 qemu-io -d unmap -f raw -c 'write -zu 64k 500k' -c 'write -P 7 200k 64k' $f >/dev/null
             done
             kill $(cat pid)
         while test -e pid; do sleep 0.1; done",
        );
        is_the_same(&place);
    }
}

#[test]
fn an_image_on_another_is_written_and_the_other_is_not() {
    let place = place();
    sh(&place, &format!(
        "qemu-img convert -q -f raw -O qcow2 --object secret,id=s,file=pw2 -o {LUKS} raw base
         qemu-img create -q -f qcow2 {SECRET} -b base -F qcow2 -o {LUKS},cluster_size=32k disk 1M 2>/dev/null
         truncate -s 1M raw; cp base before"
    ));
    sh(&place, &format!(
        "luksmith serve --from qcow2 --allow-backing disk --key-file pw --backing-key-file pw2 --socket s --pid-file pid -q
         qemu-io -f raw {WRITES} 'nbd+unix:///?socket=s' >/dev/null
         kill $(cat pid)
         while test -e pid; do sleep 0.1; done
         qemu-io -f raw {WRITES} raw >/dev/null
         cmp base before
         qemu-img check -q {SECRET} --object secret,id=t,file=pw2 --image-opts {DISK},backing.encrypt.key-secret=t
         qemu-img compare -q {SECRET} --object secret,id=t,file=pw2 --image-opts {DISK},backing.encrypt.key-secret=t \
             driver=raw,file.filename=raw"
    ));
    assert_eq!(
        place.sh_code("luksmith serve --from qcow2 disk --key-file pw --run true"),
        4
    );
}

#[test]
fn what_is_not_sound_or_kept_is_served_for_reading() {
    let place = place();
    sh(&place, "cp raw before");
    with_snapshot(&place, "");
    sh(&place, &format!(
        "qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on external 900k
         cp disk dirty; printf '\\001' | dd of=dirty bs=1 seek=79 conv=notrunc status=none
         cp raw now
         luksmith serve --from qcow2 disk --snapshot one --key-file pw --run 'qemu-img compare -q \"$uri\" before' 2>said
         grep 'served for reading only: it is a snapshot' said
         luksmith serve --from qcow2 dirty --key-file pw --run 'qemu-img compare -q \"$uri\" now' 2>said
         grep 'reading only: it is marked dirty' said
         luksmith serve --from qcow2 external --allow-backing --run 'nbdinfo \"$uri\"' 2>said | grep 'is_read_only: true'
         grep 'reading only: its clusters lie in a data file' said
         luksmith serve --from qcow2 disk --key-file pw --read-only --run 'nbdinfo --is readonly \"$uri\"'
         if luksmith serve --from qcow2 disk --key-file pw --run 'nbdinfo --is readonly \"$uri\"'; then exit 1; fi
         qemu-img compare -q {SECRET} --image-opts {DISK} driver=raw,file.filename=now"
    ));
    // Nobody else writes it meanwhile.
    assert_eq!(
        place.sh_code(&format!(
            "luksmith serve --from qcow2 disk --key-file pw --run \"qemu-io {SECRET} -c 'write 0 1' --image-opts {DISK}\""
        )),
        1
    );
}

/// The kernel mounts through our `serve` and writes, and then through qemu-nbd, and then the reverse.
#[test]
fn a_file_system_written_through_us_is_whole_through_qemu_nbd() {
    let place = Place::new();
    place.write("pw", "first");
    place.write("file", pattern(5 << 20));
    sh(
        &place,
        &format!(
            "qemu-img create -q -f qcow2 {SECRET} -o {LUKS} disk 64M
         qemu-io {SECRET} -c 'write -P 1 0 20M' --image-opts {DISK} >/dev/null
         qemu-img snapshot {SECRET} -c one --image-opts {DISK}"
        ),
    );
    let script = format!(
        "set -e\ncd '{at}'\nip link set lo up; mkdir /run/m
         ours() {{
             '{PROGRAM}' serve --from qcow2 disk --key-file pw --socket /run/s --pid-file /run/pid -q \"$@\"
             nbd-client -unix /run/s /dev/nbd0 -C 2 -b 512 >/dev/null 2>&1
         }}
         end_ours() {{
             nbd-client -d /dev/nbd0 >/dev/null
             kill $(cat /run/pid)
             while test -e /run/pid; do sleep 0.1; done
         }}
         theirs() {{
             qemu-nbd {SECRET} --image-opts {DISK} -k /run/q --fork --pid-file=/run/qpid -t
             nbd-client -unix /run/q /dev/nbd1 -b 512 >/dev/null 2>&1
         }}
         end_theirs() {{
             nbd-client -d /dev/nbd1 >/dev/null
             p=$(cat /run/qpid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.1; done
         }}
         ours --allow-discards
         mkfs.ext4 -q /dev/nbd0
         mount /dev/nbd0 /run/m
         cp file /run/m/through
         for i in 1 2 3 4 5 6 7 8; do dd if=file of=/run/m/$i bs=4k count=20 skip=$i conv=fsync status=none; done
         umount /run/m
         end_ours
         theirs
         e2fsck -fn /dev/nbd1 >/dev/null 2>&1
         mount /dev/nbd1 /run/m
         cmp file /run/m/through
         for i in 1 2 3 4 5 6 7 8; do dd if=file bs=4k count=20 skip=$i status=none | cmp - /run/m/$i; done
         cp file /run/m/second; rm /run/m/through
         umount /run/m
         end_theirs
         ours
         e2fsck -fn /dev/nbd0 >/dev/null 2>&1
         mount /dev/nbd0 /run/m
         cmp file /run/m/second
         cp file /run/m/third
         umount /run/m
         end_ours
         echo right\n",
        at = place.path("").display()
    );
    assert_eq!(place.kernel(&script, &[]), "right\n");
    sh(
        &place,
        &format!("qemu-img check -q {SECRET} --image-opts {DISK}"),
    );
}
