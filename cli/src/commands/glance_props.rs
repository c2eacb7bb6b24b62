//! `glance-props IMG`: what Glance is told of an encrypted image.

use jobs::inspect::InspectOptions;
use jobs::openstack::glance::{GlanceOptions, properties};

use crate::args::{GlancePropsArgs, SourceFormat};
use crate::error::Error;
use crate::output;
use crate::watch::Warner;

/// Prints it. Nothing is unlocked and nothing is written.
pub fn run(args: &GlancePropsArgs) -> Result<(), Error> {
    if args.from == Some(SourceFormat::Raw) {
        return Err(Error::Conflict {
            one: "--from raw",
            other: "glance-props: a raw image is not encrypted",
        });
    }
    let options = GlanceOptions {
        inspect: InspectOptions {
            data: args.image.data().cloned(),
            policies: (&args.image.policy.policy[..]).into(),
            allow_in_use: args.busy.read_in_use,
            ..InspectOptions::default()
        },
        is_qcow2: args.from == Some(SourceFormat::Qcow2),
        key_id: args.key_id.clone(),
        deletion: args.deletion_policy.into(),
    };
    let properties = properties(&args.image.header(), &options, &Warner)?;
    let members = serde_json::to_value(&properties).expect("properties are plain data");
    if args.output.json {
        return Ok(output::json("glance-props", members)?);
    }
    Ok(output::text(&format!("{members:#}\n"))?)
}
