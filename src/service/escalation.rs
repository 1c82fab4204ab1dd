//! Emergencies that nobody has ratified: they stay in force, and are told of louder and louder.

use super::Service;
use crate::audit::Emergency;
use crate::domain::{Revision, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often one that is overdue is told of again.
const AGAIN_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Which emergencies were told of, and how often each.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<Revision, u64>);

/// How many times an emergency should have been told of: once when it begins, once when it is overdue,
/// and once each six hours from then on.
fn times(emergency: &Emergency, now: Timestamp) -> u64 {
    let overdue = now.duration_since(emergency.due_at());
    match u64::try_from(overdue.as_secs()) {
        Ok(seconds) if emergency.is_overdue(now) => 2 + seconds / AGAIN_AFTER.as_secs(),
        Ok(_) | Err(_) => 1,
    }
}

impl Service {
    /// Tells of emergencies that wait, when it is time to.
    pub(super) fn watch_emergencies(&self, told: &mut Told) {
        let Some(held) = self.replica.held() else { return };
        let now = self.now();
        let emergencies = &held.waiting.emergencies;
        told.0.retain(|number, _| emergencies.contains_key(number));
        for (number, emergency) in emergencies {
            let times = times(emergency, now);
            if told.0.insert(*number, times).is_some_and(|before| times <= before) {
                continue;
            }
            let (author, ticket) = (&emergency.author.name, &emergency.ticket);
            match times {
                1 => tracing::warn!(
                    change = number.0,
                    "{author} made change {number} alone in an emergency ({ticket}): another person \
                     must ratify it"
                ),
                _ => tracing::error!(
                    change = number.0,
                    "Change {number} of {author} ({ticket}) has been in force since {} and nobody has \
                     ratified it: ratify it, or propose to lift it",
                    emergency.at
                ),
            }
        }
    }

    /// How many emergencies wait to be ratified: those in time, and those overdue.
    #[must_use]
    pub fn unratified(&self) -> (usize, usize) {
        let Some(held) = self.replica.held() else { return (0, 0) };
        let (now, all) = (self.now(), held.waiting.emergencies.values());
        let overdue = all.clone().filter(|emergency| emergency.is_overdue(now)).count();
        (all.len() - overdue, overdue)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::{ChangeKind, Party};

    #[test]
    fn an_emergency_is_told_of_at_once_when_it_is_overdue_and_each_six_hours_after() {
        let at: Timestamp = "2017-12-02T00:00:00Z".parse().unwrap();
        let emergency = Emergency {
            kind: ChangeKind::CreateSuspension,
            author: Party::unverified("ann"),
            reason: String::new(),
            ticket: String::new(),
            at,
            change: Default::default(),
        };
        for (hours, expected) in [(0, 1), (23, 1), (24, 2), (29, 2), (30, 3), (24 + 6 * 40, 42)] {
            let now = at.checked_add(Duration::from_secs(hours * 3600)).unwrap();
            assert_eq!(times(&emergency, now), expected, "after {hours} h");
        }
    }
}
