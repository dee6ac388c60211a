//! What was given on a command line, whatever its command is.

use clap::ArgMatches;

/// The innermost command of a command line, such as `add` of `heads add`, and its options.
pub(crate) fn innermost(matches: &ArgMatches) -> (&str, &ArgMatches) {
    let (mut name, mut inner) = ("", matches);
    while let Some((further_name, further)) = inner.subcommand() {
        (name, inner) = (further_name, further);
    }
    (name, inner)
}
