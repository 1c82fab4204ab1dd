//! The protocol as it is, and the ways to get it wrong that have looked right to somebody.

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The product: a reign is named by its primary, its promotion, and how often nodes began to copy
    /// from it.
    Product,
    /// A reign is named by its primary and its promotion alone.
    ReignByPromotion,
    /// The product without its list: every fence waits until all leases have run out.
    TimeOnly,
    /// A change counts as durable once most nodes hold it.
    Majority,
    /// A change counts as durable once the primary holds it.
    NoWait,
    /// A lease is counted from when the store's answer arrived.
    LeaseFromAnswer,
    /// The fence is one tick shorter than a lease.
    ShortFence,
    /// The fence is counted from when the change was written, not from when it was durable.
    FenceFromCommit,
    /// The list is always taken to be complete.
    ListAlone,
    /// The list is taken to be complete a limit after the reign was first seen.
    ListSinceSeen,
    /// The list is taken to be complete a limit after most nodes followed the reign.
    ListSinceMajority,
    /// The list is taken to be complete a limit after all nodes were asked whether they follow.
    ListSinceAsked,
    /// A reign is told from another by its node alone, as by a run id.
    ReignByNode,
}

impl Variant {
    /// Every wrong one, and how many fail-overs it takes to show that.
    pub(crate) const WRONG: [(Self, u8); 10] = [
        (Self::Majority, 1),
        (Self::NoWait, 1),
        (Self::LeaseFromAnswer, 1),
        (Self::ShortFence, 1),
        (Self::FenceFromCommit, 1),
        (Self::ListAlone, 1),
        (Self::ListSinceSeen, 1),
        (Self::ListSinceMajority, 1),
        (Self::ListSinceAsked, 1),
        (Self::ReignByNode, 2),
    ];

    /// Whether a complete list can end the wait early.
    pub(crate) fn uses_list(self) -> bool {
        match self {
            Self::Product
            | Self::ListAlone
            | Self::ListSinceSeen
            | Self::ListSinceMajority
            | Self::ListSinceAsked
            | Self::ReignByNode
            | Self::ReignByPromotion => true,
            Self::TimeOnly
            | Self::Majority
            | Self::NoWait
            | Self::LeaseFromAnswer
            | Self::ShortFence
            | Self::FenceFromCommit => false,
        }
    }

    pub(crate) fn is_right(self) -> bool {
        matches!(self, Self::Product | Self::TimeOnly)
    }
}
