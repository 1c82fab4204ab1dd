//! Three-valued answers, spelled out.

use crate::domain::{Attribute, AttributeName, Reason, ReasonCode};
use std::collections::BTreeSet;

/// Yes, no, or cannot tell for want of these.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Yes,
    No,
    Unknown(BTreeSet<Reason>),
}
pub(super) use Answer::{No, Unknown, Yes};

pub(super) fn yes_if(holds: bool) -> Answer {
    if holds { Yes } else { No }
}

pub(super) fn missing(name: &'static str) -> Answer {
    let name = AttributeName::Standard(name);
    Unknown(BTreeSet::from([Reason::about(ReasonCode::AttributeMissing, name)]))
}

pub(super) fn invalid(name: &'static str) -> Answer {
    let name = AttributeName::Standard(name);
    Unknown(BTreeSet::from([Reason::about(ReasonCode::AttributeInvalid, name)]))
}

pub(super) fn ask<T>(
    attribute: Attribute<T>,
    name: &'static str,
    test: impl FnOnce(T) -> bool,
) -> Answer {
    match attribute {
        Attribute::Known(value) => yes_if(test(value)),
        Attribute::Missing => missing(name),
        Attribute::Invalid => invalid(name),
    }
}

/// No if any is no; else unknown if any is unknown, for want of all that those lack; else yes.
pub(super) fn all(answers: impl IntoIterator<Item = Answer>) -> Answer {
    let mut lacking = BTreeSet::new();
    for answer in answers {
        match answer {
            No => return No,
            Yes => {}
            Unknown(more) => lacking.extend(more),
        }
    }
    if lacking.is_empty() { Yes } else { Unknown(lacking) }
}

pub(super) fn not(answer: Answer) -> Answer {
    match answer {
        Yes => No,
        No => Yes,
        unknown => unknown,
    }
}

/// Yes if any is yes; else unknown if any is unknown; else no.
pub(super) fn any(answers: impl IntoIterator<Item = Answer>) -> Answer {
    not(all(answers.into_iter().map(not)))
}
