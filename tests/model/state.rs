//! What a state of the model is: three store nodes, two replicas, one coordinator.
//!
//! Invariant: every value is small and capped, so that there are finitely many states. Time is kept
//! as ages and remainders, never as instants: nothing in the protocol reads more from a clock than a
//! difference.

/// A span of time. Nothing is told apart that is older than the staleness limit.
pub(crate) type Ticks = u8;

pub(crate) const NODES: usize = 3;
pub(crate) const REPLICAS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) nodes: [Node; NODES],
    pub(crate) replicas: [Replica; REPLICAS],
    pub(crate) coordinator: Coordinator,
    /// How many reigns have begun after the first one.
    pub(crate) promotions: u8,
    /// How many nodes were told to follow a primary that was not the newest.
    pub(crate) returns: u8,
}

/// Where somebody stands in the store's history, which has one change: the suspension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Before,
    Suspended,
}

/// A node of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) role: Role,
    pub(crate) data: Data,
    /// How many times a node has begun to follow this one.
    pub(crate) syncs: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Takes writes, and may not know that another one does too.
    Primary { reign: u8 },
    /// Copies what that node writes.
    Follower { of: u8 },
}

/// What a node holds on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Data {
    pub(crate) place: Place,
    /// The history was marked as forked.
    pub(crate) forked: bool,
    /// What each replica last reported here.
    pub(crate) list: [Option<Place>; REPLICAS],
}

impl Data {
    pub(crate) const NEW: Self =
        Self { place: Place::Before, forked: false, list: [None; REPLICAS] };
}

/// A replica. One that has neither asked nor holds the suspension is as one that has not started
/// yet: its first renewal is how it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Replica {
    pub(crate) place: Place,
    /// How long the lease of what it holds runs on.
    pub(crate) lease: Ticks,
    pub(crate) call: Call,
}

/// The renewal that a replica has under way. A new one takes its place: what was lost and what was
/// given up is never heard of again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Call {
    None,
    Asked { age: Ticks },
    Answered { age: Ticks, said: Said },
}

/// What the store says of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Said {
    Newest,
    Behind,
    Forked,
}

/// The process that carries the suspension through. It is none of the two replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Coordinator {
    /// Whether the suspension was written, and how long ago.
    pub(crate) committed: Option<Ticks>,
    pub(crate) confirm: Option<Confirm>,
    /// The newest reign, and how long ago it was known that all nodes follow it.
    pub(crate) reigns: Option<(u8, Option<Ticks>)>,
    /// The reign in which the suspension was durable, and how long ago it was known to be.
    pub(crate) barrier: Option<(u8, Ticks)>,
    pub(crate) enforced: Option<Enforced>,
}

/// A question to one primary, whether all nodes hold what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Confirm {
    pub(crate) node: u8,
    /// The reign in which it was asked, as the coordinator names it.
    pub(crate) named: u8,
    pub(crate) place: Place,
    pub(crate) age: Ticks,
    /// Which nodes have taken over the write that the question began with.
    pub(crate) copies: [bool; NODES],
}

/// `ENFORCED` was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Enforced {
    pub(crate) by_list: bool,
    pub(crate) after_fail_over: bool,
}

impl State {
    /// The first node reigns, and nothing has happened.
    pub(crate) fn start() -> Self {
        let node = |role| Node { role, data: Data::NEW, syncs: 0 };
        let follower = node(Role::Follower { of: 0 });
        Self {
            nodes: [node(Role::Primary { reign: 0 }), follower, follower],
            replicas: [Replica { place: Place::Before, lease: 0, call: Call::None }; REPLICAS],
            coordinator: Coordinator::default(),
            promotions: 0,
            returns: 0,
        }
    }

    /// The node whose reign began last.
    pub(crate) fn newest_primary(&self) -> usize {
        (0..NODES).max_by_key(|node| self.reign_of(*node)).unwrap_or(0)
    }

    /// The reign of a node that takes writes.
    pub(crate) fn reign_of(&self, node: usize) -> Option<u8> {
        match self.nodes[node].role {
            Role::Primary { reign } => Some(reign),
            Role::Follower { .. } => None,
        }
    }

    /// Whether some replica would answer `ELIGIBLE` against the suspension.
    pub(crate) fn somebody_offers(&self) -> bool {
        self.replicas.iter().any(|replica| replica.place == Place::Before && 0 < replica.lease)
    }

    /// Whether a replica has a lease that only a later primary than the first can have granted: the
    /// first still reigns, and has no suspension to grant a lease for.
    pub(crate) fn lease_of_new_primary(&self) -> bool {
        let first = &self.nodes[0];
        first.role == Role::Primary { reign: 0 }
            && self.replicas.iter().any(|it| first.data.place < it.place && 0 < it.lease)
    }
}

impl Confirm {
    pub(crate) fn count(&self) -> u32 {
        self.copies.iter().map(|holds| u32::from(*holds)).sum()
    }
}
