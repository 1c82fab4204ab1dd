//! Pages: how many, and where the next one starts.

use crate::wire::FieldErrors;

/// How many a page holds when the caller does not say.
const USUAL: usize = 100;

/// How many a page holds at most.
const MOST: usize = 1000;

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

/// Cuts a page out of what is left. The second value is the token of the next page: that of the last
/// thing on this one, or empty.
pub(super) fn cut<T>(
    mut left: impl Iterator<Item = T>,
    size: usize,
    token_of: impl Fn(&T) -> String,
) -> (Vec<T>, String) {
    let page: Vec<T> = left.by_ref().take(size).collect();
    let next = match (page.last(), left.next()) {
        (Some(last), Some(_)) => token_of(last),
        (Some(_) | None, _) => String::new(),
    };
    (page, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_everything_once_and_the_last_one_names_no_next() {
        for size in [1, 2, 3, 5, 6] {
            let (mut seen, mut after) = (Vec::new(), 0);
            loop {
                let (page, next) = cut(after + 1..=5, size, |last| last.to_string());
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
}
