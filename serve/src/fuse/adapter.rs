//! Between the crate that speaks the kernel's protocol and what is done for a request. Nothing else knows that crate.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Config, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    SessionACL, TimeOrNow, WriteFlags,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::file::File;
use super::mounted::MountOptions;
use super::target::PLAIN;

/// The kernel asks for no more at once unless its administrator has said so.
const MAX_WRITE_BYTES: u32 = 1 << 20;
/// So many requests that nobody waits for, such as reading ahead, may be on their way at once.
const MAX_BACKGROUND: u16 = 64;
/// So long the kernel may remember what it was told of a file.
const REMEMBERED: Duration = Duration::from_secs(1);
/// The file over a folder.
const FILE: INodeNo = INodeNo(2);
const BLOCK_BYTES: u32 = 512;

/// A conversation with the kernel.
pub(super) struct Session(fuser::Session<Adapter>);

impl Session {
    /// Comes to terms with the kernel.
    pub(super) fn begin(
        device: OwnedFd,
        file: Arc<File>,
        is_folder: bool,
        options: &MountOptions,
    ) -> io::Result<Self> {
        let adapter = Adapter {
            file,
            is_folder,
            allow_other: options.allow_other,
            since: SystemTime::now(),
        };
        let mut config = Config::default();
        config.n_threads = Some(options.threads.get());
        // Who may ask is the kernel's affair: it was told when this was mounted.
        fuser::Session::from_fd(adapter, device, SessionACL::All, config).map(Self)
    }

    /// Answers until nothing is mounted any more.
    pub(super) fn run(self) -> io::Result<()> {
        self.0.run()
    }
}

struct Adapter {
    file: Arc<File>,
    is_folder: bool,
    allow_other: bool,
    since: SystemTime,
}

impl Adapter {
    fn is_file(&self, node: INodeNo) -> bool {
        node == if self.is_folder { FILE } else { INodeNo::ROOT }
    }

    fn attributes(&self, node: INodeNo) -> FileAttr {
        let is_file = self.is_file(node);
        let write = if self.file.is_read_only() { 0 } else { 0o222 };
        let all = if is_file { 0o444 | write } else { 0o555 };
        let mask = if self.allow_other { 0o777 } else { 0o700 };
        let size = if is_file { self.file.len() } else { 0 };
        // Whoever unmounts wants to know which process is to end: the number of the root says it.
        let number = match node {
            INodeNo::ROOT => INodeNo(std::process::id().into()),
            node => node,
        };
        FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(BLOCK_BYTES.into()),
            atime: self.since,
            mtime: self.since,
            ctime: self.since,
            crtime: self.since,
            kind: if is_file {
                FileType::RegularFile
            } else {
                FileType::Directory
            },
            perm: all & mask,
            nlink: if is_file { 1 } else { 2 },
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Either is as large as it may be, whatever the kernel is able to.
        let _ = config.set_max_write(MAX_WRITE_BYTES);
        let _ = config.set_max_background(MAX_BACKGROUND);
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if self.is_folder && parent == INodeNo::ROOT && name == PLAIN {
            reply.entry(&REMEMBERED, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(fuser::Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&REMEMBERED, &self.attributes(node));
    }

    /// Times are not kept, and all else stays as it is.
    fn setattr(
        &self,
        _request: &Request,
        node: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        _accessed: Option<TimeOrNow>,
        _modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _checked: Option<SystemTime>,
        _saved: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let now = self.attributes(node);
        let is_same = mode.is_none_or(|mode| mode & 0o7777 == u32::from(now.perm))
            && user.is_none_or(|user| user == now.uid)
            && group.is_none_or(|group| group == now.gid);
        let resized = match size {
            Some(size) if self.is_file(node) => self.file.set_len(size),
            Some(_) => Err(Errno::ISDIR),
            None => Ok(()),
        };
        match resized {
            Ok(()) if is_same => reply.attr(&REMEMBERED, &now),
            Ok(()) => reply.error(fuser::Errno::EPERM),
            Err(error) => reply.error(error_of(error)),
        }
    }

    fn open(&self, _request: &Request, _node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // Nothing changes it but what the kernel knows of.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut reply = Some(reply);
        let read = self.file.read(offset, size, |data| {
            if let Some(reply) = reply.take() {
                reply.data(data);
            }
        });
        if let (Err(error), Some(reply)) = (read, reply) {
            reply.error(error_of(error));
        }
    }

    fn write(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file.write(offset, data) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error_of(error)),
        }
    }

    fn flush(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.file.flush());
    }

    fn fsync(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        _only_data: bool,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.file.sync());
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        _only_data: bool,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.file.sync());
    }

    fn readdir(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, PLAIN),
        ];
        for ((node, kind, name), next) in entries.into_iter().zip(1..) {
            if next > offset && reply.add(node, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _node: INodeNo, reply: ReplyStatfs) {
        let blocks = self.file.len().div_ceil(BLOCK_BYTES.into());
        reply.statfs(blocks, 0, 0, 1, 0, BLOCK_BYTES, 255, BLOCK_BYTES);
    }

    fn fallocate(
        &self,
        _request: &Request,
        node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = if self.is_file(node) {
            self.file.allocate(mode, offset, length)
        } else {
            Err(Errno::ISDIR)
        };
        answer(reply, done);
    }

    // There is one file, and there is no other.

    fn mknod(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _mask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        reply.error(fuser::Errno::EPERM);
    }

    fn mkdir(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _mask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(fuser::Errno::EPERM);
    }

    fn create(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _mask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(fuser::Errno::EPERM);
    }

    fn unlink(&self, _request: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(fuser::Errno::EPERM);
    }

    fn rmdir(&self, _request: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(fuser::Errno::EPERM);
    }

    fn rename(
        &self,
        _request: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(fuser::Errno::EPERM);
    }
}

fn answer(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error_of(error)),
    }
}

fn error_of(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}
