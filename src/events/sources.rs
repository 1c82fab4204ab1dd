//! Where events come from: records of the log, what time does to the rules, and what this process sees.
//!
//! What follows from the log is read from it, from the cursor on. What follows from the rules and the time
//! is worked out anew at each look, and so cannot be missed: its id says what it is about, and the outbox
//! knows those that it has had. Only gaps of the decision log are seen by one process alone; a process that
//! is killed before it told leaves a gap to the next one, which tells that.

use super::event::{Event, Kind};
use super::outbox::Cursor;
use crate::decision::{Footprints, Moved};
use crate::domain::{ChainHash, Date, Lineage, Revision, Timestamp};
use crate::service::{Act, Held, Record, Service};
use crate::telemetry::StoreContact;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How many records are read at once.
const PAGE: usize = 200;

/// How many ids a list in an event has; its count is whole.
const MOST_LISTED: usize = 100;

/// How often the instant up to which everything was seen is written down when nothing happens.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// How often the outbox is told again of what goes on, so that it is not forgotten there.
const REMIND_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What a look found.
pub(super) struct Found {
    /// Events, each with the text to send.
    pub(super) events: Vec<(Event, String)>,
    pub(super) cursor: Cursor,
}

pub(super) struct Sources {
    service: Arc<Service>,
    source: String,
    server: String,
    gaps: Box<dyn Fn() -> u64 + Send + Sync>,
    /// This process, so that its gaps have ids of their own.
    run: String,
    gaps_told: u64,
    gaps_seen: u64,
    /// What the outbox was told of, and since when.
    told: BTreeSet<String>,
    told_since: Option<Timestamp>,
    footprints: Option<(Lineage, Revision, Arc<Footprints>)>,
}

impl Sources {
    pub(super) fn new(
        service: Arc<Service>,
        source: String,
        server: String,
        gaps: Box<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        Self {
            service,
            source,
            server,
            gaps,
            run: uuid::Uuid::new_v4().simple().to_string(),
            gaps_told: 0,
            gaps_seen: 0,
            told: BTreeSet::new(),
            told_since: None,
            footprints: None,
        }
    }

    /// What is new since the cursor; `None` when there is nothing to write down.
    pub(super) async fn look(
        &mut self,
        cursor: Cursor,
        now: Timestamp,
    ) -> Result<Option<Found>, String> {
        let Some(held) = self.service.held() else { return Ok(None) };
        // A clock that was set back shows nothing twice and misses nothing.
        let now = now.max(cursor.seen_until);
        let mut events = Vec::new();
        let place = self.read_log(&cursor, &held, &mut events).await?;
        self.reaches(&held, &cursor, now, &mut events).await?;
        overdue(&held, now, &mut events);
        reviews(&held, now, &mut events);
        self.fork(&held, now, &mut events);
        self.gap(now, &mut events);
        if self.told_since.is_none_or(|since| later(since, REMIND_EVERY) <= now) {
            self.told.clear();
            self.told_since = Some(now);
        }
        events.retain(|event| !self.told.contains(&event.id));
        let is_noted =
            cursor.place.as_ref() == Some(&place) && now < later(cursor.seen_until, NOTE_EVERY);
        if events.is_empty() && is_noted {
            return Ok(None);
        }
        self.told.extend(events.iter().map(|event| event.id.clone()));
        let with_body = |event: Event| {
            let body = event.body(&self.source, &self.server);
            (event, body)
        };
        let events = events.into_iter().map(with_body).collect();
        let cursor = Cursor { place: Some(place), seen_until: now, ..cursor };
        Ok(Some(Found { events, cursor }))
    }

    /// What a look found was put into the outbox, or was not.
    pub(super) fn put(&mut self, is_whole: bool) {
        match is_whole {
            true => self.gaps_told = self.gaps_seen,
            false => self.told.clear(),
        }
    }

    /// Reads on in the log, and returns how far it got.
    async fn read_log(
        &self,
        cursor: &Cursor,
        held: &Held,
        events: &mut Vec<Event>,
    ) -> Result<(Lineage, Revision, ChainHash), String> {
        let head = &held.head;
        // Where nobody knows better, what is older than the outbox is nobody's news.
        let start = (Revision::ZERO, ChainHash::ZERO);
        let (mut revision, mut chain) = match cursor.place.clone() {
            None => start,
            Some((lineage, revision, chain)) => {
                let goes_on = lineage == head.lineage && revision <= head.revision;
                // Another history may have taken the place of the one that was read. What both have has
                // the same ids.
                let is_known = goes_on || self.holds(revision, chain).await?;
                if is_known { (revision, chain) } else { start }
            }
        };
        for record in self.records(revision, PAGE).await? {
            if cursor.since <= record.content.at {
                self.of_record(&record, events).await?;
            }
            (revision, chain) = (record.revision, record.chain);
        }
        Ok((head.lineage.clone(), revision, chain))
    }

    async fn records(&self, after: Revision, most: usize) -> Result<Vec<Record>, String> {
        let records = self.service.audit_records(after, most).await;
        records.map_err(|error| format!("records cannot be read: {error}"))
    }

    /// Whether the history in effect leads through this place.
    async fn holds(&self, revision: Revision, chain: ChainHash) -> Result<bool, String> {
        let Some(before) = revision.0.checked_sub(1) else { return Ok(true) };
        let record = self.records(Revision(before), 1).await?.pop();
        Ok(record.is_some_and(|record| record.chain == chain))
    }

    async fn of_record(&self, record: &Record, events: &mut Vec<Event>) -> Result<(), String> {
        let content = &record.content;
        let number = record.revision;
        if content.act == Act::Emergency {
            let subject = subject_of(&content.change);
            events.push(Event {
                id: format!("break-glass-{number}-{}", record.chain.prefix()),
                kind: Kind::BreakGlass,
                at: content.at,
                data: json!({
                    "change": number.0,
                    "subject": subject,
                    "author": &*content.author.name,
                    "ticket": content.ticket,
                }),
                subject,
            });
        }
        let Some(effect) = content.effect() else { return Ok(()) };
        let touches_ownership =
            effect.edits.iter().any(|edit| matches!(edit.subject().0, "vendors" | "products"));
        let (true, Some(before)) = (touches_ownership, number.0.checked_sub(1)) else {
            return Ok(());
        };
        let before = self.service.rules_at(Some(Revision(before))).await;
        let before = before.map_err(|error| format!("earlier rules cannot be read: {error}"))?;
        let (effect, at) = (effect.clone(), content.at);
        let moved = on_a_thread(move || {
            let after = before.rules.after(&effect);
            let (old, new) = (Footprints::of(&before.rules), Footprints::of(&after));
            // Rules that do not compile were never in force.
            old.and_then(|old| new.map(|new| old.moved_to(&new, at))).unwrap_or_default()
        });
        for moved in moved.await? {
            let id = format!("reach-{}-r{number}-{}", moved.suspension, record.chain.prefix());
            events.push(reach_event(id, &moved, Some(number)));
        }
        Ok(())
    }

    /// What dated ownership did since the last look.
    async fn reaches(
        &mut self,
        held: &Arc<Held>,
        cursor: &Cursor,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        let (lineage, revision) = (held.head.lineage.clone(), held.rules_since);
        let known = self.footprints.take().filter(|it| it.0 == lineage && it.1 == revision);
        let footprints = match known {
            Some((_, _, footprints)) => footprints,
            None => {
                let rules = Arc::clone(held);
                let made = on_a_thread(move || Footprints::of(&rules.rules)).await?;
                Arc::new(made.map_err(|error| error.to_string())?)
            }
        };
        for moved in footprints.moves(cursor.seen_until, now) {
            let id = format!("reach-{}-{}", moved.suspension, moved.at.as_second());
            events.push(reach_event(id, &moved, None));
        }
        self.footprints = Some((lineage, revision, footprints));
        Ok(())
    }

    fn fork(&self, held: &Held, now: Timestamp, events: &mut Vec<Event>) {
        if self.service.standing_seen().contact != StoreContact::Forked {
            return;
        }
        let (revision, chain) = (held.head.revision, held.head.chain.prefix());
        events.push(Event {
            id: format!("fork-{revision}-{chain}"),
            kind: Kind::Fork,
            at: now,
            subject: format!("histories/{}", held.head.lineage),
            data: json!({"held_revision": revision.0, "held_chain": chain}),
        });
    }

    fn gap(&mut self, now: Timestamp, events: &mut Vec<Event>) {
        self.gaps_seen = (self.gaps)();
        let new = self.gaps_seen.saturating_sub(self.gaps_told);
        if 0 < new {
            events.push(Event {
                id: format!("decision-log-gap-{}-{}", self.run, self.gaps_seen),
                kind: Kind::DecisionLogGap,
                at: now,
                subject: format!("servers/{}", self.server),
                data: json!({"server": self.server, "gaps": new}),
            });
        }
    }
}

/// Emergencies that nobody has ratified in time.
fn overdue(held: &Held, now: Timestamp, events: &mut Vec<Event>) {
    for (number, emergency) in &held.waiting.emergencies {
        if !emergency.is_overdue(now) {
            continue;
        }
        let subject = subject_of(&emergency.change);
        events.push(Event {
            id: format!("break-glass-overdue-{number}-{}", emergency.at.as_second()),
            kind: Kind::BreakGlassOverdue,
            at: emergency.due_at(),
            data: json!({
                "change": number.0,
                "subject": subject,
                "author": &*emergency.author.name,
                "ticket": emergency.ticket,
                "in_force_since": emergency.at.to_string(),
            }),
            subject,
        });
    }
}

/// Suspensions whose review date has come, in UTC, and that are not over.
fn reviews(held: &Held, now: Timestamp, events: &mut Vec<Event>) {
    for suspension in held.rules.suspensions.values() {
        let Some(day) = suspension.review_by else { continue };
        let Some(begins) = begin_of(day).filter(|begins| *begins <= now) else { continue };
        if suspension.over_since(now).is_some() {
            continue;
        }
        events.push(Event {
            id: format!("review-due-{}-{day}", suspension.id),
            kind: Kind::ReviewDue,
            at: begins,
            subject: format!("suspensions/{}", suspension.id),
            data: json!({
                "suspension": suspension.id.as_str(),
                "review_by": day.to_string(),
                "ticket": suspension.ticket,
            }),
        });
    }
}

fn reach_event(id: String, moved: &Moved, revision: Option<Revision>) -> Event {
    let listed = |products: &[crate::domain::ProductId]| -> Value {
        let ids = products.iter().take(MOST_LISTED).map(|id| id.as_str());
        json!({"count": products.len(), "products": ids.collect::<Vec<_>>()})
    };
    Event {
        id,
        kind: Kind::ReachMoved,
        at: moved.at,
        subject: format!("suspensions/{}", moved.suspension),
        data: json!({
            "suspension": moved.suspension.as_str(),
            "widened": listed(&moved.widened),
            "freed": listed(&moved.freed),
            "change": revision.map(|revision| revision.0),
        }),
    }
}

/// The last thing that a change touches, as `suspensions/ID`: what comes before it is what it names.
fn subject_of(change: &crate::domain::RuleChange) -> String {
    let mut subjects = change.edits.iter().map(|edit| edit.subject());
    let (section, id) = subjects.next_back().unwrap_or(("rules", ""));
    format!("{section}/{id}")
}

fn begin_of(day: Date) -> Option<Timestamp> {
    jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
}

fn later(instant: Timestamp, by: Duration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|_| "a thread broke off".to_owned())
}
