//! Asks before something is changed, where there is a person to ask.
//!
//! Invariant: without a terminal on stdin nothing waits for an answer; whoever scripts a change
//! says `--yes`.

use super::exit::{Exit, Failure};
use std::io::{BufRead, IsTerminal, Write};

/// Asks `question` unless `yes` was said. `Ok` means go on.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage("there is no terminal to confirm on")
            .help("say --yes to go on without being asked"));
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
