//! How a key is used, in words.

use jobs::key_source::{KeyFormat, Overridden};

use crate::output;

/// Says that a secret is not used as its type has it.
pub fn tell_overridden(secret: Overridden<'_>) {
    let kind = match secret.usual {
        KeyFormat::AsIs => "a passphrase",
        _ => "a key",
    };
    output::warn(format_args!(
        "{} is {kind}, which OpenStack uses {}: it is used {}, as --key-format {} says",
        secret.name,
        used(secret.usual),
        used(secret.said),
        option(secret.said)
    ));
}

/// How a key is used.
pub fn used(format: KeyFormat) -> &'static str {
    match format {
        KeyFormat::Openstack => "by its hexadecimal digits",
        KeyFormat::OpenstackMangled => "by its hexadecimal digits without the zeros before others",
        KeyFormat::Usual | KeyFormat::AsIs | KeyFormat::Auto => "as it is",
    }
}

/// What `--key-format` calls it.
pub fn option(format: KeyFormat) -> &'static str {
    match format {
        KeyFormat::Usual | KeyFormat::AsIs => "as-is",
        KeyFormat::Openstack => "openstack",
        KeyFormat::OpenstackMangled => "openstack-mangled",
        KeyFormat::Auto => "auto",
    }
}
