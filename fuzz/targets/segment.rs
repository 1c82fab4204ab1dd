//! Any bytes are judged as a segment of a decision log, and called intact only if every line follows from
//! the one before.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/properties/segment.rs"]
mod segment;

fuzz_target!(|bytes: &[u8]| {
    segment::judged(bytes);
});
