//! cryptsetup's open on top of FUSE: file systems on `/dev/mapper/NAME`, other users, programs that are killed on the way.

use std::path::Path;

use crate::common::{PROGRAM, Place, pattern};

const CHEAP: &str = "--key-file key --pbkdf-force-iterations 1000";
/// How each kind of container is made as `box`, how it is opened and decrypted, and the bytes of a sector.
const KINDS: [(&str, &str, &str, u32); 5] = [
    ("--type luks1 KEY", "", "", 512),
    ("--pbkdf pbkdf2 --sector-size 512 KEY", "", "", 512),
    ("--pbkdf pbkdf2 --sector-size 4096 KEY", "", "", 4096),
    (
        "--pbkdf pbkdf2 --sector-size 512 --header head KEY",
        "--header head",
        "--header head",
        512,
    ),
    (
        "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file key64",
        "--type plain -c aes-xts-plain64 -s 512 --key-file key64",
        "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file key64",
        512,
    ),
];

/// A container of so many MiB as `box`, and what is needed for it.
fn place(mib: u64, kind: &str) -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.write("key64", pattern(64));
    place.write("file", pattern(2 << 20));
    place.hole("raw", mib << 20);
    place.sh(&format!(
        "luksmith encrypt raw box -q --force {}; rm raw; mkdir d",
        kind.replace("KEY", CHEAP)
    ));
    place
}

/// Nothing can be attached without root.
fn is_root(place: &Place) -> bool {
    let is_root = place.sh("id -u") == b"0\n";
    if !is_root {
        println!("not tried: only root has loop devices");
    }
    is_root
}

/// A name that no other test has.
fn name(of: &str) -> String {
    format!("luksmith-test-{}-{of}", std::process::id())
}

/// A script in which `cryptsetup` opens by FUSE, `N` is the name of a mapping, which has gone when it ends, and `code` says
/// how a command ended.
fn script(name: &str, line: &str) -> String {
    format!(
        "set -e; export PATH=\"$PATH:/usr/sbin:/sbin\" LUKSMITH_MAPPER=fuse; N={name}; M=/dev/mapper/$N
         cryptsetup() {{ luksmith cryptsetup \"$@\"; }}
         code() {{ c=0; \"$@\" >out 2>err || c=$?; echo $c; }}
         end() {{ c=$?; umount d 2>/dev/null || :; cryptsetup close $N 2>/dev/null || :; exit $c; }}; trap end EXIT
         {line}"
    )
}

/// Where the key of a kind comes from, if its line does not say.
fn key_of(open: &str) -> &'static str {
    if open.contains("key64") {
        ""
    } else {
        "--key-file key"
    }
}

#[test]
fn file_systems_live_on_the_mapping_of_every_kind() {
    for (index, (kind, open, decrypt, sector)) in KINDS.into_iter().enumerate() {
        let place = place(64, kind);
        if !is_root(&place) {
            return;
        }
        let key = key_of(open);
        place.sh(&script(
            &name(&format!("kind{index}")),
            &format!(
                "cryptsetup open {open} {key} box $N
                 test $(blockdev --getss $M) = {sector}
                 test $(losetup -nO DIO $(readlink -f $M)) = 1
                 cryptsetup status $N >said; grep -q '^/dev/mapper/'$N' is active.$' said
                 grep -q '^  sector size:  {sector} .bytes.$' said; grep -q '^  mode:    read/write$' said
                 test $(sed -n 's/^  size:    //p' said | cut -d' ' -f1) = $(blockdev --getsz $M)
                 mkfs.ext4 -q -b 4096 $M; mount $M d; cp file d/file; sync; cmp file d/file
                 cryptsetup status $M >said; grep -q 'is active and is in use' said
                 test $(code cryptsetup close $N) = 5; test -b $M; cmp file d/file
                 umount d
                 dd if=$M of=head.bin bs=4096 count=16 iflag=direct status=none
                 dd if=head.bin of=$M bs=4096 oflag=direct conv=notrunc,fsync status=none
                 e2fsck -fn $M >/dev/null 2>&1
                 cryptsetup close $N
                 test ! -e $M -a ! -L $M -a ! -e /run/luksmith/$N
                 test $(code cryptsetup close $N) = 4; test $(code cryptsetup status $N) = 4
                 luksmith decrypt box back -q {decrypt} {key}; e2fsck -fn back >/dev/null 2>&1
                 debugfs -R 'dump /file out.file' back 2>/dev/null; cmp file out.file
                 cryptsetup open {open} {key} --readonly box $N
                 cryptsetup status $N | grep -q '^  mode:    readonly$'
                 test $(blockdev --getro $M) = 1; cmp $M back
                 mount -o ro,noload $M d; cmp file d/file; umount d; cryptsetup close $M"
            ),
        ));
    }
}

#[test]
fn what_somebody_has_open_stays_whole() {
    let place = place(8, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    // The device is open, and then the file below it.
    place.sh(&script(
        &name("busy"),
        "cryptsetup open --key-file key box $N
         L=$(readlink -f $M)
         exec 3<$M; test $(code cryptsetup close $N) = 5; test -b $M
         test $(readlink -f $M) = $L; cryptsetup status $N >said; dd if=$M of=/dev/null bs=1M status=none
         exec 3<&-
         exec 3</run/luksmith/$N/plain; test $(code cryptsetup close $N) = 5
         test -b $M; cryptsetup status $N >said; cmp $M /run/luksmith/$N/plain
         exec 3<&-; cryptsetup close $N",
    ));
}

/// A lock, a pipe, the folder and the descriptors that the caller has open are not the server's.
#[test]
fn the_server_keeps_nothing_of_its_caller() {
    let place = place(4, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    place.sh(&script(
        &name("caller"),
        "exec 9>lock; flock -n 9
         said=$(cryptsetup open --key-file key box $N 8>piped | cat); exec 9>&-; flock -n lock true
         P=$(stat -c %i /run/luksmith/$N/plain); test $(readlink /proc/$P/cwd) = /
         ! ls -l /proc/$P/fd | grep -e lock$ -e piped$ || exit 1
         cryptsetup close $N
         exec 7<>box; cryptsetup open --key-file key /dev/fd/7 $N; exec 7>&-; dd if=$M of=/dev/null bs=1M status=none
         cryptsetup close $N",
    ));
}

#[test]
fn nothing_is_made_over_what_is_there() {
    let place = place(4, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    place.sh(&script(
        &name("taken"),
        "mkdir -p /dev/mapper; echo mine >$M
         test $(code cryptsetup open --key-file key box $N) = 5; grep -q 'already exists' err
         grep -q mine $M; rm $M; test ! -e /run/luksmith/$N
         cryptsetup --mapper fuse open --key-file key box $N; cp box other
         test $(code cryptsetup open --key-file key other $N) = 5; test $(code cryptsetup open --key-file key box other-$N) = 5
         test ! -e /dev/mapper/other-$N; test ! -e /run/luksmith/other-$N
         test $(code cryptsetup --mapper kernel open --key-file key other $N) = 5; test -b $M
         test $(code cryptsetup --mapper nothing open --key-file key other $N) = 1
         test $(code env LUKSMITH_MAPPER=x '{}' cryptsetup open --key-file key other $N) = 1"
            .replace("{}", PROGRAM)
            .as_str(),
    ));
}

#[test]
fn of_many_that_open_a_name_one_wins() {
    let place = place(4, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    place.sh(&script(
        &name("race"),
        "for i in 1 2 3 4 5 6; do cp box box$i; done
         for i in 1 2 3 4 5 6; do (code=0; luksmith cryptsetup open --key-file key box$i $N 2>/dev/null || code=$?
         echo $code >code$i) & done; wait
         test \"$(cat code? | sort | tr -d '\\n')\" = 055555
         cryptsetup status $N >said; cryptsetup close $N",
    ));
}

/// The server, and whoever opens or closes at each of its steps, is killed: what is left is taken away.
#[test]
fn what_was_killed_is_mended() {
    let place = place(4, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    place.sh(&script(
        &name("killed"),
        "server() { stat -c %i /run/luksmith/$N/plain; }
         gone() { test ! -e $M -a ! -L $M -a ! -e /run/luksmith/$N; ! losetup -a | grep -q $N || exit 1; }
         crash() { P=$(server); kill -KILL $P; while kill -0 $P 2>/dev/null; do sleep 0.05; done; }
         cryptsetup open --key-file key box $N; crash
         test $(code cryptsetup status $N) = 4; grep -q 'was killed has left' err
         cryptsetup close $N; gone
         cryptsetup open --key-file key box $N; crash; cryptsetup open --key-file key box $N
         cp box copy; crash; mv copy box; cryptsetup open --key-file key box $N
         dd if=$M of=/dev/null bs=1M status=none; cryptsetup close $N; gone",
    ));
    // Whatever was killed, `open` opens what was not open, and `close` leaves nothing.
    for (verb, syscalls) in [
        (
            "open",
            &[
                "mkdir 1",
                "mkdir 2",
                "ioctl 1 -P /dev/loop-control",
                "symlink 1",
                "rename 1",
            ][..],
        ),
        (
            "close",
            &[
                "unlink 1",
                "unlink 2",
                "unlink 3",
                "ioctl 1",
                "umount2 1",
                "rmdir 1",
            ],
        ),
    ] {
        for syscall in syscalls {
            let (syscall, when) = syscall.split_once(' ').unwrap();
            let (when, path) = when.split_once(' ').unwrap_or((when, ""));
            let (before, words) = match verb {
                "open" => (":", "open --key-file key box"),
                _ => ("cryptsetup open --key-file key box $N", "close"),
            };
            place.sh(&script(
                &name("step"),
                &format!(
                    "{before}
                     test 137 = $(code strace -qq -o trace {path} -e trace={syscall} \
                         -e inject={syscall}:signal=KILL:when={when} '{PROGRAM}' cryptsetup {words} $N)
                     c=$(code cryptsetup open --key-file key box $N); test $c = 0 -o $c = 5
                     dd if=$M of=/dev/null bs=1M status=none
                     cryptsetup close $N; test ! -e $M -a ! -L $M -a ! -e /run/luksmith/$N
                     ! losetup -a | grep -q $N || exit 1"
                ),
            ));
        }
    }
}

/// The command lines of os-brick's encryptors, in their order, with the codes on which they act.
#[test]
fn os_bricks_command_lines_end_as_it_expects() {
    let place = Place::new();
    if !is_root(&place) {
        return;
    }
    for (kind, format) in [
        ("luks", "--type luks1"),
        (
            "luks2",
            "--type luks2 --pbkdf-force-iterations 4 --pbkdf-memory 64",
        ),
    ] {
        place.sh("rm -f vol");
        place.hole("vol", 24 << 20);
        place.sh(&script(
            &name(kind),
            &format!(
                "ln -sf $PWD/vol link; D=$(realpath link)
                 pass() {{ printf 0725230b | cryptsetup \"$@\"; }}
                 test 1 = $(code pass luksOpen --key-file=- $D $N); test 1 = $(code cryptsetup isLuks --verbose $D)
                 pass --batch-mode luksFormat {format} --key-file=- --cipher aes-xts-plain64 --key-size 256 $D
                 pass luksOpen --key-file=- $D $N; ln --symbolic --force $M link
                 test 0 = $(code cryptsetup status $N)
                 was=$(blockdev --getsize64 link); printf written | dd of=link conv=notrunc,fsync status=none
                 test 5 = $(code pass luksOpen --key-file=- $D $N)
                 truncate -s +4M $D; pass resize $PWD/link; test $(blockdev --getsize64 link) = $((was + 4194304))
                 cryptsetup luksClose $N; test 4 = $(code cryptsetup luksClose $N)
                 test 2 = $(printf wrong | code cryptsetup luksOpen --key-file=- $D $N)
                 printf 0725230b | luksmith decrypt $D back -q --force --key-file -
                 test \"$(head -c 7 back)\" = written"
            ),
        ));
    }
    place.sh(&script(
        &name("plain"),
        "printf 0725230b >pass; truncate -s 1M vol
         cryptsetup create --key-file=- --cipher aes-xts-plain64 --key-size 256 $N vol <pass 2>warned
         test -b $M; cryptsetup remove $N; test 4 = $(code cryptsetup remove $N)",
    ));
}

#[test]
fn it_grows_with_its_image_by_any_path_to_it() {
    for (index, (kind, open, _, sector)) in KINDS.into_iter().enumerate() {
        let place = place(8, kind);
        if !is_root(&place) {
            return;
        }
        let key = key_of(open);
        place.sh(&script(
            &name(&format!("size{index}")),
            &format!(
                "cryptsetup open {open} {key} box $N; ln -s $M link; K=$PWD/link
                 was=$(blockdev --getsize64 link)
                 dd if=file of=$M bs=1M conv=notrunc status=none
                 truncate -s +8M box; printf secret | cryptsetup resize $K
                 test $(blockdev --getsize64 link) = $((was + 8388608))
                 test $(stat -c %s /run/luksmith/$N/plain) = $((was + 8388608))
                 cmp -n 2097152 file $M
                 dd if=file of=$M bs=1M seek=$(((was + 6291456) / 1048576)) conv=notrunc,fsync status=none
                 cryptsetup resize --size 4096 $N; test $(blockdev --getsize64 $M) = 2097152; cmp file $M
                 test $(code cryptsetup resize --size 999999992 $N) = 1; grep -q 'is too small' err
                 test {sector} = 512 || {{ test $(code cryptsetup resize --size 4097 $N) = 1; grep -q 'not aligned' err; }}
                 test $(blockdev --getsize64 $M) = 2097152
                 cryptsetup resize $M; test $(blockdev --getsize64 $M) = $((was + 8388608))
                 cmp -n 2097152 file $M
                 cryptsetup close $K; test $(code cryptsetup resize $N) = 4"
            ),
        ));
    }
}

/// Who is not root has the file alone, in the folder that is his while he is logged in.
#[test]
fn another_user_has_a_file() {
    let place = place(4, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = folder.path();
    let path = path.display();
    place.sh(&format!(
        "set -e; chmod 755 {path}; mkdir {path}/place {path}/run; cp box key file {path}/place
         cp '{PROGRAM}' {path}/place/luksmith; chmod 755 {path}/place/luksmith; chown -R 65534 {path}/place {path}/run
         chmod 700 {path}/run; cd {path}/place; N={}
         other() {{ setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ LUKSMITH_MAPPER=fuse XDG_RUNTIME_DIR={path}/run \"$@\"; }}
         other ./luksmith cryptsetup open --key-file key box $N; P={path}/run/luksmith/$N/plain
         other dd if=file of=$P bs=1M count=1 conv=notrunc,fsync status=none
         other cmp -n 1048576 file $P; ! cat $P 2>/dev/null || exit 1
         other ./luksmith cryptsetup status $N >said; grep -q \"^  mounted: $P\" said
         ! ./luksmith cryptsetup status $N >/dev/null || exit 1
         truncate -s +1M box; was=$(other stat -c %s $P); other ./luksmith cryptsetup resize $P
         test $(other stat -c %s $P) = $((was + 1048576))
         ! other sh -c \"exec 3<$P; ./luksmith cryptsetup close $N\" 2>busy || exit 1
         grep -q 'still in use' busy; other cmp -n 1048576 file $P
         other ./luksmith cryptsetup close $N; test ! -e {path}/run/luksmith/$N
         ./luksmith decrypt box back -q --key-file key; cmp -n 1048576 file back
         mkdir {path}/run/loose; chmod 755 {path}/run/luksmith
         ! other ./luksmith cryptsetup open --key-file key box $N 2>said || exit 1; grep -q 'others may look into it' said
         ! other env -u XDG_RUNTIME_DIR ./luksmith cryptsetup open --key-file key box $N 2>said || exit 1
         grep -q XDG_RUNTIME_DIR said",
        name("user")
    ));
}

#[test]
fn every_key_opens_and_what_is_missing_is_named() {
    let place = place(8, KINDS[1].0);
    if !is_root(&place) {
        return;
    }
    place.sh(&script(
        &name("keys"),
        &format!(
            "luksmith key export -q box --key-file key --volume-key-file vk
             for how in '--volume-key-file vk' '--key-file key -S 0' '--key-file key --readonly'; do
                 cryptsetup open $how box $N; test -b $M; cryptsetup close $N; test ! -e $M
             done
             test 0 != $(code cryptsetup open --key-file key -S 1 box $N)
             gone() {{ test ! -e $M; test ! -e /run/luksmith/$N; ! grep luksmith/$N /proc/mounts; }}
             gone
             strace -f -qq -o trace -P /dev/loop-control -e inject=ioctl:error=ENOSPC \\
                 '{PROGRAM}' cryptsetup open --key-file key box $N 2>said && exit 1
             grep -c ENOSPC trace >tries; cat said; gone
             mkdir dev; cp -a /dev/null /dev/zero /dev/random /dev/urandom dev
             unshare -m sh -c \"mount --bind dev /dev; '{PROGRAM}' cryptsetup open --key-file key box $N\" 2>said && exit 1
             grep -q /dev/fuse said; gone
             unset LUKSMITH_MAPPER
             unshare -m sh -c \"mount -t tmpfs none /dev/mapper; \\
                 mknod /dev/mapper/control c 10 254; '{PROGRAM}' cryptsetup open --key-file key box $N\" 2>said && exit 1
             grep -q LUKSMITH_MAPPER=fuse said; gone"
        ),
    ));
}

/// In a kernel that has device-mapper either kind is told of and closed, whatever the variable says then.
#[test]
fn both_kinds_are_known_where_there_are_both() {
    let place = place(16, KINDS[1].0);
    place.sh("cp box other");
    let printed = place.kernel(
        &format!(
            "set -e; cd '{}'; export PATH=\"$PATH:/usr/sbin:/sbin\"
             cryptsetup() {{ '{PROGRAM}' cryptsetup \"$@\"; }}
             code() {{ c=0; \"$@\" >/run/out 2>/run/err || c=$?; echo $c; }}
             cryptsetup open --key-file key box kernel
             LUKSMITH_MAPPER=fuse cryptsetup open --key-file key other ours
             for N in kernel ours; do
                 cryptsetup status $N | head -n 1
                 LUKSMITH_MAPPER=fuse cryptsetup status $N | head -n 1
             done
             cmp /dev/mapper/kernel /dev/mapper/ours && echo the same
             cp other third
             code cryptsetup open --key-file key third ours
             LUKSMITH_MAPPER=fuse code cryptsetup open --key-file key third kernel
             cryptsetup close ours; LUKSMITH_MAPPER=fuse cryptsetup close kernel
             for N in kernel ours; do code cryptsetup status $N; test ! -e /dev/mapper/$N; done; losetup -nO NAME",
            place.path("").display()
        ),
        &[],
    );
    let said: Vec<&str> = printed.lines().collect();
    let active = |name: &str| format!("/dev/mapper/{name} is active.");
    let (kernel, ours) = (active("kernel"), active("ours"));
    let wanted = [
        &*kernel, &*kernel, &*ours, &*ours, "the same", "5", "5", "4", "4",
    ];
    assert_eq!(said, wanted);
}
