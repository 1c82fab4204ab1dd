//! The `offergate` command.
fn main() {}
