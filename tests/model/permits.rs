//! Everything that can happen between one server that keeps the list of permits itself, one change, and one
//! holder: whatever is waiting may go on waiting while time passes.
//!
//! The property: once `ENFORCED` was reported, the holder begins nothing by the older rules. What is on the list,
//! and when it counts no more, is for `offergate::replica::Permits`; the holder is told here as its keeper works
//! (`jobs/permit/state.rs` has tests of its own): it counts from before it asked, and says what it acts by.
//!
//! In the world: messages that are late or lost, each of two kinds of answer; a server that stands still between
//! any two steps, dies and comes back; a holder that stands still, and takes the newer rules when it gets to it.
//! Wrong variants must each give a counter-example.

use crate::product::{NOW, ago, terms};
use offergate::domain::{PrincipalId, Revision};
use offergate::replica::{Holder, Permits};
use offergate::store::Incarnation;
use stateright::{Checker, Model, Property};
use std::sync::LazyLock;

const LIMIT: u8 = 2;

const OLD: Revision = Revision(1);
const NEW: Revision = Revision(2);

static HOLDER: LazyLock<Holder> = LazyLock::new(|| {
    let run = Incarnation::parse(&"a".repeat(32)).expect("hexadecimal digits");
    Holder::new("mailer", &PrincipalId::unverified("ann"), &run).expect("a name")
});

/// What is tried: the product, or one of the ways to get it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Variant {
    Product,
    /// The rules are looked at before the holder is on the list, and not again.
    ListLater,
    /// A permit counts from when its answer arrives.
    FromTheAnswer,
    /// A server that comes back takes it that nobody holds a permit.
    Forgetful,
    /// The holder says that it acts by the newer rules as soon as it hears of them.
    EarlyWord,
}

/// A request that the holder has under way. A new one takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    None,
    /// It is on its way, since so long.
    Asked {
        by: Revision,
        age: u8,
    },
    /// The server has looked at its rules, or put the holder on the list; it is in between.
    Half {
        by: Revision,
        age: u8,
        moved: bool,
    },
    /// An answer is on its way back.
    Answered {
        granted: bool,
        age: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    server: Revision,
    /// The holder's place on the list: what it acts by, and how long ago it was granted.
    listed: Option<(Revision, u8)>,
    /// How long ago a server came back that cannot know who holds permits.
    restarted: Option<u8>,
    restarts: u8,
    holder: Revision,
    /// What it says that it acts by.
    says: Revision,
    permit: u8,
    call: Call,
    enforced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Tick,
    Ask,
    Serve,
    ServeOn,
    Hear,
    Take,
    Swap,
    Restart,
    Look,
}

const STEPS: [Step; 9] = [
    Step::Tick,
    Step::Ask,
    Step::Serve,
    Step::ServeOn,
    Step::Hear,
    Step::Take,
    Step::Swap,
    Step::Restart,
    Step::Look,
];

const SAFE: &str = "nothing begins by older rules once ENFORCED was reported";
const ENFORCED: &str = "ENFORCED is reported";
const BY_WORD: &str = "ENFORCED is reported before the permit could have run out";
const ACTS: &str = "the holder acts by the newer rules";

impl World {
    fn list(&self, variant: Variant) -> Permits {
        let (mut permits, terms) = (Permits::default(), terms(LIMIT));
        if let (Some(age), true) = (self.restarted, variant != Variant::Forgetful) {
            permits.begin_after(ago(age), &terms);
        }
        if let Some((by, age)) = self.listed {
            permits.grant(&HOLDER, by, ago(age), &terms).expect("there is room");
        }
        permits
    }

    fn serve(&mut self, variant: Variant) -> Option<()> {
        let Call::Asked { by, age } = self.call else { return None };
        let moved = by < self.server;
        self.call = match (moved, variant) {
            (true, _) => {
                // Nothing is granted; what it says counts.
                self.listed = self.listed.map(|(_, granted)| (by, granted));
                Call::Answered { granted: false, age }
            }
            (false, Variant::ListLater) => Call::Half { by, age, moved },
            (false, _) => {
                self.listed = Some((by, 0));
                Call::Half { by, age, moved }
            }
        };
        Some(())
    }

    fn serve_on(&mut self, variant: Variant) -> Option<()> {
        let Call::Half { by, age, .. } = self.call else { return None };
        let granted = match variant {
            Variant::ListLater => {
                self.listed = Some((by, 0));
                true
            }
            _ => self.server <= by,
        };
        self.call = Call::Answered { granted, age };
        Some(())
    }

    fn step(&mut self, step: Step, variant: Variant) -> Option<()> {
        match step {
            Step::Tick => {
                self.permit = self.permit.saturating_sub(1);
                let older = |age: u8| (age + 1).min(LIMIT + 1);
                self.listed = self.listed.map(|(by, age)| (by, older(age)));
                self.restarted = self.restarted.map(older);
                self.call = match self.call {
                    Call::None => Call::None,
                    Call::Asked { by, age } => Call::Asked { by, age: older(age) },
                    Call::Half { by, age, moved } => Call::Half { by, age: older(age), moved },
                    Call::Answered { granted, age } => Call::Answered { granted, age: older(age) },
                };
            }
            Step::Ask => self.call = Call::Asked { by: self.says, age: 0 },
            Step::Serve => self.serve(variant)?,
            Step::ServeOn => self.serve_on(variant)?,
            Step::Hear => {
                let Call::Answered { granted, age } = self.call else { return None };
                let age = if variant == Variant::FromTheAnswer { 0 } else { age };
                if granted {
                    self.permit = self.permit.max(LIMIT.saturating_sub(age));
                } else if variant == Variant::EarlyWord {
                    self.says = self.server;
                }
                self.call = Call::None;
            }
            Step::Take => {
                (self.holder < self.server).then_some(())?;
                (self.holder, self.says) = (self.server, self.server);
            }
            Step::Swap => {
                (self.server == OLD).then_some(())?;
                self.server = NEW;
            }
            Step::Restart => {
                (self.restarts == 0).then_some(())?;
                // The file is there if anybody was ever on the list.
                self.restarted = self.listed.map(|_| 0);
                (self.listed, self.restarts) = (None, 1);
                if matches!(self.call, Call::Asked { .. } | Call::Half { .. }) {
                    self.call = Call::None;
                }
            }
            Step::Look => {
                let may_be = self.server == NEW && !self.enforced;
                (may_be && self.list(variant).obey(NEW, NEW, NOW)).then_some(())?;
                self.enforced = true;
            }
        }
        Some(())
    }
}

impl Model for Variant {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            server: OLD,
            listed: None,
            restarted: None,
            restarts: 0,
            holder: OLD,
            says: OLD,
            permit: 0,
            call: Call::None,
            enforced: false,
        }]
    }

    fn actions(&self, _: &World, steps: &mut Vec<Step>) {
        steps.extend(STEPS);
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        world.step(step, *self)?;
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, it: &World| {
                !(it.enforced && it.holder == OLD && 0 < it.permit)
            }),
            Property::sometimes(ENFORCED, |_, it: &World| it.enforced),
            Property::sometimes(BY_WORD, |_, it: &World| {
                it.enforced && it.listed.is_some_and(|(_, age)| age < LIMIT)
            }),
            Property::sometimes(ACTS, |_, it: &World| it.holder == NEW && 0 < it.permit),
        ]
    }
}

#[test]
fn a_permit_of_a_server_that_keeps_its_own_list_is_waited_for() {
    let found = Variant::Product.checker().spawn_bfs().join();
    println!("permits: {} states, {} deep", found.unique_state_count(), found.max_depth());
    if let Some(path) = found.discovery(SAFE) {
        panic!("not safe: {:?}", path.into_actions());
    }
    for name in [ENFORCED, BY_WORD, ACTS] {
        assert!(found.discovery(name).is_some(), "never happens: {name}");
    }
}

#[test]
fn every_way_to_get_permits_wrong_is_found_out() {
    use Variant::{EarlyWord, Forgetful, FromTheAnswer, ListLater};
    for wrong in [ListLater, FromTheAnswer, Forgetful, EarlyWord] {
        let found = wrong.checker().spawn_bfs().join();
        let path = found.discovery(SAFE);
        let path = path.unwrap_or_else(|| panic!("{wrong:?} is wrong, and nothing shows it"));
        println!("{wrong:?}: {:?}", path.into_actions());
    }
}
