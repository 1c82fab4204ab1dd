//! Any text is a rule set or a list of problems; a rule set that reads compiles or is refused, and
//! what is exported reads back as the same rules.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offergate::decision::Snapshot;
use offergate::domain::Revision;
use offergate::rules;

fuzz_target!(|text: &str| {
    let Ok(read) = rules::read(text) else { return };
    let exported = rules::export(&read);
    assert_eq!(rules::read(&exported).expect("an exported file reads"), read);
    let _ = Snapshot::compile(&read, Revision(1));
});
