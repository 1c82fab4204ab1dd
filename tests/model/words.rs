//! A path through the model, told so that a person can follow it.

use crate::state::{Call, Place, Said, State};
use crate::system::{Step, System};
use stateright::Path;

/// One numbered line a step.
pub(crate) fn tell(system: &System, path: Path<State, Step>) -> String {
    let steps = path.into_vec();
    let nexts = steps.iter().skip(1).map(|(state, _)| state);
    let mut text = String::new();
    for (place, ((last, step), next)) in steps.iter().zip(nexts).enumerate() {
        let Some(step) = step else { continue };
        let line = sentence(system, *step, last, next);
        text.push_str(&format!("    {:>2}. {line}\n", place + 1));
    }
    if let Some((last, _)) = steps.last() {
        for (replica, state) in last.replicas.iter().enumerate() {
            if state.place == Place::Before && 0 < state.lease {
                let (name, left) = (name(replica), state.lease);
                text.push_str(&format!(
                    "        {name} holds no suspension, has a lease for {left} more tick(s), and offers.\n"
                ));
            }
        }
    }
    text
}

fn name(replica: usize) -> char {
    if replica == 0 { 'A' } else { 'B' }
}

fn sentence(system: &System, step: Step, last: &State, next: &State) -> String {
    let node = |node: usize| format!("node {}", node + 1);
    let has = |at: usize| match last.nodes[at].data.place {
        Place::Before => "without the suspension",
        Place::Suspended => "with the suspension",
    };
    match step {
        Step::Tick => "A tick passes.".to_owned(),
        Step::Ask { replica } => format!("{} sends a renewal.", name(replica)),
        Step::Answer { replica, node: at } => {
            let said = match next.replicas[replica].call {
                Call::Answered { said, .. } => of(said),
                Call::None | Call::Asked { .. } => "nothing",
            };
            format!("{} answers {}: {said}.", node(at), name(replica))
        }
        Step::Hear { replica } => {
            let left = next.replicas[replica].lease;
            format!("The answer reaches {}: its lease runs for {left} tick(s).", name(replica))
        }
        Step::CatchUp { replica, node: at } => {
            format!("{} takes over what {} holds.", name(replica), node(at))
        }
        Step::Leave { replica, node: at } => {
            format!("{} leaves, and is off the list of {}.", name(replica), node(at))
        }
        Step::Copy { node: at } => format!("{} copies what its primary holds.", node(at)),
        Step::Promote { node: at } => {
            format!("{} is promoted, {}; reign {} begins.", node(at), has(at), next.promotions)
        }
        Step::Follow { node: at, of } => format!("{} is told to follow {}.", node(at), node(of)),
        Step::Commit { node: at } => format!("The suspension is written to {}.", node(at)),
        Step::AskAll { node: at, place: Place::Before } => {
            format!("The coordinator asks {} whether all nodes follow it.", node(at))
        }
        Step::AskAll { node: at, place: Place::Suspended } => {
            format!("The coordinator asks {} whether all nodes hold the suspension.", node(at))
        }
        Step::AllHold => {
            let copies = last.coordinator.confirm.map_or(0, |confirm| confirm.count());
            format!("It is told that {copies} of 3 do, which is enough for {:?}.", system.variant)
        }
        Step::Look { node: at } => {
            let verdict = match next.coordinator.enforced {
                Some(how) if how.by_list => "ENFORCED, by the list",
                Some(_) => "ENFORCED, since all leases must have run out",
                None => "not yet",
            };
            format!("The coordinator looks at {}: {verdict}.", node(at))
        }
    }
}

fn of(said: Said) -> &'static str {
    match said {
        Said::Newest => "that is the newest",
        Said::Behind => "there is more",
        Said::Forked => "the histories have forked",
    }
}
