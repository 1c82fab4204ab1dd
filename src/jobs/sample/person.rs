//! Who stands in a row: a customer of a bank who does not exist.
//!
//! Rows are dealt out in windows: a row's number leads to a *slot*, and slots that follow each other
//! make households. So the people of one household stand far apart in the file, as they do in a bank's.
//!
//! Invariants: a row follows from seed, day and its number alone; a slot belongs to one row. The same person
//! twice is the same in every column.

use super::draw::{Draw, Purpose};
use super::flaws::{Flaw, Flaws, Said, rate};
use super::words::{
    COUNTRIES, DOMAINS, FIRST_NAMES, LAST_NAMES, NO_ADDRESSES, NO_COUNTRIES, NO_DAYS, NO_SEGMENTS,
    NO_STATUSES, SEGMENTS, STATUSES, TAIL, TAIL_DOMAINS,
};
use crate::domain::{Date, Timestamp};
use jiff::ToSpan as _;
use std::fmt::Write as _;

/// Rows of a window; a power of two.
const WINDOW: u64 = 4096;

/// Leads from a place in a window to a slot, and back: odd, and its inverse.
const STRIDE: u64 = 1565;
const STRIDE_BACK: u64 = inverse(STRIDE);

/// Slots that are parted into households together.
const BLOCK: u64 = 8;

/// Where in its block the household of each of its slots begins.
const HOUSEHOLDS: [(u64, [u8; 8]); 7] = [
    (22, [0, 1, 2, 3, 4, 5, 6, 7]),
    (30, [0, 0, 2, 3, 4, 5, 6, 7]),
    (20, [0, 0, 2, 2, 4, 5, 6, 7]),
    (10, [0, 0, 0, 3, 3, 5, 6, 7]),
    (10, [0, 0, 0, 0, 4, 4, 6, 7]),
    (5, [0, 0, 2, 2, 4, 4, 6, 6]),
    (3, [0, 0, 0, 0, 0, 5, 6, 7]),
];

const YEAR: i64 = 365 * 86_400;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The id as it stands there; one that is malformed ends in a character that nobody sees.
    pub(super) id: String,
    /// What is wrong with it.
    pub(super) id_flaw: Option<Flaw>,
    pub(super) relationship: Option<&'static str>,
    pub(super) country: Said<&'static str>,
    pub(super) segment: Said<&'static str>,
    pub(super) date_of_birth: Said<Date>,
    pub(super) us_person: Option<bool>,
    pub(super) vulnerable: Option<bool>,
    pub(super) online_banking: Option<bool>,
    pub(super) status: Said<&'static str>,
    pub(super) accepted_at: Option<Timestamp>,
    pub(super) term_end: Option<Timestamp>,
    pub(super) email: Said<String>,
    pub(super) household: String,
    pub(super) name: String,
    /// Whether this person stands in an earlier row, too.
    pub(super) is_again: bool,
    /// Whether somebody else of the household has this address in an earlier row.
    pub(super) shares_address: bool,
    /// Whether this person wants no marketing.
    pub(super) is_unsubscribed: bool,
}

impl Person {
    /// Whether this row's address is listed as one that wants no marketing: each person's once.
    pub(super) fn is_listed(&self) -> bool {
        self.is_unsubscribed && !self.is_again
    }
}

/// Makes rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct People {
    pub(super) seed: u64,
    /// The day that the file is of.
    pub(super) day: Date,
    /// Its midnight, in seconds.
    pub(super) midnight: i64,
}

impl People {
    /// The row of this number, from 0.
    pub(super) fn row(&self, number: u64) -> Person {
        let slot = self.slot_of(number);
        let person = self.person_in(slot);
        let partner = if person == slot { self.copy_of(slot) } else { Some(person) };
        let is_again = partner.is_some_and(|other| self.row_of(other) < number);
        let address = self.address_holder(person);
        let shares_address = address.is_some_and(|holder| {
            // Whoever has the same address, other than this person's own rows.
            let (head, end) = self.home(person);
            (head..end)
                .filter(|other| self.person_in(*other) != person)
                .filter(|other| self.address_holder(self.person_in(*other)) == Some(holder))
                .any(|other| self.row_of(other) < number)
        });
        let mut made = self.make(person, address);
        (made.is_again, made.shares_address) = (is_again, shares_address);
        made
    }

    fn slot_of(&self, number: u64) -> u64 {
        let (window, place) = (number / WINDOW, number % WINDOW);
        let shift = Draw::of(self.seed, Purpose::Order, window).below(WINDOW);
        window * WINDOW + (place * STRIDE + shift) % WINDOW
    }

    fn row_of(&self, slot: u64) -> u64 {
        let (window, place) = (slot / WINDOW, slot % WINDOW);
        let shift = Draw::of(self.seed, Purpose::Order, window).below(WINDOW);
        window * WINDOW + (place + WINDOW - shift) % WINDOW * STRIDE_BACK % WINDOW
    }

    /// The slot in which the household of this slot begins, and the one after its last.
    fn home(&self, slot: u64) -> (u64, u64) {
        let block = slot / BLOCK * BLOCK;
        let starts = Draw::of(self.seed, Purpose::Household, block).weighted(&HOUSEHOLDS);
        let own = starts.get(usize::try_from(slot - block).unwrap_or_default());
        let own = own.copied().unwrap_or_default();
        let end = starts.iter().rposition(|start| *start == own).unwrap_or_default() as u64;
        (block + u64::from(own), block + end + 1)
    }

    fn head(&self, slot: u64) -> u64 {
        self.home(slot).0
    }

    /// Who stands in a slot: the person of the slot before, where that one stands twice.
    fn person_in(&self, slot: u64) -> u64 {
        let is_marked = |slot| Draw::of(self.seed, Purpose::Copies, slot).happens(rate::TWICE);
        let is_copy = is_marked(slot)
            && self.head(slot) != slot
            && !is_marked(slot - 1)
            && Flaws::of(self.seed, slot - 1).id.is_none();
        if is_copy { slot - 1 } else { slot }
    }

    /// The other slot of the person in this one.
    fn copy_of(&self, slot: u64) -> Option<u64> {
        let next = slot + 1;
        (!next.is_multiple_of(BLOCK) && self.person_in(next) == slot).then_some(next)
    }

    /// Whose address a person has; nobody's if it is missing or malformed.
    fn address_holder(&self, person: u64) -> Option<u64> {
        let head = self.head(person);
        let has_one = |person| Flaws::of(self.seed, person).email.is_none();
        let shares = || Draw::of(self.seed, Purpose::Mail, person).happens(rate::SHARED_EMAIL);
        match has_one(person) {
            true if head != person && has_one(head) && shares() => Some(head),
            true => Some(person),
            false => None,
        }
    }

    fn make(&self, person: u64, address: Option<u64>) -> Person {
        let flaws = Flaws::of(self.seed, person);
        let mut draw = Draw::of(self.seed, Purpose::Person, person);
        let head = self.head(person);
        let place = person - head;
        let country = Draw::of(self.seed, Purpose::Household, !head).weighted(&COUNTRIES);
        let relationship = if draw.happens(3_000) { "NEW" } else { "EXISTING" };
        let segment = draw.weighted(&SEGMENTS);
        // The third and later ones of a household are its children.
        let days = if 2 <= place {
            365 * 11 + draw.below(365 * 8)
        } else {
            365 * 18 + draw.below(365 * 45) + draw.below(365 * 32)
        };
        let born = self.day.checked_sub(i64::try_from(days).unwrap_or_default().days());
        let (us_person, vulnerable) = (draw.happens(600), draw.happens(4_000));
        let online_banking = draw.happens(82_000);
        let status = draw.weighted(&STATUSES);
        let status = Said::of(flaws.status, status, &NO_STATUSES);
        let (accepted_at, term_end) = match status {
            Said::Value(status) => self.term(person, status),
            Said::Missing | Said::Malformed(_) => (None, None),
        };
        let names = self.names(person);
        let id = number_of(person);
        Person {
            id: match flaws.id {
                None => id,
                Some(Flaw::Missing) => String::new(),
                Some(Flaw::Malformed(_)) => id + "\u{200b}",
            },
            id_flaw: flaws.id,
            relationship: (!flaws.relationship).then_some(relationship),
            country: Said::of(flaws.country, country, &NO_COUNTRIES),
            segment: Said::of(flaws.segment, segment, &NO_SEGMENTS),
            date_of_birth: Said::of(flaws.birth, born.unwrap_or(self.day), &NO_DAYS),
            us_person: (!flaws.us_person).then_some(us_person),
            vulnerable: (!flaws.vulnerable).then_some(vulnerable),
            online_banking: (!flaws.banking).then_some(online_banking),
            status,
            accepted_at,
            term_end,
            email: match address {
                Some(holder) => Said::Value(self.address(holder)),
                None => Said::of(flaws.email, String::new(), &NO_ADDRESSES),
            },
            household: format!("H{head:08}"),
            name: match draw.below(200) {
                0 | 1 => format!("{}, {}", names.1, names.0),
                2 => format!("{} \"{}\" {}", names.0, &names.1.to_lowercase(), names.1),
                _ => format!("{} {}", names.0, names.1),
            },
            is_again: false,
            shares_address: false,
            is_unsubscribed: address.is_some()
                && Draw::of(self.seed, Purpose::Consent, person).happens(rate::UNSUBSCRIBED),
        }
    }

    /// First and last name; a household mostly shares the latter.
    fn names(&self, person: u64) -> (&'static str, &'static str) {
        let mut draw = Draw::of(self.seed, Purpose::Name, person);
        let first = draw.one(&FIRST_NAMES);
        let namer = if draw.happens(80_000) { self.head(person) } else { person };
        (first, Draw::of(self.seed, Purpose::Name, !namer).one(&LAST_NAMES))
    }

    /// An address that nobody else has, at a domain that nobody has.
    fn address(&self, person: u64) -> String {
        let (first, last) = self.names(person);
        let mut address = String::with_capacity(48);
        let letters = first.chars().chain(['.']).chain(last.chars());
        address.extend(letters.filter(|it| it.is_ascii_alphabetic() || *it == '.'));
        address.make_ascii_lowercase();
        let mut draw = Draw::of(self.seed, Purpose::Mail, !person);
        // Writing to a string does not fail.
        let _ = match draw.weighted(&DOMAINS) {
            TAIL => {
                // The first of the small ones are the larger ones.
                let place = draw.below(TAIL_DOMAINS) * draw.below(TAIL_DOMAINS) / TAIL_DOMAINS;
                write!(address, ".{person}@d{place}.example")
            }
            domain => write!(address, ".{person}@{domain}"),
        };
        address
    }

    /// When a product was accepted, within ten years, and when its term ends.
    fn term(&self, person: u64, status: &str) -> (Option<Timestamp>, Option<Timestamp>) {
        let mut draw = Draw::of(self.seed, Purpose::Holding, person);
        let mut ago = |from: i64, to: i64| {
            let drawn = draw.below(u64::try_from(to - from).unwrap_or(1));
            from + i64::try_from(drawn).unwrap_or_default()
        };
        let (accepted, years) = match status {
            "ACCEPTED" => (ago(3_600, 60 * 86_400), None),
            "ACTIVE" => {
                let since = ago(3_600, 10 * YEAR);
                (since, Some(since / YEAR + 1))
            }
            "LAPSED" => {
                let since = ago(YEAR, 10 * YEAR);
                (since, Some(ago(1, since / YEAR + 1)))
            }
            "CANCELLED" => (ago(30 * 86_400, 10 * YEAR), Some(1)),
            _ => return (None, None),
        };
        let at = |seconds: i64| Timestamp::from_second(seconds).ok();
        let accepted = self.midnight - accepted;
        (at(accepted), years.and_then(|years| at(accepted + years * YEAR)))
    }
}

/// An id that does not tell how many customers there are: no two numbers share one.
pub(super) fn number_of(person: u64) -> String {
    // Ends in 7, so that it has an inverse modulo a power of ten.
    let scrambled = u128::from(person + 1) * 7_368_787_967 % 10_000_000_000;
    format!("C{scrambled:010}")
}

/// The inverse of an odd number modulo a power of two.
const fn inverse(odd: u64) -> u64 {
    let mut found = odd;
    let mut round = 0;
    while round < 6 {
        found = found.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(found)));
        round += 1;
    }
    found % WINDOW
}
