//! The columns of a sample: their names, and what a person says in each.
//!
//! The fields of a request come first, so that `cut` can take them; what only a mailing reads comes last.

use super::flaws::{Flaw, Said};
use super::person::Person;
use crate::domain::{Date, Timestamp};

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    Relationship,
    Country,
    Segment,
    DateOfBirth,
    UsPerson,
    Vulnerable,
    OnlineBanking,
    Status,
    AcceptedAt,
    TermEnd,
    Email,
    Household,
    Name,
}

/// What stands in a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'p> {
    Empty,
    Text(&'p str),
    Truth(bool),
    Day(Date),
    Instant(Timestamp),
}

/// How Parquet types a column. A day is a text, since some are malformed.
#[cfg(feature = "parquet")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Truth,
    Instant,
}

impl Column {
    pub(super) const ALL: [Self; 14] = [
        Self::Id,
        Self::Relationship,
        Self::Country,
        Self::Segment,
        Self::DateOfBirth,
        Self::UsPerson,
        Self::Vulnerable,
        Self::OnlineBanking,
        Self::Status,
        Self::AcceptedAt,
        Self::TermEnd,
        Self::Email,
        Self::Household,
        Self::Name,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Relationship => "relationship",
            Self::Country => "country",
            Self::Segment => "segment",
            Self::DateOfBirth => "date_of_birth",
            Self::UsPerson => "us_person",
            Self::Vulnerable => "vulnerable",
            Self::OnlineBanking => "attributes.online_banking",
            Self::Status => "holdings.kis.status",
            Self::AcceptedAt => "holdings.kis.accepted_at",
            Self::TermEnd => "holdings.kis.term_end",
            Self::Email => "email",
            Self::Household => "household",
            Self::Name => "name",
        }
    }

    #[cfg(feature = "parquet")]
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::UsPerson | Self::Vulnerable | Self::OnlineBanking => Kind::Truth,
            Self::AcceptedAt | Self::TermEnd => Kind::Instant,
            Self::Id
            | Self::Relationship
            | Self::Country
            | Self::Segment
            | Self::DateOfBirth
            | Self::Status
            | Self::Email
            | Self::Household
            | Self::Name => Kind::Text,
        }
    }

    pub(super) fn cell(self, person: &Person) -> Cell<'_> {
        let text = |said: &Said<&'static str>| match *said {
            Said::Value(text) | Said::Malformed(text) => Cell::Text(text),
            Said::Missing => Cell::Empty,
        };
        let instant = |at: Option<Timestamp>| at.map_or(Cell::Empty, Cell::Instant);
        let truth = |said: Option<bool>| said.map_or(Cell::Empty, Cell::Truth);
        match self {
            Self::Id if person.id.is_empty() => Cell::Empty,
            Self::Id => Cell::Text(&person.id),
            Self::Relationship => person.relationship.map_or(Cell::Empty, Cell::Text),
            Self::Country => text(&person.country),
            Self::Segment => text(&person.segment),
            Self::DateOfBirth => match person.date_of_birth {
                Said::Value(day) => Cell::Day(day),
                Said::Missing => Cell::Empty,
                Said::Malformed(text) => Cell::Text(text),
            },
            Self::UsPerson => truth(person.us_person),
            Self::Vulnerable => truth(person.vulnerable),
            Self::OnlineBanking => truth(person.online_banking),
            Self::Status => text(&person.status),
            Self::AcceptedAt => instant(person.accepted_at),
            Self::TermEnd => instant(person.term_end),
            Self::Email => match &person.email {
                Said::Value(address) => Cell::Text(address),
                Said::Missing => Cell::Empty,
                Said::Malformed(text) => Cell::Text(text),
            },
            Self::Household => Cell::Text(&person.household),
            Self::Name => Cell::Text(&person.name),
        }
    }

    /// What is wrong with a cell. That a date of a holding is not there is no flaw: most have no holding.
    pub(super) fn flaw(self, person: &Person) -> Option<Wrong> {
        fn of<T>(said: &Said<T>) -> Option<Wrong> {
            match said {
                Said::Value(_) => None,
                Said::Missing => Some(Wrong::Missing),
                Said::Malformed(_) => Some(Wrong::Malformed),
            }
        }
        let none = |is_missing: bool| is_missing.then_some(Wrong::Missing);
        match self {
            Self::Id => person.id_flaw.map(|flaw| match flaw {
                Flaw::Missing => Wrong::Missing,
                Flaw::Malformed(_) => Wrong::Malformed,
            }),
            Self::Relationship => none(person.relationship.is_none()),
            Self::Country => of(&person.country),
            Self::Segment => of(&person.segment),
            Self::DateOfBirth => of(&person.date_of_birth),
            Self::UsPerson => none(person.us_person.is_none()),
            Self::Vulnerable => none(person.vulnerable.is_none()),
            Self::OnlineBanking => none(person.online_banking.is_none()),
            Self::Status => of(&person.status),
            Self::Email => of(&person.email),
            Self::AcceptedAt | Self::TermEnd | Self::Household | Self::Name => None,
        }
    }
}

/// What is wrong with a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Missing,
    Malformed,
}
