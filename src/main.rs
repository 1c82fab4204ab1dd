//! The `offergate` command: parses, runs, sets the exit code. Everything else is in the library.

use std::process::ExitCode;

/// Small and steady under many short-lived requests; a build without it uses the system's.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    offergate::cli::run(std::env::args_os())
}
