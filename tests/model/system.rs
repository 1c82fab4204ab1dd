//! What can happen next: one function a step, each what one process or one message does.
//!
//! Whatever is waiting for something may go on waiting while time passes, so that every process may
//! stand still for any time at any point. A step is refused (`None`) where it cannot happen.
//!
//! Invariant: nothing here compares an age with the limit. That is for the product to do.

use crate::product;
use crate::state::{
    Call, Confirm, Coordinator, Data, Enforced, NODES, Place, Replica, Role, Said, State, Ticks,
};
use crate::variant::Variant;
use stateright::{Model, Property};

/// One protocol, and how large a world it is tried in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System {
    pub(crate) variant: Variant,
    /// The staleness limit.
    pub(crate) limit: Ticks,
    /// How many fail-overs there may be.
    pub(crate) fail_overs: u8,
    /// How many nodes may be told to follow a primary that is not the newest: people who mend a
    /// fail-over by hand, the old way round.
    pub(crate) returns: u8,
    /// How many replicas there are: one, or all.
    pub(crate) replicas: usize,
}

/// A step. Replicas and nodes by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Tick,
    /// A replica sends a renewal.
    Ask {
        replica: usize,
    },
    /// A primary answers it.
    Answer {
        replica: usize,
        node: usize,
    },
    /// The answer arrives.
    Hear {
        replica: usize,
    },
    /// A replica takes over what a primary has.
    CatchUp {
        replica: usize,
        node: usize,
    },
    /// A replica stops answering, and is taken off a primary's list.
    Leave {
        replica: usize,
        node: usize,
    },
    /// A follower takes over all that its primary has written, and says so.
    Copy {
        node: usize,
    },
    /// A follower is made a primary. Nobody else is told.
    Promote {
        node: usize,
    },
    /// A node is told to follow a primary.
    Follow {
        node: usize,
        of: usize,
    },
    /// The coordinator writes the suspension to a primary.
    Commit {
        node: usize,
    },
    /// It asks a primary whether all nodes hold what it holds.
    AskAll {
        node: usize,
        place: Place,
    },
    /// The answer is yes.
    AllHold,
    /// It looks at a primary's list and at its own clock.
    Look {
        node: usize,
    },
}

pub(crate) const SAFE: &str = "nobody offers what is suspended once ENFORCED was reported";
pub(crate) const ENFORCED: &str = "ENFORCED is reported";
pub(crate) const ENFORCED_AFTER: &str = "ENFORCED is reported after a fail-over";
pub(crate) const ENFORCED_BY_LIST: &str =
    "ENFORCED is reported before all leases could have run out";
pub(crate) const LEASE_AFTER: &str = "a lease is won from a new primary";

impl Model for System {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::start()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.push(Step::Tick);
        let primaries = || (0..NODES).filter(|node| state.reign_of(*node).is_some());
        for replica in 0..self.replicas {
            steps.extend([Step::Ask { replica }, Step::Hear { replica }]);
            for node in primaries() {
                steps.push(Step::Answer { replica, node });
                steps.push(Step::CatchUp { replica, node });
                steps.push(Step::Leave { replica, node });
            }
        }
        for node in 0..NODES {
            steps.extend([Step::Copy { node }, Step::Promote { node }]);
            steps.extend(primaries().map(|of| Step::Follow { node, of }));
        }
        if state.coordinator.enforced.is_some() {
            return;
        }
        for node in primaries() {
            steps.extend([Step::Commit { node }, Step::Look { node }]);
            for place in [Place::Before, Place::Suspended] {
                steps.push(Step::AskAll { node, place });
            }
        }
        steps.push(Step::AllHold);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = *last;
        match step {
            Step::Tick => self.tick(&mut state),
            Step::Ask { replica } => state.replicas[replica].call = Call::Asked { age: 0 },
            Step::Answer { replica, node } => self.answer(&mut state, replica, node)?,
            Step::Hear { replica } => self.hear(&mut state, replica)?,
            Step::CatchUp { replica, node } => catch_up(&mut state, replica, node)?,
            Step::Leave { replica, node } => leave(&mut state, replica, node)?,
            Step::Copy { node } => copy(&mut state, node)?,
            Step::Promote { node } => self.promote(&mut state, node)?,
            Step::Follow { node, of } => self.follow(&mut state, node, of)?,
            Step::Commit { node } => commit(&mut state, node)?,
            Step::AskAll { node, place } => self.ask_all(&mut state, node, place)?,
            Step::AllHold => self.all_hold(&mut state)?,
            Step::Look { node } => self.look(&mut state, node)?,
        }
        self.forget(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(SAFE, |_, state: &State| {
                state.coordinator.enforced.is_none() || !state.somebody_offers()
            }),
            Property::sometimes(ENFORCED, |_, state: &State| state.coordinator.enforced.is_some()),
            Property::sometimes(ENFORCED_AFTER, |_, state: &State| {
                state.coordinator.enforced.is_some_and(|how| how.after_fail_over)
            }),
        ];
        properties.push(if self.variant.uses_list() {
            Property::sometimes(ENFORCED_BY_LIST, |_, state: &State| {
                state.coordinator.enforced.is_some_and(|how| how.by_list)
            })
        } else {
            Property::sometimes(LEASE_AFTER, |_, state: &State| state.lease_of_new_primary())
        });
        properties
    }
}

impl System {
    /// Time passes everywhere alike.
    fn tick(&self, state: &mut State) {
        let older = |age: &mut Ticks| *age = self.limit.min(*age + 1);
        for replica in &mut state.replicas {
            replica.lease = replica.lease.saturating_sub(1);
            match &mut replica.call {
                Call::None => {}
                Call::Asked { age } | Call::Answered { age, .. } => older(age),
            }
        }
        let Coordinator { committed, confirm, reigns, barrier, enforced: _ } =
            &mut state.coordinator;
        committed.iter_mut().for_each(older);
        confirm.iter_mut().for_each(|confirm| older(&mut confirm.age));
        reigns.iter_mut().filter_map(|(_, since)| since.as_mut()).for_each(older);
        barrier.iter_mut().for_each(|(_, age)| older(age));
    }

    /// What `SharedStore::renew` does, in one atomic step.
    fn answer(&self, state: &mut State, replica: usize, node: usize) -> Option<()> {
        let reporting = &mut state.replicas[replica];
        let Call::Asked { age } = reporting.call else { return None };
        let data = &mut state.nodes[node].data;
        let said = product::said(data, reporting.place);
        match said {
            Said::Newest | Said::Behind => data.list[replica] = Some(reporting.place),
            Said::Forked => data.forked = true,
        }
        reporting.call = Call::Answered { age, said };
        Some(())
    }

    fn hear(&self, state: &mut State, replica: usize) -> Option<()> {
        let replica = &mut state.replicas[replica];
        let Call::Answered { age, said } = replica.call else { return None };
        let counted_from = if self.variant == Variant::LeaseFromAnswer { 0 } else { age };
        let terms = product::terms(self.limit);
        replica.lease = product::lease_after(&terms, replica.lease, counted_from, said);
        replica.call = Call::None;
        Some(())
    }

    /// Which node is first to be promoted makes no difference: both followers are alike.
    fn promote(&self, state: &mut State, node: usize) -> Option<()> {
        let may = state.promotions < self.fail_overs && (0 < state.promotions || node == 1);
        if !may || state.reign_of(node).is_some() {
            return None;
        }
        state.promotions += 1;
        state.nodes[node].role = Role::Primary { reign: state.promotions };
        Some(())
    }

    fn follow(&self, state: &mut State, node: usize, of: usize) -> Option<()> {
        let role = Role::Follower { of: u8::try_from(of).ok()? };
        if node == of || state.nodes[node].role == role {
            return None;
        }
        state.returns += u8::from(of != state.newest_primary());
        if self.returns < state.returns {
            return None;
        }
        state.nodes[node].role = role;
        state.nodes[of].syncs += 1;
        let confirm = &mut state.coordinator.confirm;
        if confirm.is_some_and(|confirm| usize::from(confirm.node) == node) {
            *confirm = None;
        }
        Some(())
    }

    /// Asks with `confirm` whether all nodes hold what this one holds: to see a reign confirmed, or the
    /// suspension durable.
    fn ask_all(&self, state: &mut State, node: usize, place: Place) -> Option<()> {
        let named = self.name_of_reign(state, node)?;
        let coordinator = &mut state.coordinator;
        coordinator.reigns = self.saw(coordinator.reigns, named);
        let wanted = match place {
            Place::Before => product::reigns(coordinator.reigns).needs_confirmation(),
            Place::Suspended => coordinator.committed.is_some() && coordinator.barrier.is_none(),
        };
        if wanted && product::said(&state.nodes[node].data, place) != Said::Forked {
            let node = u8::try_from(node).ok()?;
            let copies = std::array::from_fn(|copy| copy == usize::from(node));
            coordinator.confirm = Some(Confirm { node, named, place, age: 0, copies });
        }
        Some(())
    }

    /// The answer to `confirm`. A question to a node that was told to follow is lost; one to a node that
    /// reigns by another name than before is worth nothing.
    fn all_hold(&self, state: &mut State) -> Option<()> {
        let confirm = state.coordinator.confirm.take()?;
        let node = usize::from(confirm.node);
        let named = self.name_of_reign(state, node)?;
        let said = product::said(&state.nodes[node].data, confirm.place);
        if confirm.named != named {
            return Some(());
        }
        let holds = |nodes| product::is_durable(&confirm, said, named, nodes);
        let all = u32::try_from(NODES).ok()?;
        let coordinator = &mut state.coordinator;
        let mut news = false;
        if confirm.place == Place::Suspended && holds(self.nodes_that_count()) {
            let waited = match self.variant {
                Variant::FenceFromCommit => coordinator.committed?,
                _ => 0,
            };
            coordinator.barrier = Some((named, waited));
            news = true;
        }
        let enough = if self.variant == Variant::ListSinceMajority { all - 1 } else { all };
        if self.variant.uses_list() && holds(enough) {
            let age = if self.variant == Variant::ListSinceAsked { confirm.age } else { 0 };
            coordinator.reigns = product::all_followed(coordinator.reigns, named, age);
            news = true;
        }
        news.then_some(())
    }

    fn look(&self, state: &mut State, node: usize) -> Option<()> {
        let named = self.name_of_reign(state, node)?;
        let after_fail_over = 0 < state.promotions;
        let coordinator = &mut state.coordinator;
        let (durable_in, age) = coordinator.barrier?;
        coordinator.reigns = self.saw(coordinator.reigns, named);
        let waited = if self.variant == Variant::ShortFence { age + 1 } else { age };
        let known = match self.variant {
            Variant::ListAlone => Some((named, Some(self.limit))),
            _ => coordinator.reigns,
        };
        let terms = product::terms(self.limit);
        let data: &Data = &state.nodes[node].data;
        match product::look(&terms, (durable_in, waited), known, (data, named)) {
            product::Look::Enforced { by_list } => {
                coordinator.enforced = Some(Enforced { by_list, after_fail_over });
            }
            product::Look::OtherReign => coordinator.barrier = None,
            product::Look::Waiting | product::Look::Lost => {}
        }
        Some(())
    }

    /// The coordinator heard from a reign.
    fn saw(&self, known: product::Known, named: u8) -> product::Known {
        if !self.variant.uses_list() {
            return None;
        }
        let seen = product::saw(known, named);
        match self.variant {
            Variant::ListSinceSeen => product::all_followed(seen, named, 0),
            _ => seen,
        }
    }

    /// By what the coordinator tells a node's reign from others.
    fn name_of_reign(&self, state: &State, node: usize) -> Option<u8> {
        let reign = state.reign_of(node)?;
        match self.variant {
            Variant::ReignByNode => u8::try_from(node).ok(),
            Variant::Product => Some(reign * 8 + state.nodes[node].syncs),
            _ => Some(reign),
        }
    }

    fn nodes_that_count(&self) -> u32 {
        match self.variant {
            Variant::NoWait => 1,
            Variant::Majority => 2,
            _ => 3,
        }
    }
}

fn catch_up(state: &mut State, replica: usize, node: usize) -> Option<()> {
    state.reign_of(node)?;
    let (data, replica) = (&state.nodes[node].data, &mut state.replicas[replica]);
    if product::said(data, replica.place) != Said::Behind {
        return None;
    }
    // A new snapshot has no lease yet, and no renewal under way.
    *replica = Replica { place: data.place, lease: 0, call: Call::None };
    Some(())
}

fn leave(state: &mut State, replica: usize, node: usize) -> Option<()> {
    state.reign_of(node)?;
    state.nodes[node].data.list[replica].take()?;
    let leaving = &mut state.replicas[replica];
    (leaving.lease, leaving.call) = (0, Call::None);
    Some(())
}

fn copy(state: &mut State, node: usize) -> Option<()> {
    let Role::Follower { of } = state.nodes[node].role else { return None };
    state.reign_of(of.into())?;
    state.nodes[node].data = state.nodes[usize::from(of)].data;
    if let Some(confirm) = &mut state.coordinator.confirm
        && confirm.node == of
    {
        confirm.copies[node] = true;
    }
    Some(())
}

fn commit(state: &mut State, node: usize) -> Option<()> {
    state.reign_of(node)?;
    let data = &mut state.nodes[node].data;
    if state.coordinator.committed.is_some() || product::said(data, Place::Before) != Said::Newest {
        return None;
    }
    data.place = Place::Suspended;
    state.coordinator.committed = Some(0);
    Some(())
}
