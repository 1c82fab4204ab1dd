//! Finds a name among a few without asking each in turn whether it is the one.
//!
//! A processor guesses which way a comparison goes, and a wrong guess costs as much as twenty right ones. Of names
//! that come in any order it guesses many wrong. So what is seen of a name at a glance is a byte; eight of them
//! are compared at once, and only a name that looks the same is read.
//!
//! Invariant: a name is found at the first place at which it stands, compared to the last byte; a look only ever rules
//! names out that are not equal.

use crate::domain::is_same;
use std::sync::Arc;

/// What is seen of a name at a glance. Equal names look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look(u8);

impl Look {
    pub(super) fn of(name: &str) -> Self {
        let (bytes, length) = (name.as_bytes(), name.len());
        let [first, middle, last] = [0, length / 2, length.wrapping_sub(1)]
            .map(|place| bytes.get(place).copied().unwrap_or_default());
        let seen = u32::from_le_bytes([first, middle, last, length as u8]);
        // Multiplied by the golden ratio, every bit that was seen has a say in the highest eight.
        Self((seen.wrapping_mul(0x9e37_79b1) >> 24) as u8)
    }
}

/// How many looks are compared at once.
pub(super) const AT_ONCE: usize = 8;

/// The looks of up to eight names, a byte each; the first is the lowest byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks(u64);

impl Looks {
    /// Those of the first [`AT_ONCE`].
    pub(super) fn of<T>(list: &[T], name: impl Fn(&T) -> &str) -> Self {
        let mut looks = 0;
        for (at, one) in (0..u64::BITS).step_by(8).zip(list) {
            looks |= u64::from(Look::of(name(one)).0) << at;
        }
        Self(looks)
    }

    /// The first place with this look that `is_it`. It is asked of every place with this look, and may be asked of
    /// others, beyond the list, too.
    pub(super) fn find(self, look: Look, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        const EACH: u64 = u64::from_le_bytes([1; AT_ONCE]);
        // An equal byte becomes nought, and where a byte is nought its highest bit is set. A borrow can set the
        // highest bit of a byte after it as well, which is then read in vain.
        let differs = self.0 ^ (EACH * u64::from(look.0));
        let mut alike = differs.wrapping_sub(EACH) & !differs & (EACH << 7);
        while alike != 0 {
            let place = (alike.trailing_zeros() / 8) as usize;
            if is_it(place) {
                return Some(place);
            }
            alike &= alike - 1;
        }
        None
    }
}

/// A list of names, each known by its place.
#[derive(Debug)]
pub(super) struct Names {
    texts: Box<[Arc<str>]>,
    looks: Box<[Looks]>,
}

impl Names {
    pub(super) fn new(texts: Box<[Arc<str>]>) -> Self {
        let looks = texts.chunks(AT_ONCE).map(|some| Looks::of(some, |name| name)).collect();
        Self { texts, looks }
    }

    /// The place of a name, if it is in the list.
    #[inline(never)] // It would be there three times in every decision.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        let look = Look::of(name);
        let mut start = 0;
        for looks in &self.looks {
            let is_it = |place: usize| {
                let text = self.texts.get(start + place);
                text.is_some_and(|text| is_same(text.as_bytes(), name.as_bytes()))
            };
            if let Some(place) = looks.find(look, is_it) {
                return Some(start + place);
            }
            start += AT_ONCE;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Names {
        Names::new(texts.iter().map(|text| Arc::from(*text)).collect())
    }

    #[test]
    fn a_name_is_found_at_its_place_whatever_its_length() {
        let texts: Vec<String> = (0..40).map(|length| "n".repeat(length)).collect();
        let list = names(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(list.place(text), Some(place), "{text}");
            for changed in 0..text.len() {
                let mut other = text.clone();
                other.replace_range(changed..=changed, "m");
                assert_eq!(list.place(&other), None, "{other}");
            }
        }
        assert_eq!(list.place(&"n".repeat(40)), None);
    }

    /// They differ in a byte that a look does not show.
    #[test]
    fn names_that_look_the_same_are_told_apart() {
        let texts = ["GOV_CENTRAL", "GOV_FEDERAL", "GOV_GENERAL"];
        assert!(texts.iter().all(|text| Look::of(text) == Look::of("GOV_CENTRAL")));
        let list = names(&texts);
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(list.place(text), Some(place));
        }
        assert!(Look::of("GOV_SEVERAL") == Look::of("GOV_CENTRAL"));
        assert_eq!(list.place("GOV_SEVERAL"), None);
    }

    #[test]
    fn the_first_of_equal_names_is_found_and_no_place_beyond_the_list() {
        let list = names(&["a", "b", "a"]);
        assert_eq!(list.place("a"), Some(0));
        // Looks like the places that are not taken.
        let nothing = Looks(0).find(Look(0), |place| place == 7);
        assert_eq!(nothing, Some(7));
        assert_eq!(list.place(""), None);
        assert_eq!(names(&[]).place(""), None);
    }

    /// Every place with the look is asked, in order, whatever stands in the places between.
    #[test]
    fn every_place_with_a_look_is_asked() {
        use std::cell::RefCell;
        for taken in 0..=u8::MAX {
            // The look that is wanted where a bit is set, and the next one, which a borrow touches, where none is.
            let byte = |place: u32| if taken >> place & 1 == 1 { 0x5a } else { 0x5b };
            let looks = Looks(u64::from_le_bytes(std::array::from_fn(|place| byte(place as u32))));
            let asked = RefCell::new(Vec::new());
            let found = looks.find(Look(0x5a), |place| {
                asked.borrow_mut().push(place);
                false
            });
            assert_eq!(found, None);
            let asked = asked.into_inner();
            assert!(asked.is_sorted(), "{asked:?}");
            let wanted = (0..AT_ONCE).filter(|place| taken >> place & 1 == 1);
            assert!(wanted.into_iter().all(|place| asked.contains(&place)), "{taken:08b}");
        }
    }
}
