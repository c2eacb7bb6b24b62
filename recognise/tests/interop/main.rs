//! Against images that the real programs made, and against what libblkid says about them.

mod blkid;
mod golden;
mod images;
