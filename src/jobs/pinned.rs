//! The rules of one revision, taken from a running server once, and compiled here.
//!
//! Invariant: what is compiled belongs to the revision it is said to be of. The export names its
//! revision and its place in history, the server's record of that revision must name the same place, and
//! whatever happens later is watched from that very place.

use super::error::JobError;
use crate::client::{Client, ClientError};
use crate::decision::Snapshot;
use crate::domain::{Revision, RuleSet, Timestamp, Token};
use crate::rules;
use crate::wire::{proto, time};

/// The rules of one revision.
#[derive(Debug)]
pub struct Pinned {
    /// Its number.
    pub revision: Revision,
    /// Its place in history.
    pub token: String,
    /// When the revision was made; nothing is decided for an earlier instant unless someone asks for it.
    pub made_at: Option<Timestamp>,
    pub(super) rules: RuleSet,
    pub(super) snapshot: Snapshot,
}

impl Pinned {
    /// Takes a revision from the server; the newest, if none is named.
    ///
    /// # Errors
    /// When there are no rules, when the server's answers contradict each other, or when it cannot be asked.
    pub async fn take(client: &Client, revision: Option<u64>) -> Result<Self, JobError> {
        let asked = proto::ExportRulesRequest { revision };
        let exported = client.export_rules(asked).await.map_err(server("taking the rules"))?;
        let number = exported.revision;
        let wrong = |what: &str| JobError::Rules(what.to_owned());
        let token = Token::parse(&exported.token).map_err(|_| wrong("they have no token"))?;
        if token.revision.0 != number || revision.is_some_and(|asked| asked != number) {
            return Err(wrong("they are of another revision than was asked for"));
        }
        if number == 0 {
            return Err(wrong("there are none yet; `offergate apply` makes some"));
        }
        let record = proto::GetRevisionRequest { number: Some(number) };
        let record = client.get_revision(record).await.map_err(server("taking the revision"))?;
        let record = record.revision.unwrap_or_default();
        if record.number != number || record.token != exported.token {
            return Err(wrong("history changed while they were taken"));
        }
        let text = exported.document.unwrap_or_default().yaml;
        let rules = rules::read(&text).map_err(|error| JobError::Rules(error.to_string()))?;
        let snapshot = Snapshot::compile(&rules, Revision(number))
            .map_err(|error| JobError::Rules(error.to_string()))?;
        Ok(Self {
            revision: Revision(number),
            token: exported.token,
            made_at: record.create_time.as_ref().and_then(time::read),
            rules,
            snapshot,
        })
    }

    /// Refuses offers that the rules do not know.
    pub(super) fn know(&self, offers: &[String], allows_unknown: bool) -> Result<(), JobError> {
        let unknown = offers.iter().find(|offer| !self.rules.offers.contains_key(offer.as_str()));
        match unknown {
            Some(offer) if !allows_unknown => {
                Err(JobError::OfferUnknown { offer: offer.clone(), revision: self.revision.0 })
            }
            _ => Ok(()),
        }
    }

    /// Whether the rules know a product.
    pub(super) fn sells(&self, product: &str) -> bool {
        self.rules.products.contains_key(product)
    }

    /// The product of each offer; nothing for an offer that the rules do not know.
    pub(super) fn products(&self, offers: &[String]) -> Vec<Option<&str>> {
        let product =
            |offer: &String| Some(self.rules.offers.get(offer.as_str())?.product.as_str());
        offers.iter().map(product).collect()
    }

    /// Whether `holding` can only mean one product.
    pub(super) fn are_of_one_product(&self, offers: &[String]) -> bool {
        let products = self.products(offers);
        let mut products = products.iter().flatten();
        let first = products.next();
        products.all(|product| Some(product) == first)
    }

    /// The first revision after this one that changed the rules: the last look before a job's files are
    /// published. What was only proposed, rejected or refused meanwhile changed nothing.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn moved_to(&self, client: &Client) -> Result<Option<u64>, JobError> {
        let doing = "asking whether the rules moved";
        let newest = client.get_revision(proto::GetRevisionRequest { number: None }).await;
        let newest = newest.map_err(server(doing))?.revision.unwrap_or_default();
        if newest.token == self.token {
            return Ok(None);
        }
        if newest.number <= self.revision.0 {
            return Ok(Some(newest.number)); // Another history.
        }
        let mut stream = self.watch(client).await.map_err(server(doing))?;
        loop {
            let message = stream
                .message()
                .await
                .map_err(|status| JobError::Server { doing, source: status.into() })?;
            let revision = message.and_then(|message| message.revision).unwrap_or_default();
            if changes_rules(&revision) {
                return Ok(Some(revision.number));
            }
            if newest.number <= revision.number {
                return Ok(None);
            }
        }
    }

    /// Waits until the rules have changed, and tells by which revision. A watch that breaks waits for good:
    /// it only makes a job stop sooner, and [`moved_to`](Self::moved_to) has the last word.
    pub async fn moves(&self, client: &Client) -> u64 {
        if let Ok(mut stream) = self.watch(client).await {
            while let Ok(Some(message)) = stream.message().await {
                let revision = message.revision.unwrap_or_default();
                if changes_rules(&revision) {
                    return revision.number;
                }
            }
        }
        std::future::pending().await
    }

    async fn watch(
        &self,
        client: &Client,
    ) -> Result<tonic::Streaming<proto::WatchRevisionsResponse>, ClientError> {
        let request = proto::WatchRevisionsRequest {
            after_revision: Some(self.revision.0),
            after_token: self.token.clone(),
        };
        client.watch_revisions(request).await
    }
}

/// Whether a record did something to the rules. One that says nothing of it counts as if it did.
fn changes_rules(revision: &proto::Revision) -> bool {
    use proto::RevisionAct::{Begin, Edit, Propose, Ratify, Refuse, Reject, Withdraw};
    !matches!(revision.act(), Propose | Edit | Reject | Withdraw | Ratify | Refuse | Begin)
}

/// An error of the server, and what was being asked.
pub(super) fn server(doing: &'static str) -> impl Fn(ClientError) -> JobError {
    move |source| JobError::Server { doing, source }
}
