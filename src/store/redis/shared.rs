//! What the replicas share: their reports, who they are, and how far a change has got among the servers.

use super::location::milliseconds;
use super::log::unclear;
use super::scripts::{CONFIRM, FLEET, HEAD, LEAVE, RENEW};
use super::{Core, RedisStore};
use crate::domain::Revision;
use crate::redis::{Reply, Trouble, Unanswered};
use crate::store::{
    BoxError, Confirmation, Fleet, Head, Incarnation, Renewal, ReplicaName, Report, SharedStore,
    Shortfall, Sighting, Standing, StoreError,
};
use futures_util::future::BoxFuture;
use redis::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long these may take, with all attempts. A renewal that takes longer is worth nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What answering may take beyond a wait that was asked for.
const GRACE: Duration = Duration::from_secs(1);

/// The longest address that is kept.
const LONGEST_ADDRESS: usize = 256;

impl Core {
    async fn head(&self) -> Result<Option<Head>, StoreError> {
        const DOING: &str = "asking where the store stands";
        let reply = self.log.lane.run(&HEAD, &[], PATIENCE, Unanswered::Again).await;
        let mut reply = reply.map_err(|trouble| trouble.reading(DOING))?.sound()?;
        if reply.kind == "EMPTY" {
            return Ok(None);
        }
        let mut read = || -> Result<(Head, String), BoxError> {
            reply.reign()?;
            let lineage = reply.lineage()?;
            let head = Head { lineage, revision: reply.revision()?, chain: reply.chain()? };
            Ok((head, reply.text()?))
        };
        match read().map_err(unclear(DOING))? {
            (head, fork) if fork == "0" => Ok(Some(head)),
            _ => Err(StoreError::Forked),
        }
    }

    async fn renew(&self, report: &Report) -> Result<Renewal, StoreError> {
        const DOING: &str = "renewing a lease";
        let Place { lineage, revision, chain } = Place::of(&report.applied);
        let address = one_line(&report.address);
        let predecessor = report.predecessor.as_ref().map_or("", Incarnation::as_str);
        let incarnation = report.incarnation.as_str();
        let limit = milliseconds(report.limit);
        let (prefix, most) = match report.room {
            Some(room) => (room.prefix, room.most.to_string()),
            None => ("", String::new()),
        };
        let arguments = [
            lineage,
            &revision,
            &chain,
            incarnation,
            predecessor,
            report.name.as_str(),
            &address,
            &limit,
            prefix,
            &most,
        ];
        let reply = self.renewals.run(&RENEW, &arguments, PATIENCE, Unanswered::Again).await;
        let mut reply = reply.map_err(|trouble| trouble.reading(DOING))?.sound()?;
        let mut read = || -> Result<Renewal, BoxError> {
            let reign = reply.reign()?;
            if reply.kind == "EMPTY" {
                return Ok(Renewal { standing: Standing::Empty, newest: Revision::ZERO, reign });
            }
            let newest = reply.revision()?;
            let standing = match reply.kind.as_str() {
                "TAKEN" => Standing::NameTaken { address: reply.text()? },
                "FULL" => Standing::NoRoom,
                "LIMIT" => Standing::LimitTooLong { allowed: reply.milliseconds()? },
                _ => standing(&mut reply)?,
            };
            Ok(Renewal { standing, newest, reign })
        };
        read().map_err(unclear(DOING))
    }

    async fn fleet(&self, place: &Head) -> Result<Fleet, StoreError> {
        const DOING: &str = "listing replicas";
        let Place { lineage, revision, chain } = Place::of(place);
        let arguments = [lineage, &revision, &chain];
        let reply = self.reports.run(&FLEET, &arguments, PATIENCE, Unanswered::Again).await;
        let mut reply = reply.map_err(|trouble| trouble.reading(DOING))?.sound()?;
        let mut read = || -> Result<Fleet, BoxError> {
            let reign = reply.reign()?;
            if reply.kind == "EMPTY" {
                let (standing, newest) = (Standing::Empty, Revision::ZERO);
                return Ok(Fleet {
                    standing,
                    newest,
                    reign,
                    limit: self.location.staleness_limit,
                    members: Vec::new(),
                });
            }
            let newest = reply.revision()?;
            let standing = standing_with_lineage(&mut reply)?;
            let limit = reply.milliseconds()?;
            let mut members = Vec::new();
            while !reply.is_over() {
                members.push(sighting(&mut reply)?);
            }
            members.sort_by(|one, other| {
                (&one.name, &one.incarnation).cmp(&(&other.name, &other.incarnation))
            });
            Ok(Fleet { standing, newest, reign, limit, members })
        };
        read().map_err(unclear(DOING))
    }

    /// The reign must be the same before and after the wait: the count of a primary that went and came
    /// back says nothing of what the others hold now. Nor may anybody leave meanwhile who was counted and
    /// cannot be looked at any more; whoever comes makes it another reign.
    async fn confirm(&self, place: &Head, limit: Duration) -> Result<Confirmation, StoreError> {
        const DOING: &str = "waiting for all store nodes";
        // Others may be waiting for the same nodes first. What is left is for the nodes, so that there is
        // an answer: how many of them have it by then.
        let over = Instant::now() + limit;
        let end = over + GRACE;
        let failed = |trouble: Trouble| trouble.reading(DOING);
        let mut session = self.waits.session(end).await.map_err(failed)?;
        let Place { lineage, revision, chain } = Place::of(place);
        let arguments = [lineage, &revision, &chain];
        let asked = session.script(&CONFIRM, &arguments, end).await.map_err(failed)?;
        let mut reply = asked.sound()?;
        let read = |reply: &mut Reply| -> Result<_, BoxError> {
            let reign = reply.reign()?;
            if reply.kind == "EMPTY" {
                return Ok((reign, Standing::Empty, self.location.staleness_limit, 0));
            }
            reply.revision()?;
            let standing = standing_with_lineage(reply)?;
            Ok((reign, standing, reply.milliseconds()?, reply.count()?))
        };
        let (before, standing, longest_lease, followers) =
            read(&mut reply).map_err(unclear(DOING))?;
        let others = self.nodes.saturating_sub(1);
        let mut copies = 1;
        if 0 < others && matches!(standing, Standing::Newest | Standing::Behind) {
            let left = over.saturating_duration_since(Instant::now());
            let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            let mut wait = redis::cmd("WAIT");
            wait.arg(others).arg(millis);
            let Value::Int(followers) = session.send(&wait, end).await.map_err(failed)? else {
                return Err(unclear(DOING)("the server did not answer with a number".into()));
            };
            copies += u32::try_from(followers).unwrap_or(0);
        }
        let counts = self.can_count(&mut session, followers, copies, end).await.map_err(failed)?;
        let again = session.script(&HEAD, &[], end).await.map_err(failed)?;
        let after = again.sound()?.reign().map_err(unclear(DOING))?;
        if after != before || !counts {
            copies = 0;
        }
        let limit = longest_lease;
        Ok(Confirmation { standing, reign: after, limit, copies, nodes: self.nodes })
    }

    async fn take_off(&self, arguments: &[&str]) -> Result<(), StoreError> {
        const DOING: &str = "taking a replica off the list";
        let reply = self.reports.run(&LEAVE, arguments, PATIENCE, Unanswered::Again).await;
        let reply = reply.map_err(|trouble| trouble.writing(DOING))?.sound()?;
        match reply.kind.as_str() {
            "OK" | "EMPTY" => Ok(()),
            _ => Err(unclear(DOING)(reply.unexpected())),
        }
    }

    /// A blocking read on its own lane. Whatever goes wrong with it, the periodic renewal does the work.
    async fn next_change(&self, revision: Revision, limit: Duration) -> Result<(), StoreError> {
        const DOING: &str = "waiting for a change";
        let end = Instant::now() + limit + GRACE;
        let failed = |trouble: Trouble| trouble.reading(DOING);
        let mut session = self.news.session(end).await.map_err(failed)?;
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(1).arg("BLOCK").arg(millis);
        let log = self.location.namespace.key("log");
        read.arg("STREAMS").arg(log).arg(format!("{revision}-0"));
        session.send(&read, end).await.map_err(failed).map(|_| ())
    }
}

/// A place in a history, as scripts take it.
struct Place<'a> {
    lineage: &'a str,
    revision: String,
    chain: String,
}

impl<'a> Place<'a> {
    fn of(head: &'a Head) -> Self {
        let Head { lineage, revision, chain } = head;
        Self { lineage: lineage.as_str(), revision: revision.to_string(), chain: chain.to_string() }
    }
}

/// What the kind of a reply says of the place that was asked about; the lineage comes next in it, where
/// it is another one.
fn standing(reply: &mut Reply) -> Result<Standing, BoxError> {
    match reply.kind.as_str() {
        "NEWEST" => Ok(Standing::Newest),
        "BEHIND" => Ok(Standing::Behind),
        "FORKED_PART" => Ok(Standing::Forked { part: true }),
        "FORKED_APART" => Ok(Standing::Forked { part: false }),
        "LINEAGE" => {
            Ok(Standing::OtherLineage { lineage: reply.lineage()?, ancestors: reply.ancestors()? })
        }
        other => Err(format!("the store answered `{other}`, which means nothing here").into()),
    }
}

/// The same, for replies that always name the lineage.
fn standing_with_lineage(reply: &mut Reply) -> Result<Standing, BoxError> {
    let standing = standing(reply)?;
    if !matches!(standing, Standing::OtherLineage { .. }) {
        reply.lineage()?;
        reply.ancestors()?;
    }
    Ok(standing)
}

fn sighting(reply: &mut Reply) -> Result<Sighting, BoxError> {
    let incarnation =
        Incarnation::parse(&reply.text()?).ok_or("the list of replicas names no incarnation")?;
    let (revision, chain, beats) = (reply.revision()?, reply.chain()?, reply.count()?);
    let name = ReplicaName::parse(&reply.text()?).ok_or("the list of replicas holds no name")?;
    Ok(Sighting { name, incarnation, address: reply.text()?, revision, chain, beats })
}

/// An address as it can be kept in a list, one a line.
fn one_line(address: &str) -> String {
    address.chars().filter(|letter| !letter.is_control()).take(LONGEST_ADDRESS).collect()
}

impl SharedStore for RedisStore {
    fn head(&self) -> BoxFuture<'_, Result<Option<Head>, StoreError>> {
        Box::pin(
            self.read("asking where the store stands", |core| async move { core.head().await }),
        )
    }

    fn renew<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<Renewal, StoreError>> {
        let report = report.clone();
        Box::pin(self.read("renewing a lease", |core| async move { core.renew(&report).await }))
    }

    fn leave<'a>(&'a self, incarnation: &'a Incarnation) -> BoxFuture<'a, Result<(), StoreError>> {
        let gone = incarnation.as_str().to_owned();
        Box::pin(self.write("leaving", |core| async move { core.take_off(&[&gone, ""]).await }))
    }

    fn fleet<'a>(&'a self, place: &'a Head) -> BoxFuture<'a, Result<Fleet, StoreError>> {
        let place = place.clone();
        Box::pin(self.read("listing replicas", |core| async move { core.fleet(&place).await }))
    }

    fn forget<'a>(&'a self, gone: &'a [Sighting]) -> BoxFuture<'a, Result<(), StoreError>> {
        let gone: Vec<String> = gone
            .iter()
            .flat_map(|seen| [seen.incarnation.as_str().to_owned(), seen.beats.to_string()])
            .collect();
        Box::pin(self.write("forgetting replicas", |core| async move {
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            core.take_off(&gone).await
        }))
    }

    fn confirm<'a>(
        &'a self,
        place: &'a Head,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Confirmation, StoreError>> {
        let place = place.clone();
        Box::pin(self.read("waiting for all store nodes", move |core| async move {
            core.confirm(&place, limit).await
        }))
    }

    fn next_change(
        &self,
        revision: Revision,
        limit: Duration,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.read("waiting for a change", move |core| async move {
            core.next_change(revision, limit).await
        }))
    }

    fn shortfalls(&self) -> BoxFuture<'_, Result<Vec<Shortfall>, StoreError>> {
        Box::pin(
            self.read(
                "reading the store's settings",
                |core| async move { core.shortfalls().await },
            ),
        )
    }
}
