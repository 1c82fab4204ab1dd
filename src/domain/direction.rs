//! Which way a change goes: whether anybody may have more after it than before.

/// Which way a change goes, by its effect and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Nothing becomes eligible by it that was not, for anybody, at any instant.
    Tightening,
    /// Something may, or it cannot be shown that nothing does.
    Loosening,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tightening, Self::Loosening];

    /// The name, as records and RPCs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tightening => "TIGHTENING",
            Self::Loosening => "LOOSENING",
        }
    }

    /// The direction with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.name() == name)
    }
}
