//! What a job did, in numbers; and the sum of what its shards did.
//!
//! Invariants: `decided + rejected` rows are all rows of the shard. Summaries are added only if they
//! are of one job: same input, rules, instant, question, and every shard once.

use super::input::InputFacts;
use super::shard::Shard;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a job did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The revision decided by.
    pub revision: u64,
    /// Its place in history.
    pub token: String,
    /// The instant decided for.
    pub as_of: String,
    /// What was asked for.
    pub action: String,
    /// What was read.
    pub input: InputFacts,
    /// Columns that are no field of a request, or are about a product that the rules do not know: carried, and
    /// not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Which part of the rows is counted here.
    pub shard: Shard,
    /// Rows of this shard that were decided.
    pub decided: u64,
    /// Rows of this shard that could not be read.
    pub rejected: u64,
    /// A newer revision that was made while the job ran on, by `finish`.
    pub rules_moved_to: Option<u64>,
    /// The answers by offer, in the order of the command line.
    pub offers: Vec<OfferCounts>,
}

/// The answers for one offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferCounts {
    /// The offer.
    pub offer: String,
    /// Rows by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Rows by reason; a row with two reasons is in both.
    pub reasons: BTreeMap<String, u64>,
}

impl OfferCounts {
    /// Counts one answer for so many rows.
    pub(super) fn count(&mut self, outcome: &str, reasons: &[String], rows: u64) {
        add(&mut self.outcomes, outcome, rows);
        reasons.iter().for_each(|reason| add(&mut self.reasons, reason, rows));
    }

    pub(super) fn add(&mut self, other: &Self) {
        other.outcomes.iter().for_each(|(name, count)| add(&mut self.outcomes, name, *count));
        other.reasons.iter().for_each(|(name, count)| add(&mut self.reasons, name, *count));
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    match counts.get_mut(name) {
        Some(sum) => *sum += count,
        None => {
            counts.insert(name.to_owned(), count);
        }
    }
}

/// Adds the summaries of all shards of one job.
///
/// # Errors
/// When they are not of one job, one is there twice, or one is missing.
pub fn merge(summaries: &[Summary]) -> Result<Summary, String> {
    let Some(first) = summaries.first() else { return Err("no summary was named".to_owned()) };
    let of = first.shard.of;
    let mut sum = Summary {
        shard: Shard::WHOLE,
        decided: 0,
        rejected: 0,
        rules_moved_to: None,
        offers: first.offers.iter().map(|it| named(&it.offer)).collect(),
        ..first.clone()
    };
    let mut seen = vec![false; usize::try_from(of).unwrap_or_default().min(summaries.len())];
    for summary in summaries {
        let shard = summary.shard;
        for (what, one, other) in [
            ("revision", first.revision.to_string(), summary.revision.to_string()),
            ("history", first.token.clone(), summary.token.clone()),
            ("instant", first.as_of.clone(), summary.as_of.clone()),
            ("action", first.action.clone(), summary.action.clone()),
            ("input", first.input.sha256.clone(), summary.input.sha256.clone()),
            ("offers", names(first), names(summary)),
            ("number of shards", of.to_string(), shard.of.to_string()),
        ] {
            if one != other {
                return Err(format!(
                    "shards {} and {shard} are of another {what}: {one} and {other}",
                    first.shard
                ));
            }
        }
        let place = usize::try_from(shard.index).ok().and_then(|index| seen.get_mut(index));
        match place {
            Some(seen @ false) => *seen = true,
            Some(true) => return Err(format!("shard {shard} is there twice")),
            None => return Err(missing(of, summaries)),
        }
        sum.decided += summary.decided;
        sum.rejected += summary.rejected;
        sum.rules_moved_to = sum.rules_moved_to.max(summary.rules_moved_to);
        sum.offers.iter_mut().zip(&summary.offers).for_each(|(sum, counts)| sum.add(counts));
    }
    if (seen.len() as u64) < of {
        return Err(missing(of, summaries));
    }
    match sum.decided + sum.rejected == sum.input.rows {
        true => Ok(sum),
        false => Err(format!(
            "{} rows were decided and {} rejected, of {}",
            sum.decided, sum.rejected, sum.input.rows
        )),
    }
}

fn missing(of: u64, summaries: &[Summary]) -> String {
    let is_there = |index: &u64| summaries.iter().any(|summary| summary.shard.index == *index);
    let absent = (0..of).find(|index| !is_there(index)).unwrap_or_default();
    format!("shard {absent}/{of} is missing")
}

fn names(summary: &Summary) -> String {
    summary.offers.iter().map(|counts| counts.offer.as_str()).collect::<Vec<_>>().join(" ")
}

pub(super) fn named(offer: &str) -> OfferCounts {
    OfferCounts { offer: offer.to_owned(), ..OfferCounts::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(index: u64, of: u64) -> Summary {
        let mut counts = named("kis");
        counts.count("ELIGIBLE", &["NO_RULE_APPLIES".to_owned()], 1);
        Summary {
            revision: 7,
            token: "t".to_owned(),
            as_of: "2026-01-01T00:00:00Z".to_owned(),
            action: "OFFER".to_owned(),
            input: InputFacts { sha256: "ab".to_owned(), bytes: 9, rows: of },
            unread: Vec::new(),
            shard: Shard { index, of },
            decided: 1,
            rejected: 0,
            rules_moved_to: None,
            offers: vec![counts],
        }
    }

    #[test]
    fn shards_are_added_once_all_are_there_and_of_one_job() {
        let sum = merge(&[summary(1, 2), summary(0, 2)]);
        let whole = sum.as_ref().map(|sum| (sum.decided, sum.shard, sum.offers.len()));
        assert_eq!(whole, Ok((2, Shard::WHOLE, 1)));
        let mut other = summary(1, 2);
        other.revision = 8;
        let mut file = summary(1, 2);
        file.input.sha256 = "cd".to_owned();
        let mut fewer = summary(1, 2);
        fewer.decided = 0;
        for (summaries, expected) in [
            (vec![summary(0, 2)], "shard 1/2 is missing"),
            (vec![summary(1, 2)], "shard 0/2 is missing"),
            (vec![summary(0, 2), summary(0, 2)], "shard 0/2 is there twice"),
            (vec![summary(0, 2), other], "another revision: 7 and 8"),
            (vec![summary(0, 2), file], "another input: ab and cd"),
            (vec![summary(0, 2), fewer], "1 rows were decided and 0 rejected, of 2"),
            (vec![], "no summary"),
        ] {
            let refused = merge(&summaries).err().unwrap_or_default();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
