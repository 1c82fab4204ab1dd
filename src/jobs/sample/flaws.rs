//! What is wrong with a bank's file: what is missing in it and what is malformed, in known proportion.
//!
//! Invariant: the rates are told by `--help` and the counts by the summary, and both are what the file has.

use super::draw::{Draw, Purpose};

/// How often what goes wrong, in 100,000 rows. Whoever reads the file can count it back.
pub(super) mod rate {
    pub(in super::super) const NO_ID: u64 = 50;
    pub(in super::super) const BAD_ID: u64 = 30;
    pub(in super::super) const NO_RELATIONSHIP: u64 = 200;
    pub(in super::super) const NO_COUNTRY: u64 = 400;
    pub(in super::super) const BAD_COUNTRY: u64 = 300;
    pub(in super::super) const NO_SEGMENT: u64 = 300;
    pub(in super::super) const BAD_SEGMENT: u64 = 200;
    pub(in super::super) const NO_BIRTH: u64 = 500;
    pub(in super::super) const BAD_BIRTH: u64 = 200;
    pub(in super::super) const NO_US_PERSON: u64 = 800;
    pub(in super::super) const NO_VULNERABLE: u64 = 300;
    pub(in super::super) const NO_BANKING: u64 = 400;
    pub(in super::super) const NO_STATUS: u64 = 400;
    pub(in super::super) const BAD_STATUS: u64 = 100;
    pub(in super::super) const NO_EMAIL: u64 = 1_200;
    pub(in super::super) const BAD_EMAIL: u64 = 500;
    /// Of those who could have an address of their own.
    pub(in super::super) const SHARED_EMAIL: u64 = 25_000;
    /// Of those who live with another customer.
    pub(in super::super) const TWICE: u64 = 1_000;
    pub(in super::super) const UNSUBSCRIBED: u64 = 6_000;
}

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// A value of its column.
    Value(T),
    /// Nothing.
    Missing,
    /// Something that is no value of its column.
    Malformed(&'static str),
}

impl<T> Said<T> {
    /// A value, unless something is wrong with it.
    pub(super) fn of(flaw: Option<Flaw>, value: T, malformed: &[&'static str]) -> Self {
        match flaw {
            None => Self::Value(value),
            Some(Flaw::Missing) => Self::Missing,
            Some(Flaw::Malformed(pick)) => {
                let place = usize::try_from(pick).unwrap_or_default();
                let picked = place.checked_rem(malformed.len()).and_then(|it| malformed.get(it));
                Self::Malformed(picked.copied().unwrap_or_default())
            }
        }
    }
}

/// What is wrong with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Missing,
    /// With a number that picks which.
    Malformed(u64),
}

/// What is wrong with a person's cells.
pub(super) struct Flaws {
    pub(super) id: Option<Flaw>,
    pub(super) email: Option<Flaw>,
    pub(super) relationship: bool,
    pub(super) country: Option<Flaw>,
    pub(super) segment: Option<Flaw>,
    pub(super) birth: Option<Flaw>,
    pub(super) us_person: bool,
    pub(super) vulnerable: bool,
    pub(super) banking: bool,
    pub(super) status: Option<Flaw>,
}

impl Flaws {
    pub(super) fn of(seed: u64, person: u64) -> Self {
        let mut draw = Draw::of(seed, Purpose::Flaws, person);
        let mut cell = |missing: u64, malformed: u64| {
            let drawn = draw.below(100_000);
            if drawn < missing {
                return Some(Flaw::Missing);
            }
            (drawn < missing + malformed).then_some(Flaw::Malformed(drawn))
        };
        Self {
            id: cell(rate::NO_ID, rate::BAD_ID),
            email: cell(rate::NO_EMAIL, rate::BAD_EMAIL),
            relationship: cell(rate::NO_RELATIONSHIP, 0).is_some(),
            country: cell(rate::NO_COUNTRY, rate::BAD_COUNTRY),
            segment: cell(rate::NO_SEGMENT, rate::BAD_SEGMENT),
            birth: cell(rate::NO_BIRTH, rate::BAD_BIRTH),
            us_person: cell(rate::NO_US_PERSON, 0).is_some(),
            vulnerable: cell(rate::NO_VULNERABLE, 0).is_some(),
            banking: cell(rate::NO_BANKING, 0).is_some(),
            status: cell(rate::NO_STATUS, rate::BAD_STATUS),
        }
    }
}
