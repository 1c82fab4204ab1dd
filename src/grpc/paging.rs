//! Pages: how many, and where the next one starts.

use super::sizes::MOST_ANSWER;
use crate::wire::FieldErrors;
use prost::Message;

/// How many a page holds when the caller does not say.
const USUAL: usize = 100;

/// How many a page holds at most.
const MOST: usize = 1000;

/// Room for what an answer carries beside its page.
const BESIDE: usize = 4096;

/// Most bytes that stand before each thing of a list: its tag and its length.
const BEFORE_EACH: usize = 8;

/// Reads a page's size. Zero is the usual, and more than the most is the most.
pub(super) fn size(given: i32) -> Result<usize, FieldErrors> {
    match usize::try_from(given) {
        Ok(0) => Ok(USUAL),
        Ok(size) => Ok(size.min(MOST)),
        Err(_) => Err(FieldErrors::one("page_size", "is negative: 0 to 1,000 are allowed")),
    }
}

/// Reads where a page starts; an empty token is the first page.
pub(super) fn token<T>(
    given: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, FieldErrors> {
    if given.is_empty() {
        return Ok(None);
    }
    let none = || FieldErrors::one("page_token", "is no `next_page_token` of an earlier answer");
    parse(given).map(Some).ok_or_else(none)
}

/// A page that is being filled: no more things than were asked for, and no more bytes than an answer
/// may have.
#[derive(Debug)]
pub(super) struct Page<M> {
    things: Vec<M>,
    size: usize,
    room: usize,
}

impl<M: Message> Page<M> {
    pub(super) fn of(size: usize) -> Self {
        Self { things: Vec::new(), size, room: MOST_ANSWER - BESIDE }
    }

    /// Takes one more in, and tells whether it fitted. The first always does: a page without anything
    /// would be the last one.
    pub(super) fn take(&mut self, thing: M) -> bool {
        let bytes = thing.encoded_len() + BEFORE_EACH;
        let fits = self.things.is_empty() || (self.things.len() < self.size && bytes <= self.room);
        if fits {
            self.room = self.room.saturating_sub(bytes);
            self.things.push(thing);
        }
        fits
    }

    /// How many more there may be.
    pub(super) fn left(&self) -> usize {
        self.size - self.things.len()
    }

    pub(super) fn into_things(self) -> Vec<M> {
        self.things
    }
}

/// Cuts a page out of what is left, written. The second value is the token of the next page: that of
/// the last thing on this one, or empty.
pub(super) fn cut<T, M: Message>(
    left: impl Iterator<Item = T>,
    size: usize,
    token_of: impl Fn(&T) -> String,
    write: impl Fn(&T) -> M,
) -> (Vec<M>, String) {
    let (mut page, mut last) = (Page::of(size), None);
    for thing in left {
        if !page.take(write(&thing)) {
            let next = last.as_ref().map(token_of).unwrap_or_default();
            return (page.into_things(), next);
        }
        last = Some(thing);
    }
    (page.into_things(), String::new())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_everything_once_and_the_last_one_names_no_next() {
        for size in [1, 2, 3, 5, 6] {
            let (mut seen, mut after) = (Vec::new(), 0);
            loop {
                let (page, next) = cut(after + 1..=5, size, |last| last.to_string(), |it| *it);
                seen.extend(page);
                match token(&next, |text| text.parse().ok()).unwrap() {
                    Some(last) => after = last,
                    None => break,
                }
            }
            assert_eq!(seen, [1, 2, 3, 4, 5], "{size}");
        }
    }

    #[test]
    fn a_page_size_is_never_negative_and_never_too_large() {
        assert_eq!((size(0), size(7), size(5000)), (Ok(100), Ok(7), Ok(1000)));
        assert!(size(-1).is_err());
        assert!(token("x", |text| text.parse::<u64>().ok()).is_err());
    }

    #[test]
    fn a_page_of_large_things_ends_before_the_answer_is_too_large_and_never_empty() {
        let write = |_: &usize| "x".repeat(1024 * 1024);
        let (page, next) = cut(1..=5, 1000, |last| last.to_string(), write);
        assert_eq!((page.len(), next.as_str()), (3, "3"));
        let too_large = |_: &usize| "x".repeat(2 * MOST_ANSWER);
        let (page, next) = cut(4..=5, 1000, |last| last.to_string(), too_large);
        assert_eq!((page.len(), next.as_str()), (1, "4"));
    }
}
