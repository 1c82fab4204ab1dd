//! Steps as the script takes them: by bucket, and packed.

use super::place::{RedisPlace, bucket_of};
use crate::ledger::{Place, State, Step, What, Why};
use std::collections::{BTreeMap, HashMap};

/// What a step does, as the script knows it.
const BEGIN: u8 = 1;
const LEAVE: u8 = 2;
const END: u8 = 3;
const WITHDRAW: u8 = 4;
const RETRY: u8 = 5;

/// What is to be done to somebody.
pub(super) enum Move<'s> {
    /// A step of the ledger's.
    Step(&'s Step),
    /// Pending again after having been in doubt.
    Retry(Place),
}

/// A group of steps, ready to be sent.
pub(super) struct Group {
    /// The buckets' keys.
    pub(super) keys: Vec<String>,
    /// Which block each of them is of.
    pub(super) blocks: Vec<i64>,
    /// What follows in the script's arguments after the number of the group.
    pub(super) arguments: Vec<Vec<u8>>,
}

impl Group {
    /// Sorts steps by bucket. Those of one recipient stay in their order.
    pub(super) fn of<'s>(place: &RedisPlace, moves: impl IntoIterator<Item = Move<'s>>) -> Self {
        let mut hows: Vec<String> = Vec::new();
        let mut numbers: HashMap<String, u16> = HashMap::new();
        let mut buckets: BTreeMap<(i64, u8), Vec<u8>> = BTreeMap::new();
        let mut number = |text: String| {
            *numbers.entry(text).or_insert_with_key(|text| {
                hows.push(text.clone());
                // A group has at most some thousand steps, and no more hows than steps.
                u16::try_from(hows.len() - 1).unwrap_or(u16::MAX)
            })
        };
        for one in moves {
            let (at, what, how, seconds) = match one {
                Move::Retry(at) => (at, RETRY, 0, 0),
                Move::Step(Step { place, what, at }) => {
                    let (what, how) = match what {
                        What::Begin => (BEGIN, 0),
                        What::Leave(why) => (LEAVE, number(how(State::NotSent, why))),
                        What::End(state, why) => (END, number(how(*state, why))),
                        What::Withdraw => (WITHDRAW, 0),
                    };
                    (*place, what, how, u32::try_from(*at).unwrap_or_default())
                }
            };
            let packed = buckets
                .entry((at.block, bucket_of(at.tag)))
                .or_insert_with(|| at.block.to_be_bytes().to_vec());
            packed.push(what);
            packed.extend(how.to_be_bytes());
            packed.extend(seconds.to_be_bytes());
            packed.extend(at.tag.0);
        }
        let keys = buckets.keys().map(|(block, bucket)| place.bucket(*block, *bucket)).collect();
        let blocks = buckets.keys().map(|(block, _)| *block).collect();
        let mut arguments = vec![hows.len().to_string().into_bytes()];
        arguments.extend(hows.into_iter().map(String::into_bytes));
        arguments.extend(buckets.into_values());
        Self { keys, blocks, arguments }
    }
}

/// State, revision and reason as one text, the state first and in one digit.
fn how(state: State, why: &Why) -> String {
    format!("{} {} {}", state as u8, why.revision, why.reason)
}

/// What such a text says. One that is none of ours is in doubt.
pub(super) fn read_how(text: &str) -> (State, Why) {
    let read = || {
        let (code, rest) = text.split_once(' ')?;
        let (revision, reason) = rest.split_once(' ')?;
        let code: u8 = code.parse().ok()?;
        let state = State::ALL.into_iter().find(|state| *state as u8 == code)?;
        Some((state, Why { reason: reason.to_owned(), revision: revision.parse().ok()? }))
    };
    read().unwrap_or((State::InDoubt, Why { reason: text.to_owned(), revision: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_how_reads_as_it_was_written_and_anything_else_is_in_doubt() {
        for state in State::ALL {
            let why = Why { reason: "ALREADY_HELD UNIT_LIMIT_REACHED".to_owned(), revision: 7 };
            assert_eq!(read_how(&how(state, &why)), (state, why));
        }
        assert_eq!(read_how("9 1 X").0, State::InDoubt);
        assert_eq!(read_how("").0, State::InDoubt);
    }
}
