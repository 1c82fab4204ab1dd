//! Three-valued logic over what the caller said (R6).
//!
//! Invariant: [`Truth::Unknown`] names at least one attribute, and only attributes that could still
//! change the answer: a definite `No` of a conjunction, or `Yes` of a disjunction, drops them.

use crate::domain::{Attribute, AttributeName, Reason, ReasonCode};

/// Yes, no, or not known for want of some attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown(Gaps),
}

impl Truth {
    pub(super) fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    pub(super) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            Self::Yes => other(),
            Self::Unknown(gaps) => match other() {
                Self::No => Self::No,
                Self::Yes => Self::Unknown(gaps),
                Self::Unknown(more) => Self::Unknown(gaps.with(more)),
            },
        }
    }

    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        self.not().and(|| other().not()).not()
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            unknown @ Self::Unknown(_) => unknown,
        }
    }

    /// What `test` says of an attribute's value, or that the attribute is not there to be tested.
    pub(super) fn when<T>(
        attribute: Attribute<T>,
        name: Standard,
        test: impl FnOnce(T) -> bool,
    ) -> Self {
        match attribute {
            Attribute::Known(value) => Self::of(test(value)),
            Attribute::Missing => Self::Unknown(Gaps::missing(name)),
            Attribute::Invalid => Self::Unknown(Gaps::invalid(name)),
        }
    }
}

/// The attributes that every request can have and that a rule may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    Channel,
    Components,
    Condition,
    Country,
    DateOfBirth,
    Device,
    Holding,
    HoldingAcceptedAt,
    HoldingCoveredBy,
    HoldingStatus,
    HoldingTermEnd,
    HoldingUnitCount,
    Relationship,
    Segment,
    UsPerson,
    Vulnerable,
}

impl Standard {
    /// In the order of their names, which is the order in which reasons list them.
    const ALL: [Self; 16] = [
        Self::Channel,
        Self::Components,
        Self::Condition,
        Self::Country,
        Self::DateOfBirth,
        Self::Device,
        Self::Holding,
        Self::HoldingAcceptedAt,
        Self::HoldingCoveredBy,
        Self::HoldingStatus,
        Self::HoldingTermEnd,
        Self::HoldingUnitCount,
        Self::Relationship,
        Self::Segment,
        Self::UsPerson,
        Self::Vulnerable,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Components => "components",
            Self::Condition => "condition",
            Self::Country => "country",
            Self::DateOfBirth => "date_of_birth",
            Self::Device => "device",
            Self::Holding => "holding",
            Self::HoldingAcceptedAt => "holding.accepted_at",
            Self::HoldingCoveredBy => "holding.covered_by",
            Self::HoldingStatus => "holding.status",
            Self::HoldingTermEnd => "holding.term_end",
            Self::HoldingUnitCount => "holding.unit_count",
            Self::Relationship => "relationship",
            Self::Segment => "segment",
            Self::UsPerson => "us_person",
            Self::Vulnerable => "vulnerable",
        }
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// A set of attributes that are missing or invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gaps {
    missing: u32,
    invalid: u32,
}

impl Gaps {
    pub(super) fn missing(name: Standard) -> Self {
        Self { missing: name.bit(), invalid: 0 }
    }

    pub(super) fn invalid(name: Standard) -> Self {
        Self { missing: 0, invalid: name.bit() }
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self { missing: self.missing | other.missing, invalid: self.invalid | other.invalid }
    }

    pub(super) fn is_empty(self) -> bool {
        self.missing | self.invalid == 0
    }

    /// The gaps as reasons.
    pub(super) fn reasons(self) -> impl Iterator<Item = Reason> {
        let named = |set: u32, code| {
            Standard::ALL
                .into_iter()
                .filter(move |name| set & name.bit() != 0)
                .map(move |name| Reason::about(code, AttributeName::Standard(name.name())))
        };
        named(self.missing, ReasonCode::AttributeMissing)
            .chain(named(self.invalid, ReasonCode::AttributeInvalid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Truth = Truth::Unknown(Gaps { missing: 1, invalid: 0 });
    const B: Truth = Truth::Unknown(Gaps { missing: 0, invalid: 2 });
    const AB: Truth = Truth::Unknown(Gaps { missing: 1, invalid: 2 });

    #[test]
    fn a_definite_answer_drops_the_gaps_that_could_no_longer_change_it() {
        for (left, right, and, or) in [
            (A, B, AB, AB),
            (A, Truth::Yes, A, Truth::Yes),
            (Truth::Yes, A, A, Truth::Yes),
            (A, Truth::No, Truth::No, A),
            (Truth::No, A, Truth::No, A),
            (Truth::Yes, Truth::No, Truth::No, Truth::Yes),
        ] {
            assert_eq!(left.and(|| right), and, "{left:?} and {right:?}");
            assert_eq!(left.or(|| right), or, "{left:?} or {right:?}");
        }
    }

    #[test]
    fn standard_attributes_are_listed_in_the_order_of_their_names() {
        assert!(Standard::ALL.is_sorted_by_key(|name| name.name()));
    }
}
