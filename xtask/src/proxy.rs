//! `cargo xtask proxy`: the tests of the way through nginx, with large tables and for ten minutes.

use crate::step::Steps;
use crate::tally::Count;
use crate::workspace::{Result, Workspace};
use crate::{packages, python};

/// Makes the tests large and long.
const FULL: &str = "AIRLANE_PROXY_FULL";

pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    packages::install();
    let python = python::environment(workspace)?;
    let mut command = workspace.cargo();
    command.args(["test", "--release", "--package", "airlane", "--test", "it", "--", "server::proxy", "--nocapture"]);
    command.args(["--test-threads", "1"]).env(FULL, "1").env("AIRLANE_PYTHON", python.path());
    let mut steps = Steps::default();
    steps.command("proxy", Count::CargoTest, &mut command);
    Ok(steps.finish(true))
}
