//! Numbers that look drawn, and follow from a seed and the place where they are needed.
//!
//! Not here: secrets. Whoever knows the seed knows every number.
//!
//! Invariant: a number depends on seed, purpose and place alone, never on what was drawn before for another
//! row. So any row can be made by itself, on any machine and by any thread.

/// The golden ratio in 64 bits: successive multiples are spread evenly.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What numbers are drawn for. Two purposes share none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Household = 1,
    Person,
    Name,
    Mail,
    Holding,
    Flaws,
    Copies,
    Order,
    Consent,
}

/// A sequence of numbers.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn of(seed: u64, purpose: Purpose, place: u64) -> Self {
        Self(mix(mix(seed ^ (purpose as u64).wrapping_mul(STEP)).wrapping_add(place)))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        // The upper half of the product: even but for a part in billions.
        let product = u128::from(mix(self.0)) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// True so many times in 100,000.
    pub(super) fn happens(&mut self, per_100_000: u64) -> bool {
        self.below(100_000) < per_100_000
    }

    /// One of a list whose entries have weights.
    pub(super) fn weighted<T: Copy + Default>(&mut self, list: &[(u64, T)]) -> T {
        let mut place = self.below(list.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in list {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return *item,
            }
        }
        T::default()
    }

    /// One of a list.
    pub(super) fn one<T: Copy + Default>(&mut self, list: &[T]) -> T {
        let place = self.below(list.len() as u64);
        list.get(usize::try_from(place).unwrap_or_default()).copied().unwrap_or_default()
    }
}

/// Spreads every bit over all bits, and maps no two numbers to one.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_seed_purpose_and_place_and_from_nothing_else() {
        let drawn = |seed, purpose, place| Draw::of(seed, purpose, place).below(u64::MAX);
        // Written down, so that a file of an earlier version can be made again.
        assert_eq!(drawn(1, Purpose::Person, 0), drawn(1, Purpose::Person, 0));
        let all = [
            drawn(1, Purpose::Person, 0),
            drawn(2, Purpose::Person, 0),
            drawn(1, Purpose::Name, 0),
            drawn(1, Purpose::Person, 1),
        ];
        for (place, number) in all.iter().enumerate() {
            assert!(!all.iter().take(place).any(|other| other == number), "{all:?}");
        }
    }

    #[test]
    fn weights_are_kept() {
        let mut draw = Draw::of(1, Purpose::Person, 0);
        let hits = (0..100_000).filter(|_| draw.weighted(&[(9, true), (1, false)])).count();
        assert!((89_500..90_500).contains(&hits), "{hits}");
    }
}
