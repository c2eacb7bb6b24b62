//! The program beside the tools that its images are for. They must be installed; nothing is skipped without them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

/// Disks with sectors that cannot be read, and ddrescue's tools on what is said of them.
mod bad_places;
/// `benchmark` beside cryptsetup's.
mod benchmark;
/// Every system call of every job that writes, failed one by one.
mod calls;
/// What is left of secrets in the memory of the process when it ends.
mod canary;
/// Conditions out of public reports: damaged disks, mistaken passphrases, other people's data.
mod cases;
/// Every cipher, mode and IV that the kernel has, drawn at random, and LUKS containers of other ciphers than AES.
mod ciphers;
/// Clones, read by cryptsetup, QEMU and the kernel; recovery keys, by systemd.
mod clone;
/// Running the program, other tools, and a kernel.
mod common;
/// `compare` of what qemu-img makes.
mod compare;
/// cryptsetup on files, without a kernel: LUKS headers and passphrases both ways.
mod cryptsetup;
/// cryptsetup on files, without a kernel: data of LUKS containers both ways, by its reencryption.
mod cryptsetup_data;
/// cryptsetup changing the headers that we made, and what it left unfinished.
mod cryptsetup_edits;
/// The header lock of a block device, held by us and by cryptsetup in turn.
mod device_lock;
/// Passphrases that were mistaken for others, and what the mistakes are made of.
mod explain;
/// cryptsetup's own command line, row by row beside the real one.
mod face;
/// Writes and syncs of the real process that fail or end it, and a full file system.
mod faults;
/// Headers and tokens: backed up, restored, repaired, erased, converted and changed by us and by cryptsetup in turn.
mod headers;
/// Images that others made, where the extra conformance run has them.
mod images;
/// Jobs in place, begun, killed and ended by us and by cryptsetup in turn.
mod in_place;
/// Jobs in place whose disk fails, and what they leave told.
mod in_place_faults;
/// What is mounted, mapped, swapped on or part of an array, in user-mode-linux.
mod in_use;
/// Linux's dm-crypt, in user-mode-linux: plain containers both ways, and block devices as destinations.
mod kernel;
/// Linux's dm-crypt: LUKS containers both ways, one of each version beyond 2 TiB.
mod kernel_luks;
/// Secrets that are kept elsewhere: by OpenStack's key manager, by Vault, in records.
mod key_managers;
/// Keyslots added, changed and removed by us and by cryptsetup in turn, byte range by byte range.
mod keys;
/// What a job that ends early leaves on the disk, as strace lets us see it.
mod leavings;
/// The options of LUKS containers, each with a key: one table for both directions.
mod luks_cases;
/// cryptsetup's open, close, status and resize on top of a mount: no device-mapper is needed.
mod mapper;
/// Mappings of the kernel beside cryptsetup's, in user-mode-linux: the same tables, and either closes the other's.
mod mapping;
/// The plaintext as a file: file systems, loop devices, other users, kills of the server.
mod mount;
/// nbdkit's LUKS filter, which knows LUKS1.
mod nbdkit;
/// How images are opened, as strace sees it.
mod opens;
/// What OpenStack makes by qemu-img and cryptsetup of its own words.
mod openstack;
/// Plain volumes of old clouds, found out.
mod openstack_probe;
/// Every way to hand over a passphrase, beside cryptsetup.
mod passphrases;
/// Where jobs write: names at every cut, and what devices stand on.
mod places;
/// The policy in the box, and what cryptsetup makes.
mod policy;
/// qcow2 images that are made, with LUKS inside or not, read and changed by QEMU.
mod qcow2_made;
/// Disks in qcow2 images, written in their place.
mod qcow2_served;
/// QEMU's qcow2 images, with LUKS inside or not, and what they refer to.
mod qcow2_sources;
/// QEMU's LUKS driver, which knows LUKS1.
mod qemu;
/// Links planted under the names of new files, at every moment.
mod races;
/// `serve` and `mount` beside Linux' own client, its FUSE and dm-crypt, in user-mode-linux.
mod reached_kernel;
/// What is on a disk, by images of the real programs: named, not overwritten, and the way to a header in it.
mod recognised;
/// Sealed headers: used and changed by cryptsetup, checked by a program of Python.
mod seal;
/// What Linux makes of file systems and partition tables that were encrypted with the defaults.
mod sectors;
/// `serve` beside the clients of NBD that people attach.
mod serve;
/// `serve` and `mount` over what fails, and among clients that nobody wants.
mod serve_faults;
/// `serve` by TLS.
mod serve_tls;
/// What the system does not give: random bytes, and a thread for signals.
mod system;
/// The kit of bad and good headers, judged by the others.
mod testkit;
/// `verify` of what cryptsetup makes, step by step.
mod verify;
