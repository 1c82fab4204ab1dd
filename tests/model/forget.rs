//! Makes states one that differ only in what nothing will ever read again, which keeps the world small.
//!
//! Invariant: no step and no property can tell a state from what is left of it here.

use crate::state::{Call, Coordinator, Data, NODES, Place, REPLICAS, Replica, Said, State};
use crate::system::System;
use crate::variant::Variant;

impl System {
    /// Drops what nothing will ever read again, so that states which differ in nothing else are one.
    pub(crate) fn forget(&self, state: &mut State) {
        let coordinator = &mut state.coordinator;
        if coordinator.enforced.is_some() {
            *coordinator = Coordinator { enforced: coordinator.enforced, ..Coordinator::default() };
        }
        if self.variant != Variant::FenceFromCommit {
            coordinator.committed = coordinator.committed.map(|_| 0);
        }
        if let (Some(confirm), true) =
            (&mut coordinator.confirm, self.variant != Variant::ListSinceAsked)
        {
            confirm.age = 0;
        }
        for replica in &mut state.replicas {
            self.forget_spans(replica);
        }
        let lists_matter = self.variant.uses_list() && state.coordinator.enforced.is_none();
        for node in 0..NODES {
            if self.variant != Variant::Product {
                state.nodes[node].syncs = 0;
            }
            if !lists_matter {
                state.nodes[node].data.list = [None; REPLICAS];
            }
            if state.reign_of(node).is_none() && !self.may_reign(state, node) {
                state.nodes[node].data = Data::NEW;
            }
        }
        // Wrong variants are followed by people, for whom A stays A.
        if self.variant.is_right() && self.replicas == REPLICAS {
            put_replicas_in_order(state);
        }
    }

    /// Drops spans of time that no step and no property reads.
    fn forget_spans(&self, replica: &mut Replica) {
        if let Call::Answered { age, said: Said::Behind | Said::Forked } = &mut replica.call {
            *age = 0; // No lease comes of it; if one did, the youngest answer would be the worst.
        }
        if self.variant.uses_list() && replica.place == Place::Suspended {
            // It holds the suspension for good, and what it may answer is of no interest any more.
            replica.lease = 0;
            if let Call::Asked { age } | Call::Answered { age, .. } = &mut replica.call {
                *age = 0;
            }
        }
    }

    /// Whether a follower may still become a primary.
    fn may_reign(&self, state: &State, node: usize) -> bool {
        match self.fail_overs - state.promotions {
            0 => false,
            1 => 0 < state.promotions || node == 1,
            _ => true,
        }
    }
}

/// The replicas are alike.
fn put_replicas_in_order(state: &mut State) {
    let key = |replica: usize| {
        (state.replicas[replica], state.nodes.each_ref().map(|node| node.data.list[replica]))
    };
    if key(1) < key(0) {
        state.replicas.swap(0, 1);
        state.nodes.iter_mut().for_each(|node| node.data.list.swap(0, 1));
    }
}
