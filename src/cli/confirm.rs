//! Asks before something is changed, where there is a person to ask.
//!
//! Invariant: without a terminal nothing waits for an answer, since whoever writes a script has
//! decided already.

use super::exit::{Exit, Failure};
use std::io::{BufRead, IsTerminal, Write};

/// Asks `question` on a terminal, unless `yes` was said. `Ok` means go on.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if yes || !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(Exit::Failure, "no answer can be read").because(error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failure, "not confirmed: nothing was changed"))
    }
}
