//! What a run breaks, when, and for how long: drawn from the seed, one after the other, with time to
//! recover in between.

use super::dice::Dice;
use super::fleet::{Fleet, SIZE};
use super::history::{Event, Fault, Nanos};
use super::load::{Run, now};
use super::proxy::Weather;
use super::world;
use std::time::Duration;

/// How long a fail-over may take until every replica answers again. What takes longer shows as K5.
const FAIL_OVER_LIMIT: Duration = Duration::from_secs(25);

/// How long all must be well after a primary was lost: the sentinel may still be about to promote
/// another one, and so lose what was not acknowledged yet.
const STEADY: Duration = Duration::from_secs(3);

/// One thing that can be broken.
#[derive(Debug, Clone, Copy)]
enum Kind {
    KillReplica,
    FreezeReplica,
    CutReplica,
    SilenceReplica {
        up: bool,
        down: bool,
    },
    SlowReplica,
    ResetReplica,
    AbandonReplica,
    FreezeFollower,
    CutOffPrimary,
    KillPrimary,
    FlushScripts,
    /// A renewal is answered late, and none after it.
    LateAnswer,
    /// The store is emptied, and people restore it from a journal; perhaps while one replica is cut off.
    EmptyStore,
    /// The primary is lost with changes that it alone has.
    LoseChanges,
    /// One replica alone sees changes that are then lost, and comes back when there are others.
    Diverge,
    /// Another primary takes over that has never heard of a replica, while that one is cut off.
    Usurp,
}

const KINDS: [Kind; 15] = [
    Kind::KillReplica,
    Kind::FreezeReplica,
    Kind::FreezeReplica,
    Kind::CutReplica,
    Kind::SilenceReplica { up: true, down: false },
    Kind::SilenceReplica { up: false, down: true },
    Kind::SilenceReplica { up: true, down: true },
    Kind::SlowReplica,
    Kind::ResetReplica,
    Kind::AbandonReplica,
    Kind::FreezeFollower,
    Kind::CutOffPrimary,
    Kind::FlushScripts,
    Kind::LateAnswer,
    Kind::EmptyStore,
];

/// Every fourth fault is one of these, in turn.
const FAIL_OVERS: [Kind; 4] = [Kind::KillPrimary, Kind::LoseChanges, Kind::Usurp, Kind::Diverge];

/// The faults that show a bug, which a run that looks for it has and no others.
fn showing(bug: &str) -> &'static [Kind] {
    match bug {
        "lease-from-reply" => &[Kind::LateAnswer],
        "skip-chain" | "revision-only" => &[Kind::Diverge],
        "ack-before-fence" | "cached-clock" => {
            &[Kind::SilenceReplica { up: true, down: true }, Kind::CutReplica, Kind::FreezeReplica]
        }
        "early-release" => &[Kind::Usurp],
        other => panic!("there is no bug `{other}`"),
    }
}

/// The faults of one run.
pub(crate) struct Faults<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) run: &'a Run,
    pub(crate) limit: Duration,
    pub(crate) bug: Option<&'a str>,
    pub(crate) dice: Dice,
}

impl Faults<'_> {
    /// Breaks one thing after another for so long. Every fourth is the loss of the primary; between
    /// those, each kind comes once before any comes again.
    pub(crate) async fn go_on_for(&mut self, time: Duration) {
        let end = now() + nanos(time);
        let mut deck: Vec<Kind> = Vec::new();
        for number in 1_u64.. {
            tokio::time::sleep(self.limit + self.dice.time(Duration::ZERO, self.limit)).await;
            if end <= now() {
                return;
            }
            if deck.is_empty() {
                deck.extend(self.bug.map_or(&KINDS[..], showing));
            }
            let kind = match (usize::try_from(number).unwrap(), self.bug) {
                (number, None) if number % 4 == 0 => {
                    FAIL_OVERS[(number / 4 - 1) % FAIL_OVERS.len()]
                }
                _ => deck.swap_remove(self.dice.below(deck.len())),
            };
            self.break_and_mend(kind, number).await;
        }
    }

    async fn break_and_mend(&mut self, kind: Kind, number: u64) {
        let replica = self.dice.below(SIZE);
        let hit = &self.fleet.replicas[replica];
        let short = self.dice.time(self.limit / 2, self.limit * 3 / 2);
        let long = self.dice.time(self.limit / 2, self.limit * 3);
        let from = now();
        let mut forked = false;
        eprintln!("fault {number}: {kind:?}, {}", hit.name);
        match kind {
            Kind::KillReplica => {
                hit.kill();
                tokio::time::sleep(short).await;
                hit.start(None, self.bug);
                self.recover(None).await;
            }
            Kind::FreezeReplica => {
                hit.signal("STOP");
                tokio::time::sleep(long).await;
                hit.signal("CONT");
            }
            Kind::CutReplica => self.weather(replica, Weather::Cut, long).await,
            Kind::SilenceReplica { up, down } => {
                self.weather(replica, Weather::Silent { up, down }, long).await;
            }
            Kind::SlowReplica => {
                let delay = self.dice.time(Duration::from_millis(20), self.limit);
                let jitter = Duration::from_millis(200);
                self.weather(replica, Weather::Slow { delay, jitter }, long).await;
            }
            Kind::ResetReplica => hit.links().iter().for_each(|link| link.reset()),
            Kind::AbandonReplica => {
                hit.links().iter().for_each(|link| link.abandon());
                tokio::time::sleep(long).await;
            }
            Kind::FreezeFollower => {
                let follower = (self.fleet.primary() + 1 + self.dice.below(SIZE - 1)) % SIZE;
                self.fleet.node(follower).freeze();
                tokio::time::sleep(long).await;
                self.fleet.node(follower).thaw();
            }
            Kind::CutOffPrimary => {
                let primary = self.fleet.primary();
                let link = |number: usize| &self.fleet.replicas[number].links()[primary];
                (0..SIZE).for_each(|number| link(number).set(Weather::Cut));
                tokio::time::sleep(short).await;
                (0..SIZE).for_each(|number| link(number).set(Weather::Clear));
            }
            Kind::KillPrimary => {
                let primary = self.fleet.primary();
                self.fleet.node(primary).kill();
                if self.dice.below(3) == 0 {
                    // Back before anybody else was promoted, perhaps.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    self.fleet.node(primary).restart();
                } else {
                    self.other_primary_than(primary).await;
                    tokio::time::sleep(short).await;
                    self.fleet.node(primary).restart();
                }
                forked = self.recover(Some(number)).await;
            }
            Kind::LateAnswer => {
                hit.set(Weather::Silent { up: false, down: true });
                tokio::time::sleep(self.limit * 2 / 5).await;
                // What was asked is answered now, and nothing else can be asked.
                self.weather(replica, Weather::Silent { up: true, down: false }, self.limit * 2)
                    .await;
            }
            Kind::EmptyStore => {
                let apart = (self.dice.below(2) == 0).then_some(replica);
                if apart.is_some() {
                    hit.set(Weather::Cut);
                    tokio::time::sleep(self.limit / 4).await;
                }
                self.empty_and_restore(number, apart, self.limit + short).await;
                hit.set(Weather::Clear);
                forked = self.recover(Some(number)).await;
            }
            Kind::LoseChanges => {
                let primary = self.detach_followers();
                tokio::time::sleep(self.dice.time(self.limit / 5, self.limit / 2)).await;
                self.fleet.node(primary).kill();
                self.other_primary_than(primary).await;
                self.fleet.node(primary).restart();
                forked = self.recover(Some(number)).await;
            }
            Kind::Diverge => {
                let others = || (0..SIZE).filter(|number| *number != replica);
                others().for_each(|number| self.fleet.replicas[number].set(Weather::Cut));
                let primary = self.detach_followers();
                tokio::time::sleep(self.limit).await;
                hit.set(Weather::Cut);
                self.fleet.node(primary).kill();
                others().for_each(|number| self.fleet.replicas[number].set(Weather::Clear));
                self.other_primary_than(primary).await;
                self.fleet.node(primary).restart();
                // Time for the others to get further than it was.
                tokio::time::sleep(self.limit * 3).await;
                hit.set(Weather::Clear);
                forked = self.recover(Some(number)).await;
            }
            Kind::Usurp => {
                self.run.hold_changes(true);
                hit.signal("TERM");
                tokio::time::sleep(Duration::from_millis(1500)).await;
                hit.kill();
                let primary = self.detach_followers();
                hit.start(None, self.bug);
                self.until_it_can_tell(replica).await;
                // It goes on with the old primary, up to its end, and finds no other.
                let ways = hit.links().iter().enumerate().filter(|(number, _)| *number != primary);
                ways.for_each(|(_, link)| link.set(Weather::Cut));
                self.fleet.take_over();
                self.other_primary_than(primary).await;
                self.fleet.all_follow_the_primary();
                hit.set(Weather::Cut);
                self.run.hold_changes(false);
                tokio::time::sleep(self.limit * 2).await;
                hit.set(Weather::Clear);
                forked = self.recover(Some(number)).await;
            }
            Kind::FlushScripts => {
                let primary = self.fleet.primary();
                self.fleet.node(primary).cli(&["SCRIPT", "FLUSH"]);
            }
        }
        let what = format!("{kind:?} {}", hit.name);
        self.run.note(Event::Fault(Fault { from, until: now(), what, forked }));
    }

    async fn weather(&self, replica: usize, weather: Weather, time: Duration) {
        self.fleet.replicas[replica].set(weather);
        tokio::time::sleep(time).await;
        self.fleet.replicas[replica].set(Weather::Clear);
    }

    async fn other_primary_than(&self, lost: usize) {
        let end = now() + nanos(FAIL_OVER_LIMIT);
        while self.fleet.primary() == lost && now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Until every replica can tell again; with the number of an attempt, until that lasts, and people
    /// decide between histories if they must. Says whether they had to.
    async fn recover(&self, attempt: Option<u64>) -> bool {
        let from = now();
        let steady = attempt.map_or(0, |_| nanos(STEADY));
        let (mut forked, mut well_since) = (false, None);
        while now() < from + nanos(FAIL_OVER_LIMIT) {
            match self.all_can_tell().await && self.fleet.nodes_are_in_step() {
                true => {
                    let since = *well_since.get_or_insert_with(now);
                    if since + steady <= now() {
                        break;
                    }
                }
                false => {
                    well_since = None;
                    if let Some(attempt) = attempt.filter(|_| from + nanos(self.limit * 2) < now())
                    {
                        forked |= self.run.accept_history(attempt).await;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        forked
    }

    async fn until_it_can_tell(&self, replica: usize) {
        let end = now() + nanos(FAIL_OVER_LIMIT);
        while now() < end && !self.can_tell(replica).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn all_can_tell(&self) -> bool {
        for replica in 0..SIZE {
            if !self.can_tell(replica).await {
                return false;
            }
        }
        true
    }

    async fn can_tell(&self, replica: usize) -> bool {
        let answer = self.run.asks(replica, &world::offer(world::VENDORS)).await;
        answer.is_some_and(|answer| answer.is_eligible())
    }

    /// Leaves the primary, which is named, alone with whatever comes next.
    fn detach_followers(&self) -> usize {
        let primary = self.fleet.primary();
        for follower in (0..SIZE).filter(|number| *number != primary) {
            // Nobody listens on port 1.
            self.fleet.node(follower).cli(&["REPLICAOF", "127.0.0.1", "1"]);
        }
        primary
    }
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap()
}
