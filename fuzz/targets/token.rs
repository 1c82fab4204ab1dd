//! No text proves who somebody is, none of it is repeated, and a place in history has one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/properties/token.rs"]
mod token;

fuzz_target!(|text: &str| {
    token::proves_nothing(text);
    token::is_a_place_in_one_spelling(text);
});
