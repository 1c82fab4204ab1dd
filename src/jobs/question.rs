//! What a job asks of every row, and how one row is answered.
//!
//! Pure: equal question and row give equal answers.

use super::answer::Answer;
use super::encode::Verdict;
use super::field::Field;
use super::format::Format;
use super::mapping::Mapping;
use super::memo::Column;
use super::row::{Cell, Row};
use super::shard::Shard;
use crate::decision::{Alike, Snapshot, decide};
use crate::domain::{Action, Attribute, CheckRequest, Timestamp};

/// What is asked of every row.
pub(super) struct Question<'q> {
    pub(super) snapshot: &'q Snapshot,
    /// Which customers its rules cannot tell apart.
    pub(super) alike: Alike,
    /// The product of each offer; nothing for an offer that the rules do not know.
    pub(super) products: Vec<Option<&'q str>>,
    /// Whether `holding` can only mean one product.
    pub(super) is_of_one_product: bool,
    pub(super) as_of: Timestamp,
    pub(super) as_of_text: String,
    pub(super) action: Action,
    pub(super) offers: &'q [String],
    pub(super) mapping: &'q Mapping,
    pub(super) shard: Shard,
    pub(super) output: Format,
    /// The input's columns.
    pub(super) columns: &'q [String],
    /// Whether all rows are given the answer of the first: for comparison.
    pub(super) is_copy: bool,
}

impl Question<'_> {
    /// The places of the columns that the output carries.
    pub(super) fn carried(&self) -> Vec<usize> {
        let kept =
            |(place, column): (usize, &String)| (!self.mapping.gives_way(column)).then_some(place);
        self.columns.iter().enumerate().filter_map(kept).collect()
    }

    /// The columns that are read, of a file whose every row has the same.
    pub(super) fn read(&self) -> Vec<Column<'_>> {
        let columns = self.columns.iter().enumerate().filter_map(|(place, column)| {
            let field = Field::of(self.mapping.name(column)?).ok().flatten()?;
            Some(Column::new(place, field, &self.alike))
        });
        columns.collect()
    }

    /// Decides one row for all offers.
    pub(super) fn answer(&self, mut row: Row<'_>) -> Result<Answer, String> {
        let given = row.customer.holding;
        if given != Attribute::Missing && !self.is_of_one_product {
            return Err("gives `holding`, and the offers are of several products".to_owned());
        }
        let mut verdicts = Vec::with_capacity(self.offers.len());
        for (offer, product) in self.offers.iter().zip(&self.products) {
            row.customer.holding = match (given, product) {
                (Attribute::Missing, Some(product)) => {
                    let listed = row.customer.holding_of(product).copied();
                    listed.map_or(Attribute::Missing, Attribute::Known)
                }
                (given, _) => given,
            };
            let request = CheckRequest {
                customer: row.customer.shorter(),
                offer,
                action: self.action,
                channel: row.channel,
                device: row.device,
            };
            let decision = decide(&request, self.snapshot, self.as_of);
            verdicts.push(Verdict::of(offer, &decision, &self.as_of_text));
        }
        Ok(Answer::of(verdicts, self.output))
    }
}

/// Reads a row, with what the mapping says of every row.
pub(super) fn row<'r>(
    given: impl Iterator<Item = (&'r str, &'r Cell<'r>)>,
    constants: &'r [(&'r str, Cell<'r>)],
) -> Result<Row<'r>, String> {
    let mut row = Row::default();
    for (name, cell) in given.chain(constants.iter().map(|(name, cell)| (*name, cell))) {
        if let Some(field) = Field::of(name).map_err(|error| error.to_string())? {
            row.set(field, cell)?;
        }
    }
    row.finish()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::HoldingStatus;
    use crate::jobs::json::Members;

    /// The status of a product's holding in a row of JSON lines, or why the row is no request.
    fn status(row_text: &str, mapping: &str) -> Result<Attribute<HoldingStatus>, String> {
        let mapping = Mapping::read(mapping).unwrap();
        let constants = mapping.constants();
        let members = Members::read(row_text.as_bytes())?;
        let flat = members.flat()?;
        let named = flat.iter().filter_map(|(name, cell)| Some((mapping.name(name)?, cell)));
        let row = row(named, &constants)?;
        let status = |given: &crate::domain::Holding<'_>| given.status;
        let of_product = row.customer.holdings.iter().find(|(product, _)| *product == "kis");
        Ok(of_product.map_or(Attribute::Missing, |(_, holding)| status(holding)))
    }

    #[test]
    fn no_constant_and_no_second_spelling_overrides_what_a_row_says_of_a_product() {
        let constant = "constants: {holdings.kis.status: NONE}";
        let column = "columns: {other: holdings.kis.status}";
        for (row, mapping) in [
            (r#"{"id":"c","holdings":{"kis":{"status":"ACTIVE"}}}"#, constant),
            (r#"{"id":"c","holdings.kis":null}"#, constant),
            (r#"{"id":"c","other":"NONE","holdings":{"kis":{"status":"ACTIVE"}}}"#, column),
            (r#"{"id":"c","holdings.kis":null,"holdings.kis.status":"NONE"}"#, "{}"),
            (r#"{"id":"c","holdings.kis.status":"NONE","holdings.kis":"ACTIVE"}"#, "{}"),
            (r#"{"id":"c","holding":"ACTIVE","holding.status":"NONE"}"#, "{}"),
            (r#"{"id":"c","holding.status":"NONE","holding":"ACTIVE"}"#, "{}"),
        ] {
            let refused = status(row, mapping).unwrap_err();
            assert!(refused.ends_with("is given twice"), "{row}: {refused}");
        }
    }

    #[test]
    fn what_is_said_once_is_read_wherever_it_is_said() {
        let constant = "constants: {holdings.kis.status: ACTIVE}";
        let active = Ok(Attribute::Known(HoldingStatus::Active));
        for (row, mapping) in [
            (r#"{"id":"c"}"#, constant),
            (r#"{"id":"c","holdings":{"kis":{"accepted_at":"2026-01-01T00:00:00Z"}}}"#, constant),
            (r#"{"id":"c","holdings":{"oss":{"status":"NONE"},"kis":{"status":"ACTIVE"}}}"#, "{}"),
            (r#"{"id":"c","holding":null,"holdings.kis.status":"ACTIVE"}"#, "{}"),
        ] {
            assert_eq!(status(row, mapping), active, "{row}");
        }
    }
}
