//! What a sample has, in numbers: what a test can count back from the file.

use super::column::{Column, Wrong};
use super::flaws::Said;
use super::person::Person;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleSummary {
    /// Rows.
    pub customers: u64,
    /// The seed they follow from.
    pub seed: u64,
    /// The day that the file is of.
    pub day: String,
    /// Rows that `batch decide` rejects: those whose id is missing or malformed.
    pub rejected: u64,
    /// Empty cells that should not be, by column.
    pub missing: BTreeMap<String, u64>,
    /// Cells that hold no value of their column, by column.
    pub malformed: BTreeMap<String, u64>,
    /// Rows whose person stands in an earlier row, too, the same in every column.
    pub same_person_again: u64,
    /// Rows whose address somebody else of the household has in an earlier row.
    pub address_shared: u64,
    /// People who want no marketing: those of the file of `--unsubscribed`.
    pub unsubscribed: u64,
    /// Rows by status of the holding.
    pub holdings: BTreeMap<String, u64>,
    /// Rows by country.
    pub countries: BTreeMap<String, u64>,
}

impl SampleSummary {
    pub(super) fn count(&mut self, person: &Person, columns: &[Column]) {
        self.customers += 1;
        for column in columns {
            let sums = match column.flaw(person) {
                None => continue,
                Some(Wrong::Missing) => &mut self.missing,
                Some(Wrong::Malformed) => &mut self.malformed,
            };
            add(sums, column.name(), 1);
        }
        self.rejected += u64::from(person.id_flaw.is_some());
        self.same_person_again += u64::from(person.is_again);
        self.address_shared += u64::from(person.shares_address);
        self.unsubscribed += u64::from(person.is_listed());
        if let Said::Value(status) = person.status {
            add(&mut self.holdings, status, 1);
        }
        if let Said::Value(country) = person.country {
            add(&mut self.countries, country, 1);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.customers += other.customers;
        self.rejected += other.rejected;
        self.same_person_again += other.same_person_again;
        self.address_shared += other.address_shared;
        self.unsubscribed += other.unsubscribed;
        for (sums, others) in [
            (&mut self.missing, &other.missing),
            (&mut self.malformed, &other.malformed),
            (&mut self.holdings, &other.holdings),
            (&mut self.countries, &other.countries),
        ] {
            others.iter().for_each(|(name, count)| add(sums, name, *count));
        }
    }
}

fn add(sums: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    match sums.get_mut(name) {
        Some(sum) => *sum += count,
        None => {
            sums.insert(name.to_owned(), count);
        }
    }
}
