//! `close NAME`: a mapping that ends.

use jobs::mapping::close::{CloseOptions, close};

use crate::args::CloseArgs;
use crate::error::Error;
use crate::output;
use crate::watch::Warner;

/// Closes.
pub fn run(args: &CloseArgs) -> Result<(), Error> {
    let options = CloseOptions {
        deferred: args.deferred,
        cancel_deferred: args.cancel_deferred,
        udev_timeout: args.udev.limit(),
        ..CloseOptions::default()
    };
    let closed = close(&args.name, &options, &Warner)?;
    if args.output.json {
        let members = serde_json::to_value(&closed).expect("an outcome is plain data");
        output::json("close", members)?;
    } else if closed.outcome == "deferred" && !args.output.batch_mode {
        output::text(&format!(
            "{} is in use, and goes when nobody uses it any more\n",
            closed.name
        ))?;
    }
    Ok(())
}
