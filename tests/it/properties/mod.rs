//! What must hold of any input at all. The tests try it with what they make up, the targets in `fuzz/` with
//! whatever a fuzzer finds.

pub(crate) mod segment;
pub(crate) mod token;
