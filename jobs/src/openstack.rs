//! What `OpenStack` calls things: the cipher of a volume type, the properties of an encrypted image, and what an old cloud
//! has made of a key.

pub mod cinder;
pub mod glance;
pub mod probe;
