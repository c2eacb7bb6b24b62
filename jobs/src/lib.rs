//! What programs do with LUKS1, LUKS2 and plain dm-crypt images, without a terminal.

pub mod block;
pub mod data_facts;
pub mod folder;
pub mod instead;
pub mod limits;
pub mod stream_header;
pub mod temporary;
pub mod text;
